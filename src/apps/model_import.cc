// otr model import: says what it will do, does it, and ends with what it cost in fidelity.
#include <unistd.h>

#include <charconv>
#include <cstdio>
#include <optional>

#include "apps/model.h"
#include "base/hex.h"
#include "convert/float_model.h"
#include "env/clock.h"
#include "env/file.h"
#include "env/signal.h"
#include "eval/act_bits.h"
#include "eval/fidelity.h"
#include "text/utf8.h"

namespace otr::apps {
namespace {

namespace fs = std::filesystem;

struct ImportFlags {
  std::string source, out, text;
  std::string act8 = "off";
  int residual_frac_bits = 16;
  std::uint64_t max_tokens = 2048;
  unsigned threads = default_threads();
  bool dry_run = false;
  bool json = false;
};

// A choice of act_bits and the seconds it took.
struct Act8 {
  eval::ActBitsReport report;
  double seconds = 0;
};

// An import may be repeated, but nothing else than an artifact is replaced by one.
Status check_replaces_artifact(const std::string& out) {
  std::error_code error;
  if (!fs::exists(out, error) || fs::file_size(out, error) == 0) return {};
  constexpr std::string_view kBegin = R"({"__metadata__":{"otr.config":)";
  Bytes head(8 + kBegin.size());
  const auto file = env::InputFile::open(out);
  if (file && file->size_bytes() >= head.size() && file->read_at(0, head) &&
      as_text(head).substr(8) == kBegin) {
    return {};
  }
  return fail(ErrorKind::kUsage,
              "--out " + out + " is there and is no artifact: name another file, or remove it");
}

Result<Bytes> read_text(const std::string& path) {
  OTR_TRY_ASSIGN(Bytes text, env::read_file(path, kMaxTextBytes));
  if (text.empty())
    return fail(ErrorKind::kUsage, "--text " + path + " is empty: nothing to predict");
  if (const auto offset = text::utf8_error(as_text(text))) {
    return fail(ErrorKind::kUsage,
                "--text " + path + " is not UTF-8 at byte " + std::to_string(*offset));
  }
  return text;
}

// Without --out: the source's name in the current folder, where nothing must be replaced.
Result<std::string> output_of(const ImportFlags& flags) {
  if (!flags.out.empty()) {
    OTR_TRY(check_can_write("--out", flags.out));
    OTR_TRY(check_replaces_artifact(flags.out));
    return flags.out;
  }
  std::error_code error;
  const bool folder = fs::is_directory(flags.source, error);
  const fs::path source = fs::weakly_canonical(flags.source, error);
  const std::string name = (folder ? source.filename() : source.stem()).string() + ".safetensors";
  if (fs::exists(name, error)) {
    return fail(ErrorKind::kUsage, name + " is already there: name the file to write with -o");
  }
  OTR_TRY(check_can_write("--out", name));
  return name;
}

Status check_disk(const fs::path& out, std::uint64_t needed_bytes) {
  std::error_code error;
  const fs::path folder = out.has_parent_path() ? out.parent_path() : ".";
  const fs::space_info space = fs::space(folder, error);
  if (error || space.available >= needed_bytes) return {};
  return fail(ErrorKind::kIo, "The disk is full: the artifact needs " + size_text(needed_bytes) +
                                  " and " + folder.string() + " has " + size_text(space.available) +
                                  " left; free some space or choose another folder with -o");
}

// What the system could give, as Linux says it; nothing elsewhere.
std::optional<std::uint64_t> available_memory_bytes() {
  const auto bytes = env::read_file("/proc/meminfo", std::size_t{1} << 16);
  if (!bytes) return std::nullopt;
  const std::string_view text = as_text(*bytes);
  constexpr std::string_view kName = "MemAvailable:";
  std::size_t at = text.find(kName);
  if (at == text.npos) return std::nullopt;
  at = text.find_first_not_of(' ', at + kName.size());
  std::uint64_t kib = 0;
  std::from_chars(text.data() + std::min(at, text.size()), text.data() + text.size(), kib);
  return kib * 1024;
}

// The float model and both forms of the exact one stand in memory together.
Status check_memory_for_text(std::uint64_t parameters, std::uint64_t artifact_bytes) {
  const std::uint64_t needed_bytes = 4 * parameters + 2 * artifact_bytes;
  const auto available = available_memory_bytes();
  if (!available || *available >= needed_bytes) return {};
  return fail(ErrorKind::kUsage,
              "--text compares with the whole model in float32, which needs about " +
                  size_text(needed_bytes) + " of memory, and " + size_text(*available) +
                  " are free: import without --text");
}

Result<Act8> choose_act8(const ImportFlags& flags, const std::optional<Bytes>& text,
                         const model::Artifact& artifact) {
  Progress progress("choosing act_bits");
  const std::int64_t begin_ns = env::monotonic_ns();
  const eval::ActBitsOptions options{.threads = flags.threads,
                                     .progress = [&](std::uint64_t done, std::uint64_t all) {
                                       progress.update("at most", done, all);
                                       return !env::interrupted();
                                     }};
  const auto view = text ? std::optional(as_text(*text)) : std::nullopt;
  OTR_TRY_ASSIGN(eval::ActBitsReport report, eval::choose_act_bits(artifact, view, options));
  return Act8{std::move(report), static_cast<double>(env::monotonic_ns() - begin_ns) / 1e9};
}

// The float model of the source beside the finished artifact, on the text.
Result<eval::FidelityReport> measure(const ImportFlags& flags, const std::string& out,
                                     const Bytes& text) {
  OTR_TRY_ASSIGN(const convert::FloatModel reference, convert::load_float_model(flags.source));
  OTR_TRY_ASSIGN(const model::Artifact artifact, load_model(out));
  Progress progress("measuring on the text");
  return eval::evaluate(artifact, reference, as_text(text),
                        {.max_tokens = flags.max_tokens,
                         .threads = flags.threads,
                         .progress = [&](std::uint64_t done, std::uint64_t all) {
                           progress.update("", done, all);
                           return !env::interrupted();
                         }});
}

struct Outcome {
  convert::ImportReport report;
  std::optional<Act8> act8;
  std::optional<Result<eval::FidelityReport>> fidelity;
};

Result<Outcome> run_import(const ImportFlags& flags, const convert::ImportPlan& plan,
                           const std::string& out, const std::optional<Bytes>& text) {
  Outcome outcome;
  std::optional<Progress> bar;
  std::string phase;
  convert::ImportOptions options;
  options.progress = [&](std::string_view part, std::uint64_t done, std::uint64_t total) {
    const std::string now = part == "checking" ? "checking" : "importing";
    if (!bar || now != phase) bar.emplace(phase = now, true);
    bar->update(part == "checking" ? "" : part, done, total);
    return !env::interrupted();
  };
  if (flags.act8 == "auto") {
    options.choose_act_bits = [&](const model::Artifact& artifact) -> Result<model::ActBits> {
      bar.reset();  // its line gives way to that of the choice
      OTR_TRY_ASSIGN(outcome.act8, choose_act8(flags, text, artifact));
      return outcome.act8->report.bits;
    };
  }
  OTR_TRY_ASSIGN(outcome.report, convert::import_model(plan, out, options));
  bar.reset();
  if (text) outcome.fidelity = measure(flags, out, *text);
  return outcome;
}

Json outcome_json(const Outcome& outcome, const std::string& out) {
  Json json = to_json(outcome.report);
  json["out"] = out;
  if (outcome.act8) {
    json["act8"] = eval::to_json(outcome.act8->report);
    json["act8"]["seconds"] = outcome.act8->seconds;
  }
  if (outcome.fidelity && *outcome.fidelity) json["fidelity"] = eval::to_json(**outcome.fidelity);
  return json;
}

std::string outcome_text(const Outcome& outcome, const std::string& out, double seconds) {
  const convert::ImportReport& report = outcome.report;
  char time[40];
  std::snprintf(time, sizeof time, " in %.1f s", seconds);
  std::string text = report_text(report, outcome.act8.has_value());
  if (outcome.act8) text += eval::to_text(outcome.act8->report);
  if (outcome.fidelity && *outcome.fidelity) {
    text += "Before (the source in float32) and after (the artifact, exactly):\n" +
            eval::to_text(**outcome.fidelity);
  }
  text += line_text("model_root", to_hex(report.model_root));
  text += line_text("written", out + ", " + size_text(report.artifact_bytes) + " (source " +
                                   size_text(report.source_bytes) + ")" + time);
  return text + "Try it:       otr ask --model " + out + " \"Why is the sky blue?\"\n";
}

Result<int> import_model(const ImportFlags& flags) {
  const std::int64_t begin_ns = env::monotonic_ns();
  std::optional<Bytes> text;
  if (!flags.text.empty()) {
    OTR_TRY_ASSIGN(text, read_text(flags.text));
  }
  // A dry run writes nothing, so it may be of what cannot be written.
  std::string out = flags.out;
  if (!flags.dry_run) {
    OTR_TRY_ASSIGN(out, output_of(flags));
  }
  OTR_TRY_ASSIGN(const convert::ImportPlan plan,
                 convert::plan_import(flags.source, flags.residual_frac_bits));
  const Json description = describe_plan(plan);
  if (flags.dry_run) {
    OTR_TRY(print(flags.json
                      ? description.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n"
                      : plan_text(plan, description)));
    return kOk;
  }
  OTR_TRY(check_disk(out, plan.artifact_bytes));
  if (text) {
    OTR_TRY(
        check_memory_for_text(description["parameters"].get<std::uint64_t>(), plan.artifact_bytes));
  }
  if (!flags.json && ::isatty(STDERR_FILENO) != 0) {
    const std::string before = plan_text(plan, description) + line_text("to", out) + "\n";
    OTR_TRY(env::write_all(STDERR_FILENO, as_bytes(before), "standard error"));
  }
  OTR_TRY_ASSIGN(Outcome outcome, run_import(flags, plan, out, text));
  if (description["template"]["supported"] == false) {
    outcome.report.warnings.push_back("the chat template is not supported: " +
                                      description["template"]["problem"].get<std::string>() +
                                      "; ask with --raw");
  }
  const double seconds = static_cast<double>(env::monotonic_ns() - begin_ns) / 1e9;
  if (flags.json) {
    const Json json = outcome_json(outcome, out);
    OTR_TRY(print(json.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n"));
  } else {
    OTR_TRY(print(outcome_text(outcome, out, seconds)));
  }
  // The artifact is there and valid, whatever measuring it found.
  if (outcome.fidelity && !*outcome.fidelity) {
    Error error = outcome.fidelity->error();
    error.message = out + " is written, but measuring it on the text failed: " + error.message;
    return std::unexpected(std::move(error));
  }
  return kOk;
}

}  // namespace

void add_model_import(CLI::App& model, Run& run) {
  auto flags = std::make_shared<ImportFlags>();
  CLI::App* import =
      model.add_subcommand("import", "Make an artifact of a GGUF file or Hugging Face directory");
  import->add_option("source", flags->source, "GGUF file, or directory of a Hugging Face model")
      ->required()
      ->type_name("PATH");
  import
      ->add_option("-o,--out", flags->out,
                   "Artifact to write; without it the source's name and .safetensors, here")
      ->type_name("FILE");
  import->add_flag("--dry-run", flags->dry_run, "Say what would be done, and stop");
  import
      ->add_option("--text", flags->text,
                   "UTF-8 text on which the source in float32 and the artifact are compared, and "
                   "--act8 auto decides")
      ->type_name("FILE");
  import->add_option("--max-tokens", flags->max_tokens, "Tokens of --text to compare on; 0 is all")
      ->capture_default_str();
  import
      ->add_option("--residual-frac-bits", flags->residual_frac_bits,
                   "Fraction bits of the residual; fewer leave room for larger values")
      ->capture_default_str()
      ->check(CLI::Range(8, 20));
  import
      ->add_option("--act8", flags->act8,
                   "auto: int8 activations, twice as fast, where measuring shows them harmless; "
                   "holds the artifact in memory and takes about 40 runs of 2048 tokens, on --text "
                   "or on what the model writes itself")
      ->capture_default_str()
      ->check(CLI::IsMember({"auto", "off"}));
  import->add_option("--threads", flags->threads, "Threads of --act8 auto and --text")
      ->capture_default_str()
      ->check(CLI::Range(1, 1024));
  import->add_flag("--json", flags->json, "Print one JSON object");
  set_run(import, flags, run, import_model);
}

}  // namespace otr::apps

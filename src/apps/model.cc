// otr model: import, show, eval.
#include <cinttypes>
#include <cstdio>
#include <optional>

#include "apps/command.h"
#include "base/hex.h"
#include "convert/float_model.h"
#include "convert/import.h"
#include "env/clock.h"
#include "env/file.h"
#include "env/signal.h"
#include "eval/act_bits.h"
#include "eval/fidelity.h"

namespace otr::apps {
namespace {

struct ModelFlags {
  std::string source, out, model, text, reference;
  std::string act8_choice = "off", act8_text;
  int residual_frac_bits = 16;
  std::uint64_t max_tokens = 0;
  unsigned threads = default_threads();
  bool json = false;
};

constexpr std::size_t kMaxTextBytes = std::size_t{64} << 20;

std::string megabytes(std::uint64_t bytes) {
  char text[32];
  std::snprintf(text, sizeof text, "%.2f MB", static_cast<double>(bytes) / 1e6);
  return text;
}

Json to_json(const convert::ImportReport& report) {
  Json matrices = Json::array();
  for (const auto& m : report.matrices) {
    matrices.push_back({{"name", m.name}, {"relative_error", m.error}, {"exponent", m.exponent}});
  }
  return {{"model_root", to_hex(report.model_root)},
          {"source_bytes", report.source_bytes},
          {"artifact_bytes", report.artifact_bytes},
          {"residual_frac_bits", report.residual_frac_bits},
          {"warnings", report.warnings},
          {"matrices", matrices}};
}

std::string to_text(const convert::ImportReport& report, const std::string& out) {
  std::string text = "model_root  " + to_hex(report.model_root) + "\nwritten     " + out + ", " +
                     megabytes(report.artifact_bytes) + " (source " +
                     megabytes(report.source_bytes) + ")\n";
  const convert::MatrixReport* worst = nullptr;
  for (const auto& m : report.matrices) {
    if (worst == nullptr || m.error > worst->error) worst = &m;
  }
  if (worst != nullptr) {
    char line[160];
    std::snprintf(line, sizeof line,
                  "rounding    worst matrix %s: relative error %.4f; measure it: otr model eval\n",
                  worst->name.c_str(), worst->error);
    text += line;
  }
  for (const std::string& warning : report.warnings) text += "warning     " + warning + "\n";
  return text;
}

// A choice of act_bits and the seconds it took.
struct Act8 {
  eval::ActBitsReport report;
  double seconds = 0;
};

Result<Act8> choose_act8(const ModelFlags& flags, const std::optional<Bytes>& text,
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

std::string act8_text(const Act8& act8) {
  char line[40];
  std::snprintf(line, sizeof line, "chosen in %.1f s\n", act8.seconds);
  return eval::to_text(act8.report) + line;
}

Result<int> import_model(const ModelFlags& flags) {
  OTR_TRY(check_can_write("--out", flags.out));
  const bool act8 = flags.act8_choice == "auto";
  std::optional<Bytes> text;
  if (!flags.act8_text.empty()) {
    if (!act8) return fail(ErrorKind::kUsage, "--act8-text needs --act8 auto");
    OTR_TRY_ASSIGN(text, env::read_file(flags.act8_text, kMaxTextBytes));
  }
  std::optional<Progress> progress("importing");
  std::optional<Act8> chosen;
  convert::ImportOptions options{
      .residual_frac_bits = flags.residual_frac_bits,
      .progress = [&](std::string_view part, std::uint64_t done, std::uint64_t total) {
        progress->update(part, done, total);
      }};
  if (act8) {
    options.choose_act_bits = [&](const model::Artifact& artifact) -> Result<model::ActBits> {
      progress.emplace("importing");  // its line gives way to that of the choice
      OTR_TRY_ASSIGN(chosen, choose_act8(flags, text, artifact));
      return chosen->report.bits;
    };
  }
  OTR_TRY_ASSIGN(const convert::ImportReport report,
                 convert::import_model(flags.source, flags.out, options));
  if (flags.json) {
    Json json = to_json(report);
    if (chosen) {
      json["act8"] = eval::to_json(chosen->report);
      json["act8"]["seconds"] = chosen->seconds;
    }
    OTR_TRY(print(json.dump() + "\n"));
  } else {
    OTR_TRY(print(to_text(report, flags.out) + (chosen ? act8_text(*chosen) : "")));
  }
  return kOk;
}

Json describe(const model::Artifact& artifact) {
  const machine::Shape& s = artifact.view().shape;
  Json tensors = Json::array();
  for (const model::Tensor& tensor : artifact.tensors()) {
    tensors.push_back({{"name", tensor.spec.name},
                       {"shape", tensor.spec.shape},
                       {"bytes", tensor.spec.size_bytes},
                       {"root", to_hex(tensor.root)}});
  }
  return {{"model_root", to_hex(artifact.root())},
          {"bytes", artifact.file().size()},
          {"layers", s.layers},
          {"hidden", s.hidden},
          {"heads", s.heads},
          {"kv_heads", s.kv_heads},
          {"head_dim", s.head_dim},
          {"ffn", s.ffn},
          {"vocabulary", s.vocabulary},
          {"context", s.context},
          {"window", s.window},
          {"tied", artifact.config().tied},
          {"qk_norm", s.qk_norm},
          {"residual_frac_bits", s.residual_frac_bits},
          {"chat_template", artifact.chat_template()},
          {"tensors", tensors}};
}

std::string to_text(const Json& m) {
  std::string text;
  const auto line = [&](const std::string& name, const std::string& value) {
    std::string label = name;
    label.resize(14, ' ');
    text += label + value + "\n";
  };
  const auto number = [&](const char* name) {
    return std::to_string(m[name].get<std::uint64_t>());
  };
  line("model_root", m["model_root"]);
  line("size", megabytes(m["bytes"]) + " in " + std::to_string(m["tensors"].size()) +
                   " tensors, int8 weights");
  line("layers", number("layers") + " of hidden size " + number("hidden") + ", feed-forward " +
                     number("ffn"));
  line("attention", number("heads") + " heads, " + number("kv_heads") + " key/value heads of " +
                        number("head_dim") +
                        (m["window"] == 0 ? "" : ", window " + number("window")) +
                        (m["qk_norm"] == true ? ", q/k norms" : ""));
  line("vocabulary", number("vocabulary") + (m["tied"] == true ? ", head tied to it" : ""));
  line("context", number("context") + " tokens");
  line("residual", number("residual_frac_bits") + " fraction bits of 32");
  line("template", m["chat_template"] == "" ? "none: prompts are continued as they are"
                                            : m["chat_template"].dump());
  return text;
}

Result<int> show_model(const ModelFlags& flags) {
  OTR_TRY_ASSIGN(const model::Artifact artifact, load_model(flags.model));
  const Json description = describe(artifact);
  OTR_TRY(print(flags.json ? description.dump() + "\n" : to_text(description)));
  return kOk;
}

Result<int> eval_model(const ModelFlags& flags) {
  OTR_TRY_ASSIGN(const model::Artifact artifact, load_model(flags.model));
  OTR_TRY_ASSIGN(const Bytes text, env::read_file(flags.text, kMaxTextBytes));
  Result<convert::FloatModel> reference = flags.reference.empty()
                                              ? convert::float_model_from_artifact(artifact)
                                              : convert::load_float_model(flags.reference);
  if (!reference) return std::unexpected(std::move(reference).error());
  Progress progress("evaluating");
  const eval::FidelityOptions options{.max_tokens = flags.max_tokens,
                                      .threads = flags.threads,
                                      .progress = [&](std::uint64_t done, std::uint64_t all) {
                                        progress.update("", done, all);
                                        return !env::interrupted();
                                      }};
  OTR_TRY_ASSIGN(const eval::FidelityReport report,
                 eval::evaluate(artifact, *reference, as_text(text), options));
  if (flags.json) {
    OTR_TRY(print(eval::to_json(report).dump() + "\n"));
  } else {
    OTR_TRY(
        print("reference: " +
              (flags.reference.empty() ? std::string("the artifact's own int8 weights, in float32")
                                       : flags.reference + ", in float32") +
              "\n" + eval::to_text(report)));
  }
  return kOk;
}

// Adds a subcommand of `model` that runs `body`.
CLI::App* add(CLI::App* parent, const char* name, const char* what, Run& run,
              const std::shared_ptr<ModelFlags>& flags, Result<int> (*body)(const ModelFlags&)) {
  CLI::App* command = parent->add_subcommand(name, what);
  command->add_flag("--json", flags->json, "Print one JSON object");
  command->callback([flags, body, &run] {
    run = [flags, body] {
      const Result<int> code = body(*flags);
      return code ? *code : report(code.error());
    };
  });
  return command;
}

void add_import(CLI::App& model, Run& run, const std::shared_ptr<ModelFlags>& flags) {
  CLI::App* import = add(&model, "import", "Make an artifact of a Hugging Face directory", run,
                         flags, import_model);
  import->add_option("source", flags->source, "Directory with config.json, weights, tokeniser")
      ->required()
      ->type_name("DIR");
  import->add_option("-o,--out", flags->out, "Artifact to write (.safetensors)")
      ->required()
      ->type_name("FILE");
  import
      ->add_option("--residual-frac-bits", flags->residual_frac_bits,
                   "Fraction bits of the residual; fewer leave room for larger values")
      ->capture_default_str()
      ->check(CLI::Range(8, 20));
  import
      ->add_option("--act8", flags->act8_choice,
                   "auto: int8 activations, twice as fast, where measuring shows them harmless; "
                   "takes about 40 runs of 2048 tokens")
      ->capture_default_str()
      ->check(CLI::IsMember({"auto", "off"}));
  import
      ->add_option("--act8-text", flags->act8_text,
                   "UTF-8 text to measure on; without it the model writes one")
      ->type_name("FILE");
  import->add_option("--threads", flags->threads, "Threads of --act8 auto")
      ->capture_default_str()
      ->check(CLI::Range(1, 1024));
}

}  // namespace

void add_model(CLI::App& app, Run& run) {
  auto flags = std::make_shared<ModelFlags>();
  CLI::App* model = app.add_subcommand("model", "Import, show and measure models");
  model->require_subcommand(1);

  add_import(*model, run, flags);

  CLI::App* show =
      add(model, "show", "Describe an artifact and print its model root", run, flags, show_model);
  show->add_option("model", flags->model, "Model artifact")->required()->type_name("FILE");

  CLI::App* eval =
      add(model, "eval", "Compare the exact engine with float32 on a text", run, flags, eval_model);
  eval->add_option("model", flags->model, "Model artifact")->required()->type_name("FILE");
  eval->add_option("--text", flags->text, "UTF-8 text to predict")->required()->type_name("FILE");
  eval->add_option("--reference", flags->reference,
                   "Hugging Face directory; without it the artifact's weights in float32")
      ->type_name("DIR");
  eval->add_option("--max-tokens", flags->max_tokens, "Stop after so many tokens; 0 is all")
      ->capture_default_str();
  eval->add_option("--threads", flags->threads, "Threads")
      ->capture_default_str()
      ->check(CLI::Range(1, 1024));
}

}  // namespace otr::apps

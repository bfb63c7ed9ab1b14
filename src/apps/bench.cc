// otr bench: how fast the engine is on this machine, beside what the machine allows.
#include "apps/bench.h"

#include "apps/bench_figures.h"
#include "apps/bench_runs.h"
#include "base/hex.h"
#include "machine/tables.h"

namespace otr::apps {
namespace {

struct BenchFlags {
  std::string model;
  std::vector<unsigned> threads;
  BenchOptions options;
  Peer peer;
  bool json = false;
};

Json head(const BenchFlags& flags, const model::Artifact& artifact, double load_peak) {
  return {{"version", OTR_VERSION},
          {"spec", to_hex(machine::kSpecHash)},
          {"machine", describe_machine()},
          {"model",
           {{"file", flags.model},
            {"root", to_hex(artifact.root())},
            {"bytes", artifact.file().size()},
            {"peak_bytes_while_loading", load_peak}}}};
}

std::string head_text(const Json& head) {
  const Json& machine = head["machine"];
  return "otr " + head["version"].get<std::string>() + ", " +
         machine["processor"].get<std::string>() + ", " +
         std::to_string(machine["threads"].get<unsigned>()) + " threads, kernel " +
         machine["kernel"].get<std::string>() + ", huge pages " +
         machine["huge_pages"].get<std::string>() + "\n" +
         head["model"]["file"].get<std::string>() + ", " +
         std::to_string(head["model"]["bytes"].get<std::uint64_t>() / 1'000'000) +
         " MB, loaded in " +
         std::to_string(
             static_cast<int>(head["model"]["peak_bytes_while_loading"].get<double>() / 1e6)) +
         " MB; medians (least to greatest), ratios of runs in turn\n";
}

Result<int> bench(const BenchFlags& flags, BenchRun& run) {
  OTR_TRY_ASSIGN(model::Artifact artifact, load_model(flags.model));
  std::vector<unsigned> thread_counts = flags.threads;
  if (thread_counts.empty()) {
    thread_counts = {1};
    if (default_threads() > 1) thread_counts.push_back(default_threads());
  }
  const engine::PackedModel packed = pack(artifact, default_threads());
  Json report = head(flags, artifact, peak_memory().value_or(0));
  if (!flags.json) OTR_TRY(print(head_text(report)));
  BenchOptions options = flags.options;
  if (!flags.peer.program.empty()) options.peer = flags.peer;
  Json& figures = report["figures"] = Json::array();
  for (const unsigned threads : thread_counts) {
    const BenchSubject subject{packed, static_cast<double>(artifact.file().size())};
    OTR_TRY_ASSIGN(const std::vector<Figure> measured, run(subject, threads, options));
    for (const Figure& figure : measured) {
      figures.push_back(to_json(figure));
      if (!flags.json) OTR_TRY(print(to_text(figure)));
    }
  }
  if (flags.json)
    OTR_TRY(print(report.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n"));
  return kOk;
}

struct Kind {
  const char* name;
  const char* what;
  BenchRun* run;
  std::uint32_t tokens;
  const char* tokens_are;
  bool has_peer = false;
};

void add_kind(CLI::App& parent, Run& run, const Kind& kind) {
  auto flags = std::make_shared<BenchFlags>();
  flags->options = {.tokens = kind.tokens, .repetitions = 5};
  CLI::App* command = parent.add_subcommand(kind.name, kind.what);
  command->add_option("-m,--model", flags->model, "Model artifact (otr model random makes one)")
      ->required()
      ->type_name("FILE")
      ->envname("OTR_MODEL");
  command
      ->add_option("--threads", flags->threads,
                   "Numbers of threads, each measured; default: 1 and all")
      ->delimiter(',')
      ->type_name("N,...")
      ->check(CLI::Range(1, 1024));
  command->add_option("--tokens", flags->options.tokens, kind.tokens_are)
      ->capture_default_str()
      ->check(CLI::Range(1, 131072));
  command->add_option("--repetitions", flags->options.repetitions, "Rounds; medians of them")
      ->capture_default_str()
      ->check(CLI::Range(1, 1000));
  if (kind.has_peer) {
    CLI::Option* peer =
        command->add_option("--peer", flags->peer.program, "A program like llama.cpp's llama-bench")
            ->type_name("FILE")
            ->check(CLI::ExistingFile);
    CLI::Option* model =
        command->add_option("--peer-model", flags->peer.model, "Its model, of the same shape")
            ->type_name("FILE")
            ->check(CLI::ExistingFile);
    peer->needs(model);
    model->needs(peer);
  }
  command->add_flag("--json", flags->json, "Print one JSON object");
  command->callback([flags, body = kind.run, &run] {
    run = [flags, body] {
      const Result<int> code = bench(*flags, *body);
      return code ? *code : report(code.error());
    };
  });
}

}  // namespace

void add_bench(CLI::App& app, Run& run) {
  CLI::App* command = app.add_subcommand("bench", "Measure the engine's speed on this machine");
  command->require_subcommand(1);
  const Kind kinds[] = {
      {"decode", "Tokens one by one, beside reading memory", bench_decode, 64, "Tokens of a round",
       true},
      {"prefill", "A prompt, beside byte products", bench_prefill, 512, "Tokens of the prompt",
       true},
      {"batch", "1, 8 and 32 sequences together", bench_batch, 16, "Steps of a round"},
      {"trace", "What the trace costs", bench_trace, 512, "Tokens of the prompt"},
      {"recompute", "Checking an answer, beside a prefill", bench_recompute, 512,
       "Tokens of prompt and answer"},
  };
  for (const Kind& kind : kinds) add_kind(*command, run, kind);
}

}  // namespace otr::apps

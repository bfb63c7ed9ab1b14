// otr model, and its part eval: import, show and random stand in files of their own.
#include "apps/model.h"

#include "convert/float_model.h"
#include "env/file.h"
#include "env/signal.h"
#include "eval/fidelity.h"

namespace otr::apps {
namespace {

struct EvalFlags {
  std::string model, text, reference;
  std::uint64_t max_tokens = 0;
  unsigned threads = default_threads();
  bool json = false;
};

Result<int> eval_model(const EvalFlags& flags) {
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

}  // namespace

void add_model_eval(CLI::App& model, Run& run) {
  auto flags = std::make_shared<EvalFlags>();
  CLI::App* eval = model.add_subcommand("eval", "Compare the exact engine with float32 on a text");
  eval->add_option("model", flags->model, "Model artifact")->required()->type_name("FILE");
  eval->add_option("--text", flags->text, "UTF-8 text to predict")->required()->type_name("FILE");
  eval->add_option("--reference", flags->reference,
                   "GGUF file or Hugging Face directory; without it the artifact's weights in "
                   "float32")
      ->type_name("PATH");
  eval->add_option("--max-tokens", flags->max_tokens, "Stop after so many tokens; 0 is all")
      ->capture_default_str();
  eval->add_option("--threads", flags->threads, "Threads")
      ->capture_default_str()
      ->check(CLI::Range(1, 1024));
  eval->add_flag("--json", flags->json, "Print one JSON object");
  set_run(eval, flags, run, eval_model);
}

void add_model(CLI::App& app, Run& run) {
  CLI::App* model = app.add_subcommand("model", "Import, show and measure models");
  model->require_subcommand(1);
  add_model_import(*model, run);
  add_model_show(*model, run);
  add_model_eval(*model, run);
}

}  // namespace otr::apps

// otr model random: a model of random weights, for otr bench.
#include "apps/bench.h"
#include "base/hex.h"
#include "convert/random_model.h"
#include "env/file.h"
#include "env/signal.h"

namespace otr::apps {
namespace {

struct RandomFlags {
  convert::RandomModelOptions options;
  std::string out;
  bool act8 = false;
  bool json = false;
};

// The artifact is read back before it is written, as one of import is.
Result<int> make(const RandomFlags& flags) {
  OTR_TRY(check_can_write("--out", flags.out));
  convert::RandomModelOptions options = flags.options;
  options.act_bits = flags.act8 ? 8 : 16;
  OTR_TRY_ASSIGN(Bytes bytes, convert::random_model(options, env::interrupted));
  OTR_TRY_ASSIGN(const model::Artifact artifact, model::parse_artifact(std::move(bytes)));
  OTR_TRY(env::write_file_atomically(flags.out, artifact.file(), 0644));
  const std::string root = to_hex(artifact.root());
  const std::size_t size = artifact.file().size();
  if (flags.json) {
    OTR_TRY(print(Json{{"model_root", root}, {"artifact_bytes", size}}.dump() + "\n"));
  } else {
    OTR_TRY(print("model_root  " + root + "\nwritten     " + flags.out + ", " +
                  std::to_string(size) + " bytes of random weights, without a tokeniser\n"));
  }
  return kOk;
}

}  // namespace

void add_model_random(CLI::App& app, Run& run) {
  auto flags = std::make_shared<RandomFlags>();
  CLI::App* command = app.get_subcommand("model")->add_subcommand(
      "random", "Make an artifact of random weights, for otr bench");
  command->add_option("--shape", flags->options.shape, "Shape of the model")
      ->required()
      ->check(CLI::IsMember(convert::random_model_shapes()));
  command->add_option("-o,--out", flags->out, "Artifact to write (.safetensors)")
      ->required()
      ->type_name("FILE");
  command->add_flag("--act8", flags->act8,
                    "8 act_bits for every row that enters a product, not 16");
  command->add_option("--seed", flags->options.seed, "Another seed, other weights")
      ->capture_default_str();
  command->add_option("--context", flags->options.context, "Most tokens of prompt and answer")
      ->capture_default_str()
      ->check(CLI::Range(1, 131072));
  command->add_flag("--json", flags->json, "Print one JSON object");
  command->callback([flags, &run] {
    run = [flags] {
      const Result<int> code = make(*flags);
      return code ? *code : report(code.error());
    };
  });
}

}  // namespace otr::apps

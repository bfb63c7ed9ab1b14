// otr model show: an artifact, or what an import would make of somebody's model, explained.
#include "apps/model.h"
#include "base/hex.h"

namespace otr::apps {
namespace {

struct ShowFlags {
  std::string model;
  bool tensors = false;
  bool json = false;
};

Json tensors_json(const model::Artifact& artifact) {
  Json tensors = Json::array();
  for (const model::Tensor& tensor : artifact.tensors()) {
    tensors.push_back({{"name", tensor.spec.name},
                       {"shape", tensor.spec.shape},
                       {"bytes", tensor.spec.size_bytes},
                       {"root", to_hex(tensor.root)}});
  }
  return tensors;
}

std::string tensors_text(const Json& tensors) {
  std::string text;
  for (const Json& tensor : tensors) {
    std::string name = tensor["name"];
    name.resize(std::max<std::size_t>(name.size() + 1, 28), ' ');
    std::string shape = tensor["shape"].dump();
    shape.resize(std::max<std::size_t>(shape.size() + 1, 16), ' ');
    text += name + shape + tensor["root"].get<std::string>() + "\n";
  }
  return text;
}

std::string exponents_text(const Json& exponents) {
  std::string text;
  for (const auto& [kind, range] : exponents.items()) {
    const int least = range["least"], greatest = range["greatest"];
    text += (text.empty() ? "" : ", ") + kind + " " + std::to_string(least) +
            (least == greatest ? "" : ".." + std::to_string(greatest));
  }
  return text;
}

Result<int> show_artifact(const ShowFlags& flags) {
  OTR_TRY_ASSIGN(const model::Artifact artifact, load_model(flags.model));
  Json json = describe(artifact.config(), {.tokenizer = artifact.tokenizer(),
                                           .chat_template = artifact.chat_template(),
                                           .token_bytes = artifact.view().token_bytes.size()});
  json["model_root"] = to_hex(artifact.root());
  json["bytes"] = artifact.file().size();
  json["chat_template"] = artifact.chat_template();
  json["tensors"] = tensors_json(artifact);
  if (flags.json) {
    OTR_TRY(print(json.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n"));
    return kOk;
  }
  std::string text = line_text("model_root", json["model_root"].get<std::string>());
  text += line_text("size", size_text(artifact.file().size()) + " in " +
                                std::to_string(artifact.tensors().size()) + " tensors");
  text += describe_text(json);
  text += line_text("exponents", exponents_text(json["exponents"]));
  text +=
      "The model root binds every weight, the numbers above, the tokeniser and the chat\n"
      "template: a receipt that names it was computed by exactly this model.\n";
  if (flags.tensors) text += tensors_text(json["tensors"]);
  OTR_TRY(print(text));
  return kOk;
}

Result<int> show_plan(const ShowFlags& flags) {
  OTR_TRY_ASSIGN(const convert::ImportPlan plan, convert::plan_import(flags.model));
  const Json json = describe_plan(plan);
  OTR_TRY(print(flags.json ? json.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n"
                           : "This is no artifact yet. Importing it would make one:\n" +
                                 plan_text(plan, json) + "Import it: otr model import " +
                                 flags.model + "\n"));
  return kOk;
}

Result<int> show_model(const ShowFlags& flags) {
  return is_importable(flags.model) ? show_plan(flags) : show_artifact(flags);
}

}  // namespace

void add_model_show(CLI::App& model, Run& run) {
  auto flags = std::make_shared<ShowFlags>();
  CLI::App* command = model.add_subcommand(
      "show", "Explain an artifact and its model root, or what importing a model would do");
  command->add_option("model", flags->model, "Model artifact, GGUF file or Hugging Face directory")
      ->required()
      ->type_name("FILE");
  command->add_flag("--tensors", flags->tensors, "List all tensors with their roots");
  command->add_flag("--json", flags->json, "Print one JSON object");
  set_run(command, flags, run, show_model);
}

}  // namespace otr::apps

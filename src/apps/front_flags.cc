#include "apps/front_flags.h"

#include <filesystem>

#include "apps/command.h"
#include "apps/serve.h"
#include "env/clock.h"

namespace otr::apps {

void add_name_options(CLI::App& command, FrontFlags& flags) {
  command.add_option("--name", flags.name, "Name of the model (default: of its file)")
      ->type_name("NAME");
  command
      .add_option("--alias", flags.aliases,
                  "Another name it goes by, for programs that ask for one; may be repeated")
      ->type_name("NAME");
}

void add_front_flags(CLI::App& command, FrontFlags& flags, bool with_models) {
  if (with_models) {
    command
        .add_option("-m,--model", flags.models,
                    "Model artifact, for its tokeniser and template; its weights are not kept")
        ->required()
        ->type_name("FILE")
        ->envname("OTR_MODEL");
  }
  command.add_option("--listen", flags.listen, "Address and port")->capture_default_str();
  add_name_options(command, flags);
  command.add_option("--home", flags.home, "Folder of the keys and receipts")->type_name("DIR");
  command
      .add_option("--policy", flags.policy,
                  "What evidence is accepted: a TOML file (docs/attestation.md), or genuine")
      ->capture_default_str()
      ->type_name("P")
      ->envname("OTR_POLICY");
  command
      .add_option("--api-keys", flags.keys_file,
                  "Who may ask: a file with one key per line (default: anybody)")
      ->type_name("FILE");
  command.add_option("--tls-certificate", flags.tls_certificate, "Serve https: chain in PEM")
      ->type_name("FILE");
  command.add_option("--tls-key", flags.tls_key, "Its key in PEM")->type_name("FILE");
  command.add_option("--cors", flags.origin, "Origin whose pages may ask, or *")
      ->type_name("ORIGIN");
  command.add_option("--max-requests", flags.max_requests, "Requests at a time; beyond: 429")
      ->capture_default_str()
      ->check(CLI::Range(1, 100000));
}

Result<service::FrontServerOptions> to_options(const FrontFlags& flags, std::string component) {
  service::FrontServerOptions options;
  OTR_TRY_ASSIGN(options.listen, parse_listen("--listen", flags.listen));
  options.listen.tls_certificate_file = flags.tls_certificate;
  options.listen.tls_key_file = flags.tls_key;
  if (!flags.keys_file.empty()) {
    OTR_TRY_ASSIGN(options.keys, service::ApiKeys::load(flags.keys_file));
  }
  options.front.component = std::move(component);
  options.front.version = OTR_VERSION;
  options.front.allow_origin = flags.origin;
  options.front.buffer = flags.buffer;
  options.front.max_requests = flags.max_requests;
  return options;
}

std::string model_name(const FrontFlags& flags, const std::string& file) {
  return flags.name.empty() ? std::filesystem::path(file).stem().string() : flags.name;
}

std::vector<std::string> model_names(const FrontFlags& flags, const std::string& file) {
  std::vector<std::string> names = {model_name(flags, file)};
  names.insert(names.end(), flags.aliases.begin(), flags.aliases.end());
  return names;
}

Result<std::vector<service::ServedModel>> load_served(const FrontFlags& flags) {
  if ((!flags.name.empty() || !flags.aliases.empty()) && flags.models.size() > 1) {
    return fail(ErrorKind::kUsage,
                "--name and --alias are for one model; several go by their files' names");
  }
  std::vector<service::ServedModel> served;
  for (const std::string& file : flags.models) {
    OTR_TRY_ASSIGN(model::Artifact artifact, load_model(file));
    OTR_TRY_ASSIGN(served.emplace_back(),
                   service::serve_model(std::make_shared<model::Artifact>(std::move(artifact)),
                                        model_names(flags, file), env::unix_seconds(), true));
  }
  return served;
}

}  // namespace otr::apps

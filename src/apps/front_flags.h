// What otr gateway, proxy and up have in common: the flags of a front and the models it serves.
#ifndef OTR_APPS_FRONT_FLAGS_H_
#define OTR_APPS_FRONT_FLAGS_H_

#include <CLI/CLI.hpp>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "model/artifact.h"
#include "service/front_server.h"

namespace otr::apps {

struct FrontFlags {
  std::string listen, home, policy, keys_file, name;
  std::string tls_certificate, tls_key, origin;
  std::vector<std::string> models, aliases;
  std::uint32_t max_requests = 256;
  bool buffer = false;
};

// --listen, --home, --policy, --api-keys, --name, --alias, --tls-certificate, --tls-key, --cors,
// --max-requests, and --model unless the command has its own.
void add_front_flags(CLI::App& command, FrontFlags& flags, bool with_models);

// All but the mode of requests.
Result<service::FrontServerOptions> to_options(const FrontFlags& flags, std::string component);

// The models of the flags, read; their weights' memory is given back.
Result<std::vector<service::ServedModel>> load_served(const FrontFlags& flags);

// The name a model goes by: --name, or its file's name without the end.
std::string model_name(const FrontFlags& flags, const std::string& file);
// That name, and those of --alias.
std::vector<std::string> model_names(const FrontFlags& flags, const std::string& file);
// For commands that have no other flag of a front.
void add_name_options(CLI::App& command, FrontFlags& flags);

}  // namespace otr::apps

#endif  // OTR_APPS_FRONT_FLAGS_H_

// What the commands share that follow a ledger over HTTP: otr ledger serve, otr ledger mint, otr
// fisherman.
#ifndef OTR_APPS_LEDGER_FOLLOW_H_
#define OTR_APPS_LEDGER_FOLLOW_H_

#include <CLI/CLI.hpp>
#include <memory>
#include <string>

#include "base/result.h"
#include "net/client.h"
#include "node/keys.h"
#include "service/ledger_client.h"

namespace otr::apps {

struct FollowFlags {
  std::string url, id, home, ca_file;
};
// --ledger, --ledger-id, --home and --ca-file.
void add_follow_options(CLI::App& command, FollowFlags& flags);

// kUsage for a URL with a path or query, which would end up in front of ours. `flag` is named.
Result<service::LedgerServerAddress> parse_server(const std::string& flag, const std::string& url);

struct Following {
  std::unique_ptr<net::Client> client;
  std::unique_ptr<service::LedgerClient> ledger;
  Hash id{};
};
Result<Following> follow(const FollowFlags& flags);

// The 32 bytes of NAME.key in the home folder, made on first use.
Result<Hash> secret_of(const node::Home& home, const std::string& name);

// Whether SIGINT or SIGTERM came meanwhile.
bool pause_ms(std::uint32_t ms);

}  // namespace otr::apps

#endif  // OTR_APPS_LEDGER_FOLLOW_H_

#include "apps/ledger_follow.h"

#include <algorithm>
#include <chrono>
#include <thread>

#include "base/hex.h"
#include "env/file.h"
#include "env/signal.h"
#include "net/url.h"

namespace otr::apps {

void add_follow_options(CLI::App& command, FollowFlags& flags) {
  command.add_option("--ledger", flags.url, "Where the ledger is served")
      ->required()
      ->type_name("URL");
  command
      .add_option("--ledger-id", flags.id,
                  "Which ledger it must be, as otr ledger init has printed it")
      ->required()
      ->type_name("0x…");
  command.add_option("--home", flags.home, "Folder of the keys")->type_name("DIR");
  command
      .add_option("--ca-file", flags.ca_file, "Authorities of the servers' certificates, in PEM")
      ->type_name("FILE");
}

Result<service::LedgerServerAddress> parse_server(const std::string& flag, const std::string& url) {
  const auto parsed = net::parse_url(url);
  if (!parsed) return fail(ErrorKind::kUsage, flag + ": " + parsed.error().message);
  if (parsed->path != "/" || !parsed->query.empty()) {
    return fail(ErrorKind::kUsage, flag + " takes http://HOST:PORT alone, not '" + url + "'");
  }
  return service::LedgerServerAddress{.url = parsed->origin(), .whole_answer_ms = 20'000};
}

Result<Following> follow(const FollowFlags& flags) {
  Following following;
  OTR_TRY_ASSIGN(const service::LedgerServerAddress server, parse_server("--ledger", flags.url));
  const auto id = hash_from_hex(flags.id, "--ledger-id");
  if (!id) return fail(ErrorKind::kUsage, id.error().message);
  following.id = *id;
  net::ClientOptions options;
  options.ca_file = flags.ca_file;
  OTR_TRY_ASSIGN(following.client, net::Client::create(options));
  following.ledger = std::make_unique<service::LedgerClient>(*following.client, server);
  return following;
}

Result<Hash> secret_of(const node::Home& home, const std::string& name) {
  OTR_TRY_ASSIGN(const crypto::PrivateKey made, home.key(name));
  OTR_TRY_ASSIGN(const Bytes bytes, env::read_file(home.folder() / (name + ".key"), 32));
  Hash secret;
  if (bytes.size() != secret.size()) {
    return fail(ErrorKind::kBadInput, name + ".key changed while it was read");
  }
  std::ranges::copy(bytes, secret.begin());
  return secret;
}

bool pause_ms(std::uint32_t ms) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::milliseconds(ms);
  while (!env::interrupted() && std::chrono::steady_clock::now() < end) {
    std::this_thread::sleep_for(std::chrono::milliseconds(std::min<std::uint32_t>(ms, 50)));
  }
  return env::interrupted();
}

}  // namespace otr::apps

// otr fisherman: recomputes what operators were paid for, and challenges what is false
// (rollup/fisherman.h, docs/ledger.md).
#include "rollup/fisherman.h"

#include <algorithm>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "apps/command.h"
#include "apps/ledger_follow.h"
#include "apps/serve.h"
#include "base/hex.h"
#include "engine/packed.h"
#include "env/clock.h"

namespace otr::apps {
namespace {

constexpr std::uint32_t kFirstPauseMs = 200;

struct FishermanFlags : FollowFlags {
  std::vector<std::string> models, data;
  std::uint32_t check_ppm = ledger::kMillion;
  std::uint32_t every_ms = 500;
  unsigned threads = 1;
  bool once = false;
};

// Weights as a dispute needs them: the engine's form to recompute with, the canonical one to open.
struct Model {
  Model(model::Artifact its_artifact, unsigned threads)
      : artifact(std::move(its_artifact)),
        packed(artifact.view(), engine::best_kernel(), threads),
        weights{artifact, packed, threads} {}
  model::Artifact artifact;
  engine::PackedModel packed;
  rollup::Weights weights;
};

// Who serves the receipts of an operator: ADDRESS=URL, or URL for all others.
class DataServers {
 public:
  Status add(net::Client& client, const std::string& text) {
    const std::size_t equals = text.starts_with("0x") ? text.find('=') : std::string::npos;
    std::optional<crypto::Address> operator_address;
    if (equals != std::string::npos) {
      const auto bytes = from_hex(text.substr(0, equals), 20, "--data");
      if (!bytes) return fail(ErrorKind::kUsage, bytes.error().message);
      std::ranges::copy(*bytes, operator_address.emplace().begin());
    }
    const std::string url = equals == std::string::npos ? text : text.substr(equals + 1);
    OTR_TRY_ASSIGN(const service::LedgerServerAddress server, parse_server("--data", url));
    const bool is_new = servers_.try_emplace(operator_address, client, server).second;
    if (is_new) return {};
    return fail(ErrorKind::kUsage, "--data names two servers of one operator: " + text);
  }

  rollup::DataPort* of(const crypto::Address& operator_address) {
    auto found = servers_.find(operator_address);
    if (found == servers_.end()) found = servers_.find(std::nullopt);
    return found == servers_.end() ? nullptr : &found->second;
  }

 private:
  std::map<std::optional<crypto::Address>, service::DataClient> servers_;
};

Json to_json(const rollup::FishermanGauges& gauges, std::uint64_t height) {
  return {{"height", height},
          {"claims_seen", gauges.claims_seen},
          {"sampled", gauges.sampled},
          {"agreed", gauges.agreed},
          {"false_claims", gauges.false_claims},
          {"sealed", gauges.sealed},
          {"unknown_model", gauges.unknown_model},
          {"withheld", gauges.withheld},
          {"missed", gauges.missed},
          {"games_open", gauges.games_open},
          {"games_won", gauges.games_won},
          {"games_lost", gauges.games_lost},
          {"bonds_at_risk", gauges.bonds_at_risk},
          {"next_clock_ms", gauges.next_clock_ms},
          {"refused", gauges.refused},
          {"last_refusal", gauges.last_refusal}};
}

// One line whenever something else is to be said than before.
class Report {
 public:
  Status say(Json facts, const Status& status) {
    facts["error"] = status ? Json(nullptr) : Json(status.error().message);
    facts["server_lies"] = !status && status.error().kind == ErrorKind::kReject;
    if (facts == last_) return {};
    last_ = facts;
    facts["time_ms"] = env::unix_ms();
    // What a server says may be no UTF-8.
    return print(facts.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n");
  }

 private:
  Json last_;
};

// A server that is not there yet, or not any more, or that lies, is asked again: games go on, and
// their clocks with them, whatever a server does.
std::optional<rollup::Mirror> open_mirror(const Following& following, const FishermanFlags& flags,
                                          Report& report_to, Status& status) {
  while (true) {
    auto mirror = rollup::Mirror::open(*following.ledger, following.id);
    if (mirror) return *std::move(mirror);
    status = std::unexpected(mirror.error());
    if (flags.once || !report_to.say({{"height", 0}}, status)) return std::nullopt;
    if (pause_ms(std::max(flags.every_ms, kFirstPauseMs))) return std::nullopt;
  }
}

Result<int> watch(const FishermanFlags& flags, const Following& following,
                  rollup::FishermanOptions options) {
  Report lines;
  Status status;
  std::optional<rollup::Mirror> mirror = open_mirror(following, flags, lines, status);
  if (!mirror) return flags.once ? Result<int>(std::unexpected(status.error())) : Result<int>(kOk);
  rollup::Fisherman fisherman(*mirror, std::move(options));
  do {
    status = fisherman.step(env::unix_ms());
    OTR_TRY(lines.say(to_json(fisherman.gauges(), mirror->state().height), status));
    if (!status && flags.once) return std::unexpected(status.error());
  } while (!flags.once && !pause_ms(flags.every_ms));
  return kOk;
}

Result<int> fish(const FishermanFlags& flags) {
  OTR_TRY_ASSIGN(const Following following, follow(flags));
  DataServers data;
  for (const std::string& text : flags.data) OTR_TRY(data.add(*following.client, text));
  OTR_TRY_ASSIGN(const node::Home home, open_home(flags.home));
  OTR_TRY_ASSIGN(const crypto::PrivateKey key, home.key("fisherman"));
  OTR_TRY_ASSIGN(const Hash sampling, secret_of(home, "sampling"));
  std::map<Hash, std::unique_ptr<Model>> models;
  for (const std::string& path : flags.models) {
    OTR_TRY_ASSIGN(model::Artifact artifact, load_model(path));
    const Hash root = artifact.root();
    models[root] = std::make_unique<Model>(std::move(artifact), flags.threads);
  }
  OTR_TRY(print(Json{{"account", to_hex(key.address())}, {"ledger", to_hex(following.id)}}.dump() +
                "\n"));
  return watch(flags, following,
               {.key = key,
                .sampling_key = sampling,
                .check_ppm = flags.check_ppm,
                .weights = [&](const Hash& root) -> const rollup::Weights* {
                  const auto found = models.find(root);
                  return found == models.end() ? nullptr : &found->second->weights;
                },
                .data = [&](const crypto::Address& address) { return data.of(address); }});
}

constexpr const char* kDescription =
    R"(Recomputes what operators claim on a ledger, and challenges what is false.

It follows the ledger by its own replay, fetches each new batch's receipts from its operator's data
server, computes a sample of the answers again that nobody can predict, and plays every game to its
end. What a data server withholds it demands on the ledger. Killed and started again, it goes on.

Its account (the key "fisherman" of the home folder) needs a balance for bonds: a bond is lost only
if the claim was right. Prints one JSON object a line whenever something has changed.)";

}  // namespace

void add_fisherman(CLI::App& app, Run& run) {
  auto flags = std::make_shared<FishermanFlags>();
  flags->threads = default_threads();
  CLI::App* command = app.add_subcommand("fisherman", kDescription);
  add_follow_options(*command, *flags);
  command
      ->add_option("--data", flags->data,
                   "Where operators serve their receipts: URL, or ADDRESS=URL for one of them; "
                   "without any, every claim is demanded on the ledger")
      ->type_name("[0x…=]URL");
  command->add_option("-m,--model", flags->models, "Model artifact to recompute with; repeatable")
      ->required()
      ->type_name("FILE")
      ->envname("OTR_MODEL");
  command
      ->add_option("--check-ppm", flags->check_ppm,
                   "Share of the claims that it recomputes, in parts of a million")
      ->capture_default_str()
      ->check(CLI::Range(0U, ledger::kMillion));
  command->add_option("--every", flags->every_ms, "Milliseconds from one look to the next")
      ->capture_default_str()
      ->check(CLI::Range(10, 3'600'000));
  command->add_option("--threads", flags->threads, "Threads of the engine")
      ->capture_default_str()
      ->check(CLI::Range(1, 1024));
  command->add_flag("--once", flags->once, "One look, then end; fails where the server does");
  command->callback([flags, &run] {
    run = [flags] {
      const Result<int> code = fish(*flags);
      return code ? *code : report(code.error());
    };
  });
}

}  // namespace otr::apps

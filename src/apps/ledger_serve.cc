// otr ledger init and serve: a ledger of one's own (docs/ledger.md).
#include <algorithm>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "apps/command.h"
#include "apps/ledger_follow.h"
#include "apps/serve.h"
#include "base/hex.h"
#include "env/clock.h"
#include "ledger/parameters.h"
#include "rollup/auditor.h"
#include "rollup/mirror.h"
#include "rollup/sequencer.h"
#include "service/ledger_server.h"

namespace otr::apps {
namespace {

// Values of the beacon: at one in five minutes, for two and a half years.
constexpr std::uint64_t kBeaconLength = std::uint64_t{1} << 18;
constexpr std::uint32_t kStepMs = 200;
constexpr std::uint32_t kDrainMs = 5'000;

// --- init ---

struct InitFlags {
  std::string file, home;
  std::vector<std::string> checkers;
  unsigned quorum = 0;  // 0: more than half
  bool trial = false;
};

Status add_checkers(const InitFlags& flags, ledger::Genesis& genesis) {
  for (const std::string& text : flags.checkers) {
    const auto bytes = from_hex(text, 20, "--checker");
    if (!bytes) return fail(ErrorKind::kUsage, bytes.error().message);
    std::ranges::copy(*bytes, genesis.checkers.emplace_back().begin());
  }
  const std::size_t count = genesis.checkers.size();
  const std::size_t quorum = flags.quorum != 0 ? flags.quorum : count == 0 ? 0 : count / 2 + 1;
  if (quorum > count || count > ledger::kMaxCheckers) {
    return fail(ErrorKind::kUsage,
                "A ledger has at most 16 checkers (--checker), and --quorum is of them.");
  }
  genesis.quorum = static_cast<std::uint8_t>(quorum);
  return {};
}

Result<int> init(const InitFlags& flags) {
  OTR_TRY_ASSIGN(const node::Home home, open_home(flags.home));
  ledger::Genesis genesis;
  OTR_TRY_ASSIGN(crypto::PrivateKey sequencer, home.key("sequencer"));
  OTR_TRY_ASSIGN(const crypto::PrivateKey issuer, home.key("issuer"));
  OTR_TRY_ASSIGN(const crypto::PrivateKey auditor, home.key("auditor"));
  OTR_TRY_ASSIGN(const crypto::PrivateKey governor, home.key("governor"));
  OTR_TRY_ASSIGN(const Hash beacon, secret_of(home, "beacon"));
  genesis.sequencer = sequencer.address();
  genesis.issuer = issuer.address();
  genesis.auditor = auditor.address();
  genesis.governor = governor.address();
  genesis.beacon_anchor = rollup::beacon_anchor(beacon, kBeaconLength);
  OTR_TRY(add_checkers(flags, genesis));
  genesis.trial = flags.trial ? 1 : 0;
  genesis.time = env::unix_ms();
  genesis.parameters = ledger::example_parameters(flags.trial);
  const Bytes bytes = ledger::encode(genesis);
  OTR_TRY_ASSIGN(const auto store,
                 settlement::Store::create(flags.file, bytes, {.sequencer = std::move(sequencer)}));
  OTR_TRY(store->close(genesis.time));
  std::string text = "ledger     " + to_hex(ledger::ledger_id(bytes));
  text += flags.trial ? "\n           TRIAL: its windows are seconds\n" : "\n";
  for (const auto& [name, address] :
       {std::pair{"sequencer", genesis.sequencer}, std::pair{"issuer", genesis.issuer},
        std::pair{"auditor", genesis.auditor}, std::pair{"governor", genesis.governor}}) {
    text += name + std::string(11 - std::string_view(name).size(), ' ') + to_hex(address) + "\n";
  }
  OTR_TRY(print(text));
  return kOk;
}

// --- serve ---

struct ServeFlags {
  std::string file, home, auditor_home, listen = "127.0.0.1:8190";
  std::string tls_certificate, tls_key;
  std::uint64_t checkpoint_every = 1024;
};

// A ledger that notices when its disk has failed: then it must be opened again.
class FailingLedger : public rollup::LedgerPort {
 public:
  explicit FailingLedger(rollup::LedgerPort& ledger) : ledger_(ledger) {}
  Result<Bytes> genesis() override { return ledger_.genesis(); }
  Result<std::vector<settlement::Row>> rows(std::uint64_t after) override {
    return ledger_.rows(after);
  }
  Status submit(ByteView transaction) override {
    const Status taken = ledger_.submit(transaction);
    if (!taken && taken.error().kind == ErrorKind::kIo) {
      const std::lock_guard lock(mutex_);
      failure_ = taken.error();
    }
    return taken;
  }
  std::optional<Error> failure() const {
    const std::lock_guard lock(mutex_);
    return failure_;
  }

 private:
  rollup::LedgerPort& ledger_;
  mutable std::mutex mutex_;
  std::optional<Error> failure_;
};

class Serving {
 public:
  static Result<std::unique_ptr<Serving>> start(const ServeFlags& flags);
  // Until it is interrupted, or its disk fails.
  Status run();
  std::string describe() const;

 private:
  explicit Serving(std::unique_ptr<rollup::Sequencer> sequencer)
      : sequencer_(std::move(sequencer)) {}
  Status step(std::uint64_t now);

  std::unique_ptr<rollup::Sequencer> sequencer_;
  FailingLedger ledger_{*sequencer_};
  std::optional<rollup::Mirror> mirror_;
  std::optional<crypto::PrivateKey> auditor_key_;
  std::optional<rollup::Auditor> auditor_;
  std::unique_ptr<service::LedgerServer> server_;
  std::string url_;
};

Result<std::unique_ptr<Serving>> Serving::start(const ServeFlags& flags) {
  OTR_TRY_ASSIGN(net::ServerOptions listen, parse_listen("--listen", flags.listen));
  listen.tls_certificate_file = flags.tls_certificate;
  listen.tls_key_file = flags.tls_key;
  listen.max_connections = 256;
  OTR_TRY_ASSIGN(const node::Home home, open_home(flags.home));
  OTR_TRY_ASSIGN(crypto::PrivateKey key, home.key("sequencer"));
  const crypto::Address own = key.address();
  settlement::StoreOptions options{.checkpoint_every = flags.checkpoint_every,
                                   .sequencer = std::move(key)};
  OTR_TRY_ASSIGN(auto sequencer,
                 rollup::Sequencer::open(flags.file, std::move(options), env::unix_ms));
  std::unique_ptr<Serving> serving(new Serving(std::move(sequencer)));

  OTR_TRY_ASSIGN(const Bytes genesis, serving->ledger_.genesis());
  OTR_TRY_ASSIGN(serving->mirror_,
                 rollup::Mirror::open(serving->ledger_, ledger::ledger_id(genesis)));
  const ledger::Genesis& roles = serving->mirror_->state().genesis;
  if (roles.sequencer != own) {
    return fail(ErrorKind::kUsage, "The ledger's sequencer is " + to_hex(roles.sequencer) +
                                       ", and sequencer.key of the home folder is " + to_hex(own) +
                                       ": give the --home of otr ledger init.");
  }
  if (!flags.auditor_home.empty()) {
    OTR_TRY_ASSIGN(const node::Home keys, open_home(flags.auditor_home));
    OTR_TRY_ASSIGN(serving->auditor_key_, keys.key("auditor"));
    OTR_TRY_ASSIGN(const Hash secret, secret_of(keys, "beacon"));
    if (roles.auditor != serving->auditor_key_->address() ||
        roles.beacon_anchor != rollup::beacon_anchor(secret, kBeaconLength)) {
      return fail(ErrorKind::kUsage,
                  "auditor.key and beacon.key of --auditor-home are not those of this ledger.");
    }
    serving->auditor_.emplace(*serving->mirror_, *serving->auditor_key_, secret, kBeaconLength);
  }
  OTR_TRY_ASSIGN(serving->server_,
                 service::LedgerServer::start(listen, &serving->ledger_, nullptr));
  serving->url_ = (flags.tls_certificate.empty() ? "http://" : "https://") + listen.address + ":" +
                  std::to_string(serving->server_->port());
  return serving;
}

std::string Serving::describe() const {
  const ledger::State& state = mirror_->state();
  return "ledger    " + to_hex(state.id) + "\nserved at " + url_ + "\nheight    " +
         std::to_string(state.height) + "\nauditor   " +
         (auditor_ ? "in this process" : "elsewhere: nothing here reveals the beacon") + "\n";
}

Status Serving::step(std::uint64_t now) {
  OTR_TRY(mirror_->catch_up());
  if (rollup::is_checkpoint_due(*mirror_, now)) OTR_TRY(sequencer_->checkpoint());
  if (auditor_) OTR_TRY(auditor_->step(now));
  return {};
}

Status Serving::run() {
  std::string last;
  std::optional<Error> failure;
  while (!failure && !pause_ms(kStepMs)) {
    const Status done = step(env::unix_ms());
    if (!done && done.error().message != last) {
      last = done.error().message;
      static_cast<void>(report(done.error()));
    }
    failure = done || done.error().kind != ErrorKind::kIo ? ledger_.failure() : done.error();
  }
  server_->stop(kDrainMs);
  const Status closed = sequencer_->close();
  if (failure) return std::unexpected(*std::move(failure));
  return closed;
}

Result<int> serve(const ServeFlags& flags) {
  OTR_TRY_ASSIGN(const auto serving, Serving::start(flags));
  OTR_TRY(print(serving->describe()));
  OTR_TRY(serving->run());
  return kOk;
}

}  // namespace

void add_ledger_serving(CLI::App& ledger, Run& run) {
  const auto start = [&run](auto flags, auto command) {
    return [flags, command, &run] {
      run = [flags, command] {
        const Result<int> code = command(*flags);
        return code ? *code : report(code.error());
      };
    };
  };
  auto init_flags = std::make_shared<InitFlags>();
  CLI::App* made = ledger.add_subcommand(
      "init", "Makes a new, empty ledger and the keys of its roles, and prints its id");
  made->add_option("FILE", init_flags->file, "The new ledger; there must be no such file")
      ->required();
  made->add_option("--home", init_flags->home,
                   "Folder of the keys: sequencer, issuer, auditor, governor, and the beacon's "
                   "secret, which the auditor alone should have")
      ->type_name("DIR");
  made->add_option("--checker", init_flags->checkers,
                   "Account of somebody who checks answers to draws (otr checker); repeatable")
      ->type_name("0x…");
  made->add_option("--quorum", init_flags->quorum,
                   "So many of them make a claim checked (default: more than half)")
      ->check(CLI::Range(1, 16));
  made->add_flag("--trial", init_flags->trial, "Windows of seconds, to try things out");
  made->callback(start(init_flags, init));

  auto serve_flags = std::make_shared<ServeFlags>();
  CLI::App* served = ledger.add_subcommand(
      "serve", "Takes transactions and shows the ledger, over HTTP, until it is interrupted");
  served->add_option("FILE", serve_flags->file, "The ledger")->required();
  served->add_option("--listen", serve_flags->listen, "Address and port")->capture_default_str();
  served->add_option("--home", serve_flags->home, "Folder with sequencer.key")->type_name("DIR");
  served
      ->add_option("--auditor-home", serve_flags->auditor_home,
                   "Folder with auditor.key and beacon.key: reveals the beacon in this process. "
                   "Whoever holds both roles could choose what is drawn")
      ->type_name("DIR");
  served
      ->add_option("--checkpoint-every", serve_flags->checkpoint_every,
                   "Transactions from one signed checkpoint to the next")
      ->capture_default_str()
      ->check(CLI::Range(1, 1 << 30));
  served->add_option("--tls-certificate", serve_flags->tls_certificate, "Serve https: chain in PEM")
      ->type_name("FILE");
  served->add_option("--tls-key", serve_flags->tls_key, "Its key in PEM")->type_name("FILE");
  served->callback(start(serve_flags, serve));
}

}  // namespace otr::apps

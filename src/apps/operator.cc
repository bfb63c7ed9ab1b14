// otr operator: posts what its gateways answered to a ledger, defends it and is paid for it
// (rollup/operator.h, docs/ledger.md).
#include "rollup/operator.h"

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "apps/command.h"
#include "apps/operator_intake.h"
#include "apps/role.h"
#include "apps/serve.h"
#include "base/hex.h"
#include "env/clock.h"
#include "rollup/registration.h"
#include "service/ledger_server.h"

namespace otr::apps {
namespace {

constexpr std::uint32_t kDrainMs = 5'000;
// From a refusal of what sets it up to the next try: mostly somebody has to pay in first.
constexpr std::uint64_t kPatienceMs = 2'000;

struct OperatorFlags : RoleFlags {
  std::string listen = "127.0.0.1:8191", receipts_listen = "127.0.0.1:8192";
  std::uint64_t value = 1000, stake = 0, batch_every_ms = 1000;
  rollup::Tariff tariff{1, 1};
  std::uint32_t max_batch = 1024;
  bool registers_models = false, proves = false;
  std::uint64_t proof_mebibytes = 0;  // 0: no bound
};

class OperatorProcess {
 public:
  // What lives before it knows its ledger.
  struct Given {
    const OperatorFlags& flags;
    const crypto::PrivateKey& key;
    RoleReport& report_to;
  };
  static Result<std::unique_ptr<OperatorProcess>> start(const Given& given, rollup::Mirror mirror,
                                                        const node::Home& home);
  // Until it is interrupted, or its disk fails.
  Status run();

 private:
  OperatorProcess(const Given& given, rollup::Mirror mirror)
      : flags_(given.flags),
        key_(given.key),
        report_to_(given.report_to),
        mirror_(std::move(mirror)) {}
  Status listen();
  Status load();
  Status step(std::uint64_t now);
  Status set_up(std::uint64_t now);
  void tell_intake(std::uint64_t now);
  Status send(ledger::Body body, std::uint64_t now);
  Status say(const Status& stepped);

  const OperatorFlags& flags_;
  const crypto::PrivateKey& key_;
  RoleReport& report_to_;
  rollup::Mirror mirror_;
  RoleModels models_;
  std::vector<ledger::RegisterModel> registrations_;  // of models, where they are not there
  std::unique_ptr<rollup::Journal> journal_;
  std::unique_ptr<rollup::Operator> role_;
  std::unique_ptr<OperatorIntake> intake_;
  std::uint64_t not_before_ = 0;  // the next try of what sets it up
  std::string refusal_;           // of the last one
  std::unique_ptr<service::LedgerServer> data_;
  std::unique_ptr<service::RoleServer> receipts_;
};

Result<std::unique_ptr<OperatorProcess>> OperatorProcess::start(const Given& given,
                                                                rollup::Mirror mirror,
                                                                const node::Home& home) {
  std::unique_ptr<OperatorProcess> made(new OperatorProcess(given, std::move(mirror)));
  const ledger::State& state = made->mirror_.state();
  // Without it sessions are not known before the first step: receipts are brought again.
  static_cast<void>(made->mirror_.catch_up());
  // One for each ledger: claims of one are nothing on another.
  const std::string name = "operator-" + to_hex(state.id).substr(2, 16) + ".journal";
  OTR_TRY_ASSIGN(made->journal_, rollup::open_journal(home.folder() / name));
  rollup::OperatorOptions options{
      .key = given.key,
      .value = given.flags.value,
      .max_batch = given.flags.max_batch,
      .batch_every_ms = given.flags.batch_every_ms,
      .weights = [raw = made.get()](const Hash& root) { return weights_of(raw->models_, root); },
      .prover = {},
      .respond = {}};
  if (given.flags.proves) {
    options.prover = {.folder = home.folder() / "proofs", .threads = given.flags.threads};
    if (given.flags.proof_mebibytes != 0) {
      options.prover->memory_bytes = given.flags.proof_mebibytes << 20;
    }
  }
  OTR_TRY_ASSIGN(made->role_,
                 rollup::Operator::open(made->mirror_, *made->journal_, std::move(options)));
  made->intake_ = std::make_unique<OperatorIntake>(*made->role_, given.key.address(), state);
  made->tell_intake(env::unix_ms());
  OTR_TRY(made->listen());
  return made;
}

Status OperatorProcess::listen() {
  OTR_TRY_ASSIGN(net::ServerOptions for_all, parse_listen("--listen", flags_.listen));
  OTR_TRY_ASSIGN(const net::ServerOptions for_own,
                 parse_listen("--receipts-listen", flags_.receipts_listen));
  for_all.max_connections = 256;
  OTR_TRY_ASSIGN(data_, service::LedgerServer::start(for_all, nullptr, role_.get()));
  service::RoleRoutes routes;
  routes.health = [] { return Status(); };
  routes.describe =
      [text = Json{{"operator", to_hex(key_.address())}, {"ledger", to_hex(mirror_.state().id)}}
                  .dump()] { return text; };
  routes.take = [intake = intake_.get()](const std::string& text) { return intake->take(text); };
  OTR_TRY_ASSIGN(receipts_, service::RoleServer::start(for_own, std::move(routes)));
  const auto url = [](const net::ServerOptions& options, std::uint16_t port) {
    return "http://" + options.address + ":" + std::to_string(port);
  };
  return print(
      Json{{"data", url(for_all, data_->port())}, {"receipts", url(for_own, receipts_->port())}}
          .dump() +
      "\n");
}

// Receipts come in meanwhile.
Status OperatorProcess::load() {
  OTR_TRY_ASSIGN(models_, load_models(flags_));
  if (!flags_.registers_models) return {};
  for (const auto& [root, model] : models_) {
    if (mirror_.state().models.contains(root)) continue;
    registrations_.push_back(rollup::register_model(model->artifact, flags_.tariff, true));
  }
  return {};
}

// --- One look

Status OperatorProcess::step(std::uint64_t now) {
  intake_->begin_step();
  const Status stepped = role_->step(now);
  const Status set = stepped ? set_up(now) : stepped;
  tell_intake(now);
  return set;
}

// How many claims more the stake can carry than wait for it.
void OperatorProcess::tell_intake(std::uint64_t now) {
  const ledger::State& state = mirror_.state();
  const auto own = state.operators.find(key_.address());
  const auto reserve = ledger::reserve_of(ledger::parameters_at(state, now), flags_.value);
  std::uint64_t room = 0;
  if (own != state.operators.end() && reserve) {
    room = own->second.free_stake() / std::max<std::uint64_t>(*reserve, 1);
  }
  const std::uint64_t waiting = role_->gauges().claims_waiting;
  intake_->end_step(state, now, room - std::min(room, waiting), refusal_);
}

// Stake, models and sessions, in this order: none is taken before the one before it.
Status OperatorProcess::set_up(std::uint64_t now) {
  if (now < not_before_) return {};
  refusal_.clear();
  const ledger::State& state = mirror_.state();
  const auto own = state.operators.find(key_.address());
  const ledger::Operator stakes = own == state.operators.end() ? ledger::Operator{} : own->second;
  // Never again after a slash: whatever was wrong, somebody has to look at it first.
  if (stakes.stake < flags_.stake && stakes.epoch == 0) {
    OTR_TRY(send(ledger::Stake{flags_.stake - stakes.stake}, now));
  }
  for (const ledger::RegisterModel& model : registrations_) {
    if (refusal_.empty() && !state.models.contains(model.root)) OTR_TRY(send(model, now));
  }
  if (!refusal_.empty()) return {};
  for (const protocol::SessionDocument& document : intake_->wanted()) {
    OTR_TRY(send(rollup::register_session(document, flags_.tariff), now));
  }
  return {};
}

// The ledger's refusal is no failure: it is said, and tried again later.
Status OperatorProcess::send(ledger::Body body, std::uint64_t now) {
  const std::string kind(ledger::name_of(body));
  const Status sent = mirror_.send(key_, std::move(body));
  if (sent || sent.error().kind != ErrorKind::kReject) return sent;
  refusal_ = kind + ": " + sent.error().message;
  not_before_ = now + kPatienceMs;
  return {};
}

// --- What it says

service::MetricLines to_lines(const rollup::OperatorGauges& gauges, const ledger::Operator& own,
                              std::uint64_t balance, const IntakeGauges& intake) {
  service::MetricLines lines;
  lines.counter("otr_operator_receipts_taken_total", "Receipts taken, and the same again.",
                intake.taken);
  lines.counter("otr_operator_receipts_refused_total", "Receipts refused for ever.",
                intake.refused);
  lines.counter("otr_operator_receipts_deferred_total", "Receipts to be brought again.",
                intake.sent_again);
  lines.gauge("otr_operator_claims_waiting", "Claims on disk that are in no batch.",
              gauges.claims_waiting);
  lines.gauge("otr_operator_batches_open", "Batches that are not final.", gauges.batches_open);
  lines.gauge("otr_operator_batches_final", "Batches that are.", gauges.batches_final);
  lines.gauge("otr_operator_batches_void", "Batches lost by a slash.", gauges.batches_void);
  lines.gauge("otr_operator_games_open", "Disputes of its claims.", gauges.games_open);
  lines.gauge("otr_operator_next_clock_seconds",
              "Unix time at which the first of its clocks runs out; 0: none runs.",
              gauges.next_clock_ms / 1000);
  lines.counter("otr_operator_refused_total", "Its transactions that the ledger refused.",
                gauges.refused);
  lines.counter("otr_operator_proofs_made_total", "Proofs made for draws.", gauges.proofs.made);
  lines.counter("otr_operator_proofs_failed_total", "Proofs that could not be made.",
                gauges.proofs.failed);
  lines.gauge("otr_operator_stake", "Its stake.", own.stake);
  lines.gauge("otr_operator_stake_reserved", "What of it claims that are not final hold.",
              own.reserved);
  lines.gauge("otr_operator_balance", "Its account, which pays fees.", balance);
  return lines;
}

Status OperatorProcess::say(const Status& stepped) {
  const ledger::State& state = mirror_.state();
  const rollup::OperatorGauges gauges = role_->gauges();
  const auto found = state.operators.find(key_.address());
  const ledger::Operator own = found == state.operators.end() ? ledger::Operator{} : found->second;
  const auto account = state.accounts.find(key_.address());
  const std::uint64_t balance = account == state.accounts.end() ? 0 : account->second.balance;
  return report_to_.say({{"height", state.height},
                         {"claims_waiting", gauges.claims_waiting},
                         {"batches_open", gauges.batches_open},
                         {"batches_final", gauges.batches_final},
                         {"batches_void", gauges.batches_void},
                         {"games_open", gauges.games_open},
                         {"next_clock_ms", gauges.next_clock_ms},
                         {"proofs", gauges.proofs.made},
                         {"proofs_failed", gauges.proofs.failed},
                         {"last_proof_failure", gauges.proofs.last_failure},
                         {"stake", own.stake},
                         {"reserved", own.reserved},
                         {"balance", balance},
                         {"slashed", own.epoch},
                         {"refused", gauges.refused},
                         {"last_refusal", refusal_.empty() ? gauges.last_refusal : refusal_}},
                        to_lines(gauges, own, balance, intake_->gauges()), &state, stepped);
}

Status OperatorProcess::run() {
  OTR_TRY(load());
  std::optional<Error> failure;
  do {
    const Status stepped = step(env::unix_ms());
    OTR_TRY(say(stepped));
    failure =
        stepped || stepped.error().kind != ErrorKind::kIo ? intake_->failure() : stepped.error();
  } while (!failure && !pause_ms(pause_of(flags_, role_->gauges().games_open)));
  receipts_->stop(kDrainMs);
  data_->stop(kDrainMs);
  if (failure) return std::unexpected(*std::move(failure));
  return {};
}

Result<int> operate(const OperatorFlags& flags) {
  OTR_TRY_ASSIGN(const Following following, follow(flags));
  OTR_TRY(parse_listen("--listen", flags.listen));
  OTR_TRY(parse_listen("--receipts-listen", flags.receipts_listen));
  OTR_TRY_ASSIGN(const node::Home home, open_home(flags.home));
  OTR_TRY_ASSIGN(const crypto::PrivateKey key, home.key("operator"));
  OTR_TRY_ASSIGN(const auto report_to, RoleReport::start(flags));
  Json first = {{"account", to_hex(key.address())}, {"ledger", to_hex(following.id)}};
  if (!report_to->metrics_url().empty()) first["metrics"] = report_to->metrics_url();
  OTR_TRY(print(first.dump() + "\n"));
  Status status;
  auto mirror = open_mirror(following, flags, false, *report_to, status);
  if (!mirror) return kOk;  // interrupted
  OTR_TRY_ASSIGN(const auto process,
                 OperatorProcess::start({flags, key, *report_to}, *std::move(mirror), home));
  OTR_TRY(process->run());
  return kOk;
}

constexpr const char* kDescription =
    R"(Posts what its gateways answered to a ledger, defends it, and is paid for it.

Its gateways (otr gateway --operator URL) hand in every receipt before their clients hear of it: it
is on disk before it is acknowledged. It registers their workers' sessions, posts batches, answers
games and draws, and serves the receipts of its batches to fishermen. Killed and started again, it
goes on.

It is the account of the key "operator" in the home folder, which is its gateways' too: that key's
stake is what a false claim costs. Prints one JSON object a line whenever something has changed.)";

void add_options(CLI::App& command, OperatorFlags& flags) {
  add_role_options(command, flags);
  command
      .add_option("-m,--model", flags.models,
                  "Model artifact that its workers serve, to answer disputes with; repeatable")
      ->required()
      ->type_name("FILE")
      ->envname("OTR_MODEL");
  command
      .add_option("--listen", flags.listen,
                  "Where anybody may read the receipts of its batches (otr fisherman --data)")
      ->capture_default_str();
  command
      .add_option("--receipts-listen", flags.receipts_listen,
                  "Where its own gateways hand in receipts (otr gateway --operator)")
      ->capture_default_str();
  command.add_option("--stake", flags.stake,
                     "What the stake is raised to out of the balance, unless it was ever slashed");
  command.add_option("--value", flags.value, "What one claim may carry, and so earn")
      ->capture_default_str()
      ->check(CLI::Range(std::uint64_t{1}, ledger::kMaxValue));
  command
      .add_option("--prompt-tariff", flags.tariff.prompt,
                  "Price of a token of a prompt in sessions that it registers")
      ->capture_default_str()
      ->check(CLI::Range(std::uint64_t{0}, ledger::kMaxTariff));
  command.add_option("--output-tariff", flags.tariff.output, "Price of a token of an answer")
      ->capture_default_str()
      ->check(CLI::Range(std::uint64_t{0}, ledger::kMaxTariff));
  command.add_flag("--register-models", flags.registers_models,
                   "Put its models into the ledger's registry where they are not, as models whose "
                   "weights anybody can have; its tariffs are then their highest");
  command.add_flag("--prove", flags.proves,
                   "Answer draws by proofs, kept in the home folder, where they are ready in time");
  command
      .add_option("--proof-memory", flags.proof_mebibytes,
                  "MiB that a proof may take (default: any)")
      ->check(CLI::Range(1, 1 << 24))
      ->needs("--prove");
  command
      .add_option("--batch-every", flags.batch_every_ms,
                  "Milliseconds for which a claim waits for others; at most half of the time "
                  "that a force allows")
      ->capture_default_str()
      ->check(CLI::Range(0, 3'600'000));
  command.add_option("--max-batch", flags.max_batch, "Claims of a batch, at most")
      ->capture_default_str()
      ->check(CLI::Range(1U, ledger::kMaxBatch));
}

}  // namespace

void add_operator(CLI::App& app, Run& run) {
  auto flags = std::make_shared<OperatorFlags>();
  CLI::App* command = app.add_subcommand("operator", kDescription);
  add_options(*command, *flags);
  command->callback([flags, &run] {
    run = [flags] {
      const Result<int> code = operate(*flags);
      return code ? *code : report(code.error());
    };
  });
}

}  // namespace otr::apps

#include "apps/up_rollup.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "base/hex.h"
#include "env/clock.h"

namespace otr::apps {
namespace {

constexpr std::uint32_t kStepMs = 100;

std::string row(const std::string& label, const std::string& text) {
  return "  " + label + std::string(14 - std::min<std::size_t>(13, label.size()), ' ') + text +
         "\n";
}

std::string count(std::uint64_t number, const std::string& what) {
  return std::to_string(number) + " " + what;
}

}  // namespace

Result<std::unique_ptr<UpRollup>> UpRollup::start(const node::Home& home, StageModel& model,
                                                  std::uint64_t window_ms,
                                                  const net::ServerOptions& listen) {
  const std::filesystem::path folder = home.folder() / ("rollup-" + std::to_string(env::unix_ms()));
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  if (error) return fail(ErrorKind::kIo, "cannot make " + folder.string() + ": " + error.message());
  OTR_TRY_ASSIGN(crypto::PrivateKey key, home.key("operator"));
  OTR_TRY_ASSIGN(auto stage, Stage::set_up(folder, {&model}, {.window_ms = window_ms}));
  std::unique_ptr<UpRollup> made(
      new UpRollup(std::move(stage), std::make_unique<crypto::PrivateKey>(std::move(key))));
  OTR_TRY_ASSIGN(made->operator_, made->stage_->add_service(*made->key_, model));
  made->ledger_ = made->stage_->state().id;
  OTR_TRY_ASSIGN(made->server_, service::LedgerServer::start(listen, &made->stage_->sequencer(),
                                                             made->operator_->role.get()));
  made->url_ = "http://" + listen.address + ":" + std::to_string(made->server_->port());
  return made;
}

std::string UpRollup::describe_place() const {
  return "ledger    " + (stage_->folder() / "ledger.sqlite").string() +
         " (TRIAL: short windows, all roles in this process)\n          " + to_hex(ledger_) +
         " at " + url_ + "\n";
}

UpRollup::~UpRollup() { static_cast<void>(stop()); }

void UpRollup::run(std::function<std::vector<protocol::SessionDocument>()> sessions) {
  sessions_ = std::move(sessions);
  thread_ = std::thread([this] {
    while (!ends_) {
      const Status done = step();
      std::string seen = describe();
      {
        const std::lock_guard lock(mutex_);
        view_ = std::move(seen);
        error_ = done ? "" : done.error().message;
      }
      std::this_thread::sleep_for(std::chrono::milliseconds(kStepMs));
    }
  });
}

Status UpRollup::step() {
  for (const protocol::SessionDocument& document : sessions_()) {
    const Hash id = protocol::session_id(document.session, document.ledger);
    if (stage_->state().sessions.contains(id)) continue;
    OTR_TRY(stage_->register_session(*key_, document));
  }
  return stage_->step();
}

Status UpRollup::take(const std::string& receipt_text) {
  const Status added = operator_->role->add(receipt_text, env::unix_ms());
  if (added || added.error().kind == ErrorKind::kIo) return added;
  return {};  // sealed, or not of this ledger
}

std::string UpRollup::describe() const {
  const ledger::State& state = stage_->state();
  const rollup::OperatorGauges ours = operator_->role->gauges();
  const rollup::FishermanGauges fisherman = stage_->fisherman().gauges();
  const rollup::CheckerGauges checker = stage_->checker().gauges();
  std::uint64_t posted = 0, final_claims = 0, void_claims = 0;
  for (const auto& [number, batch] : state.batches) {
    if (ledger::is_void(state, batch)) {
      void_claims += batch.count;
    } else if (batch.status == ledger::BatchStatus::kFinal) {
      final_claims += batch.count - batch.held;
    } else {
      posted += batch.count;
    }
  }
  const ledger::Operator& self = state.operators.at(operator_->address);
  const auto& parameters = ledger::parameters_at(state, state.time);
  const auto clock = [&](std::uint64_t at) {
    if (at == 0) return std::string("none runs");
    const std::uint64_t now = env::unix_ms();
    return "next runs out in " + std::to_string(at > now ? (at - now) / 1000 : 0) + " s";
  };
  std::string text = row("ledger", "height " + std::to_string(state.height) + ", " +
                                       count(state.checkpoint_count, "checkpoints, ") +
                                       count(state.revealed_round, "beacon rounds (TRIAL)"));
  text += row("claims", count(ours.claims_waiting, "waiting, ") + count(posted, "posted, ") +
                            count(final_claims, "final, ") + count(void_claims, "void"));
  text += row("fisherman", count(fisherman.claims_seen, "seen, ") +
                               count(fisherman.agreed, "recomputed and equal, ") +
                               count(fisherman.false_claims, "false, ") +
                               count(fisherman.missed, "final before it had looked"));
  text += row("draws", count(ours.proofs.made, "proven, ") +
                           count(checker.executed, "executed again, ") +
                           count(checker.signed_count, "checked"));
  text += row("games", count(ours.games_open, "open; clock: ") + clock(ours.next_clock_ms));
  text += row("bonds", "stake " + std::to_string(self.stake) + ", reserved " +
                           std::to_string(self.reserved) + ", V_max " +
                           std::to_string(ledger::v_max(parameters, self.stake)));
  return text;
}

std::string UpRollup::view() const {
  const std::lock_guard lock(mutex_);
  return error_.empty() ? view_ : view_ + row("error", error_);
}

Status UpRollup::stop() {
  if (ends_.exchange(true)) return {};
  server_.reset();
  if (thread_.joinable()) thread_.join();
  return stage_->close();
}

}  // namespace otr::apps

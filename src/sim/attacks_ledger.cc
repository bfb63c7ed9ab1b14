// Sequencers and governors that lie: what a role's own replay refuses (SIMULATED cheats).
#include <array>

#include "rollup/mirror.h"
#include "sim/trial.h"

namespace otr::sim {
namespace {

// Shows a history that `bend` has changed.
class LyingPort : public rollup::LedgerPort {
 public:
  LyingPort(Chain& chain, std::function<void(std::vector<settlement::Row>&)> bend)
      : chain_(chain), bend_(std::move(bend)) {}
  Result<Bytes> genesis() override { return chain_.genesis(); }
  Result<std::vector<settlement::Row>> rows(std::uint64_t after) override {
    std::vector<settlement::Row> rows = chain_.rows();
    bend_(rows);
    const auto shown = std::min<std::uint64_t>(after, rows.size());
    return std::vector(rows.begin() + static_cast<std::ptrdiff_t>(shown), rows.end());
  }
  Status submit(ByteView) override { return fail(ErrorKind::kNetwork, "SIMULATED: not taken."); }

 private:
  Chain& chain_;
  std::function<void(std::vector<settlement::Row>&)> bend_;
};

// A fresh replay of what a sequencer shows; the honest history must pass.
Outcome shown(std::uint64_t seed, const std::function<void(std::vector<settlement::Row>&)>& bend) {
  Trial trial(seed);
  World& world = trial.world;
  OperatorNode& honest = trial.honest_operator();
  (void)trial.post_true(honest);
  world.run_ms(1000);
  LyingPort truth(world.chain(), [](auto&) {});
  auto plain = rollup::Mirror::open(truth, world.state().id);
  trial.expect(plain.has_value() && plain->catch_up().has_value(), "the true history is refused");
  LyingPort lies(world.chain(), bend);
  trial.strike();
  auto mirror = rollup::Mirror::open(lies, world.state().id);
  trial.expect(mirror.has_value(), "the genesis is refused");
  if (mirror) {
    const Status done = mirror->catch_up();
    if (!done && done.error().kind == ErrorKind::kReject) {
      trial.caught(Tier::kRule, "ROW_REFUSED");
    }
  }
  return trial.finish();
}

Outcome changed_amount(std::uint64_t seed) {
  return shown(seed, [seed](auto& rows) {
    Bytes& bytes = rows[1 + seed % 3].transaction;
    bytes[10] ^= 1;
  });
}

Outcome left_out(std::uint64_t seed) {
  return shown(seed, [](auto& rows) { rows.erase(rows.begin() + 2); });
}

Outcome back_dated(std::uint64_t seed) {
  return shown(seed, [](auto& rows) { rows[rows.size() / 2].time += 1; });
}

// Rows of another order, with their heights put right.
Outcome swapped_rows(std::uint64_t seed) {
  return shown(seed, [](auto& rows) {
    std::swap(rows[2].transaction, rows[3].transaction);
    std::swap(rows[2].tip, rows[3].tip);
  });
}

// A follower has seen a history; the sequencer goes on with another one.
Outcome rewritten_history(std::uint64_t seed) {
  Trial trial(seed);
  World& world = trial.world;
  const auto cheat = trial.cheating_key("cheat");
  bool is_forked = false;
  Chain fork(world.chain().genesis(), world.new_key());
  for (const auto& row : world.chain().rows()) (void)fork.submit(row.transaction, row.time);
  LyingPort lies(world.chain(), [&](auto& rows) {
    if (is_forked) rows = fork.rows();
  });
  auto mirror = rollup::Mirror::open(lies, world.state().id);
  trial.expect(mirror.has_value() && mirror->catch_up().has_value(), "the history is refused");
  trial.expect(world.send(cheat, ledger::Transfer{cheat.address(), 1}).has_value(), "not sent");
  trial.expect(mirror->catch_up().has_value(), "the history is refused");
  // On the fork that transfer never happened, and others did.
  world.run_ms(3000);
  for (int i = 0; i < 3; ++i) {
    const ledger::State& state = fork.state();
    ledger::Transaction transaction{
        .nonce = state.accounts.at(world.sequencer().address()).nonce,
        .body = ledger::Checkpoint{state.height, state.tip, ledger::digest_of(state)}};
    ledger::sign(transaction, state.id, world.sequencer());
    trial.expect(fork.submit(ledger::encode(transaction), world.weather().now).has_value(),
                 "the fork is no history");
  }
  is_forked = true;
  trial.strike();
  const Status done = mirror->catch_up();
  if (!done && done.error().kind == ErrorKind::kReject) {
    trial.caught(Tier::kRule, "ROW_REFUSED");
  }
  return trial.finish();
}

Outcome another_ledger(std::uint64_t seed) {
  Trial trial(seed);
  World other({.seed = seed + 1000});
  LyingPort port(other.chain(), [](auto&) {});
  trial.strike();
  const auto mirror = rollup::Mirror::open(port, trial.world.state().id);
  if (!mirror) trial.caught(Tier::kRule, mirror.error().code);
  return trial.finish();
}

Outcome forked_checkpoint(std::uint64_t seed) {
  Trial trial(seed);
  World& world = trial.world;
  world.run_ms(1500);
  const ledger::State& state = world.state();
  ledger::Checkpoint body{state.height, state.tip, ledger::digest_of(state)};
  body.tip[seed % 32] ^= 1;
  trial.strike();
  trial.refused(world.send(world.sequencer(), body));
  return trial.finish();
}

Outcome checkpoint_by_a_stranger(std::uint64_t seed) {
  Trial trial(seed);
  World& world = trial.world;
  const auto cheat = trial.cheating_key("cheat");
  const ledger::State& state = world.state();
  trial.strike();
  trial.refused(
      world.send(cheat, ledger::Checkpoint{state.height, state.tip, ledger::digest_of(state)}));
  return trial.finish();
}

// A claim that names a checkpoint which the ledger never had cannot be charged.
Outcome invented_checkpoint(std::uint64_t seed) {
  Trial trial(seed);
  World& world = trial.world;
  OperatorNode& honest = trial.honest_operator();
  const auto cheat = trial.cheating_key("cheat");
  const auto request = world.request();
  const auto receipt = answer_honestly(world.weights(), request, world.prompt(), honest.signers);
  protocol::Claim claim = receipt.claim;
  claim.checkpoint = 1'000'000;
  claim.checkpoint_hash = {1};
  const auto forged = sign_anything(world.weights(), request, world.prompt(), receipt.output_ids,
                                    claim, receipt.trace_path, honest.signers);
  trial.strike();
  trial.refused(world.send(cheat, ledger::Force{.claim = forged.claim,
                                                .claim_signature = forged.claim_signature,
                                                .countersignature = forged.countersignature,
                                                .request = request.request,
                                                .request_signature = request.signature}));
  return trial.finish();
}

// A governor weakens the slash under a batch that stands.
Outcome weakened_parameters(std::uint64_t seed) {
  Trial trial(seed);
  World& world = trial.world;
  const auto patron = world.funded_key(1000);
  (void)world.send(patron, ledger::Transfer{world.governor().address(), 500});
  ledger::Parameters weaker = world.state().parameters.at(0);
  weaker.burn_ppm = 100'000;
  trial.strike();
  trial.refused(world.send(world.governor(), ledger::ScheduleParameters{weaker}));
  weaker.burn_ppm = 200'000;
  trial.expect(world.send(world.governor(), ledger::ScheduleParameters{weaker}).has_value(),
               "a change within the bounds is refused");
  OperatorNode& honest = trial.honest_operator();
  (void)trial.post_true(honest);
  const auto& batch = world.state().batches.at(1);
  trial.expect(ledger::parameters_of(world.state(), batch).burn_ppm == 500'000,
               "a batch changed its parameters");
  return trial.finish();
}

constexpr Demanded ruled(std::string_view how, std::string_view rule) {
  return {Tier::kRule, how, "", rule};
}

constexpr std::array kAttacks = {
    Attack{"changed-row", "a sequencer shows a transaction with another amount",
           ruled("ROW_REFUSED", "STORE-2"), changed_amount},
    Attack{"left-out-row", "a sequencer leaves a transaction out", ruled("ROW_REFUSED", "STORE-2"),
           left_out},
    Attack{"back-dated-row", "a sequencer shows another time", ruled("ROW_REFUSED", "STORE-2"),
           back_dated},
    Attack{"swapped-rows", "a sequencer shows another order", ruled("ROW_REFUSED", "STORE-2"),
           swapped_rows},
    Attack{"rewritten-history", "a sequencer goes on with another history",
           ruled("ROW_REFUSED", "STORE-2"), rewritten_history},
    Attack{"another-ledger", "a sequencer shows another ledger", ruled("LEDGER_MISMATCH", "SET-4"),
           another_ledger},
    Attack{"forked-checkpoint", "a checkpoint of another history",
           ruled("CHECKPOINT_MISMATCH", "SET-34"), forked_checkpoint},
    Attack{"checkpoint-by-a-stranger", "a checkpoint that the sequencer did not sign",
           ruled("NOT_ALLOWED", "SET-34"), checkpoint_by_a_stranger},
    Attack{"invented-checkpoint", "a claim that names a checkpoint which never was",
           ruled("CHECKPOINT_MISMATCH", "SET-34"), invented_checkpoint},
    Attack{"weakened-parameters", "a governor makes lies cheap", ruled("BAD_PARAMETERS", "SET-9"),
           weakened_parameters},
};

}  // namespace

std::span<const Attack> attacks_on_ledger() { return kAttacks; }

}  // namespace otr::sim

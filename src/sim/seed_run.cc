// run_seed() at the end says what happens, in order: the stage and the play (seed_play.cc), then
// the verdict.
#include "sim/seed_run.h"

#include <algorithm>
#include <utility>

#include "base/hex.h"
#include "rollup/holdings.h"
#include "settlement/store.h"
#include "sim/seed_play.h"

namespace otr::sim {

// --- The verdict

std::vector<ledger::ClaimKey> SeedPlay::places_of(const Told& told) {
  std::vector<ledger::ClaimKey> places;
  // By its disk: its memory lets go of what is paid.
  const OperatorNode& at = *told.player->at;
  rollup::Holdings written(at.node->disk);
  const Status read = written.read(rollup::Prover::is_record,
                                   {.is_over = [](const Hash&) { return false; },
                                    .is_paid = [](const protocol::Receipt&) { return false; }});
  if (!read) fail(at.node->name + " cannot read its disk: " + read.error().message);
  for (const auto& [number, batch] : world_.state().batches) {
    const auto claims = written.batches().find(batch.root);
    if (batch.operator_address != at.signers.operator_key.address() ||
        claims == written.batches().end()) {
      continue;
    }
    for (std::uint32_t i = 0; i < claims->second.size(); ++i) {
      if (claims->second[i] == told.hash) places.push_back({number, i});
    }
  }
  return places;
}

void SeedPlay::check_operators() {
  for (const Player& player : players_) {
    const std::string& name = player.at->node->name;
    const ledger::Operator& self =
        world_.state().operators.at(player.at->signers.operator_key.address());
    if (!player.at->role) fail(name + " does not start: " + player.at->node->last_error);
    if (player.kind != Kind::kHonest && player.kind != Kind::kCanary) continue;
    if (self.epoch != 0 || self.stake != kStake) fail("INV-5: honest " + name + " was slashed");
    if (self.reserved != 0) fail(name + " has " + std::to_string(self.reserved) + " reserved");
  }
  for (const auto& [hash, force] : world_.state().forces) {
    if (is_honest(force.operator_address) && force.status == ledger::ForceStatus::kOpen) {
      fail("a force against an honest operator is still open");
    }
  }
  for (const auto& [key, canary] : world_.state().canaries) {
    if (canary.status != ledger::CanaryStatus::kRevealed) fail("SET-37: a canary was forgotten");
  }
  for (const auto& [number, game] : world_.state().games) {
    if (game.stage != ledger::Stage::kEnded) fail("game " + std::to_string(number) + " is open");
  }
}

void SeedPlay::check_claims() {
  const ledger::State& state = world_.state();
  for (const Told& told : told_) {
    const std::string name =
        "claim " + to_hex(told.hash).substr(0, 8) + " of " + told.player->at->node->name;
    const std::vector<ledger::ClaimKey> places = places_of(told);
    for (const ledger::ClaimKey& key : places) {
      const ledger::Batch& batch = state.batches.at(key.batch);
      const auto entry = state.claims.find(key);
      const bool has_fallen = entry != state.claims.end() && entry->second.refuted;
      const bool is_over = ledger::is_void(state, batch) || has_fallen ||
                           state.operators.at(batch.operator_address).epoch != batch.epoch;
      if (!told.is_true && ledger::is_final(state, key)) fail("INV-6: false " + name + " is final");
      if (!told.is_true && !is_over) fail("INV-6: false " + name + " stands");
      if (told.is_true && has_fallen && told.player->kind == Kind::kHonest) {
        fail("INV-5: honest " + name + " was refuted");
      }
    }
    if (must_fall(told) && world_.stake(*told.player->at) != 0) {
      fail("SET-27, SET-28: " + told.player->at->node->name + " keeps its stake");
    }
    if (told.player->kind != Kind::kHonest || !told.is_given) continue;
    if (places.size() > 1) fail(name + " was posted twice");
    if (places.empty() && !told.is_revoked) fail("honest " + name + " was never posted");
    if (places.empty()) continue;
    if (!ledger::is_final(state, places.front())) fail("honest " + name + " is not final");
    if (told.is_revoked) continue;
    if (!state.settled_requests.contains(
            {told.receipt.claim.request_hash, told.receipt.operator_address})) {
      fail("SET-15: honest " + name + " was never paid");
    }
    for (std::size_t i = 0; i < watchers_.size(); ++i) {
      if (&players_[i] != told.player) continue;
      const auto standing = watchers_[i]->whereabouts(told.hash).standing;
      if (standing == rollup::Standing::kRefuted || standing == rollup::Standing::kVoid) {
        fail("the client takes honest " + name + " for " + std::string(name_of(standing)));
      }
    }
  }
}

// What SET-32 says a challenge costs, and fees: nothing else.
void SeedPlay::check_hunters() {
  const ledger::State& state = world_.state();
  for (const Hunter& hunter : hunters_) {
    const std::string& name = hunter.at->node->name;
    if (!hunter.at->role) fail(name + " does not start: " + hunter.at->node->last_error);
    if (!hunter.is_honest) continue;
    std::uint64_t least =
        kFloat - state.accounts.at(hunter.at->key.address()).nonce * state.genesis.parameters.fee;
    for (const auto& [number, game] : state.games) {
      if (game.challenger != hunter.at->key.address()) continue;
      if (game.game.phase != dispute::Phase::kUpheld) continue;
      least -= state.genesis.parameters.force_bond;
      if (game.game.ending == dispute::Ending::kWithdrawn) continue;
      fail("INV-5: honest " + name + " lost game " + std::to_string(number));
    }
    if (world_.balance(hunter.at->key.address()) < least) fail("INV-5: " + name + " lost money");
  }
}

void SeedPlay::check_replay() {
  const std::string& broken = world_.chain().broken();
  if (!broken.empty()) fail(broken);
  auto replay = settlement::Replay::begin(world_.chain().genesis());
  for (const settlement::Row& row : world_.chain().rows()) {
    const Status taken = replay->add(row);
    if (!taken) return fail("STORE-2: " + taken.error().message);
  }
  if (ledger::digest_of(replay->state()) != ledger::digest_of(world_.state())) {
    fail("SET-6: the replay has another digest");
  }
}

void SeedPlay::check() {
  check_operators();
  check_claims();
  check_hunters();
  check_replay();
}

SeedReport SeedPlay::report() {
  const ledger::State& state = world_.state();
  SeedReport report{.seed = seed_,
                    .failures = failures_,
                    .tip = state.tip,
                    .digest = ledger::digest_of(state),
                    .height = state.height,
                    .virtual_ms = now() - begin_,
                    .operators = static_cast<std::uint32_t>(players_.size()),
                    .fishermen = static_cast<std::uint32_t>(hunters_.size()),
                    .games = static_cast<std::uint32_t>(state.games.size()),
                    .canaries = static_cast<std::uint32_t>(state.canaries.size()),
                    .cuts = cuts_};
  for (const Player& player : players_) {
    report.cheats += player.kind != Kind::kHonest;
    report.slashed += state.operators.at(player.at->signers.operator_key.address()).epoch != 0;
  }
  for (const Told& told : told_) ++(told.is_true ? report.true_claims : report.false_claims);
  for (const auto& [number, game] : state.games) {
    report.refuted += game.game.phase == dispute::Phase::kRefuted;
    report.upheld += game.game.phase == dispute::Phase::kUpheld;
  }
  for (const auto& node : world_.nodes()) {
    report.kills += static_cast<std::uint32_t>(node->kills);
  }
  return report;
}

SeedReport run_seed(std::uint64_t seed) {
  SeedPlay run(seed);
  run.set_stage();
  run.play();
  run.check();
  return run.report();
}

std::string describe(const SeedReport& report) {
  const auto count = [](std::uint64_t n, const char* what) {
    return std::to_string(n) + " " + what;
  };
  std::string line =
      "seed " + std::to_string(report.seed) + "  " + count(report.operators, "operators (") +
      count(report.cheats, "cheats)  ") + count(report.true_claims, "true and ") +
      count(report.false_claims, "false claims  ") + count(report.games, "games (") +
      count(report.refuted, "refuted, ") + count(report.upheld, "upheld)  ") +
      count(report.slashed, "slashed  ") + count(report.canaries, "canaries  ") +
      count(report.kills, "kills  ") + count(report.cuts, "cuts  ") +
      count(report.virtual_ms / 1000, "s  ") + "tip " + to_hex(report.tip).substr(0, 16);
  for (const std::string& failure : report.failures) line += "\n  FAILED: " + failure;
  return line;
}

}  // namespace otr::sim

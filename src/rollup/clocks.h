// When a game can be closed, and whose turn it is: what both players ask the state.
#ifndef OTR_ROLLUP_CLOCKS_H_
#define OTR_ROLLUP_CLOCKS_H_

#include <cstdint>
#include <map>
#include <set>
#include <vector>

#include "dispute/game.h"
#include "ledger/state.h"

namespace otr::rollup {

[[nodiscard]] inline bool is_turn_of(const ledger::GameEntry& game, dispute::Side side) {
  return game.stage == ledger::Stage::kPlaying && dispute::to_move(game.game) == side;
}

// The claim fell elsewhere, or the other side has let its clock run out: CloseGame is taken. One's
// own clock is never a reason: the ledger's time may be another than `now`, so play.
[[nodiscard]] inline bool is_due_to_close(const ledger::State& state, const ledger::GameEntry& game,
                                          dispute::Side mine, std::uint64_t now) {
  const ledger::Batch& batch = state.batches.at(game.claim_key.batch);
  const bool is_old = state.operators.at(batch.operator_address).epoch != batch.epoch;
  if (is_old || state.claims.at(game.claim_key).refuted) return true;
  if (game.stage == ledger::Stage::kDemanded) {
    return mine == dispute::Side::kChallenger &&
           now > game.opened_at + ledger::parameters_of(state, batch).worker_clock;
  }
  return game.stage == ledger::Stage::kPlaying && !is_turn_of(game, mine) &&
         dispute::has_expired(game.game, now);
}

// When the operator's or challenger's clock runs out; 0 where it does not run.
[[nodiscard]] inline std::uint64_t clock_end(const ledger::State& state,
                                             const ledger::GameEntry& game, dispute::Side side) {
  if (game.stage == ledger::Stage::kDemanded && side == dispute::Side::kWorker) {
    const ledger::Batch& batch = state.batches.at(game.claim_key.batch);
    return game.opened_at + ledger::parameters_of(state, batch).worker_clock;
  }
  return is_turn_of(game, side) ? dispute::expires_at_ms(game.game) : 0;
}

// These games, the one whose clock of this side is the first to run out first; those where it does
// not run come last.
[[nodiscard]] inline std::vector<std::uint64_t> by_deadline(const ledger::State& state,
                                                            const std::set<std::uint64_t>& games,
                                                            dispute::Side side) {
  std::multimap<std::uint64_t, std::uint64_t> ends;
  for (const std::uint64_t number : games) {
    const std::uint64_t end = clock_end(state, state.games.at(number), side);
    ends.emplace(end == 0 ? UINT64_MAX : end, number);
  }
  std::vector<std::uint64_t> numbers;
  for (const auto& [end, number] : ends) numbers.push_back(number);
  return numbers;
}

// Whether an answer to the draw means anything: the claim was drawn, or needs to be checked.
[[nodiscard]] inline bool is_asked_for(const ledger::State& state, const ledger::ClaimKey& key) {
  const ledger::Batch& batch = state.batches.at(key.batch);
  return needs_checks(state, batch) || ledger::is_drawn(state, batch, key.index).value_or(false);
}

// Whether the operator has that answer still to give.
[[nodiscard]] inline bool is_answer_due(const ledger::State& state, const ledger::ClaimKey& key) {
  const auto entry = state.claims.find(key);
  const bool is_over =
      entry != state.claims.end() && (entry->second.lane != 0 || entry->second.canary);
  return !is_over && is_asked_for(state, key);
}

// Whether Settle has a chance, now; and whether it never will have.
[[nodiscard]] inline bool is_payable(const ledger::State& state, const ledger::ClaimKey& key) {
  const auto entry = state.claims.find(key);
  const bool is_checked = entry != state.claims.end() && entry->second.checked;
  return ledger::is_final(state, key) &&
         (is_checked || !needs_checks(state, state.batches.at(key.batch)));
}
[[nodiscard]] inline bool is_canary(const ledger::State& state, const ledger::ClaimKey& key) {
  const auto entry = state.claims.find(key);
  return entry != state.claims.end() && entry->second.canary;
}

}  // namespace otr::rollup

#endif  // OTR_ROLLUP_CLOCKS_H_

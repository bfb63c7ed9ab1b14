// When a game can be closed, and whose turn it is: what both players ask the state.
#ifndef OTR_ROLLUP_CLOCKS_H_
#define OTR_ROLLUP_CLOCKS_H_

#include <cstdint>

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
  const bool is_dead = ledger::is_void(state, batch) ||
                       state.operators.at(batch.operator_address).epoch != batch.epoch;
  if (is_dead || state.claims.at(game.claim_key).refuted) return true;
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

}  // namespace otr::rollup

#endif  // OTR_ROLLUP_CLOCKS_H_

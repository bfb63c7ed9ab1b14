#include "dispute/worker.h"

#include "dispute/position.h"

namespace otr::dispute {

Action respond(Archive& committed, const Game& game, const Facts& facts) {
  const bool is_answer = game.phase == Phase::kAnswering;
  if (is_answer && facts.bound) return referee::Answer{};  // SPEC GAME-5
  if (game.leaf) {
    const referee::Position position = *referee::position_of(facts.statement, *game.leaf);
    if (!committed.retake(position)) {
      committed.take(position, compute_position(committed.execution(), position).tensors);
    }
  }
  if (is_answer) return committed.answer(*game.leaf);
  return committed.reveal(*game.demand);
}

}  // namespace otr::dispute

// The worker's side of a game: it answers and reveals what it committed to (the honest strategies
// of SPEC chapter 26).
#ifndef OTR_DISPUTE_WORKER_H_
#define OTR_DISPUTE_WORKER_H_

#include "dispute/archive.h"
#include "dispute/game.h"

namespace otr::dispute {

// What to do now. `committed` is the execution of the claim. Requires a game on the claim in a
// phase in which the worker moves.
[[nodiscard]] Action respond(Archive& committed, const Game& game, const Facts& facts);

}  // namespace otr::dispute

#endif  // OTR_DISPUTE_WORKER_H_

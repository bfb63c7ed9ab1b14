// The batched opening, the prover's side (SPEC PO).
#ifndef OTR_PROVER_OPEN_H_
#define OTR_PROVER_OPEN_H_

#include <span>

#include "engine/pool.h"
#include "prover/commit.h"
#include "prover/isa.h"
#include "zk/layout.h"
#include "zk/opening.h"
#include "zk/transcript.h"

namespace otr::prover {

// The proof that check_opening accepts where all claims are true; false ones give a proof that it
// refuses. `committed` was made for `layout`, and every claim names a cell, or a point of the right
// size, of a column of it. The result does not depend on the pool or the instruction set. Takes 24
// bytes for each cell. Throws std::bad_alloc.
[[nodiscard]] zk::OpeningProof open(zk::Transcript& transcript, const zk::Layout& layout,
                                    const Committed& committed,
                                    std::span<const zk::EvalClaim> eval_claims,
                                    std::span<const zk::CellClaim> cell_claims, engine::Pool& pool,
                                    Isa isa = best_isa());

}  // namespace otr::prover

#endif  // OTR_PROVER_OPEN_H_

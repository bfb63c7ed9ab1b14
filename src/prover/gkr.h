// The prover of the sum of fractions (SPEC PL-3, PL-4) over blocks of leaves. Time and memory grow
// with the number of cells, not with the padded sizes; the messages are those of the plain
// protocol, whatever the number of threads and the instruction set.
#ifndef OTR_PROVER_GKR_H_
#define OTR_PROVER_GKR_H_

#include <cstdint>
#include <vector>

#include "engine/pool.h"
#include "prover/isa.h"
#include "zk/gkr.h"
#include "zk/transcript.h"

namespace otr::prover {

// A box of cells, listed with the lowest dimension fastest. It has the 2^b leaves from `base` on (a
// multiple of 2^b), b being the sum of the bits of its dimensions; the bits of a cell's indices,
// the lowest dimension's lowest, are its place there. The other leaves are 0/1.
struct LeafBlock {
  std::vector<std::uint32_t> dims;    // sizes, each at least 1
  std::uint64_t base = 0;             // below 2^nu
  std::vector<std::uint64_t> q0, q1;  // denominators in K, one per cell
  std::vector<std::uint64_t> p;       // numerators in F, one per cell; empty: all are 1
};

// The proof for 2^nu leaves, nu <= 40; blocks must not overlap. Takes `claim`, if not null, to what
// the verifier will be left with. Peak memory: about 54 bytes per cell, the leaves included. May
// throw std::bad_alloc.
[[nodiscard]] zk::GkrProof prove_gkr(zk::Transcript& transcript, std::vector<LeafBlock> blocks,
                                     std::size_t nu, engine::Pool& pool, zk::GkrClaim* claim,
                                     Isa isa = best_isa());

}  // namespace otr::prover

#endif  // OTR_PROVER_GKR_H_

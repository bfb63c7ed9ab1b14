// How much memory a proof takes, known from its circuit alone (SPEC PT).
#ifndef OTR_PROVER_MEMORY_H_
#define OTR_PROVER_MEMORY_H_

#include <cstdint>

#include "zk/circuit.h"

namespace otr::prover {

// An upper bound of the bytes that make_witness and prove_pass hold at once, the model not counted:
// 10 to 30 % above what was measured (docs/performance.md). The peak is the sum of fractions, which
// holds two elements of F and their first sums for each lookup and row of a table.
[[nodiscard]] std::uint64_t peak_bytes(const zk::Circuit& circuit);

}  // namespace otr::prover

#endif  // OTR_PROVER_MEMORY_H_

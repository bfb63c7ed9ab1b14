// Which instruction sets the prover's kernels are written for, and which this machine has. Every
// kernel exists once as a template over the lanes of lanes.h and is compiled once per set, in a
// file of its own; results never depend on the choice.
#ifndef OTR_PROVER_ISA_H_
#define OTR_PROVER_ISA_H_

namespace otr::prover {

enum class Isa { kPortable, kAvx2, kAvx512 };

// Whether this machine has the set.
bool supported(Isa isa);
// The widest that it has.
Isa best_isa();

}  // namespace otr::prover

#endif  // OTR_PROVER_ISA_H_

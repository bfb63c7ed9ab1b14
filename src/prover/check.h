// Whether a witness satisfies its circuit, by name, for tests: lookups, zero constraints and
// claimed cells. (Contractions: contraction_check.h. `otr prove` itself learns of a tuple in no
// table when it counts multiplicities.)
#ifndef OTR_PROVER_CHECK_H_
#define OTR_PROVER_CHECK_H_

#include <set>
#include <string>

#include "base/result.h"
#include "engine/pool.h"
#include "machine/model.h"
#include "prover/witness.h"
#include "zk/rows.h"

namespace otr::prover {

// `publics` are the rows of this witness's trace and scalars, with the same circuit. Errors:
// kReject with the name of the first constraint that fails, in the order of SPEC PT-2, and the
// index where it does. A witness whose circuit differs from that of `publics` is refused.
Status check_witness(const machine::Model& model, const zk::PublicRows& publics,
                     const Witness& witness, engine::Pool& pool);

// All that fail: "lookup NAME", "zero NAME", and "cell COLUMN" for claims on single cells. Of one
// domain of the witness's circuit, or of everything. For tests of what is false.
std::set<std::string> violations(const machine::Model& model, const zk::PublicRows& publics,
                                 const Witness& witness, const zk::Domain& domain);
std::set<std::string> violations(const machine::Model& model, const zk::PublicRows& publics,
                                 const Witness& witness);

}  // namespace otr::prover

#endif  // OTR_PROVER_CHECK_H_

// The contractions of a witness by their definition (SPEC PT-5), for tests: one term at a time.
#ifndef OTR_PROVER_CONTRACTION_CHECK_H_
#define OTR_PROVER_CONTRACTION_CHECK_H_

#include <set>
#include <string>

#include "base/result.h"
#include "machine/model.h"
#include "prover/witness.h"
#include "zk/rows.h"

namespace otr::prover {

// Errors: kReject, naming the column and the first cell that is not the sum. For small models.
Status check_contractions(const machine::Model& model, const zk::PublicRows& publics,
                          const Witness& witness);

// Adds "sum COLUMN" for each that is wrong.
void note_wrong_contractions(const machine::Model& model, const zk::PublicRows& publics,
                             const Witness& witness, std::set<std::string>& names);

// Sets the virtual columns to what the committed ones make of them. (None is a factor of another.)
void solve_contractions(const machine::Model& model, const zk::PublicRows& publics,
                        Witness& witness);

}  // namespace otr::prover

#endif  // OTR_PROVER_CONTRACTION_CHECK_H_

// The prover of a whole pass (SPEC chapter 18): the mirror of zk/verify.cc, stage by stage.
#ifndef OTR_PROVER_PROVE_H_
#define OTR_PROVER_PROVE_H_

#include <functional>
#include <string_view>

#include "base/bytes.h"
#include "base/result.h"
#include "engine/pool.h"
#include "prover/witness.h"
#include "zk/verify.h"

namespace otr::prover {

// Called before each stage with its name and the share of the work that is done, in [0, 1000]. An
// error ends the work, and is its result.
using OnStage = std::function<Status(std::string_view stage, int permille)>;

struct ProveOptions {
  OnStage on_stage = nullptr;
  // Skip the check that every tuple is in its table and every witness is consistent: for tests that
  // prove what is false.
  bool forge = false;
};

// The parts of a proof (SPEC PS-8).
struct ProofBytes {
  Bytes rows, scalars, argument;

  zk::ProofParts parts() const { return {rows, scalars, argument}; }
};

// The proof of a witness. Errors: kReject where the witness does not satisfy the circuit (and
// `forge` is not set), which for a witness of make_witness would be a bug; kUsage where the pass is
// too large for one proof.
Result<ProofBytes> prove_pass(const zk::Statement& statement, const zk::Job& job, Witness witness,
                              engine::Pool& pool, const ProveOptions& options);

// The argument alone, for rows that are computed, multiplicities that are counted and a transcript
// that has absorbed both: the last step of prove_pass. Nothing is checked, so that tests can prove
// what is false. Errors: kUsage where the pass is too large.
Result<Bytes> prove_argument(zk::Transcript& transcript, const zk::Job& job,
                             const zk::PublicRows& publics, const Witness& witness,
                             engine::Pool& pool, const OnStage& on_stage = nullptr);

}  // namespace otr::prover

#endif  // OTR_PROVER_PROVE_H_

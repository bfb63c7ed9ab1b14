// The referee: proves a claim false from a few opened tiles, or says why the proof is none (SPEC
// REF, MTRC-5). It knows no engine and runs no model: at most one step.
//
// Total: any bytes give a verdict or an Error of kind kBadInput or kReject whose code is one of
// base/reject.h or referee/reject.h. Only a Verdict says anything about the claim.
#ifndef OTR_REFEREE_ADJUDICATE_H_
#define OTR_REFEREE_ADJUDICATE_H_

#include <cstdint>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/reject.h"
#include "base/result.h"
#include "machine/tensors.h"
#include "referee/opening.h"
#include "referee/statement.h"

namespace otr::referee {

// The claim is false, and why (SPEC REF-3).
struct Verdict {
  Reject code = Reject::kStepMismatch;
  std::string message;  // for people: the step, what was claimed and what it computes to
};

// SPEC MTRC-5: what a worker says to a challenged leaf.
struct Answer {
  std::vector<Hash> tensor_roots;  // all that are present at the position, in order
  Witness outputs;

  friend bool operator==(const Answer&, const Answer&) = default;
};
// The root of the micro-trace that the answer commits to. Codes STEP_UNKNOWN, PATH_INVALID,
// WITNESS_INCOMPLETE, WITNESS_SURPLUS, ANSWER_MISMATCH.
[[nodiscard]] Result<MicroTrace> check_answer(const Statement& statement, const Leaf& leaf,
                                              const Answer& answer);

// SPEC REF-2, REF-4, REF-5, REF-6. The numbers are those of the encoding.
enum class ProofKind : std::uint8_t {
  kRequest = 1,  // request and claim alone contradict each other
  kHeader = 2,   // the trace is not of this request
  kPrompt = 3,   // token t is not the prompt's
  kFinish = 4,   // the answer ends at t, or not there or not so
  kStep = 5,     // one step of the challenged position
};
struct Proof {
  ProofKind kind = ProofKind::kStep;
  std::uint32_t t = 0;                             // kPrompt, kFinish; else 0
  machine::Tensor tensor = machine::Tensor::kXIn;  // kStep; else 0
  std::uint64_t index = 0;                         // kStep; else 0
  Witness witness;

  friend bool operator==(const Proof&, const Proof&) = default;
};
// `micro` is the bound micro-trace of the challenged position, nothing before an answer; a kStep
// without one is STEP_UNKNOWN.
[[nodiscard]] Result<Verdict> adjudicate(const Statement& statement, const MicroTrace* micro,
                                         const Proof& proof);

}  // namespace otr::referee

#endif  // OTR_REFEREE_ADJUDICATE_H_

#include "referee/adjudicate.h"

#include "machine/step.h"
#include "referee/finish.h"
#include "referee/opened.h"
#include "referee/reject.h"
#include "trace/micro_trace.h"

namespace otr::referee {
namespace {

using machine::Tensor;

// The micro-tensor and the element in it that element j of a row of the stream is.
Element micro_element(const machine::Shape& shape, const trace::StreamId& stream, std::uint64_t j) {
  const auto at = [](Tensor tensor, std::uint64_t index) {
    return Element{{Place::kMicro, static_cast<std::uint32_t>(tensor), 0}, index};
  };
  const std::uint64_t d = shape.head_dim;
  switch (stream.kind) {
    case merkle::Kind::kKey:
      return j == d ? at(Tensor::kKExp, stream.kv_head) : at(Tensor::kK, stream.kv_head * d + j);
    case merkle::Kind::kValue:
      return j == d ? at(Tensor::kVExp, stream.kv_head) : at(Tensor::kV, stream.kv_head * d + j);
    case merkle::Kind::kResidual:
      return at(Tensor::kXOut, j);
    default:
      return at(Tensor::kToken, 0);
  }
}

// SPEC REF-2, REF-3.
Result<Verdict> adjudicate_step(const Statement& statement, const MicroTrace* micro,
                                const Proof& proof) {
  const machine::StepContext context = statement.context();
  if (micro == nullptr) {
    return reject(MoveReject::kStepUnknown, "no micro-trace was answered yet.");
  }
  const machine::StepId id{micro->position.t, micro->position.layer, proof.tensor, proof.index};
  if (!machine::exists(context, id)) {
    return reject(MoveReject::kStepUnknown, "the program has no such step at the position.");
  }
  OTR_TRY_ASSIGN(Opened opened, Opened::open(statement, micro, proof.witness));
  OpenedState state(statement, id, opened);
  const machine::StepResult result = machine::step(context, state, id);
  const std::int64_t claimed = state.claimed();
  OTR_TRY(opened.complete());
  const std::string step = "element " + std::to_string(id.index) + " of tensor " +
                           std::string(machine::info(id.tensor).name);
  switch (result.outcome) {
    case machine::StepOutcome::kOutOfRange:
      return Verdict{Reject::kOutOfRange, step + " leaves its range."};
    case machine::StepOutcome::kMismatch:
      return Verdict{Reject::kStepMismatch, step + " is no such cut."};
    case machine::StepOutcome::kValue:
      break;
  }
  if (result.value == claimed) {
    return reject(MoveReject::kNotRefuted, step + " is " + std::to_string(claimed) + ", rightly.");
  }
  return Verdict{Reject::kStepMismatch, step + " is " + std::to_string(result.value) + ", not " +
                                            std::to_string(claimed) + "."};
}

// SPEC REF-4, kind 2.
Result<Verdict> adjudicate_header(const Statement& statement, const Proof& proof) {
  OTR_TRY_ASSIGN(Opened opened, Opened::open(statement, nullptr, proof.witness));
  const ByteView leaf = opened.tile({Place::kTraceList, 0, 0}, trace::kHeaderLeaf);
  OTR_TRY(opened.complete());
  if (std::ranges::equal(leaf, trace::hash_of(statement.header()))) {
    return reject(MoveReject::kNotRefuted, "the trace has the header of its request.");
  }
  return Verdict{Reject::kTraceRootMismatch, "the trace has another header than its request."};
}

// SPEC REF-5.
Result<Verdict> adjudicate_prompt(const Statement& statement, const Proof& proof) {
  if (proof.t >= statement.terms.prompt_count) {
    return reject(MoveReject::kStepUnknown, "the prompt has no token there.");
  }
  OTR_TRY_ASSIGN(Opened opened, Opened::open(statement, nullptr, proof.witness));
  const std::int64_t asked = opened.element({Place::kPrompt, 0, 0}, proof.t);
  const std::int64_t used = opened.element({Place::kTokens, 0, 0}, proof.t);
  OTR_TRY(opened.complete());
  if (asked == used) {
    return reject(MoveReject::kNotRefuted, "the token is the prompt's.");
  }
  return Verdict{Reject::kPromptRootMismatch, "token " + std::to_string(proof.t) +
                                                  " of the prompt is " + std::to_string(asked) +
                                                  ", the trace has " + std::to_string(used) + "."};
}

}  // namespace

// SPEC MTRC-5.
Result<MicroTrace> check_answer(const Statement& statement, const Leaf& leaf,
                                const Answer& answer) {
  OTR_TRY_ASSIGN(const Position position, position_of(statement, leaf));
  const auto present = trace::micro_tensors_of(statement.model.program, statement.terms.sampling,
                                               position.t, position.layer);
  if (answer.tensor_roots.size() != present.size()) {
    return reject(MoveReject::kAnswerMismatch, "the position has " +
                                                   std::to_string(present.size()) +
                                                   " tensors, the answer another number.");
  }
  const MicroTrace micro{position,
                         merkle::list_root(merkle::Kind::kMicroTrace, answer.tensor_roots)};
  OTR_TRY_ASSIGN(Opened opened, Opened::open(statement, &micro, answer.outputs));
  const TreeId tree = tree_of(leaf.stream);
  const std::uint64_t cols = trace::row_format(statement.shape(), leaf.stream).cols;
  const std::uint64_t begin = leaf.tile * merkle::kTileElements;
  const std::uint64_t end = std::min<std::uint64_t>(cols, begin + merkle::kTileElements);
  bool is_same = true;
  for (std::uint64_t j = begin; j < end; ++j) {
    const Element made = micro_element(statement.shape(), leaf.stream, j);
    const std::int64_t committed = opened.element(tree, leaf.t * cols + j);
    is_same &= committed == opened.element(made.tree, made.index);
  }
  OTR_TRY(opened.complete());
  if (!is_same) {
    return reject(MoveReject::kAnswerMismatch, "the micro-trace makes another leaf.");
  }
  return micro;
}

Result<Verdict> adjudicate(const Statement& statement, const MicroTrace* micro,
                           const Proof& proof) {
  // SPEC REF-4: what the words alone refute is refuted by them; nothing else is looked at then.
  const Status stands = check_statement(statement);
  if (proof.kind == ProofKind::kRequest && !stands) {
    if (!proof.witness.empty()) {
      return reject(MoveReject::kWitnessSurplus, "the request's words need no witness.");
    }
    return Verdict{*reject_named(stands.error().code), stands.error().message};
  }
  OTR_TRY(stands);
  switch (proof.kind) {
    case ProofKind::kRequest:
      return reject(MoveReject::kNotRefuted, "request and claim agree.");
    case ProofKind::kHeader:
      return adjudicate_header(statement, proof);
    case ProofKind::kPrompt:
      return adjudicate_prompt(statement, proof);
    case ProofKind::kFinish:
      return adjudicate_finish(statement, proof.t, proof.witness);
    case ProofKind::kStep:
      return adjudicate_step(statement, micro, proof);
  }
  return reject(MoveReject::kStepUnknown, "there is no such kind of proof.");
}

}  // namespace otr::referee

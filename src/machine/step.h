// One step: the definition of every element of every micro-tensor (SPEC OP, SAMP, PROG).
//
//   StepResult step(const StepContext&, State&, const StepId&)
//
// computes one element from bounded inputs that it reads through `State`. This template is the
// definition of the machine; its instantiations are
//   * engine::MicroState, direct: the reference engine computes every element in order;
//   * RecordingState (replay.h): the same, and notes what was read: the witness of a dispute;
//   * ReplayingState (replay.h): reads a witness back: what a referee does.
// A State has these members, each returning what stands at the address:
//   int64 micro(Tensor, index)          of the step's own (t, layer)
//   int64 token(t), residual(layer, t, j), k(layer, g, t, j), v(layer, g, t, j)
//                                       trace rows; j = D is the exponent of a K or V row
//   int64 weight(MatrixId, layer, n, k), scale(MatrixId, layer, n), bias(MatrixId, layer, n),
//   int64 gain(GainId, layer, j); uint64 rope_step(i)
//   int64 table(TableId, row, column)
//   uint32 noise_word(t, j)             u of SPEC SAMP-8 for the token of position t
//   int64 claimed()                     the element under test, for steps that check (PROG-6)
//
// Requires that the step exists(context, id): whoever takes a name from a peer asks that first.
// A step is total: every input is checked against the range of its tensor (PROG-7), so that the
// bounds of SPEC chapter 17 hold for any bit pattern a peer may have committed.
#ifndef OTR_MACHINE_STEP_H_
#define OTR_MACHINE_STEP_H_

#include "machine/arith.h"
#include "machine/program.h"
#include "machine/step_attention.h"
#include "machine/step_linear.h"
#include "machine/step_norm.h"
#include "machine/step_reads.h"
#include "machine/step_sample.h"
#include "machine/tensors.h"

namespace otr::machine {

// The table of the program, read as code: one line for each tensor.
template <class State>
std::int64_t element(Reads<State>& in, Tensor tensor, std::uint64_t i) {
  using enum Tensor;
  // clang-format off
  switch (tensor) {
    case kXIn: return embedding(in, i);
    case kN1Hi: case kN1Lo: case kN1Shift: case kN1Sumsq: case kN1Root: case kAHi: case kALo:
    case kAExp: case kA: return norm_row(in, attn_site(in), tensor, i);
    case kQPart: return acc_part(in, MatrixId::kWq, kA, i);
    case kKPart: return acc_part(in, MatrixId::kWk, kA, i);
    case kVPart: return acc_part(in, MatrixId::kWv, kA, i);
    case kQY: return qk_projection(in, MatrixId::kWq, kQPart, i);
    case kKY: return qk_projection(in, MatrixId::kWk, kKPart, i);
    case kVM: return scaled_acc(in, MatrixId::kWv, kVPart, kA, i);
    case kQRoot: return head_root(in, kQY, kQRoot, i);
    case kKRoot: return head_root(in, kKY, kKRoot, i);
    case kQN: return head_norm(in, kQY, kQRoot, GainId::kQNorm, i);
    case kKN: return head_norm(in, kKY, kKRoot, GainId::kKNorm, i);
    case kRope: return rope(in, i);
    case kQHi: case kQLo: case kQExp: case kQ: return qk_row(in, q_site(in), tensor, i);
    case kKHi: case kKLo: case kKExp: case kK: return qk_row(in, k_site(in), tensor, i);
    case kVHi: case kVLo: case kVExp: case kV: return v_row(in, tensor, i);
    case kZ: return score(in, i);
    case kTileM: case kTileX: case kTileS: return tile_scalar(in, tensor, i);
    case kTileA: return tile_value(in, i);
    case kHeadM: case kHeadX: case kHeadS: case kHeadR: return head_scalar(in, tensor, i);
    case kHeadA: case kHeadShift: case kOV: return head_value(in, tensor, i);
    case kOHi: case kOLo: case kOExp: case kO: return attention_row(in, tensor, i);
    case kWoPart: return acc_part(in, MatrixId::kWo, kO, i);
    case kXMid: return residual(in, MatrixId::kWo, kWoPart, kO, i);
    case kN2Hi: case kN2Lo: case kN2Shift: case kN2Sumsq: case kN2Root: case kMHi: case kMLo:
    case kMExp: case kM: return norm_row(in, mlp_site(in), tensor, i);
    case kGatePart: return acc_part(in, MatrixId::kGate, kM, i);
    case kGateM: return scaled_acc(in, MatrixId::kGate, kGatePart, kM, i);
    case kGHi: case kGLo: case kGExp: return gate_row(in, tensor, i);
    case kUpPart: return acc_part(in, MatrixId::kUp, kM, i);
    case kHM: return silu_up(in, i);
    case kHHi: case kHLo: case kHExp: case kH: return feed_forward_row(in, tensor, i);
    case kDownPart: return acc_part(in, MatrixId::kDown, kH, i);
    case kXOut: return residual(in, MatrixId::kDown, kDownPart, kH, i);
    case kNfHi: case kNfLo: case kNfShift: case kNfSumsq: case kNfRoot: case kFHi: case kFLo:
    case kFExp: case kF: return norm_row(in, final_site(in), tensor, i);
    case kLogitPart: return acc_part(in, MatrixId::kHead, kF, i);
    case kLogit: return linear(in, MatrixId::kHead, kLogitPart, kF, i, kLogitFracBits);
    case kL: return adjusted_logit(in, i);
    case kLHi: return fold(in, kL, i, in.shape().vocabulary, kPartTerms, true);
    case kLMax: return fold(in, kLHi, 0, chunks(in), kPartTerms, true);
    case kDelta: return distance_of(in, in.micro(kL, i));
    case kKCut: return k_cut(in);
    case kKCount: return count_below(in, i);
    case kKW: case kPW: return mass_below(in, tensor, i);
    case kKMass: case kPMass: return chunk_mass(in, tensor, i);
    case kPCut: return p_cut(in);
    case kScore: return score_of(in, i);
    case kBest: case kBestId: return best(in, tensor, i);
    case kToken: return chosen_token(in);
  }
  // clang-format on
  OTR_CHECK(false);
}

template <class State>
StepResult step(const StepContext& context, State& state, const StepId& id) {
  OTR_DCHECK(exists(context, id));
  Reads<State> in(context, state, id);
  const std::int64_t value = element(in, id.tensor, id.index);
  if (!in.in_range()) return {StepOutcome::kOutOfRange, 0};
  if (in.refused()) return {StepOutcome::kMismatch, 0};
  const TensorInfo& range = info(id.tensor);
  if (value < range.lo || value > range.hi) return {StepOutcome::kOutOfRange, 0};
  return {StepOutcome::kValue, value};
}

}  // namespace otr::machine

#endif  // OTR_MACHINE_STEP_H_

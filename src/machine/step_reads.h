// What a step reads through: addresses, range checks, and the outcome (SPEC PROG-4, PROG-7).
#ifndef OTR_MACHINE_STEP_READS_H_
#define OTR_MACHINE_STEP_READS_H_

#include <cstdint>

#include "base/check.h"
#include "machine/arith.h"
#include "machine/program.h"
#include "machine/tables.h"
#include "machine/tensors.h"

namespace otr::machine {

struct StepId {
  std::uint32_t t = 0;
  std::uint32_t layer = 0;  // kHeadLayer for the head
  Tensor tensor = Tensor::kXIn;
  std::uint64_t index = 0;  // row-major

  bool operator==(const StepId&) const = default;
};

enum class StepOutcome : std::uint8_t { kValue, kOutOfRange, kMismatch };

struct StepResult {
  StepOutcome outcome = StepOutcome::kValue;
  std::int64_t value = 0;

  bool operator==(const StepResult&) const = default;
};

// What is public of an execution before any of its rows is opened. Holds references.
struct StepContext {
  const Program& program;
  const Sampling& sampling;
  std::uint32_t n_prompt = 0;
};

// Whether the program has such a step. Any name is allowed.
inline bool exists(const StepContext& context, const StepId& id) {
  return static_cast<int>(id.tensor) < kTensorCount && id.t < context.program.shape.context &&
         id.index < shape_of(context.program, context.sampling, id.t, id.layer, id.tensor).size();
}

template <class State>
class Reads {
 public:
  Reads(const StepContext& context, State& state, const StepId& id)
      : context_(context), state_(state), id_(id) {}

  const Shape& shape() const { return context_.program.shape; }
  const Program& program() const { return context_.program; }
  const LayerInfo& layer() const { return context_.program.layers[id_.layer]; }
  const Sampling& sampling() const { return context_.sampling; }
  std::uint32_t n_prompt() const { return context_.n_prompt; }
  std::uint32_t t() const { return id_.t; }
  const MatrixInfo& matrix(MatrixId m) const {
    if (m == MatrixId::kEmbed) return program().embed;
    if (m == MatrixId::kHead) return program().head;
    return layer().matrices[static_cast<std::size_t>(m)];
  }

  std::int64_t micro(Tensor tensor, std::uint64_t i) {
    return ranged(state_.micro(tensor, i), info(tensor).lo, info(tensor).hi);
  }
  // A scalar whose range is narrower than that of its tensor's other elements.
  std::int64_t micro(Tensor tensor, std::uint64_t i, std::int64_t lo, std::int64_t hi) {
    return ranged(state_.micro(tensor, i), lo, hi);
  }
  int exponent(Tensor tensor, std::uint64_t i) { return static_cast<int>(micro(tensor, i)); }

  // Row `x` entering the layer (or the head): the residual of the layer before, or the embedding.
  std::int64_t x_in(std::uint64_t j) {
    if (id_.layer == 0) return micro(Tensor::kXIn, j);
    const std::uint32_t below = (id_.layer == kHeadLayer ? shape().layers : id_.layer) - 1;
    return ranged(state_.residual(below, t(), j), kSigned32);
  }
  std::int64_t token(std::uint32_t position) {
    return ranged(state_.token(position), 0, shape().vocabulary - 1);
  }
  std::int64_t k(std::uint32_t g, std::uint32_t position, std::uint32_t j) {
    return ranged(state_.k(id_.layer, g, position, j), -kKBound, kKBound);
  }
  int k_exponent(std::uint32_t g, std::uint32_t position) {
    return static_cast<int>(ranged(state_.k(id_.layer, g, position, shape().head_dim),
                                   info(Tensor::kKExp).lo, info(Tensor::kKExp).hi));
  }
  std::int64_t v(std::uint32_t g, std::uint32_t position, std::uint32_t j) {
    return ranged(state_.v(id_.layer, g, position, j), -kVBound, kVBound);
  }
  int v_exponent(std::uint32_t g, std::uint32_t position) {
    return static_cast<int>(ranged(state_.v(id_.layer, g, position, shape().head_dim),
                                   info(Tensor::kVExp).lo, info(Tensor::kVExp).hi));
  }
  // Model words within SPEC MODEL-4: a registered root is only a hash, so nothing else says so.
  std::int64_t weight(MatrixId m, std::uint64_t n, std::uint64_t k) {
    return ranged(state_.weight(m, id_.layer, n, k), -127, 127);
  }
  std::int64_t scale(MatrixId m, std::uint64_t n) {
    return ranged(state_.scale(m, id_.layer, n), 1, 4095);
  }
  std::int64_t bias(MatrixId m, std::uint64_t n) {
    if (!matrix(m).has_bias) return 0;
    const std::int64_t bound = m == MatrixId::kWo ? std::int64_t{1} << 30 : kInt23;
    return ranged(state_.bias(m, id_.layer, n), -bound, bound);
  }
  std::int64_t gain(GainId g, std::uint64_t j) {
    return ranged(state_.gain(g, id_.layer, j), -kInt23, kInt23);
  }
  std::uint64_t rope_step(std::uint64_t i) { return state_.rope_step(i); }
  // The tables are constants under the spec hash; the ranges keep a step total all the same.
  std::int64_t table(TableId id, std::uint64_t row, std::uint64_t column) {
    static constexpr std::int64_t kBounds[] = {1 << 15, 1 << 30, 1 << 15, 1 << 21, 1 << 28};
    const std::int64_t bound = kBounds[static_cast<std::size_t>(id)];
    return ranged(state_.table(id, row, column), -bound, bound);
  }
  std::uint32_t noise_word(std::uint64_t j) { return state_.noise_word(t() + 1, j); }
  std::int64_t claimed() {
    return ranged(state_.claimed(), info(id_.tensor).lo, info(id_.tensor).hi);
  }

  // v, or a value inside [lo, hi] and the outcome OUT_OF_RANGE.
  std::int64_t ranged(std::int64_t v, std::int64_t lo, std::int64_t hi) {
    if (v >= lo && v <= hi) return v;
    in_range_ = false;
    return v < lo ? lo : hi;
  }
  std::int64_t ranged(std::int64_t v, Range range) { return ranged(v, range.lo, range.hi); }
  // rsh with a shift that inputs decide; a shift outside [lo, hi] is OUT_OF_RANGE.
  std::int64_t shifted(std::int64_t v, std::int64_t s, std::int64_t hi = 1 << 20) {
    return rsh(v, static_cast<int>(ranged(s, 0, hi)));
  }
  // The claimed value of a checking step is wrong (SPEC PROG-6).
  std::int64_t refuse() {
    refused_ = true;
    return 0;
  }

  bool in_range() const { return in_range_; }
  bool refused() const { return refused_; }

 private:
  const StepContext& context_;
  State& state_;
  const StepId id_;
  bool in_range_ = true;
  bool refused_ = false;
};

}  // namespace otr::machine

#endif  // OTR_MACHINE_STEP_READS_H_

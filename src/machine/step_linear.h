// Steps of the matrices and what follows them directly (SPEC OP-1, OP-2, OP-6, OP-9, OP-14 to
// OP-17).
#ifndef OTR_MACHINE_STEP_LINEAR_H_
#define OTR_MACHINE_STEP_LINEAR_H_

#include "machine/step_reads.h"

namespace otr::machine {

inline constexpr int kLogitFracBits = 16;

// The exponent of the row a matrix reads: the tensor after hi and lo, just before the row.
constexpr Tensor exponent_of(Tensor row) { return static_cast<Tensor>(static_cast<int>(row) - 1); }
static_assert(exponent_of(Tensor::kA) == Tensor::kAExp && exponent_of(Tensor::kO) == Tensor::kOExp);
static_assert(exponent_of(Tensor::kM) == Tensor::kMExp && exponent_of(Tensor::kH) == Tensor::kHExp);
static_assert(exponent_of(Tensor::kF) == Tensor::kFExp);

// OP-1 over the terms [begin, end) of row n.
template <class State>
std::int64_t dot(Reads<State>& in, MatrixId m, Tensor row, std::uint64_t n, std::uint64_t begin,
                 std::uint64_t end) {
  std::int64_t sum = 0;
  for (std::uint64_t k = begin; k < end; ++k) sum += in.weight(m, n, k) * in.micro(row, k);
  return sum;
}

template <class State>
std::int64_t acc_part(Reads<State>& in, MatrixId m, Tensor row, std::uint64_t i) {
  const std::uint32_t cols = in.matrix(m).cols;
  const std::uint32_t parts = blocks(cols, kDotTerms);
  const std::uint64_t begin = i % parts * kDotTerms;
  return dot(in, m, row, i / parts, begin, std::min<std::uint64_t>(cols, begin + kDotTerms));
}

template <class State>
std::int64_t acc(Reads<State>& in, MatrixId m, Tensor part, Tensor row, std::uint64_t n) {
  const std::uint32_t cols = in.matrix(m).cols;
  const std::uint32_t parts = blocks(cols, kDotTerms);
  if (parts == 1) return dot(in, m, row, n, 0, cols);
  std::int64_t sum = 0;
  for (std::uint32_t p = 0; p < parts; ++p) sum += in.micro(part, n * parts + p);
  return sum;
}

template <class State>
std::int64_t scaled_acc(Reads<State>& in, MatrixId m, Tensor part, Tensor row, std::uint64_t n) {
  return acc(in, m, part, row, n) * in.scale(m, n);
}

// OP-2.
template <class State>
std::int64_t linear(Reads<State>& in, MatrixId m, Tensor part, Tensor row, std::uint64_t n,
                    int frac_bits) {
  const int s = in.matrix(m).exponent + in.exponent(exponent_of(row), 0) - frac_bits;
  return in.shifted(scaled_acc(in, m, part, row, n), s, 62);
}

// OP-6, before the head norm.
template <class State>
std::int64_t qk_projection(Reads<State>& in, MatrixId m, Tensor part, std::uint64_t n) {
  return linear(in, m, part, Tensor::kA, n, in.shape().qk_frac_bits) + in.bias(m, n);
}

// OP-14.
template <class State>
std::int64_t residual(Reads<State>& in, MatrixId m, Tensor part, Tensor row, std::uint64_t n) {
  const std::int64_t x = m == MatrixId::kWo ? in.x_in(n) : in.micro(Tensor::kXMid, n);
  return x + linear(in, m, part, row, n, in.shape().residual_frac_bits) + in.bias(m, n);
}

// Extremes over block i of a tensor of n values, and the row exponent from such blocks.
template <class State>
std::int64_t fold(Reads<State>& in, Tensor values, std::uint64_t i, std::uint64_t n,
                  std::uint64_t size, bool hi) {
  Extremes e;
  for (std::uint64_t j = i * size; j < std::min(n, (i + 1) * size); ++j) e.add(in.micro(values, j));
  return hi ? e.hi : e.lo;
}
template <class State>
Extremes folded(Reads<State>& in, Tensor hi, Tensor lo, std::uint64_t count) {
  Extremes e;
  for (std::uint64_t q = 0; q < count; ++q) {
    e.add(in.micro(hi, q));
    e.add(in.micro(lo, q));
  }
  return e;
}

// OP-9.
template <class State>
std::int64_t v_row(Reads<State>& in, Tensor tensor, std::uint64_t i) {
  using enum Tensor;
  const std::uint32_t d = in.shape().head_dim;
  if (tensor == kVHi || tensor == kVLo) {
    return fold(in, kVM, i, in.shape().kv_width(), d, tensor == kVHi);
  }
  const int f = in.matrix(MatrixId::kWv).exponent + in.exponent(kAExp, 0);
  if (tensor == kVExp) {
    Extremes e;
    e.add(in.micro(kVHi, i));
    e.add(in.micro(kVLo, i));
    return row_exponent(e, f, kVBound, kRowCap);
  }
  return in.shifted(in.micro(kVM, i), f - in.exponent(kVExp, i / d));
}

// OP-15.
template <class State>
std::int64_t gate_row(Reads<State>& in, Tensor tensor, std::uint64_t i) {
  using enum Tensor;
  const std::uint32_t n = in.shape().ffn;
  if (tensor != kGExp) return fold(in, kGateM, i, n, kFoldTerms, tensor == kGHi);
  const int f = in.matrix(MatrixId::kGate).exponent + in.exponent(kMExp, 0);
  return row_exponent(folded(in, kGHi, kGLo, blocks(n, kFoldTerms)), f, kGateBound, kGateCap);
}

// OP-16, one product.
template <class State>
std::int64_t silu_up(Reads<State>& in, std::uint64_t i) {
  const int f_gate = in.matrix(MatrixId::kGate).exponent + in.exponent(Tensor::kMExp, 0);
  const int f_row = in.exponent(Tensor::kGExp, 0);
  const std::int64_t g =
      in.ranged(in.shifted(in.micro(Tensor::kGateM, i), f_gate - f_row), -kGateBound, kGateBound);
  const std::int64_t a = in.table(TableId::kSilu, f_row, static_cast<std::uint64_t>(g) & 0xffff);
  return a * scaled_acc(in, MatrixId::kUp, Tensor::kUpPart, Tensor::kM, i);
}

template <class State>
std::int64_t feed_forward_row(Reads<State>& in, Tensor tensor, std::uint64_t i) {
  using enum Tensor;
  const std::uint32_t n = in.shape().ffn;
  if (tensor == kHHi || tensor == kHLo) return fold(in, kHM, i, n, kFoldTerms, tensor == kHHi);
  const int f = in.exponent(kGExp, 0) + in.matrix(MatrixId::kUp).exponent + in.exponent(kMExp, 0);
  if (tensor == kHExp) {
    return row_exponent(folded(in, kHHi, kHLo, blocks(n, kFoldTerms)), f, in.layer().bounds.down,
                        kRowCap);
  }
  return in.shifted(in.micro(kHM, i), f - in.exponent(kHExp, 0));
}

}  // namespace otr::machine

#endif  // OTR_MACHINE_STEP_LINEAR_H_

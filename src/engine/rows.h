// Whole-row forms of the ops, for the fast engine (SPEC OP). Same bits as machine/step.h.
//
// Functions return false where the SPEC says OUT_OF_RANGE; the outputs are then unspecified.
#ifndef OTR_ENGINE_ROWS_H_
#define OTR_ENGINE_ROWS_H_

#include <cstdint>
#include <span>
#include <vector>

#include "machine/arith.h"
#include "machine/model.h"
#include "machine/tables.h"

namespace otr::engine {

// Σ w[k]·a[k] over canonical weights, exact for up to 65536 terms within the bounds of SPEC
// chapter 17.
std::int64_t dot(std::span<const std::int8_t> w, std::span<const std::int16_t> a);

machine::Extremes extremes_of(std::span<const std::int64_t> values);
// out[j] = rsh(values[j], s); the results must fit their type.
void round_row(std::span<const std::int64_t> values, int s, std::int16_t* out);
void round_row(std::span<const std::int64_t> values, int s, std::int8_t* out);

// The row of values that share the exponent f (ARITH-3); returns the row's exponent.
template <class Out>
int quantise(std::span<const std::int64_t> values, int f, std::int64_t bound, int cap, Out* out) {
  const int exponent = machine::row_exponent(extremes_of(values), f, bound, cap);
  round_row(values, f - exponent, out);
  return exponent;
}

// OP-3: rsh(weight·scale, s).
void embed_row(std::span<const std::int8_t> weights, std::int64_t scale, int s, std::int32_t* out);

// OP-4: the row and its exponent.
int norm_row(std::span<const std::int32_t> x, const machine::Gain& gain, std::int64_t eps,
             std::int64_t bound, std::span<std::int64_t> scratch, std::int16_t* out);

// OP-5 in place on one head.
[[nodiscard]] bool head_norm(std::span<std::int32_t> y, const machine::Gain& gain, std::int64_t eps,
                             int frac_bits);

// OP-7 on one head, then OP-8: the row and its exponent.
int rotated_row(std::span<const std::int32_t> y, std::span<const machine::Angle> angles,
                int frac_bits, std::int32_t bound, std::int16_t* out);

// OP-2 for one element, acc already multiplied by the scale.
struct Rounded {
  bool in_range = true;
  std::int64_t value = 0;
};
inline Rounded linear(std::int64_t scaled_acc, int shift) {
  if (shift < 0 || shift > 62) return {false, 0};
  return {true, machine::rsh(scaled_acc, shift)};
}

// A piece of a product: `rows` rows of `count` sums acc[row·stride + n], the outputs' scales and,
// where there are some, their biases.
struct Piece {
  const std::int64_t* acc = nullptr;
  std::size_t rows = 0, count = 0, stride = 0;
  const std::uint16_t* scale = nullptr;
  const std::int32_t* bias = nullptr;
};

// OP-2 of a piece: out[row·out_stride + n] = rsh(acc·scale, shifts[row]) + bias. Returns the rows,
// bit by bit, whose shift is not in [0, 62] or of which a result is not in `range`.
[[nodiscard]] std::uint32_t linear(const Piece& piece, const int* shifts, machine::Range range,
                                   std::int32_t* out, std::size_t out_stride);
// OP-14: the same, added to x.
[[nodiscard]] std::uint32_t add_linear(const Piece& piece, const int* shifts, std::int32_t* x,
                                       std::size_t x_stride);
// out[row·out_stride + n] = acc·scale.
void scaled(const Piece& piece, std::int64_t* out, std::size_t out_stride);
// OP-16 before its row: the same times gate[row·stride + n].
void gated(const Piece& piece, const std::int16_t* gate, std::int64_t* out, std::size_t stride);

// OP-13 of one head: out[j] = rsh(o[j]·r, s).
void round_head(std::span<const std::int32_t> o, std::int64_t r, int s, std::int16_t* out);

// OP-15 of one row of acc·scale with exponent f, then its SILU[f_g] of OP-16. Returns f_g; where
// that is below 0 the row is OUT_OF_RANGE, and `out` is zeros.
[[nodiscard]] int gate_row(std::span<const std::int64_t> gate, int f, std::span<std::int16_t> out);

}  // namespace otr::engine

#endif  // OTR_ENGINE_ROWS_H_

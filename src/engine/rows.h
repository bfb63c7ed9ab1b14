// Whole-row forms of the ops, for the fast engine (SPEC OP). Same bits as machine/step.h.
//
// Functions return false where the SPEC says OUT_OF_RANGE; the outputs are then unspecified.
#ifndef OTR_ENGINE_ROWS_H_
#define OTR_ENGINE_ROWS_H_

#include <cstdint>
#include <span>

#include "machine/arith.h"
#include "machine/model.h"

namespace otr::engine {

// Σ w[k]·a[k], exact for up to 65536 terms within the bounds of SPEC chapter 17.
std::int64_t dot(std::span<const std::int8_t> w, std::span<const std::int16_t> a);

// The row of values that share the exponent f (ARITH-3); returns the row's exponent.
template <class Out>
int quantise(std::span<const std::int64_t> values, int f, std::int64_t bound, int cap, Out* out) {
  machine::Extremes e;
  for (const std::int64_t v : values) e.add(v);
  const int exponent = machine::row_exponent(e, f, bound, cap);
  for (std::size_t j = 0; j < values.size(); ++j) {
    out[j] = static_cast<Out>(machine::rsh(values[j], f - exponent));
  }
  return exponent;
}

// OP-4: the row and its exponent.
int norm_row(std::span<const std::int32_t> x, const machine::Gain& gain, std::int64_t eps,
             std::int64_t bound, std::span<std::int64_t> scratch, std::int16_t* out);

// OP-5 in place on one head.
[[nodiscard]] bool head_norm(std::span<std::int32_t> y, const machine::Gain& gain, std::int64_t eps,
                             int frac_bits);

// OP-2 for one element, acc already multiplied by the scale.
struct Rounded {
  bool in_range = true;
  std::int64_t value = 0;
};
inline Rounded linear(std::int64_t scaled_acc, int shift) {
  if (shift < 0 || shift > 62) return {false, 0};
  return {true, machine::rsh(scaled_acc, shift)};
}

}  // namespace otr::engine

#endif  // OTR_ENGINE_ROWS_H_

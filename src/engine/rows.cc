#include "engine/rows.h"

#include <array>

#include "base/multiversion.h"
#include "machine/program.h"

namespace otr::engine {

using machine::Extremes;
using machine::kSigned24;
using machine::kSigned32;
using machine::Range;
using machine::rsh;

OTR_MULTIVERSION std::int64_t dot(std::span<const std::int8_t> w, std::span<const std::int16_t> a) {
  // 512 products of 127·32639 stay below 2^31, so a block sums in 32 bits.
  constexpr std::size_t kBlock = 512;
  std::int64_t sum = 0;
  for (std::size_t begin = 0; begin < w.size(); begin += kBlock) {
    const std::size_t end = std::min(w.size(), begin + kBlock);
    std::int32_t block = 0;
    for (std::size_t k = begin; k < end; ++k) block += w[k] * a[k];
    sum += block;
  }
  return sum;
}

OTR_MULTIVERSION Extremes extremes_of(std::span<const std::int64_t> values) {
  std::int64_t hi = INT64_MIN, lo = INT64_MAX;
  for (const std::int64_t v : values) {
    hi = v > hi ? v : hi;
    lo = v < lo ? v : lo;
  }
  return {hi, lo};
}

namespace {

// As rsh, with the cases of s outside the loops so that they become vectors.
template <class Out>
[[gnu::always_inline]] inline void round_values(std::span<const std::int64_t> values, int s,
                                                Out* out) {
  if (s == 0) {
    for (std::size_t j = 0; j < values.size(); ++j) out[j] = static_cast<Out>(values[j]);
  } else if (s >= 63) {
    for (std::size_t j = 0; j < values.size(); ++j) out[j] = 0;
  } else {
    for (std::size_t j = 0; j < values.size(); ++j) {
      out[j] = static_cast<Out>((values[j] >> s) + ((values[j] >> (s - 1)) & 1));
    }
  }
}

// Half a unit of a shift in [0, 62], to be added before it to what is below 2^62.
std::int64_t half_of(int s) { return s == 0 ? 0 : std::int64_t{1} << (s - 1); }

}  // namespace

OTR_MULTIVERSION void round_row(std::span<const std::int64_t> values, int s, std::int16_t* out) {
  round_values(values, s, out);
}
OTR_MULTIVERSION void round_row(std::span<const std::int64_t> values, int s, std::int8_t* out) {
  round_values(values, s, out);
}

OTR_MULTIVERSION void embed_row(std::span<const std::int8_t> weights, std::int64_t scale, int s,
                                std::int32_t* out) {
  const std::int64_t half = half_of(s);
  for (std::size_t j = 0; j < weights.size(); ++j) {
    out[j] = static_cast<std::int32_t>((weights[j] * scale + half) >> s);
  }
}

OTR_MULTIVERSION int norm_row(std::span<const std::int32_t> x, const machine::Gain& gain,
                              std::int64_t eps, std::int64_t bound, std::span<std::int64_t> scratch,
                              std::int16_t* out) {
  std::int32_t hi = INT32_MIN, lo = INT32_MAX;
  for (const std::int32_t v : x) {
    hi = v > hi ? v : hi;
    lo = v < lo ? v : lo;
  }
  const int s = Extremes{hi, lo}.least_floor_shift(24);
  std::int64_t sum = rsh(eps, 2 * s);
  for (const std::int32_t v : x) sum += std::int64_t{v >> s} * (v >> s);
  const machine::ReciprocalRoot root = machine::reciprocal_root(std::max<std::int64_t>(1, sum));
  for (std::size_t j = 0; j < x.size(); ++j) {
    scratch[j] = std::int64_t{x[j] >> s} * gain.gain[j] * root.r;
  }
  return quantise<std::int16_t>(scratch.first(x.size()), gain.exponent + 46 - root.k, bound,
                                machine::kNormCap, out);
}

bool head_norm(std::span<std::int32_t> y, const machine::Gain& gain, std::int64_t eps,
               int frac_bits) {
  std::int64_t sum = eps;
  for (const std::int64_t v : y) sum += v * v;
  const machine::ReciprocalRoot root = machine::reciprocal_root(std::max<std::int64_t>(1, sum));
  bool in_range = true;
  for (std::size_t j = 0; j < y.size(); ++j) {
    const std::int64_t v =
        rsh(std::int64_t{y[j]} * gain.gain[j] * root.r, gain.exponent + 46 - root.k - frac_bits);
    in_range &= kSigned24.holds(v);
    y[j] = static_cast<std::int32_t>(v);
  }
  return in_range;
}

OTR_MULTIVERSION int rotated_row(std::span<const std::int32_t> y,
                                 std::span<const machine::Angle> angles, int frac_bits,
                                 std::int32_t bound, std::int16_t* out) {
  const std::size_t half = y.size() / 2;
  std::array<std::int64_t, machine::kMaxHeadDim> r;
  for (std::size_t i = 0; i < half; ++i) {
    const std::int64_t y0 = y[i];
    const std::int64_t y1 = y[i + half];
    r[i] = y0 * angles[i].c - y1 * angles[i].s;
    r[i + half] = y1 * angles[i].c + y0 * angles[i].s;
  }
  return quantise<std::int16_t>(std::span(r).first(y.size()), frac_bits + 15, bound, frac_bits,
                                out);
}

OTR_MULTIVERSION bool linear(std::span<const std::int64_t> acc, const std::uint16_t* scale,
                             const std::int32_t* bias, int s, Range range, std::int32_t* out) {
  if (s < 0 || s > 62) {
    for (std::size_t n = 0; n < acc.size(); ++n) out[n] = 0;
    return false;
  }
  const std::int64_t half = half_of(s);
  std::int64_t outside = 0;
  for (std::size_t n = 0; n < acc.size(); ++n) {
    const std::int64_t y = ((acc[n] * scale[n] + half) >> s) + (bias == nullptr ? 0 : bias[n]);
    outside |= static_cast<std::int64_t>(y < range.lo) | static_cast<std::int64_t>(y > range.hi);
    out[n] = static_cast<std::int32_t>(y);
  }
  return outside == 0;
}

OTR_MULTIVERSION bool add_linear(std::span<const std::int64_t> acc, const std::uint16_t* scale,
                                 const std::int32_t* bias, int s, std::int32_t* x) {
  if (s < 0 || s > 62) return false;
  const std::int64_t half = half_of(s);
  std::int64_t outside = 0;
  for (std::size_t n = 0; n < acc.size(); ++n) {
    const std::int64_t y =
        x[n] + ((acc[n] * scale[n] + half) >> s) + (bias == nullptr ? 0 : bias[n]);
    outside |=
        static_cast<std::int64_t>(y < kSigned32.lo) | static_cast<std::int64_t>(y > kSigned32.hi);
    x[n] = static_cast<std::int32_t>(y);
  }
  return outside == 0;
}

OTR_MULTIVERSION void scaled(std::span<const std::int64_t> acc, const std::uint16_t* scale,
                             std::int64_t* out) {
  for (std::size_t n = 0; n < acc.size(); ++n) out[n] = acc[n] * scale[n];
}

OTR_MULTIVERSION void round_head(std::span<const std::int32_t> o, std::int64_t r, int s,
                                 std::int16_t* out) {
  if (s > 62) {
    for (std::size_t j = 0; j < o.size(); ++j) out[j] = 0;
    return;
  }
  const std::int64_t half = half_of(s);
  for (std::size_t j = 0; j < o.size(); ++j) {
    out[j] = static_cast<std::int16_t>((o[j] * r + half) >> s);
  }
}

OTR_MULTIVERSION bool feed_forward_row(std::span<std::int64_t> gate, int f_gate,
                                       std::span<std::int64_t> up, int f_up, std::int64_t bound,
                                       std::span<std::int16_t> out, int& exponent) {
  const int f_g =
      quantise<std::int16_t>(gate, f_gate, machine::kGateBound, machine::kGateCap, out.data());
  if (f_g < 0) return false;
  const auto silu = machine::silu_table().subspan(std::size_t{65536} * f_g, 65536);
  // Looked up by itself: a loop with look-ups in it does not become vectors.
  for (std::size_t j = 0; j < out.size(); ++j) gate[j] = silu[static_cast<std::uint16_t>(out[j])];
  for (std::size_t j = 0; j < out.size(); ++j) up[j] *= gate[j];
  exponent = quantise<std::int16_t>(up, f_g + f_up, bound, machine::kRowCap, out.data());
  return true;
}

}  // namespace otr::engine

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

OTR_MULTIVERSION std::uint32_t linear(const Piece& piece, const int* shifts, Range range,
                                      std::int32_t* out, std::size_t out_stride) {
  std::uint32_t refused = 0;
  for (std::size_t row = 0; row < piece.rows; ++row) {
    const std::int64_t* const acc = piece.acc + row * piece.stride;
    std::int32_t* const to = out + row * out_stride;
    const int s = shifts[row];
    if (s < 0 || s > 62) {
      for (std::size_t n = 0; n < piece.count; ++n) to[n] = 0;
      refused |= 1U << row;
      continue;
    }
    const std::int64_t half = half_of(s);
    std::int64_t outside = 0;
    for (std::size_t n = 0; n < piece.count; ++n) {
      const std::int64_t y =
          ((acc[n] * piece.scale[n] + half) >> s) + (piece.bias == nullptr ? 0 : piece.bias[n]);
      outside |= (y - range.lo) | (range.hi - y);  // below zero where y is outside
      // Clamped, because a refused row goes on with those beside it, and later sums trust its
      // range.
      to[n] = static_cast<std::int32_t>(y < range.lo ? range.lo : y > range.hi ? range.hi : y);
    }
    if (outside < 0) refused |= 1U << row;
  }
  return refused;
}

OTR_MULTIVERSION std::uint32_t add_linear(const Piece& piece, const int* shifts, std::int32_t* x,
                                          std::size_t x_stride) {
  std::uint32_t refused = 0;
  for (std::size_t row = 0; row < piece.rows; ++row) {
    const std::int64_t* const acc = piece.acc + row * piece.stride;
    std::int32_t* const to = x + row * x_stride;
    const int s = shifts[row];
    if (s < 0 || s > 62) {
      refused |= 1U << row;
      continue;
    }
    const std::int64_t half = half_of(s);
    std::int64_t outside = 0;
    for (std::size_t n = 0; n < piece.count; ++n) {
      const std::int64_t y = to[n] + ((acc[n] * piece.scale[n] + half) >> s) +
                             (piece.bias == nullptr ? 0 : piece.bias[n]);
      outside |= (y - kSigned32.lo) | (kSigned32.hi - y);
      to[n] = static_cast<std::int32_t>(y);
    }
    if (outside < 0) refused |= 1U << row;
  }
  return refused;
}

OTR_MULTIVERSION void scaled(const Piece& piece, std::int64_t* out, std::size_t out_stride) {
  for (std::size_t row = 0; row < piece.rows; ++row) {
    const std::int64_t* const acc = piece.acc + row * piece.stride;
    std::int64_t* const to = out + row * out_stride;
    for (std::size_t n = 0; n < piece.count; ++n) to[n] = acc[n] * piece.scale[n];
  }
}

OTR_MULTIVERSION void gated(const Piece& piece, const std::int16_t* gate, std::int64_t* out,
                            std::size_t stride) {
  for (std::size_t row = 0; row < piece.rows; ++row) {
    const std::int64_t* const acc = piece.acc + row * piece.stride;
    const std::int16_t* const by = gate + row * stride;
    std::int64_t* const to = out + row * stride;
    for (std::size_t n = 0; n < piece.count; ++n) {
      to[n] = acc[n] * (std::int32_t{piece.scale[n]} * by[n]);
    }
  }
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

int gate_row(std::span<const std::int64_t> gate, int f, std::span<std::int16_t> out) {
  const int f_g =
      quantise<std::int16_t>(gate, f, machine::kGateBound, machine::kGateCap, out.data());
  if (f_g < 0) {
    for (std::int16_t& g : out) g = 0;
    return f_g;
  }
  const auto silu = machine::silu_table().subspan(std::size_t{65536} * f_g, 65536);
  for (std::int16_t& g : out) g = silu[static_cast<std::uint16_t>(g)];
  return f_g;
}

}  // namespace otr::engine

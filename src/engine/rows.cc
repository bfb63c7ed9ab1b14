#include "engine/rows.h"

#include "base/multiversion.h"

namespace otr::engine {

using machine::kSigned24;
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

int norm_row(std::span<const std::int32_t> x, const machine::Gain& gain, std::int64_t eps,
             std::int64_t bound, std::span<std::int64_t> scratch, std::int16_t* out) {
  machine::Extremes e;
  for (const std::int32_t v : x) e.add(v);
  const int s = e.least_floor_shift(24);
  std::int64_t sum = rsh(eps, 2 * s);
  for (std::size_t j = 0; j < x.size(); ++j) {
    scratch[j] = x[j] >> s;
    sum += scratch[j] * scratch[j];
  }
  const machine::ReciprocalRoot root = machine::reciprocal_root(std::max<std::int64_t>(1, sum));
  for (std::size_t j = 0; j < x.size(); ++j) scratch[j] *= gain.gain[j] * root.r;
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

}  // namespace otr::engine

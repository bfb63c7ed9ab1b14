#include "engine/attention.h"

#include <algorithm>
#include <array>

#include "machine/arith.h"
#include "machine/program.h"
#include "machine/tables.h"

namespace otr::engine {
namespace {

using machine::kTile;
using machine::rsh;

// One tile (OP-11), of `count` positions from `begin`.
void attend_tile(std::span<const std::int16_t> q, int q_exponent, const KvRows& kv,
                 std::uint32_t begin, std::uint32_t count, std::int64_t& m, std::int64_t& x,
                 std::int64_t& s, std::int64_t* a) {
  const std::size_t d = q.size();
  std::array<std::int64_t, kTile> z;
  m = x = INT64_MIN;
  for (std::uint32_t i = 0; i < count; ++i) {
    const std::size_t u = begin + i;
    std::int32_t sum = 0;  // below 2^31 by the bounds of OP-8
    for (std::size_t j = 0; j < d; ++j) sum += q[j] * kv.k[u * d + j];
    z[i] = rsh(sum, q_exponent + kv.k_exponent[u] - 8);
    m = std::max(m, z[i] >> 8);
    x = std::max(x, (z[i] >> 8) - kv.v_exponent[u]);
  }
  s = 0;
  std::array<std::int32_t, machine::kMaxHeadDim> sums{};  // below 2^29
  const auto exp2 = machine::exp2_table();
  for (std::uint32_t i = 0; i < count; ++i) {
    const std::size_t u = begin + i;
    const std::int64_t octave = z[i] >> 8;
    const std::int64_t power = exp2[static_cast<std::size_t>(z[i] & 255)];
    const auto shift = [](std::int64_t gap) {
      return static_cast<int>(std::min<std::int64_t>(gap, 63));
    };
    s += rsh(power, shift(m - octave));
    const auto w = static_cast<std::int32_t>(rsh(power, shift(x - (octave - kv.v_exponent[u]))));
    if (w == 0) continue;
    for (std::size_t j = 0; j < d; ++j) sums[j] += w * kv.v[u * d + j];
  }
  std::copy_n(sums.begin(), d, a);
}

}  // namespace

int attend(std::span<const std::int16_t> q, int q_exponent, const KvRows& kv, std::uint32_t lo,
           std::uint32_t t, AttentionScratch& scratch, std::span<std::int64_t> out) {
  const std::size_t d = q.size();
  const std::uint32_t first = lo / kTile;
  const std::uint32_t tiles = t / kTile - first + 1;
  scratch.m.resize(tiles);
  scratch.x.resize(tiles);
  scratch.s.resize(tiles);
  scratch.a.resize(tiles * d);
  for (std::uint32_t i = 0; i < tiles; ++i) {
    const std::uint32_t begin = std::max(lo, (first + i) * kTile);
    const std::uint32_t end = std::min(t + 1, (first + i + 1) * kTile);
    attend_tile(q, q_exponent, kv, begin, end - begin, scratch.m[i], scratch.x[i], scratch.s[i],
                scratch.a.data() + i * d);
  }
  const std::int64_t m = *std::ranges::max_element(scratch.m);
  const std::int64_t x = *std::ranges::max_element(scratch.x);
  std::int64_t sum = 0;
  std::ranges::fill(out, 0);
  for (std::uint32_t i = 0; i < tiles; ++i) {
    if (m - scratch.m[i] <= 23) sum += scratch.s[i] << (23 - (m - scratch.m[i]));
    if (x - scratch.x[i] > 23) continue;
    for (std::size_t j = 0; j < d; ++j) {
      out[j] += scratch.a[i * d + j] << (23 - (x - scratch.x[i]));
    }
  }
  const int b = machine::bitlen(static_cast<std::uint64_t>(sum)) - 31;
  const std::int64_t r = (std::int64_t{1} << 46) / (sum >> b);
  machine::Extremes e;
  for (const std::int64_t a : out) e.add(a);
  const int shift = e.least_shift(machine::kSigned19);
  for (std::int64_t& o : out) o = rsh(o, shift) * r;
  return static_cast<int>(46 - shift + b + m - x);
}

}  // namespace otr::engine

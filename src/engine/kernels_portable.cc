#include "engine/kernels_portable.h"

#include <algorithm>
#include <cstring>

#include "machine/arith.h"
#include "machine/tables.h"

namespace otr::engine::portable {

InputRow encode(const std::int16_t* a, std::size_t cols, int /*bits*/, std::uint8_t* out) {
  std::memset(out, 0, encoded_size(cols));
  std::memcpy(out, a, cols * sizeof(std::int16_t));
  return {out, {}};
}

namespace {

// One block and one row. 512 products of 127·32639 stay below 2^31.
void multiply_block(const std::uint8_t* weights, std::size_t groups, const InputRow& row,
                    std::int64_t* acc) {
  constexpr std::size_t kFlushGroups = 512 / kGroupColumns;
  const auto* w = reinterpret_cast<const std::int8_t*>(weights);
  const auto* a = reinterpret_cast<const std::int16_t*>(row.data);
  std::fill_n(acc, kBlockRows, 0);
  for (std::size_t begin = 0; begin < groups; begin += kFlushGroups) {
    std::array<std::int32_t, kBlockRows> sums{};
    for (std::size_t g = begin; g < std::min(groups, begin + kFlushGroups); ++g) {
      for (std::size_t n = 0; n < kBlockRows; ++n) {
        const std::int8_t* four = w + g * kGroupBytes + n * kGroupColumns;
        const std::int16_t* with = a + g * kGroupColumns;
        sums[n] += four[0] * with[0] + four[1] * with[1] + four[2] * with[2] + four[3] * with[3];
      }
    }
    for (std::size_t n = 0; n < kBlockRows; ++n) acc[n] += sums[n];
  }
}

}  // namespace

void multiply(const std::uint8_t* weights, std::size_t blocks, std::size_t groups,
              const InputRow* rows, std::size_t count, int /*bits*/, std::int64_t* acc) {
  for (std::size_t b = 0; b < blocks; ++b) {
    for (std::size_t i = 0; i < count; ++i) {
      multiply_block(weights + b * groups * kGroupBytes, groups, rows[i],
                     acc + (i * blocks + b) * kBlockRows);
    }
  }
}

void scores(const std::int16_t* const* q, std::size_t count, std::size_t head_dim,
            const std::int16_t* k, std::size_t begin, std::size_t end, std::int32_t* sums) {
  for (std::size_t block = begin; block < end; ++block) {
    const std::int16_t* keys = k + block * kKeyBlock * head_dim;
    for (std::size_t i = 0; i < count; ++i) {
      std::array<std::int32_t, kKeyBlock> sum{};  // below 2^31 by the bounds of OP-8
      for (std::size_t j = 0; j < head_dim; j += 2) {
        const std::int16_t* pairs = keys + j * kKeyBlock;
        for (std::size_t u = 0; u < kKeyBlock; ++u) {
          sum[u] += q[i][j] * pairs[2 * u] + q[i][j + 1] * pairs[2 * u + 1];
        }
      }
      std::ranges::copy(sum, sums + i * kTilePositions + block * kKeyBlock);
    }
  }
}

TileSums weigh(const std::int32_t* sums, int q_exponent, const KvTile& tile, std::size_t begin,
               std::size_t end, std::int16_t* w) {
  std::array<std::int32_t, kTilePositions> z;
  TileSums result{INT32_MIN, INT32_MIN, 0};
  for (std::size_t u = begin; u < end; ++u) {
    z[u] = static_cast<std::int32_t>(machine::rsh(sums[u], q_exponent + tile.k_exponent[u] - 8));
    result.m = std::max(result.m, z[u] >> 8);
    result.x = std::max(result.x, (z[u] >> 8) - tile.v_exponent[u]);
  }
  const auto exp2 = machine::exp2_table();
  std::fill_n(w, kTilePositions, std::int16_t{0});
  for (std::size_t u = begin; u < end; ++u) {
    const std::int32_t octave = z[u] >> 8;
    const std::int64_t power = exp2[static_cast<std::size_t>(z[u] & 255)];
    const auto shift = [](std::int32_t gap) { return std::min(gap, 63); };
    result.s += static_cast<std::int32_t>(machine::rsh(power, shift(result.m - octave)));
    w[u] = static_cast<std::int16_t>(
        machine::rsh(power, shift(result.x - (octave - tile.v_exponent[u]))));
  }
  return result;
}

void values(const std::int16_t* w, std::size_t count, std::size_t head_dim, const std::int8_t* v,
            std::size_t begin, std::size_t end, std::int32_t* a) {
  for (std::size_t i = 0; i < count; ++i) {
    std::int32_t* sums = a + i * head_dim;
    std::fill_n(sums, head_dim, 0);
    for (std::size_t p = begin; p < end; ++p) {
      const std::int32_t w0 = w[i * kTilePositions + 2 * p];
      const std::int32_t w1 = w[i * kTilePositions + 2 * p + 1];
      if ((w0 | w1) == 0) continue;
      const std::int8_t* pairs = v + p * head_dim * 2;
      for (std::size_t j = 0; j < head_dim; ++j)
        sums[j] += w0 * pairs[2 * j] + w1 * pairs[2 * j + 1];
    }
  }
}

}  // namespace otr::engine::portable

namespace otr::engine {

const Kernel* portable_kernel() {
  static constexpr Kernel kernel = {
      "portable",      0, portable::encode, portable::multiply, portable::scores, portable::weigh,
      portable::values};
  return &kernel;
}

}  // namespace otr::engine

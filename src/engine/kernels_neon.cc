// NEON with the products of signed bytes: dotprod, and i8mm where there is one. A product of int8
// and int16 is two of bytes: a = 256·hi + lo, both in [-128, 127] since |a| <= 32639; 65536 such
// products stay below 2^31.
#include "engine/kernels.h"
#include "engine/kernels_portable.h"

#if defined(__aarch64__)

#include <arm_neon.h>

#include <algorithm>
#include <cstring>

namespace otr::engine {
namespace {

// Register tiles: 24 sums of four rows each, of 32 registers.
constexpr std::size_t kSums = 24;
constexpr std::size_t kQuads = 4;  // of the rows of a block: four fill a vector

inline int8x16_t load(const std::uint8_t* from) { return vreinterpretq_s8_u8(vld1q_u8(from)); }
inline int8x16_t load_half(const std::uint8_t* from) {  // 8 bytes, then zeros
  return vreinterpretq_s8_u8(vcombine_u8(vld1_u8(from), vdup_n_u8(0)));
}
inline int8x16_t zip_low(int8x16_t a, int8x16_t b) {  // of groups of four bytes
  return vreinterpretq_s8_s32(vzip1q_s32(vreinterpretq_s32_s8(a), vreinterpretq_s32_s8(b)));
}
inline int8x16_t zip_high(int8x16_t a, int8x16_t b) {
  return vreinterpretq_s8_s32(vzip2q_s32(vreinterpretq_s32_s8(a), vreinterpretq_s32_s8(b)));
}

// acc = lo + 256·hi for four rows; of one plane without `hi`.
inline void store_wide(std::int64_t* acc, int32x4_t lo) {
  vst1q_s64(acc, vmovl_s32(vget_low_s32(lo)));
  vst1q_s64(acc + 2, vmovl_s32(vget_high_s32(lo)));
}
inline void store_wide(std::int64_t* acc, int32x4_t lo, int32x4_t hi) {
  vst1q_s64(acc, vaddq_s64(vmovl_s32(vget_low_s32(lo)), vshll_n_s32(vget_low_s32(hi), 8)));
  vst1q_s64(acc + 2, vaddq_s64(vmovl_s32(vget_high_s32(lo)), vshll_n_s32(vget_high_s32(hi), 8)));
}

// One plane of bytes if `bits` is 8. Else the low and the high bytes of each group of four values,
// or of each pair of groups (kPairs); a last group without a partner stands alone.
template <bool kPairs>
InputRow encode(const std::int16_t* a, std::size_t cols, int bits, std::uint8_t* out) {
  if (bits == 8) {
    std::memset(out, 0, encoded_size(cols));
    for (std::size_t k = 0; k < cols; ++k) out[k] = static_cast<std::uint8_t>(a[k]);
    return {out, {}};
  }
  for (std::size_t k = 0; k < cols; k += 8) {
    std::int16_t eight[8] = {};
    std::memcpy(eight, a + k, std::min<std::size_t>(8, cols - k) * sizeof *a);
    const int16x8_t v = vld1q_s16(eight);
    const int8x8_t lo = vmovn_s16(v);
    const int8x8_t hi = vshrn_n_s16(vsubq_s16(v, vmovl_s8(lo)), 8);
    const int32x2_t los = vreinterpret_s32_s8(lo), his = vreinterpret_s32_s8(hi);
    const uint8x8_t first = vreinterpret_u8_s32(vzip1_s32(los, his));
    const uint8x8_t second = vreinterpret_u8_s32(vzip2_s32(los, his));
    const bool alone = cols - k <= kGroupColumns, whole = kPairs && !alone;
    vst1_u8(out + 2 * k, whole ? vreinterpret_u8_s8(lo) : first);
    if (!alone) vst1_u8(out + 2 * k + 8, whole ? vreinterpret_u8_s8(hi) : second);
  }
  return {out, {}};
}

// acc = w·a for one block and `count` rows, at most as many as the tile is made for.
using Tile = void (*)(const std::uint8_t* weights, std::size_t groups, const InputRow* rows,
                      std::size_t count, std::int64_t* acc, std::size_t acc_stride);

void multiply(Tile tile, std::size_t most_rows, const std::uint8_t* weights, std::size_t blocks,
              std::size_t groups, const InputRow* rows, std::size_t count, std::int64_t* acc) {
  for (std::size_t b = 0; b < blocks; ++b) {
    for (std::size_t i = 0; i < count; i += most_rows) {
      tile(weights + b * groups * kGroupBytes, groups, rows + i, std::min(most_rows, count - i),
           acc + (i * blocks + b) * kBlockRows, blocks * kBlockRows);
    }
  }
}

// --- Attention -----------------------------------------------------------------------------------

constexpr std::size_t kTileQueries = 4;  // with four sums each

template <std::size_t kQueries>
void score_tile(const std::int16_t* const* q, std::size_t count, std::size_t head_dim,
                const std::int16_t* keys, std::int32_t* sums) {
  if constexpr (kQueries > 1) {
    if (count != kQueries) return score_tile<kQueries - 1>(q, count, head_dim, keys, sums);
  }
  int32x4_t sum[kQueries][4];
  for (auto& row : sum) {
    for (auto& s : row) s = vdupq_n_s32(0);
  }
  for (std::size_t j = 0; j < head_dim; j += 2) {
    for (std::size_t half = 0; half < 2; ++half) {
      const int16x8x2_t k = vld2q_s16(keys + j * kKeyBlock + half * kKeyBlock);
      for (std::size_t i = 0; i < kQueries; ++i) {
        int32x4_t* const s = sum[i] + 2 * half;
        for (std::size_t part = 0; part < 2; ++part) {
          const std::int16_t value = q[i][j + part];
          s[0] = vmlal_n_s16(s[0], vget_low_s16(k.val[part]), value);
          s[1] = vmlal_n_s16(s[1], vget_high_s16(k.val[part]), value);
        }
      }
    }
  }
  for (std::size_t i = 0; i < kQueries; ++i) {
    for (std::size_t n = 0; n < 4; ++n) vst1q_s32(sums + i * kTilePositions + 4 * n, sum[i][n]);
  }
}

void scores(const std::int16_t* const* q, std::size_t count, std::size_t head_dim,
            const std::int16_t* k, std::size_t begin, std::size_t end, std::int32_t* sums) {
  for (std::size_t block = begin; block < end; ++block) {
    for (std::size_t i = 0; i < count; i += kTileQueries) {
      score_tile<kTileQueries>(q + i, std::min(kTileQueries, count - i), head_dim,
                               k + block * kKeyBlock * head_dim,
                               sums + i * kTilePositions + block * kKeyBlock);
    }
  }
}

// a = w·v for 8 columns.
template <std::size_t kQueries>
void value_tile(const std::int16_t* w, std::size_t count, std::size_t head_dim,
                const std::int8_t* v, std::size_t begin, std::size_t end, std::int32_t* a) {
  if constexpr (kQueries > 1) {
    if (count != kQueries) {
      return value_tile<kQueries - 1>(w, count, head_dim, v, begin, end, a);
    }
  }
  int32x4_t sum[kQueries][2];
  for (auto& row : sum) row[0] = row[1] = vdupq_n_s32(0);
  for (std::size_t p = begin; p < end; ++p) {
    const int8x8x2_t pair = vld2_s8(v + p * head_dim * 2);
    for (std::size_t part = 0; part < 2; ++part) {
      const int16x8_t values = vmovl_s8(pair.val[part]);
      for (std::size_t i = 0; i < kQueries; ++i) {
        const std::int16_t weight = w[i * kTilePositions + 2 * p + part];
        sum[i][0] = vmlal_n_s16(sum[i][0], vget_low_s16(values), weight);
        sum[i][1] = vmlal_n_s16(sum[i][1], vget_high_s16(values), weight);
      }
    }
  }
  for (std::size_t i = 0; i < kQueries; ++i) {
    vst1q_s32(a + i * head_dim, sum[i][0]);
    vst1q_s32(a + i * head_dim + 4, sum[i][1]);
  }
}

void values(const std::int16_t* w, std::size_t count, std::size_t head_dim, const std::int8_t* v,
            std::size_t begin, std::size_t end, std::int32_t* a) {
  if (head_dim % 8 != 0) return portable::values(w, count, head_dim, v, begin, end, a);
  constexpr std::size_t kQueries = 8;
  for (std::size_t j = 0; j < head_dim; j += 8) {
    for (std::size_t i = 0; i < count; i += kQueries) {
      value_tile<kQueries>(w + i * kTilePositions, std::min(kQueries, count - i), head_dim,
                           v + 2 * j, begin, end, a + i * head_dim + j);
    }
  }
}

}  // namespace

// --- dotprod -------------------------------------------------------------------------------------

// What a region turns on holds for its functions alone, so that inline functions of headers stay
// fit for every processor.
#pragma clang attribute push(__attribute__((target("dotprod"))), apply_to = function)

namespace {

template <std::size_t kRows, std::size_t kPlanes>
void dot_tile(const std::uint8_t* weights, std::size_t groups, const InputRow* rows,
              std::size_t count, std::int64_t* acc, std::size_t acc_stride) {
  if constexpr (kRows > 1) {
    if (count != kRows) {
      return dot_tile<kRows - 1, kPlanes>(weights, groups, rows, count, acc, acc_stride);
    }
  }
  int32x4_t sums[kRows][kQuads][kPlanes];
  for (auto& row : sums) {
    for (auto& quad : row) {
      for (auto& s : quad) s = vdupq_n_s32(0);
    }
  }
  for (std::size_t g = 0; g < groups; ++g) {
    int8x16_t w[kQuads];
    for (std::size_t n = 0; n < kQuads; ++n) w[n] = load(weights + g * kGroupBytes + 16 * n);
    for (std::size_t i = 0; i < kRows; ++i) {
      for (std::size_t p = 0; p < kPlanes; ++p) {
        std::int32_t four;
        std::memcpy(&four, rows[i].data + 4 * (kPlanes * g + p), sizeof four);
        const int8x16_t a = vreinterpretq_s8_s32(vdupq_n_s32(four));
        for (std::size_t n = 0; n < kQuads; ++n) sums[i][n][p] = vdotq_s32(sums[i][n][p], w[n], a);
      }
    }
  }
  for (std::size_t i = 0; i < kRows; ++i) {
    for (std::size_t n = 0; n < kQuads; ++n) {
      std::int64_t* const to = acc + i * acc_stride + 4 * n;
      if constexpr (kPlanes == 1) store_wide(to, sums[i][n][0]);
      if constexpr (kPlanes == 2) store_wide(to, sums[i][n][0], sums[i][n][1]);
    }
  }
}

void multiply_dot(const std::uint8_t* weights, std::size_t blocks, std::size_t groups,
                  const InputRow* rows, std::size_t count, int bits, std::int64_t* acc) {
  constexpr std::size_t kBytes = kSums / kQuads, kWords = kBytes / 2;  // rows of a tile
  if (bits == 8) {
    multiply(dot_tile<kBytes, 1>, kBytes, weights, blocks, groups, rows, count, acc);
  } else {
    multiply(dot_tile<kWords, 2>, kWords, weights, blocks, groups, rows, count, acc);
  }
}

}  // namespace

#pragma clang attribute pop

// --- i8mm ----------------------------------------------------------------------------------------

#pragma clang attribute push(__attribute__((target("dotprod,i8mm"))), apply_to = function)

namespace {

// Two rows of eight bytes each for a pair of groups: the planes of row i where there are two
// planes, else the rows 2i and 2i + 1 of `count`. Beside a last group without a partner, `alone`,
// stand weights of zero; of its two planes there are eight bytes only.
template <std::size_t kPlanes>
inline int8x16_t two_rows(const InputRow* rows, std::size_t i, std::size_t count, std::size_t g,
                          bool alone) {
  if constexpr (kPlanes == 2) {
    const std::uint8_t* from = rows[i].data + 8 * g;
    return alone ? zip_low(load_half(from), vdupq_n_s8(0)) : load(from);
  } else {
    std::uint8_t bytes[16] = {};
    for (std::size_t n = 0; n < 2 && 2 * i + n < count; ++n) {
      std::memcpy(bytes + 8 * n, rows[2 * i + n].data + 4 * g, 8);
    }
    return load(bytes);
  }
}

// kTwos: pairs of planes or rows.
template <std::size_t kTwos, std::size_t kPlanes>
void matrix_tile(const std::uint8_t* weights, std::size_t groups, const InputRow* rows,
                 std::size_t count, std::int64_t* acc, std::size_t acc_stride) {
  if constexpr (kTwos > 1) {
    if ((kPlanes == 2 ? count : (count + 1) / 2) != kTwos) {
      return matrix_tile<kTwos - 1, kPlanes>(weights, groups, rows, count, acc, acc_stride);
    }
  }
  int32x4_t sums[kTwos][kQuads][2];
  for (auto& row : sums) {
    for (auto& quad : row) quad[0] = quad[1] = vdupq_n_s32(0);
  }
  const auto add_groups = [&](std::size_t g, bool alone) {
    int8x16_t a[kTwos];
    for (std::size_t i = 0; i < kTwos; ++i) a[i] = two_rows<kPlanes>(rows, i, count, g, alone);
    for (std::size_t n = 0; n < kQuads; ++n) {
      const std::uint8_t* from = weights + g * kGroupBytes + 16 * n;
      const int8x16_t w0 = load(from), w1 = alone ? vdupq_n_s8(0) : load(from + kGroupBytes);
      const int8x16_t low = zip_low(w0, w1), high = zip_high(w0, w1);
      for (std::size_t i = 0; i < kTwos; ++i) {
        sums[i][n][0] = vmmlaq_s32(sums[i][n][0], low, a[i]);
        sums[i][n][1] = vmmlaq_s32(sums[i][n][1], high, a[i]);
      }
    }
  };
  for (std::size_t g = 0; g + 2 <= groups; g += 2) add_groups(g, false);
  if (groups % 2 != 0) add_groups(groups - 1, true);
  for (std::size_t i = 0; i < kTwos; ++i) {
    for (std::size_t n = 0; n < kQuads; ++n) {
      const int32x4_t first = vuzp1q_s32(sums[i][n][0], sums[i][n][1]);
      const int32x4_t second = vuzp2q_s32(sums[i][n][0], sums[i][n][1]);
      if constexpr (kPlanes == 2) {
        store_wide(acc + i * acc_stride + 4 * n, first, second);
      } else {
        store_wide(acc + 2 * i * acc_stride + 4 * n, first);
        if (2 * i + 1 < count) store_wide(acc + (2 * i + 1) * acc_stride + 4 * n, second);
      }
    }
  }
}

void multiply_matrix(const std::uint8_t* weights, std::size_t blocks, std::size_t groups,
                     const InputRow* rows, std::size_t count, int bits, std::int64_t* acc) {
  constexpr std::size_t kTwos = kSums / kQuads / 2;
  if (bits == 8) {
    multiply(matrix_tile<kTwos, 1>, 2 * kTwos, weights, blocks, groups, rows, count, acc);
  } else {
    multiply(matrix_tile<kTwos, 2>, kTwos, weights, blocks, groups, rows, count, acc);
  }
}

}  // namespace

#pragma clang attribute pop

const Kernel* dotprod_kernel() {
  static constexpr Kernel kernel = {"neon-dotprod",  0,     encode<false>, multiply_dot, scores,
                                    portable::weigh, values};
  return &kernel;
}
const Kernel* i8mm_kernel() {
  static constexpr Kernel kernel = {"neon-i8mm",     0,     encode<true>, multiply_matrix, scores,
                                    portable::weigh, values};
  return &kernel;
}

}  // namespace otr::engine

#else

namespace otr::engine {
const Kernel* dotprod_kernel() { return nullptr; }
const Kernel* i8mm_kernel() { return nullptr; }
}  // namespace otr::engine

#endif

// AVX2. Weights widen to int16 as they are loaded, and vpmaddwd multiplies them by the row as it
// is: faster here than the products of bytes, whose pair sums have 16 bits only.
#include "engine/kernels.h"
#include "engine/kernels_portable.h"

#if defined(__x86_64__)

#include <immintrin.h>

#include <algorithm>
#include <cstring>

#include "machine/tables.h"

// For the functions of this file alone: what headers define inline stays fit for every processor,
// whichever file the linker takes it from.
#pragma clang attribute push(__attribute__((target("avx2"))), apply_to = function)

namespace otr::engine {
namespace {

inline __m256i load(const void* from) {
  return _mm256_loadu_si256(static_cast<const __m256i*>(from));
}
inline void store(void* to, __m256i v) { _mm256_storeu_si256(static_cast<__m256i*>(to), v); }
// 16 bytes as int16.
inline __m256i load_bytes(const void* from) {
  return _mm256_cvtepi8_epi16(_mm_loadu_si128(static_cast<const __m128i*>(from)));
}
// Two int16 in every lane of 32 bits.
inline __m256i load_pair(const std::int16_t* two) {
  std::int32_t value;
  std::memcpy(&value, two, sizeof value);
  return _mm256_set1_epi32(value);
}
// Four int16 in every lane of 64 bits.
inline __m256i load_four(const std::uint8_t* four) {
  std::int64_t value;
  std::memcpy(&value, four, sizeof value);
  return _mm256_set1_epi64x(value);
}

// --- Products ------------------------------------------------------------------------------------

// How far ahead of its use a weight is asked for where one row alone uses it: across the ends of
// pages, which the hardware's own prefetching does not cross.
constexpr std::size_t kAheadBytes = 2048;

// A lane sums two of the four products of a group: 512 of at most 127·32639 stay below 2^31.
constexpr std::size_t kFlushGroups = 256;

// Four rows of a block, a quad, fill a vector: their sums from those of the halves of their groups.
inline __m256i add_halves(__m256i v) {
  const __m256i rows01 = _mm256_cvtepi32_epi64(_mm256_castsi256_si128(v));
  const __m256i rows23 = _mm256_cvtepi32_epi64(_mm256_extracti128_si256(v, 1));
  const __m256i rows0213 = _mm256_add_epi64(_mm256_unpacklo_epi64(rows01, rows23),
                                            _mm256_unpackhi_epi64(rows01, rows23));
  return _mm256_permute4x64_epi64(rows0213, _MM_SHUFFLE(3, 1, 2, 0));
}

// acc += w·a for at most kFlushGroups groups of kRows rows and kQuads quads of a block.
template <std::size_t kRows, std::size_t kQuads>
inline void multiply_tile(const std::uint8_t* weights, std::size_t groups,
                          const std::uint8_t* const* rows, std::int64_t* acc,
                          std::size_t acc_stride) {
  __m256i sums[kRows][kQuads];
  for (auto& row : sums) {
    for (auto& quad : row) quad = _mm256_setzero_si256();
  }
  for (std::size_t g = 0; g < groups; ++g) {
    const std::uint8_t* from = weights + g * kGroupBytes;
    if constexpr (kRows <= 2) {
      _mm_prefetch(reinterpret_cast<const char*>(from + kAheadBytes), _MM_HINT_T0);
    }
    __m256i w[kQuads];
    for (std::size_t n = 0; n < kQuads; ++n) w[n] = load_bytes(from + 16 * n);
    for (std::size_t i = 0; i < kRows; ++i) {
      const __m256i a = load_four(rows[i] + 8 * g);
      for (std::size_t n = 0; n < kQuads; ++n) {
        sums[i][n] = _mm256_add_epi32(sums[i][n], _mm256_madd_epi16(w[n], a));
      }
    }
  }
  for (std::size_t i = 0; i < kRows; ++i) {
    for (std::size_t n = 0; n < kQuads; ++n) {
      std::int64_t* to = acc + i * acc_stride + 4 * n;
      store(to, _mm256_add_epi64(load(to), add_halves(sums[i][n])));
    }
  }
}

// Three or more rows: six by two quads are 12 sums, and with them all 16 registers.
constexpr std::size_t kTileRows = 6;

template <std::size_t kRows>
void multiply_rows(const std::uint8_t* weights, std::size_t groups, const std::uint8_t* const* rows,
                   std::size_t count, std::int64_t* acc, std::size_t acc_stride) {
  if (count == kRows) {
    for (std::size_t half = 0; half < 2; ++half) {
      multiply_tile<kRows, 2>(weights + half * kGroupBytes / 2, groups, rows,
                              acc + half * kBlockRows / 2, acc_stride);
    }
  } else if constexpr (kRows > 3) {
    multiply_rows<kRows - 1>(weights, groups, rows, count, acc, acc_stride);
  } else if (count == 2) {
    multiply_tile<2, 4>(weights, groups, rows, acc, acc_stride);
  } else {
    multiply_tile<1, 4>(weights, groups, rows, acc, acc_stride);
  }
}

void multiply(const std::uint8_t* weights, std::size_t blocks, std::size_t groups,
              const InputRow* rows, std::size_t count, int /*bits*/, std::int64_t* acc) {
  const std::size_t width = blocks * kBlockRows;
  std::memset(acc, 0, count * width * sizeof *acc);
  for (std::size_t b = 0; b < blocks; ++b, acc += kBlockRows) {
    for (std::size_t begin = 0; begin < groups; begin += kFlushGroups) {
      const std::size_t some = std::min(kFlushGroups, groups - begin);
      const std::uint8_t* a[kMostRows];
      for (std::size_t i = 0; i < count; ++i) a[i] = rows[i].data + 8 * begin;
      for (std::size_t i = 0; i < count; i += kTileRows) {
        multiply_rows<kTileRows>(weights, some, a + i, std::min(kTileRows, count - i),
                                 acc + i * width, width);
      }
      weights += some * kGroupBytes;
    }
  }
}

// --- Attention -----------------------------------------------------------------------------------

constexpr int kTileQueries = 6;  // with two sums each: 12 of the 16 registers

template <int kQueries>
inline void score_tile(const std::int16_t* const* q, std::size_t head_dim, const std::int16_t* keys,
                       std::int32_t* sums) {
  __m256i sum[kQueries][2];
  for (auto& s : sum) s[0] = s[1] = _mm256_setzero_si256();
  for (std::size_t j = 0; j < head_dim; j += 2) {
    const __m256i k0 = load(keys + j * kKeyBlock), k1 = load(keys + j * kKeyBlock + kKeyBlock);
    for (int i = 0; i < kQueries; ++i) {
      const __m256i two = load_pair(q[i] + j);
      sum[i][0] = _mm256_add_epi32(sum[i][0], _mm256_madd_epi16(k0, two));
      sum[i][1] = _mm256_add_epi32(sum[i][1], _mm256_madd_epi16(k1, two));
    }
  }
  for (std::size_t i = 0; i < kQueries; ++i) {
    store(sums + i * kTilePositions, sum[i][0]);
    store(sums + i * kTilePositions + 8, sum[i][1]);
  }
}

template <int kQueries>
void score_rows(const std::int16_t* const* q, std::size_t count, std::size_t head_dim,
                const std::int16_t* keys, std::int32_t* sums) {
  if constexpr (kQueries > 0) {
    if (count == kQueries) return score_tile<kQueries>(q, head_dim, keys, sums);
    score_rows<kQueries - 1>(q, count, head_dim, keys, sums);
  }
}

void scores(const std::int16_t* const* q, std::size_t count, std::size_t head_dim,
            const std::int16_t* k, std::size_t begin, std::size_t end, std::int32_t* sums) {
  for (std::size_t block = begin; block < end; ++block) {
    for (std::size_t i = 0; i < count; i += kTileQueries) {
      score_rows<kTileQueries>(q + i, std::min<std::size_t>(kTileQueries, count - i), head_dim,
                               k + block * kKeyBlock * head_dim,
                               sums + i * kTilePositions + block * kKeyBlock);
    }
  }
}

// rsh of SPEC ARITH-1 with a shift of its own in each lane, [0, 31].
inline __m256i round_shift(__m256i v, __m256i s) {
  const __m256i one = _mm256_set1_epi32(1), zero = _mm256_setzero_si256();
  const __m256i below = _mm256_srav_epi32(v, _mm256_max_epi32(_mm256_sub_epi32(s, one), zero));
  const __m256i half = _mm256_and_si256(_mm256_cmpgt_epi32(s, zero), _mm256_and_si256(below, one));
  return _mm256_add_epi32(_mm256_srav_epi32(v, s), half);
}

// EXP2 of the low eight bits of each lane. A look-up reads two entries and takes one.
inline __m256i exp2(__m256i z) {
  const auto* table = reinterpret_cast<const int*>(machine::exp2_table().data());
  const __m256i two = _mm256_i32gather_epi32(
      table, _mm256_and_si256(_mm256_srli_epi32(z, 1), _mm256_set1_epi32(127)), 4);
  const __m256i odd = _mm256_slli_epi32(_mm256_and_si256(z, _mm256_set1_epi32(1)), 4);
  return _mm256_and_si256(_mm256_srlv_epi32(two, odd), _mm256_set1_epi32(0xffff));
}

// rsh(p, top - v) for p < 2^15, with 0 <= top - v.
inline __m256i round_to(__m256i p, __m256i top, __m256i v) {
  const __m256i gap = _mm256_sub_epi32(top, v);  // from 16 on nothing is left
  const __m256i twice = _mm256_srlv_epi32(_mm256_add_epi32(p, p), gap);
  return _mm256_srli_epi32(_mm256_add_epi32(twice, _mm256_set1_epi32(1)), 1);
}

inline __m256i exponents(const std::int8_t* e) {
  return _mm256_cvtepi8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(e)));
}

// All ones in the lanes of the positions [begin, end), of which lane 0 is `u`.
inline __m256i inside(std::size_t u, std::size_t begin, std::size_t end) {
  const __m256i at = _mm256_add_epi32(_mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7),
                                      _mm256_set1_epi32(static_cast<int>(u)));
  return _mm256_andnot_si256(_mm256_cmpgt_epi32(_mm256_set1_epi32(static_cast<int>(begin)), at),
                             _mm256_cmpgt_epi32(_mm256_set1_epi32(static_cast<int>(end)), at));
}

inline std::int32_t greatest(__m256i v) {
  __m128i m = _mm_max_epi32(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));
  m = _mm_max_epi32(m, _mm_shuffle_epi32(m, _MM_SHUFFLE(1, 0, 3, 2)));
  return _mm_cvtsi128_si32(_mm_max_epi32(m, _mm_shuffle_epi32(m, _MM_SHUFFLE(2, 3, 0, 1))));
}
inline std::int32_t total(__m256i v) {
  __m128i s = _mm_add_epi32(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));
  s = _mm_add_epi32(s, _mm_shuffle_epi32(s, _MM_SHUFFLE(1, 0, 3, 2)));
  return _mm_cvtsi128_si32(_mm_add_epi32(s, _mm_shuffle_epi32(s, _MM_SHUFFLE(2, 3, 0, 1))));
}

TileSums weigh(const std::int32_t* sums, int q_exponent, const KvTile& tile, std::size_t begin,
               std::size_t end, std::int16_t* w) {
  alignas(32) std::int32_t z[kTilePositions], y[kTilePositions];  // y: octaves less v's exponents
  const __m256i least = _mm256_set1_epi32(INT32_MIN);
  __m256i m = least, x = least;
  const std::size_t from = begin / 8 * 8;
  for (std::size_t u = from; u < end; u += 8) {
    const __m256i in = inside(u, begin, end);
    const __m256i shift =
        _mm256_add_epi32(exponents(tile.k_exponent + u), _mm256_set1_epi32(q_exponent - 8));
    const __m256i score = round_shift(load(sums + u), shift);
    const __m256i octave = _mm256_srai_epi32(score, 8);
    const __m256i less = _mm256_sub_epi32(octave, exponents(tile.v_exponent + u));
    m = _mm256_max_epi32(m, _mm256_blendv_epi8(least, octave, in));
    x = _mm256_max_epi32(x, _mm256_blendv_epi8(least, less, in));
    store(z + u, score);
    store(y + u, less);
  }
  const TileSums top{greatest(m), greatest(x), 0};
  std::memset(w, 0, kTilePositions * sizeof *w);
  __m256i s = _mm256_setzero_si256();
  for (std::size_t u = from; u < end; u += 8) {
    const __m256i score = load(z + u);
    const __m256i power = _mm256_and_si256(exp2(score), inside(u, begin, end));
    s = _mm256_add_epi32(s, round_to(power, _mm256_set1_epi32(top.m), _mm256_srai_epi32(score, 8)));
    const __m256i weight = round_to(power, _mm256_set1_epi32(top.x), load(y + u));
    _mm_storeu_si128(
        reinterpret_cast<__m128i*>(w + u),
        _mm_packs_epi32(_mm256_castsi256_si128(weight), _mm256_extracti128_si256(weight, 1)));
  }
  return {top.m, top.x, total(s)};
}

// a = w·v for `kQueries` queries and 8·kLanes columns.
template <int kQueries, int kLanes>
inline void value_tile(const std::int16_t* w, std::size_t head_dim, const std::int8_t* v,
                       std::size_t begin, std::size_t end, std::int32_t* a) {
  __m256i sums[kQueries][kLanes];
  for (auto& row : sums) {
    for (auto& s : row) s = _mm256_setzero_si256();
  }
  for (std::size_t p = begin; p < end; ++p) {
    __m256i pairs[kLanes];
    for (int l = 0; l < kLanes; ++l) pairs[l] = load_bytes(v + p * head_dim * 2 + 16 * l);
    for (std::size_t i = 0; i < kQueries; ++i) {
      const __m256i two = load_pair(w + i * kTilePositions + 2 * p);
      for (int l = 0; l < kLanes; ++l) {
        sums[i][l] = _mm256_add_epi32(sums[i][l], _mm256_madd_epi16(pairs[l], two));
      }
    }
  }
  for (std::size_t i = 0; i < kQueries; ++i) {
    for (int l = 0; l < kLanes; ++l) store(a + i * head_dim + 8 * l, sums[i][l]);
  }
}

template <int kQueries, int kLanes>
void value_rows(const std::int16_t* w, std::size_t count, std::size_t head_dim,
                const std::int8_t* v, std::size_t begin, std::size_t end, std::int32_t* a) {
  if constexpr (kQueries > 0) {
    if (count == kQueries) return value_tile<kQueries, kLanes>(w, head_dim, v, begin, end, a);
    value_rows<kQueries - 1, kLanes>(w, count, head_dim, v, begin, end, a);
  }
}

template <int kLanes>
void value_columns(const std::int16_t* w, std::size_t count, std::size_t head_dim,
                   const std::int8_t* v, std::size_t begin, std::size_t end, std::int32_t* a) {
  for (std::size_t i = 0; i < count; i += kTileQueries) {
    value_rows<kTileQueries, kLanes>(w + i * kTilePositions,
                                     std::min<std::size_t>(kTileQueries, count - i), head_dim, v,
                                     begin, end, a + i * head_dim);
  }
}

void values(const std::int16_t* w, std::size_t count, std::size_t head_dim, const std::int8_t* v,
            std::size_t begin, std::size_t end, std::int32_t* a) {
  if (head_dim % 8 != 0) return portable::values(w, count, head_dim, v, begin, end, a);
  std::size_t j = 0;
  for (; j + 16 <= head_dim; j += 16) {
    value_columns<2>(w, count, head_dim, v + 2 * j, begin, end, a + j);
  }
  for (; j < head_dim; j += 8) {
    value_columns<1>(w, count, head_dim, v + 2 * j, begin, end, a + j);
  }
}

}  // namespace
}  // namespace otr::engine

#pragma clang attribute pop

namespace otr::engine {

const Kernel* avx2_kernel() {
  static constexpr Kernel kernel = {"avx2", 0, portable::encode, multiply, scores, weigh, values};
  return &kernel;
}

}  // namespace otr::engine

#else

namespace otr::engine {
const Kernel* avx2_kernel() { return nullptr; }
}  // namespace otr::engine

#endif

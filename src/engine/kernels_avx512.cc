// AVX-512 with VNNI. A product of int8 and int16 is two of bytes: a = 256·hi + lo, both in
// [-128, 127] since |a| <= 32639. vpdpbusd multiplies unsigned by signed bytes, so weights are
// stored with 128 added (their top bit flipped), and every sum begins with -128·Σ of its bytes,
// which takes that off again; modulo 2^32 on the way, exact at the end (SPEC chapter 17).
#include "engine/kernels.h"
#include "engine/kernels_portable.h"

#if defined(__AVX512VNNI__) && defined(__AVX512BW__)

#include <immintrin.h>

#include <algorithm>
#include <cstring>

#include "machine/tables.h"

namespace otr::engine {
namespace {

InputRow encode(const std::int16_t* a, std::size_t cols, int bits, std::uint8_t* out) {
  std::int32_t lo_sum = 0, hi_sum = 0;
  if (bits == 8) {
    for (std::size_t k = 0; k < cols; ++k) {
      out[k] = static_cast<std::uint8_t>(a[k]);
      lo_sum += a[k];
    }
    std::memset(out + cols, 0, encoded_size(cols) - cols);
    return {out, {-128 * lo_sum, 0}};
  }
  // Group by group: four low bytes, four high bytes. Half the group's pattern does eight values.
  const __m512i bytes =
      _mm512_broadcast_i32x4(_mm_setr_epi8(0, 2, 4, 6, 1, 3, 5, 7, 8, 10, 12, 14, 9, 11, 13, 15));
  const __m512i ones = _mm512_set1_epi16(1);
  __m512i lo_sums = _mm512_setzero_si512(), hi_sums = lo_sums;
  for (std::size_t k = 0; k < cols; k += 32) {
    const std::size_t left = std::min<std::size_t>(32, cols - k);
    const auto mask = static_cast<__mmask32>((std::uint64_t{1} << left) - 1);
    const __m512i v = _mm512_maskz_loadu_epi16(mask, a + k);
    const __m512i lo = _mm512_srai_epi16(_mm512_slli_epi16(v, 8), 8);
    const __m512i hi = _mm512_srai_epi16(_mm512_sub_epi16(v, lo), 8);
    lo_sums = _mm512_add_epi32(lo_sums, _mm512_madd_epi16(lo, ones));
    hi_sums = _mm512_add_epi32(hi_sums, _mm512_madd_epi16(hi, ones));
    const __m512i both =
        _mm512_or_si512(_mm512_and_si512(lo, _mm512_set1_epi16(0xff)), _mm512_slli_epi16(hi, 8));
    const __m512i grouped = _mm512_shuffle_epi8(both, bytes);
    const std::size_t size = group_count(left) * 8;
    _mm512_mask_storeu_epi8(out + 2 * k, size == 64 ? ~__mmask64{0} : (__mmask64{1} << size) - 1,
                            grouped);
  }
  lo_sum = _mm512_reduce_add_epi32(lo_sums);
  hi_sum = _mm512_reduce_add_epi32(hi_sums);
  return {out, {-128 * lo_sum, -128 * hi_sum}};
}

inline __m512i broadcast(const std::uint8_t* four) {
  std::int32_t value;
  std::memcpy(&value, four, sizeof value);
  return _mm512_set1_epi32(value);
}

inline void store_wide(std::int64_t* to, __m512i lo, __m512i hi) {
  const auto low = [](__m512i v) { return _mm512_cvtepi32_epi64(_mm512_castsi512_si256(v)); };
  const auto high = [](__m512i v) {
    return _mm512_cvtepi32_epi64(_mm512_extracti64x4_epi64(v, 1));
  };
  _mm512_storeu_si512(to, _mm512_add_epi64(low(lo), _mm512_slli_epi64(low(hi), 8)));
  _mm512_storeu_si512(to + 8, _mm512_add_epi64(high(lo), _mm512_slli_epi64(high(hi), 8)));
}

// How far ahead of its use a weight is asked for where few rows share it: across the ends of pages,
// which the hardware's own prefetching does not cross.
constexpr std::size_t kAheadBytes = 2048;

template <int kRows, int kBlocks, int kPlanes>
void multiply_tile(const std::uint8_t* weights, std::size_t groups, const InputRow* rows,
                   std::int64_t* acc) {
  __m512i sums[kRows][kBlocks][kPlanes];
  const std::uint8_t* a[kRows];
  for (int i = 0; i < kRows; ++i) {
    a[i] = rows[i].data;
    for (int b = 0; b < kBlocks; ++b) {
      for (int p = 0; p < kPlanes; ++p) {
        sums[i][b][p] = _mm512_set1_epi32(rows[i].start[static_cast<std::size_t>(p)]);
      }
    }
  }
  for (std::size_t g = 0; g < groups; ++g) {
    __m512i w[kBlocks];
    for (int b = 0; b < kBlocks; ++b) {
      const std::uint8_t* from = weights + (static_cast<std::size_t>(b) * groups + g) * kGroupBytes;
      if constexpr (kRows * kPlanes < 12) {
        _mm_prefetch(reinterpret_cast<const char*>(from + kAheadBytes), _MM_HINT_T0);
      }
      w[b] = _mm512_loadu_si512(from);
    }
    for (int i = 0; i < kRows; ++i) {
      for (int p = 0; p < kPlanes; ++p) {
        const __m512i four = broadcast(a[i] + 4 * (kPlanes * g + static_cast<std::size_t>(p)));
        for (int b = 0; b < kBlocks; ++b) {
          sums[i][b][p] = _mm512_dpbusd_epi32(sums[i][b][p], w[b], four);
        }
      }
    }
  }
  for (int i = 0; i < kRows; ++i) {
    for (int b = 0; b < kBlocks; ++b) {
      const __m512i hi = kPlanes == 2 ? sums[i][b][kPlanes - 1] : _mm512_setzero_si512();
      store_wide(acc + (i * kBlocks + b) * static_cast<int>(kBlockRows), sums[i][b][0], hi);
    }
  }
}

// Most rows that keep all sums in registers: 24 of 32.
template <int kRows, int kPlanes>
void multiply_rows(const std::uint8_t* weights, std::size_t blocks, std::size_t groups,
                   const InputRow* rows, std::size_t count, std::int64_t* acc) {
  if constexpr (kRows > 0) {
    if (count == kRows) {
      return blocks == 2 ? multiply_tile<kRows, 2, kPlanes>(weights, groups, rows, acc)
                         : multiply_tile<kRows, 1, kPlanes>(weights, groups, rows, acc);
    }
    return multiply_rows<kRows - 1, kPlanes>(weights, blocks, groups, rows, count, acc);
  }
}

void multiply(const std::uint8_t* weights, std::size_t blocks, std::size_t groups,
              const InputRow* rows, std::size_t count, int bits, std::int64_t* acc) {
  if (bits == 8) return multiply_rows<12, 1>(weights, blocks, groups, rows, count, acc);
  // Eight rows are four and four: a tile of two would leave its sums waiting for one another.
  const std::size_t first = count <= 6 ? count : (count + 1) / 2;
  multiply_rows<6, 2>(weights, blocks, groups, rows, first, acc);
  multiply_rows<6, 2>(weights, blocks, groups, rows + first, count - first,
                      acc + first * blocks * kBlockRows);
}

// --- Attention -----------------------------------------------------------------------------------

template <int kQueries>
void score_tile(const std::int16_t* const* q, std::size_t head_dim, const std::int16_t* keys,
                std::int32_t* sums) {
  __m512i sum[kQueries];
  for (auto& s : sum) s = _mm512_setzero_si512();
  for (std::size_t j = 0; j < head_dim; j += 2) {
    const __m512i k = _mm512_loadu_si512(keys + j * kKeyBlock);
    for (int i = 0; i < kQueries; ++i) {
      const __m512i pair = broadcast(reinterpret_cast<const std::uint8_t*>(q[i] + j));
      sum[i] = _mm512_dpwssd_epi32(sum[i], k, pair);
    }
  }
  for (int i = 0; i < kQueries; ++i) {
    _mm512_storeu_si512(sums + static_cast<std::size_t>(i) * kTilePositions, sum[i]);
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
    score_rows<kMostQueries>(q, count, head_dim, k + block * kKeyBlock * head_dim,
                             sums + block * kKeyBlock);
  }
}

// rsh of SPEC ARITH-1 with a shift of its own in each lane, [0, 31].
inline __m512i round_shift(__m512i v, __m512i s) {
  const __m512i one = _mm512_set1_epi32(1);
  const __m512i below =
      _mm512_srav_epi32(v, _mm512_max_epi32(_mm512_sub_epi32(s, one), _mm512_setzero_si512()));
  const __mmask16 shifted = _mm512_cmpgt_epi32_mask(s, _mm512_setzero_si512());
  return _mm512_mask_add_epi32(v, shifted, _mm512_srav_epi32(v, s), _mm512_and_si512(below, one));
}

// EXP2 for 32 indexes below 256: four look-ups of 64 entries each.
class Exp2 {
 public:
  Exp2() {
    const auto table = machine::exp2_table();
    for (std::size_t i = 0; i < 8; ++i) part_[i] = _mm512_loadu_si512(table.data() + 32 * i);
  }
  __m512i operator()(__m512i index) const {
    const auto look_up = [&](std::size_t i) {
      return _mm512_permutex2var_epi16(part_[2 * i], index, part_[2 * i + 1]);
    };
    const __mmask32 bit6 = _mm512_test_epi16_mask(index, _mm512_set1_epi16(64));
    const __mmask32 bit7 = _mm512_test_epi16_mask(index, _mm512_set1_epi16(128));
    const __m512i low = _mm512_mask_blend_epi16(bit6, look_up(0), look_up(1));
    const __m512i high = _mm512_mask_blend_epi16(bit6, look_up(2), look_up(3));
    return _mm512_mask_blend_epi16(bit7, low, high);
  }

 private:
  __m512i part_[8];
};

inline __m512i join_words(__m512i low, __m512i high) {
  return _mm512_inserti64x4(_mm512_castsi256_si512(_mm512_cvtepi32_epi16(low)),
                            _mm512_cvtepi32_epi16(high), 1);
}

// rsh(p, gap) for 32 words p < 2^15; from 16 on it is 0.
inline __m512i round_shift_words(__m512i p, __m512i gap) {
  return _mm512_avg_epu16(_mm512_srlv_epi16(_mm512_add_epi16(p, p), gap), _mm512_setzero_si512());
}

inline __m512i exponents(const std::int8_t* e) {
  return _mm512_cvtepi8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(e)));
}

TileSums weigh(const std::int32_t* sums, int q_exponent, const KvTile& tile, std::size_t begin,
               std::size_t end, std::int16_t* w) {
  alignas(64) std::array<std::int32_t, kTilePositions> z, y;  // scores; octaves less v's exponents
  __m512i m = _mm512_set1_epi32(INT32_MIN), x = m;
  const std::size_t from = begin / 32 * 32;
  const __m512i lane = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
  for (std::size_t u = from; u < (end + 31) / 32 * 32; u += kKeyBlock) {
    const __m512i at = _mm512_add_epi32(lane, _mm512_set1_epi32(static_cast<int>(u)));
    const __mmask16 inside =
        _mm512_cmpge_epi32_mask(at, _mm512_set1_epi32(static_cast<int>(begin))) &
        _mm512_cmplt_epi32_mask(at, _mm512_set1_epi32(static_cast<int>(end)));
    const __m512i shift =
        _mm512_add_epi32(exponents(tile.k_exponent + u), _mm512_set1_epi32(q_exponent - 8));
    const __m512i score = round_shift(_mm512_maskz_loadu_epi32(inside, sums + u),
                                      _mm512_maskz_mov_epi32(inside, shift));
    const __m512i octave = _mm512_srai_epi32(score, 8);
    const __m512i less = _mm512_sub_epi32(octave, exponents(tile.v_exponent + u));
    m = _mm512_mask_max_epi32(m, inside, m, octave);
    x = _mm512_mask_max_epi32(x, inside, x, less);
    _mm512_store_si512(z.data() + u, score);
    _mm512_store_si512(y.data() + u, less);
  }
  TileSums result{_mm512_reduce_max_epi32(m), _mm512_reduce_max_epi32(x), 0};
  for (std::size_t u = 0; u < from; u += 32) _mm512_storeu_si512(w + u, _mm512_setzero_si512());
  for (std::size_t u = end; u < kTilePositions; ++u) w[u] = 0;
  const Exp2 exp2;
  const __m512i top_m = _mm512_set1_epi32(result.m), top_x = _mm512_set1_epi32(result.x);
  __m512i s = _mm512_setzero_si512();
  for (std::size_t u = from; u < end; u += 32) {
    const auto inside = static_cast<__mmask32>(
        (u < begin ? ~std::uint32_t{0} << (begin - u) : ~std::uint32_t{0}) &
        (end - u < 32 ? (std::uint32_t{1} << (end - u)) - 1 : ~std::uint32_t{0}));
    const __m512i z0 = _mm512_load_si512(z.data() + u), z1 = _mm512_load_si512(z.data() + u + 16);
    const auto gap = [](__m512i top, __m512i v) {
      return _mm512_min_epu32(_mm512_sub_epi32(top, v), _mm512_set1_epi32(31));
    };
    const __m512i powers = exp2(_mm512_and_si512(join_words(z0, z1), _mm512_set1_epi16(255)));
    const __m512i to_m =
        join_words(gap(top_m, _mm512_srai_epi32(z0, 8)), gap(top_m, _mm512_srai_epi32(z1, 8)));
    const __m512i to_x = join_words(gap(top_x, _mm512_load_si512(y.data() + u)),
                                    gap(top_x, _mm512_load_si512(y.data() + u + 16)));
    const __m512i p = _mm512_maskz_mov_epi16(inside, round_shift_words(powers, to_m));
    s = _mm512_add_epi32(s, _mm512_madd_epi16(p, _mm512_set1_epi16(1)));
    _mm512_storeu_si512(w + u, _mm512_maskz_mov_epi16(inside, round_shift_words(powers, to_x)));
  }
  result.s = _mm512_reduce_add_epi32(s);
  return result;
}

// a += w·v for `kQueries` queries and 16·kLanes columns from `j` on.
template <int kQueries, int kLanes>
void value_tile(const std::int16_t* w, std::size_t head_dim, const std::int8_t* v,
                std::size_t begin, std::size_t end, std::int32_t* a) {
  __m512i sums[kQueries][kLanes];
  for (auto& row : sums) {
    for (auto& s : row) s = _mm512_setzero_si512();
  }
  for (std::size_t p = begin; p < end; ++p) {
    __m512i pairs[kLanes];
    for (int l = 0; l < kLanes; ++l) {
      pairs[l] = _mm512_cvtepi8_epi16(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(
          v + (p * head_dim + 16 * static_cast<std::size_t>(l)) * 2)));
    }
    for (int i = 0; i < kQueries; ++i) {
      const __m512i two = broadcast(reinterpret_cast<const std::uint8_t*>(
          w + static_cast<std::size_t>(i) * kTilePositions + 2 * p));
      for (int l = 0; l < kLanes; ++l) sums[i][l] = _mm512_dpwssd_epi32(sums[i][l], pairs[l], two);
    }
  }
  for (int i = 0; i < kQueries; ++i) {
    for (int l = 0; l < kLanes; ++l) {
      _mm512_storeu_si512(a + static_cast<std::size_t>(i) * head_dim + 16 * l, sums[i][l]);
    }
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
  constexpr std::size_t kQueries = 6;  // 24 sums in registers
  for (std::size_t i = 0; i < count; i += kQueries) {
    value_rows<kQueries, kLanes>(w + i * kTilePositions, std::min(kQueries, count - i), head_dim, v,
                                 begin, end, a + i * head_dim);
  }
}

void values(const std::int16_t* w, std::size_t count, std::size_t head_dim, const std::int8_t* v,
            std::size_t begin, std::size_t end, std::int32_t* a) {
  if (head_dim % 16 != 0) return portable::values(w, count, head_dim, v, begin, end, a);
  std::size_t j = 0;
  for (; j + 64 <= head_dim; j += 64) {
    value_columns<4>(w, count, head_dim, v + 2 * j, begin, end, a + j);
  }
  for (; j < head_dim; j += 16) {
    value_columns<1>(w, count, head_dim, v + 2 * j, begin, end, a + j);
  }
}

}  // namespace

const Kernel* avx512_kernel() {
  static constexpr Kernel kernel = {"avx512-vnni", 0x80, encode, multiply, scores, weigh, values};
  return &kernel;
}

}  // namespace otr::engine

#else

namespace otr::engine {
const Kernel* avx512_kernel() { return nullptr; }
}  // namespace otr::engine

#endif

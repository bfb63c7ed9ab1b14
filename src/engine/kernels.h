// The inner loops that an instruction set decides: products of packed weights with input rows, and
// the three loops of attention over cached tiles. One table of functions per instruction set; all
// give the same integers (SPEC OP-1, OP-10, OP-11), so the choice never shows in a result.
//
// Layouts, private to the engine (the committed bytes stay canonical):
//   weights  blocks of 16 rows; a block holds, for each group of 4 columns, 16 rows × 4 bytes.
//            Every byte is xored with the kernel's `weight_flip`. Rows and columns that a matrix
//            lacks are weights of 0.
//   keys     of a tile of 128 positions: 8 blocks of 16 positions, each [head_dim/2][16][2] int16.
//   values   of a tile: [64 pairs of positions][head_dim][2] int8.
#ifndef OTR_ENGINE_KERNELS_H_
#define OTR_ENGINE_KERNELS_H_

#include <array>
#include <cstdint>
#include <span>

namespace otr::engine {

inline constexpr std::size_t kBlockRows = 16;
inline constexpr std::size_t kGroupColumns = 4;
inline constexpr std::size_t kGroupBytes = kBlockRows * kGroupColumns;
inline constexpr std::size_t kKeyBlock = 16;  // positions
inline constexpr std::size_t kTilePositions = 128;
inline constexpr std::size_t kMostBlocks = 2;    // of one multiply
inline constexpr std::size_t kMostRows = 12;     // of one multiply
inline constexpr std::size_t kMostQueries = 16;  // of one scores or values

// The groups that a row of `cols` values has.
constexpr std::size_t group_count(std::size_t cols) {
  return (cols + kGroupColumns - 1) / kGroupColumns;
}
// Bytes of an encoded row, whatever the kernel; what lies between the values' end and this is zero.
constexpr std::size_t encoded_size(std::size_t cols) { return group_count(cols) * 8; }

// An input row as encode() left it.
struct InputRow {
  const std::uint8_t* data = nullptr;  // encoded_size() bytes
  // What the sums of the low and the high bytes begin with, so that a flip of the weights cancels.
  std::array<std::int32_t, 2> start{};
};

// A tile of one key/value head in the cache.
struct KvTile {
  const std::int16_t* k = nullptr;
  const std::int8_t* v = nullptr;
  const std::int8_t* k_exponent = nullptr;  // 128
  const std::int8_t* v_exponent = nullptr;  // 128
};

// M, X and S of SPEC OP-11.
struct TileSums {
  std::int32_t m = 0, x = 0, s = 0;
};

struct Kernel {
  const char* name;
  std::uint8_t weight_flip;

  // Encodes `cols` values, |a| <= 32639, or <= 127 where `bits` is 8, into encoded_size(cols)
  // bytes.
  InputRow (*encode)(const std::int16_t* a, std::size_t cols, int bits, std::uint8_t* out);
  // acc[i][n] = Σ w[n][k]·a_i[k], exact, over `blocks` <= kMostBlocks consecutive blocks and
  // `count` <= kMostRows rows; acc is [count][16·blocks].
  void (*multiply)(const std::uint8_t* weights, std::size_t blocks, std::size_t groups,
                   const InputRow* rows, std::size_t count, int bits, std::int64_t* acc);
  // sums[i][u] = Σ_j q_i[j]·k_u[j] for the positions of the blocks [begin, end) of a tile; sums is
  // [count][128] with count <= kMostQueries, q is [count] rows of `head_dim` values.
  void (*scores)(const std::int16_t* const* q, std::size_t count, std::size_t head_dim,
                 const std::int16_t* k, std::size_t begin, std::size_t end, std::int32_t* sums);
  // SPEC OP-10 and OP-11 but for A: the weights of the tile's positions [begin, end) from their
  // sums; all other w are 0. Requires begin < end <= 128.
  TileSums (*weigh)(const std::int32_t* sums, int q_exponent, const KvTile& tile, std::size_t begin,
                    std::size_t end, std::int16_t* w);
  // a[i][j] = Σ_u w_i[u]·v_u[j] over the pairs of positions [begin, end) of a tile; w is
  // [count][128], a is [count][head_dim].
  void (*values)(const std::int16_t* w, std::size_t count, std::size_t head_dim,
                 const std::int8_t* v, std::size_t begin, std::size_t end, std::int32_t* a);
};

// The kernels that this processor can run, the fastest first; the last is the portable one.
std::span<const Kernel* const> kernels();
inline const Kernel& best_kernel() { return *kernels().front(); }

// The tables of the instruction sets; null where this build has none.
const Kernel* portable_kernel();
const Kernel* avx2_kernel();
const Kernel* avx512_kernel();   // AVX-512 with VNNI
const Kernel* dotprod_kernel();  // NEON with dotprod
const Kernel* i8mm_kernel();     // NEON with i8mm

}  // namespace otr::engine

#endif  // OTR_ENGINE_KERNELS_H_

// Lowering: what the program of a model is, without its weights (SPEC PROG).
//
// A referee knows a model's configuration and opens single weights; so a step (step.h) takes a
// Program and reads weights through its accessor. The engine reads the same facts from a Model.
#ifndef OTR_MACHINE_PROGRAM_H_
#define OTR_MACHINE_PROGRAM_H_

#include <array>
#include <cstdint>
#include <vector>

#include "machine/model.h"

namespace otr::machine {

enum class MatrixId : std::uint8_t { kWq, kWk, kWv, kWo, kGate, kUp, kDown, kEmbed, kHead };
enum class GainId : std::uint8_t { kAttnNorm, kQNorm, kKNorm, kMlpNorm, kFinalNorm };

struct MatrixInfo {
  std::uint32_t rows = 0;
  std::uint32_t cols = 0;
  int exponent = 0;
  bool has_bias = false;
};

struct LayerInfo {
  std::array<MatrixInfo, 7> matrices;  // kWq to kDown
  std::array<int, 4> gain_exponents;   // kAttnNorm to kMlpNorm
  RowBounds bounds;
};

struct Program {
  Shape shape;
  std::vector<LayerInfo> layers;
  MatrixInfo embed, head;
  int final_norm_exponent = 0;
  std::int32_t head_bound = 32639;
};

Program lower(const Model& model);

// The layer number that names the program of the head (SPEC PROG-3).
inline constexpr std::uint32_t kHeadLayer = UINT32_MAX;

// What is added to the logit of one id (SPEC SAMP-1).
struct LogitBias {
  std::uint32_t id = 0;
  std::int32_t value = 0;  // 2^16: one natural-log unit

  bool operator==(const LogitBias&) const = default;
};

// The sampler's parameters, all under the request (SPEC SAMP).
struct Sampling {
  std::uint32_t inv_t = 0;      // 2^16 · log2(e) / temperature; 0: greedy
  std::uint32_t top_k = 0;      // 0: off
  std::uint32_t top_p = 65536;  // 65536: off
  std::uint32_t min_p = 0;      // 0: off
  std::int32_t presence = 0;    // 2^16: one natural-log unit
  std::int32_t frequency = 0;
  std::array<std::uint8_t, 32> seed{};
  std::vector<LogitBias> logit_bias;  // strictly ascending ids, each below the vocabulary

  bool greedy() const { return inv_t == 0; }
};

inline constexpr std::uint32_t kMaxInvT = 1 << 24;
inline constexpr std::int32_t kMaxPenalty = 1 << 20;
inline constexpr std::int32_t kMaxLogitBias = 100 << 16;
inline constexpr std::size_t kMaxLogitBiases = 300;
inline constexpr std::uint32_t kPenaltyWindow = 4096;  // SPEC SAMP-1

// First position a query at t attends to (SPEC OP-10), and its attention tiles.
inline constexpr std::uint32_t kTile = 128;
constexpr std::uint32_t first_attended(std::uint32_t t, std::uint32_t window) {
  return window != 0 && t + 1 > window ? t + 1 - window : 0;
}
struct TileRange {
  std::uint32_t first = 0;
  std::uint32_t count = 0;
};
constexpr TileRange tiles_of(std::uint32_t t, std::uint32_t window) {
  const std::uint32_t first = first_attended(t, window) / kTile;
  return {first, t / kTile - first + 1};
}

// Bound of a q row (SPEC OP-8).
constexpr std::int32_t q_bound(std::uint32_t head_dim) { return head_dim <= 128 ? 4095 : 2047; }
inline constexpr std::int32_t kKBound = 4095;
inline constexpr std::int32_t kVBound = 127;
inline constexpr std::int32_t kGateBound = 32639;
inline constexpr int kGateCap = 15;

inline constexpr std::uint32_t kDotTerms = 2048;   // K(n)
inline constexpr std::uint32_t kPartTerms = 4096;  // P(n)
inline constexpr std::uint32_t kFoldTerms = 1024;  // Q(n)
constexpr std::uint32_t blocks(std::uint32_t n, std::uint32_t size) {
  return (n + size - 1) / size;
}

}  // namespace otr::machine

#endif  // OTR_MACHINE_PROGRAM_H_

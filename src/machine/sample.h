// The sampler (SPEC SAMP): from a row of logits to the next token, in integers.
#ifndef OTR_MACHINE_SAMPLE_H_
#define OTR_MACHINE_SAMPLE_H_

#include <array>
#include <cstdint>
#include <span>

#include "machine/arith.h"
#include "machine/program.h"
#include "machine/tables.h"

namespace otr::machine {

inline constexpr std::int64_t kMaxDistance = (1 << 24) - 1;
inline constexpr std::int64_t kKeepAll = (std::int64_t{1} << 42) - 1;  // the cut that keeps all
inline constexpr std::int64_t kNotKept = -(std::int64_t{1} << 30);     // below every score
inline constexpr std::int64_t kMassOne = std::int64_t{1} << 28;
// No noise is greater: GUMBEL's greatest entry and 17 octaves more (u = 0).
inline constexpr std::int64_t kMaxNoise = (16 + 17) << 16;

// SAMP-3. Requires 0 <= gap = L_max - L_j <= 2^34.
constexpr std::int64_t distance(std::int64_t gap, std::uint32_t inv_t) {
  return std::min(rsh(gap * inv_t, 16), kMaxDistance);
}
constexpr std::int64_t key_of(std::int64_t delta, std::uint32_t id) { return delta << 18 | id; }
constexpr std::uint32_t id_of(std::int64_t key) {
  return static_cast<std::uint32_t>(key & 0x3ffff);
}

// SAMP-8: the row and column of GUMBEL for the noise word u, and the octaves beyond its last row.
struct NoiseIndex {
  std::uint32_t row = 0;
  std::uint32_t column = 0;
  std::int32_t extra = 0;
};
constexpr NoiseIndex noise_index(std::uint32_t u) {
  const int k = 32 - bitlen(u);
  const int row = std::min(k, 15);
  // The leading one is dropped from the top; what follows it fills 12 bits, zeros after the end.
  const std::uint32_t column =
      u == 0 ? 0 : static_cast<std::uint32_t>((std::uint64_t{u} << (k + 1)) >> 20) & 0xfff;
  return {static_cast<std::uint32_t>(row), column, (k - row) << 16};
}

// The eight noise words of ids [8·block, 8·block + 8) for the token of `position` (SAMP-8). The
// hash lives on a higher floor (trace/noise.h); the machine only says what it needs.
using NoiseBlock = std::array<std::uint32_t, 8> (*)(const std::array<std::uint8_t, 32>& seed,
                                                    std::uint32_t position, std::uint32_t block);

struct Choice {
  std::uint32_t token = 0;
  std::int64_t k_cut = kKeepAll;  // tensors of PROG-3, for the micro-trace
  std::int64_t p_cut = kKeepAll;
};

// The token of position t + 1. `logits` has one value per id, each in [-2^31, 2^31 - 1];
// `recent` holds the output tokens among the last 4096 positions up to t; its ids and those of the
// logit bias are below the number of logits.
Choice choose_token(std::span<const std::int32_t> logits, std::span<const std::uint32_t> recent,
                    const Sampling& sampling, std::uint32_t t, NoiseBlock noise);

}  // namespace otr::machine

#endif  // OTR_MACHINE_SAMPLE_H_

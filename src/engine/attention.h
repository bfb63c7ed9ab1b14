// Attention of one head at one position, over rows as they are cached (SPEC OP-10 to OP-12).
#ifndef OTR_ENGINE_ATTENTION_H_
#define OTR_ENGINE_ATTENTION_H_

#include <cstdint>
#include <span>
#include <vector>

namespace otr::engine {

// The cached rows of one key/value head, from position 0: `head_dim` values each.
struct KvRows {
  const std::int16_t* k = nullptr;
  const std::int8_t* k_exponent = nullptr;
  const std::int8_t* v = nullptr;
  const std::int8_t* v_exponent = nullptr;
};

// Memory that one thread reuses between heads.
struct AttentionScratch {
  std::vector<std::int64_t> m, x, s;  // one for each tile
  std::vector<std::int64_t> a;        // [tile][head_dim]
};

// Writes o_j (OP-12) for the positions [lo, t] and returns their exponent. Requires lo <= t,
// q.size() == head_dim == out.size(), and exponents within SPEC OP-8 and OP-9.
int attend(std::span<const std::int16_t> q, int q_exponent, const KvRows& kv, std::uint32_t lo,
           std::uint32_t t, AttentionScratch& scratch, std::span<std::int64_t> out);

}  // namespace otr::engine

#endif  // OTR_ENGINE_ATTENTION_H_

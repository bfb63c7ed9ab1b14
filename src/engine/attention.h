// Attention over cached tiles (SPEC OP-10 to OP-12), for several queries of one key/value head at
// once: they share every load of the cache.
#ifndef OTR_ENGINE_ATTENTION_H_
#define OTR_ENGINE_ATTENTION_H_

#include <cstdint>
#include <span>
#include <vector>

#include "engine/kernels.h"
#include "engine/kv_cache.h"
#include "machine/arith.h"

namespace otr::engine {

// What attention gives for a query beside rsh(A_j, s) of OP-12: o_j is that times r, with
// `exponent`; the extremes are those of o.
struct HeadOutput {
  std::int64_t r = 0;
  int exponent = 0;
  machine::Extremes extremes;
};

struct Query {
  const std::int16_t* q = nullptr;  // head_dim values
  int exponent = 0;
  std::uint32_t lo = 0, t = 0;  // attends the positions [lo, t]
  std::int32_t* out = nullptr;  // head_dim values rsh(A_j, s), 19 bits
  HeadOutput* output = nullptr;
};

// Memory that one thread reuses.
struct AttentionScratch {
  std::vector<std::int32_t> sums;  // [query][128]
  std::vector<std::int16_t> w;     // [query][128]
  std::vector<std::int32_t> a;     // [tile][query][head_dim]
  std::vector<TileSums> tiles;     // [tile][query]
};

// Requires 1 <= queries.size() <= kMostQueries, lo <= t < cache.size(), and exponents within SPEC
// OP-8 and OP-9.
void attend(const Kernel& kernel, std::span<const Query> queries, const KvCache& cache,
            std::uint32_t layer, std::uint32_t g, std::size_t head_dim, AttentionScratch& scratch);

}  // namespace otr::engine

#endif  // OTR_ENGINE_ATTENTION_H_

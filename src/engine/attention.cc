#include "engine/attention.h"

#include <algorithm>
#include <array>
#include <utility>

#include "base/multiversion.h"
#include "engine/rows.h"

namespace otr::engine {
namespace {

using machine::rsh;

// The positions of a tile that a query attends.
struct Span {
  std::size_t begin = kTilePositions, end = 0;
};
Span part_of(const Query& query, std::size_t tile) {
  const std::size_t first = tile * kTilePositions;
  if (query.t < first || query.lo >= first + kTilePositions) return {};
  return {query.lo > first ? query.lo - first : 0,
          std::min<std::size_t>(query.t + 1 - first, kTilePositions)};
}

// One tile (OP-11) of all queries; queries that attend nothing of it get no weight.
void attend_tile(const Kernel& kernel, std::span<const Query> queries, const KvTile& kv,
                 std::size_t tile, std::size_t head_dim, AttentionScratch& scratch, TileSums* sums,
                 std::int32_t* a) {
  std::array<const std::int16_t*, kMostQueries> q;
  Span all;
  for (std::size_t i = 0; i < queries.size(); ++i) {
    q[i] = queries[i].q;
    const Span part = part_of(queries[i], tile);
    all.begin = std::min(all.begin, part.begin);
    all.end = std::max(all.end, part.end);
  }
  kernel.scores(q.data(), queries.size(), head_dim, kv.k, all.begin / kKeyBlock,
                (all.end + kKeyBlock - 1) / kKeyBlock, scratch.sums.data());
  for (std::size_t i = 0; i < queries.size(); ++i) {
    const Span part = part_of(queries[i], tile);
    std::int16_t* const w = scratch.w.data() + i * kTilePositions;
    if (part.begin >= part.end) {
      std::fill_n(w, kTilePositions, std::int16_t{0});
      continue;
    }
    sums[i] = kernel.weigh(scratch.sums.data() + i * kTilePositions, queries[i].exponent, kv,
                           part.begin, part.end, w);
  }
  kernel.values(scratch.w.data(), queries.size(), head_dim, kv.v, all.begin / 2, (all.end + 1) / 2,
                a);
}

OTR_MULTIVERSION void set_shifted(std::span<std::int64_t> to, const std::int32_t* a, int shift) {
  for (std::size_t j = 0; j < to.size(); ++j) to[j] = std::int64_t{a[j]} << shift;
}

OTR_MULTIVERSION void add_shifted(std::span<std::int64_t> to, const std::int32_t* a, int shift) {
  for (std::size_t j = 0; j < to.size(); ++j) to[j] += std::int64_t{a[j]} << shift;
}

OTR_MULTIVERSION void round_sums(std::span<const std::int64_t> sums, int s, std::int32_t* out) {
  // |A| < 2^62 (SPEC chapter 17), so that half a unit may be added.
  const std::int64_t half = s == 0 ? 0 : std::int64_t{1} << (s - 1);
  for (std::size_t j = 0; j < sums.size(); ++j) {
    out[j] = static_cast<std::int32_t>((sums[j] + half) >> s);
  }
}

// OP-12. `sums` and `a` are the query's of its first tile; those of the next are `count` queries
// on.
void join_tiles(const Query& query, std::size_t tiles, std::size_t count, std::size_t head_dim,
                const TileSums* sums, const std::int32_t* a) {
  std::int64_t m = INT64_MIN, x = INT64_MIN;
  for (std::size_t i = 0; i < tiles; ++i) {
    m = std::max<std::int64_t>(m, sums[i * count].m);
    x = std::max<std::int64_t>(x, sums[i * count].x);
  }
  std::array<std::int64_t, machine::kMaxHeadDim> memory;
  const auto total = std::span(memory).first(head_dim);
  std::int64_t sum = 0;
  bool empty = true;  // not after the loop: the tile of X has no gap
  for (std::size_t i = 0; i < tiles; ++i) {
    const TileSums& tile = sums[i * count];
    if (m - tile.m <= 23) sum += std::int64_t{tile.s} << (23 - (m - tile.m));
    if (x - tile.x > 23) continue;
    const auto join = std::exchange(empty, false) ? set_shifted : add_shifted;
    join(total, a + i * count * head_dim, static_cast<int>(23 - (x - tile.x)));
  }
  const int b = machine::bitlen(static_cast<std::uint64_t>(sum)) - 31;
  const std::int64_t r = (std::int64_t{1} << 46) / (sum >> b);
  const machine::Extremes e = extremes_of(total);
  const int s = e.least_shift(machine::kSigned19);
  round_sums(total, s, query.out);
  *query.output = {r, static_cast<int>(46 - s + b + m - x), {rsh(e.hi, s) * r, rsh(e.lo, s) * r}};
}

}  // namespace

void attend(const Kernel& kernel, std::span<const Query> queries, const KvCache& cache,
            std::uint32_t layer, std::uint32_t g, std::size_t head_dim, AttentionScratch& scratch) {
  const std::size_t count = queries.size();
  std::size_t first = SIZE_MAX, last = 0;
  for (const Query& query : queries) {
    first = std::min<std::size_t>(first, query.lo / kTilePositions);
    last = std::max<std::size_t>(last, query.t / kTilePositions);
  }
  scratch.sums.resize(kMostQueries * kTilePositions);
  scratch.w.resize(kMostQueries * kTilePositions);
  scratch.tiles.resize((last - first + 1) * count);
  scratch.a.resize((last - first + 1) * count * head_dim);
  for (std::size_t tile = first; tile <= last; ++tile) {
    attend_tile(kernel, queries, cache.tile(layer, g, tile), tile, head_dim, scratch,
                scratch.tiles.data() + (tile - first) * count,
                scratch.a.data() + (tile - first) * count * head_dim);
  }
  for (std::size_t i = 0; i < count; ++i) {
    const std::size_t begin = queries[i].lo / kTilePositions;
    const std::size_t tiles = queries[i].t / kTilePositions - begin + 1;
    const std::size_t at = (begin - first) * count + i;
    join_tiles(queries[i], tiles, count, head_dim, scratch.tiles.data() + at,
               scratch.a.data() + at * head_dim);
  }
}

}  // namespace otr::engine

#include "node/logprobs.h"

#include <algorithm>
#include <numeric>

#include "base/check.h"
#include "eval/log_softmax.h"

namespace otr::node {

TokenLogprobs logprobs_of(std::span<const std::int32_t> logits, std::uint32_t chosen,
                          unsigned likeliest) {
  OTR_CHECK(chosen < logits.size());
  const std::vector<double> row = eval::log_softmax(logits, eval::kLogitUnit);
  TokenLogprobs logprobs{.chosen = {chosen, row[chosen]}, .likeliest = {}};
  if (likeliest == 0) return logprobs;
  std::vector<std::uint32_t> ids(row.size());
  std::iota(ids.begin(), ids.end(), 0u);
  const std::size_t count = std::min<std::size_t>(likeliest, ids.size());
  std::ranges::partial_sort(
      ids, ids.begin() + static_cast<std::ptrdiff_t>(count),
      [&](std::uint32_t a, std::uint32_t b) { return row[a] != row[b] ? row[a] > row[b] : a < b; });
  for (std::size_t i = 0; i < count; ++i) logprobs.likeliest.push_back({ids[i], row[ids[i]]});
  return logprobs;
}

}  // namespace otr::node

// In which batch a claim stands, and why: what an operator gives a client beside its receipt.
#ifndef OTR_ROLLUP_POSTED_H_
#define OTR_ROLLUP_POSTED_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"

namespace otr::rollup {

struct Posted {
  std::uint64_t batch = 0;
  std::uint32_t index = 0;
  std::vector<Hash> path;  // ledger::check_leaf
};

// {"batch":"1","index":0,"path":["0x..."]} as canonical JSON and one line feed.
[[nodiscard]] std::string encode_posted(const Posted& posted);
// Only that: MALFORMED, NOT_CANONICAL or LIMIT_EXCEEDED.
[[nodiscard]] Result<Posted> decode_posted(std::string_view text);

}  // namespace otr::rollup

#endif  // OTR_ROLLUP_POSTED_H_

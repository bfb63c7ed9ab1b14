// The loop that reads memory, compiled for several instruction sets of which the loader picks one.
#include <cstring>

#include "apps/bench_ceilings.h"
#include "base/multiversion.h"

namespace otr::apps {
namespace {

using Line = std::uint64_t __attribute__((vector_size(64)));  // one line of a cache

}  // namespace

// Pattern 0 reads from end to end and leaves the rest to the hardware; 1 and 2 ask for what comes
// 2 and 8 KiB later; 3 reads four quarters side by side. A sanitizer would measure itself here.
__attribute__((no_sanitize("address", "undefined", "thread"))) OTR_MULTIVERSION std::uint64_t
read_once(std::span<const std::uint8_t> bytes, int pattern) {
  Line sums[4] = {};
  const std::size_t streams = pattern == 3 ? 4 : 1;
  const std::size_t size = bytes.size() / streams;
  const std::size_t ahead = pattern == 1 ? 2048 : pattern == 2 ? 8192 : 0;
  for (std::size_t at = 0; at < size; at += 4 * sizeof(Line)) {
    for (std::size_t s = 0; s < streams; ++s) {
      const std::uint8_t* from = bytes.data() + s * size + at;
      const auto* lines = reinterpret_cast<const Line*>(from);
      for (std::size_t i = 0; i < 4; ++i) {
        if (ahead != 0) __builtin_prefetch(from + ahead + i * sizeof(Line));
        sums[i] += lines[i];
      }
    }
  }
  const Line sum = sums[0] + sums[1] + sums[2] + sums[3];
  std::uint64_t result = 0;
  for (int i = 0; i < 8; ++i) result += sum[i];
  return result;
}

}  // namespace otr::apps

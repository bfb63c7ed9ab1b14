#include "prover/words.h"

#include <new>

#if defined(__linux__)
#include <sys/mman.h>
#endif

namespace otr::prover {
namespace {

constexpr std::size_t kLargePage = std::size_t{2} << 20;
constexpr std::size_t kSmallest = 64;  // a vector of the widest set

}  // namespace

Words make_words(std::size_t count) {
  const std::size_t wanted = count * sizeof(std::uint64_t);
  const std::size_t unit = wanted < kLargePage ? kSmallest : kLargePage;
  const std::size_t size = (wanted / unit + 1) * unit;  // never 0
  void* memory = std::aligned_alloc(unit, size);
  if (memory == nullptr) throw std::bad_alloc();
#if defined(__linux__)
  // Only advice: where it is refused, the pages are small.
  if (unit == kLargePage) static_cast<void>(madvise(memory, size, MADV_HUGEPAGE));
#endif
  return Words(static_cast<std::uint64_t*>(memory));
}

}  // namespace otr::prover

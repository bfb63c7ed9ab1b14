#include "prover/words.h"

#include <new>

#if defined(__linux__)
#include <sys/mman.h>
#endif

namespace otr::prover {
namespace {

constexpr std::size_t kLargePage = std::size_t{2} << 20;

}  // namespace

void FreeWords::operator()(std::uint64_t* words) const {
  ::operator delete(words, std::align_val_t{kLargePage});
}

Words make_words(std::size_t count) {
  const std::size_t bytes = count * sizeof(std::uint64_t);
  Words words(static_cast<std::uint64_t*>(::operator new(bytes, std::align_val_t{kLargePage})));
#if defined(__linux__)
  // Only advice: where it is refused, the pages are small.
  static_cast<void>(madvise(words.get(), bytes, MADV_HUGEPAGE));
#endif
  return words;
}

}  // namespace otr::prover

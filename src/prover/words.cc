#include "prover/words.h"

#include <new>

namespace otr::prover {
namespace {

constexpr std::align_val_t kLine{64};  // of a cache, and the width of the widest vector

}  // namespace

void FreeWords::operator()(std::uint64_t* words) const { ::operator delete(words, kLine); }

WordArray make_words(std::size_t count) {
  return WordArray(
      static_cast<std::uint64_t*>(::operator new(count * sizeof(std::uint64_t), kLine)));
}

}  // namespace otr::prover

// Large arrays of u64 for the prover. They are not touched before they are written, so that each
// thread meets its own part first. (Pages of 2 MiB were tried and gained nothing: on a virtual
// machine the first touch of memory costs what the host takes to provide it.)
#ifndef OTR_PROVER_WORDS_H_
#define OTR_PROVER_WORDS_H_

#include <cstddef>
#include <cstdint>
#include <memory>

namespace otr::prover {

struct FreeWords {
  void operator()(std::uint64_t* words) const;
};
using WordArray = std::unique_ptr<std::uint64_t[], FreeWords>;

// Not initialised. Throws std::bad_alloc.
[[nodiscard]] WordArray make_words(std::size_t count);

}  // namespace otr::prover

#endif  // OTR_PROVER_WORDS_H_

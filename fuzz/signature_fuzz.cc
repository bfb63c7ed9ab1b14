// Signature bytes from outside: `recover` answers every one, and whatever it accepts is in the one
// form that SPEC REQ-6 allows.
#include <algorithm>
#include <cstdlib>

#include "crypto/secp256k1.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace otr;
  const ByteView input(data, size);
  Hash digest{};
  std::copy_n(input.begin(), std::min(size, digest.size()), digest.begin());
  const ByteView signature = input.subspan(std::min(size, digest.size()));
  if (crypto::recover(digest, signature)) {
    if (signature.size() != 65 || (signature[64] != 27 && signature[64] != 28)) std::abort();
    if (signature[32] >= 0x80) std::abort();
  }
  return 0;
}

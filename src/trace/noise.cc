#include "trace/noise.h"

#include <cstring>

#include "base/bytes.h"
#include "crypto/sha256.h"

namespace otr::trace {

std::array<std::uint32_t, 8> noise_block(const std::array<std::uint8_t, 32>& seed,
                                         std::uint32_t position, std::uint32_t block) {
  std::array<std::uint8_t, 8> counters;
  store_le(counters.data(), position);
  store_le(counters.data() + 4, block);
  const Hash hash = crypto::sha256({as_bytes(std::string_view("OTR.gumb")), seed, counters});
  std::array<std::uint32_t, 8> words;
  std::memcpy(words.data(), hash.data(), hash.size());
  return words;
}

}  // namespace otr::trace

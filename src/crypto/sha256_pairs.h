// Many messages of one size under one tag, hashed in pairs: leaves and nodes of trees.
//
// The SHA extensions of a processor finish a round only some cycles after they began it; two
// messages side by side fill the gap, which is worth nearly a factor of two over one after the
// other. No library in Debian does this, hence the code here; it is tested against OpenSSL.
#ifndef OTR_CRYPTO_SHA256_PAIRS_H_
#define OTR_CRYPTO_SHA256_PAIRS_H_

#include <span>
#include <string_view>

#include "base/bytes.h"

namespace otr::crypto {

// hashes[i] = SHA-256 of `tag` and the i-th of consecutive messages of `size` bytes, of which the
// first begins at `messages` and each other `stride` bytes after the one before. Requires a tag of
// 8 bytes.
void sha256_each(std::string_view tag, const std::uint8_t* messages, std::size_t size,
                 std::size_t stride, std::span<Hash> hashes);

}  // namespace otr::crypto

#endif  // OTR_CRYPTO_SHA256_PAIRS_H_

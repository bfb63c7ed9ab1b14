// HKDF with SHA-256 (RFC 5869): from a secret that is not uniform to keys that are.
#ifndef OTR_CRYPTO_HKDF_H_
#define OTR_CRYPTO_HKDF_H_

#include <span>

#include "base/bytes.h"
#include "crypto/secret.h"

namespace otr::crypto {

inline constexpr std::size_t kMaxHkdfBytes = 255 * 32;

[[nodiscard]] Secret<32> hkdf_extract(ByteView salt, ByteView input);

// Fills `to`, which has at most kMaxHkdfBytes. `secret` is hkdf_extract's or as good.
void hkdf_expand(ByteView secret, ByteView info, std::span<std::uint8_t> to);

}  // namespace otr::crypto

#endif  // OTR_CRYPTO_HKDF_H_

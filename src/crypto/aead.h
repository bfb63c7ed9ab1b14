// ChaCha20-Poly1305 (RFC 8439): what is sealed cannot be read, and cannot be changed unseen.
//
// Two messages under one key and nonce give both away: the caller numbers its messages and never
// uses a number twice.
#ifndef OTR_CRYPTO_AEAD_H_
#define OTR_CRYPTO_AEAD_H_

#include <span>

#include "base/bytes.h"
#include "base/result.h"

namespace otr::crypto {

inline constexpr std::size_t kAeadTagBytes = 16;
inline constexpr std::size_t kMaxAeadBytes = std::size_t{1} << 30;

using AeadKey = std::span<const std::uint8_t, 32>;
using AeadNonce = std::array<std::uint8_t, 12>;

// The nonce of message `number`: the base, its last eight bytes xored with the number, big-endian.
[[nodiscard]] AeadNonce numbered_nonce(const AeadNonce& base, std::uint64_t number);

// The ciphertext, as long as the plaintext, and the tag of 16 bytes behind it. kUsage, and nothing
// sealed, for a plaintext or `associated` longer than kMaxAeadBytes.
[[nodiscard]] Result<Bytes> aead_seal(AeadKey key, const AeadNonce& nonce, ByteView associated,
                                      ByteView plaintext);

// The plaintext; kReject where key, nonce, associated data or a bit of `sealed` differ.
[[nodiscard]] Result<Bytes> aead_open(AeadKey key, const AeadNonce& nonce, ByteView associated,
                                      ByteView sealed);

}  // namespace otr::crypto

#endif  // OTR_CRYPTO_AEAD_H_

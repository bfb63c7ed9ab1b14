// X25519 key agreement (RFC 7748), to which prompts are sealed (crypto/hpke.h).
#ifndef OTR_CRYPTO_X25519_H_
#define OTR_CRYPTO_X25519_H_

#include "base/bytes.h"
#include "base/result.h"
#include "crypto/secret.h"

namespace otr::crypto {

using X25519Public = std::array<std::uint8_t, 32>;

// Any 32 bytes are a private key. Wiped when destroyed or moved from.
class X25519Key {
 public:
  // Exactly 32 bytes, else kBadInput. The error never repeats them; the caller wipes its own copy.
  [[nodiscard]] static Result<X25519Key> from_bytes(ByteView bytes);

  [[nodiscard]] X25519Public public_key() const;

  // kReject where the secret would be zero whatever our key is: the peer's key is of small order.
  // The secret is not uniform: derive keys from it, together with both public keys.
  [[nodiscard]] Result<Secret<32>> shared_secret(const X25519Public& peer) const;

 private:
  explicit X25519Key(ByteView bytes) : scalar_(bytes) {}
  Secret<32> scalar_;
};

}  // namespace otr::crypto

#endif  // OTR_CRYPTO_X25519_H_

// Ed25519 signatures (RFC 8032), with which a session signs what no chain has to read: receipts as
// other verifiers know them.
//
// Verification is strict: one signature of 64 bytes with S below the group order, a public key in
// its one encoding and not of small order (such a key would fit signatures over any message).
#ifndef OTR_CRYPTO_ED25519_H_
#define OTR_CRYPTO_ED25519_H_

#include "base/bytes.h"
#include "base/result.h"
#include "crypto/secret.h"

namespace otr::crypto {

using Ed25519Public = std::array<std::uint8_t, 32>;
using Ed25519Signature = std::array<std::uint8_t, 64>;

// The 32-byte seed of RFC 8032; any 32 bytes are one. Wiped when destroyed or moved from.
class Ed25519Key {
 public:
  // Exactly 32 bytes, else kBadInput. The error never repeats them; the caller wipes its own copy.
  [[nodiscard]] static Result<Ed25519Key> from_bytes(ByteView bytes);

  [[nodiscard]] Ed25519Public public_key() const;
  // Deterministic, over the message itself (no prehash).
  [[nodiscard]] Ed25519Signature sign(ByteView message) const;

 private:
  explicit Ed25519Key(ByteView bytes) : seed_(bytes) {}
  Secret<32> seed_;
};

// Whether the key's owner made `signature` over `message`. False for every wrong length too.
[[nodiscard]] bool verify_ed25519(ByteView public_key, ByteView message, ByteView signature);

}  // namespace otr::crypto

#endif  // OTR_CRYPTO_ED25519_H_

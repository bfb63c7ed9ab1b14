// Keys, addresses and signatures as Ethereum has them: secp256k1 ECDSA over a 32-byte digest, the
// signer named by its 20-byte address (SPEC REQ-6).
//
// Signatures have one form: r || s || v, big-endian, s in the lower half of the group order, v 27
// or 28. `sign` makes no other and `recover` accepts no other, so a signature cannot be rewritten
// into a second valid one. What a digest covers (domain, chain, contract) is the caller's business.
#ifndef OTR_CRYPTO_SECP256K1_H_
#define OTR_CRYPTO_SECP256K1_H_

#include "base/bytes.h"
#include "base/result.h"

namespace otr::crypto {

using Address = std::array<std::uint8_t, 20>;    // last 20 bytes of keccak256(public key x || y)
using Signature = std::array<std::uint8_t, 65>;  // r[32] || s[32] || v

// A secret scalar in [1, n-1]. Wiped when destroyed or moved from; a moved-from key must not be
// used. Signing is constant-time in the key as far as libsecp256k1 promises it.
class PrivateKey {
 public:
  // Exactly 32 big-endian bytes in [1, n-1], else kBadInput. The error never repeats the bytes; the
  // caller wipes its own copy.
  [[nodiscard]] static Result<PrivateKey> from_bytes(ByteView bytes);

  PrivateKey(PrivateKey&& other) noexcept;
  PrivateKey& operator=(PrivateKey&& other) noexcept;
  PrivateKey(const PrivateKey&) = delete;
  PrivateKey& operator=(const PrivateKey&) = delete;
  ~PrivateKey();

  [[nodiscard]] Address address() const;
  // Deterministic: nonce by RFC 6979 with SHA-256 and no added entropy.
  [[nodiscard]] Signature sign(const Hash& digest) const;

 private:
  PrivateKey() = default;
  std::array<std::uint8_t, 32> scalar_{};
};

// The address whose key made `signature` over `digest`. A changed digest or signature yields
// another address, which the caller compares, or kReject: v not 27 or 28, r or s zero or not below
// n, s in the upper half, or no curve point with that r. The error has no reject code, since the
// SPEC names one per signed object: the caller adds it.
[[nodiscard]] Result<Address> recover(const Hash& digest, const Signature& signature);

// For bytes from outside: as above, and kReject if they are not 65.
[[nodiscard]] Result<Address> recover(const Hash& digest, ByteView signature);

}  // namespace otr::crypto

#endif  // OTR_CRYPTO_SECP256K1_H_

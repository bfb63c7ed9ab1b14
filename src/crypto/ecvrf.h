// A verifiable random function (RFC 9381), suite ECVRF-EDWARDS25519-SHA512-TAI (0x03): 64 bytes
// that only the key's owner can tell beforehand, and a proof for everybody afterwards.
//
// Decoding is stricter than the RFC: points have their one encoding and are of the prime order, the
// scalar is below it. So a proof cannot be rewritten into a second one by adding a small point.
#ifndef OTR_CRYPTO_ECVRF_H_
#define OTR_CRYPTO_ECVRF_H_

#include "base/bytes.h"
#include "base/result.h"
#include "crypto/secret.h"

namespace otr::crypto {

using VrfPublic = std::array<std::uint8_t, 32>;
using VrfProof = std::array<std::uint8_t, 80>;  // point gamma[32] || c[16] || s[32]
using VrfHash = std::array<std::uint8_t, 64>;

// An Ed25519 key by another use: a key serves either, never both. Wiped when destroyed or moved
// from.
class VrfKey {
 public:
  // Any 32 bytes are a seed; the caller wipes its own copy.
  [[nodiscard]] static VrfKey from_seed(const Hash& seed) { return VrfKey(seed); }

  [[nodiscard]] VrfPublic public_key() const;
  // Deterministic. How long it takes depends on `alpha` (RFC 9381, section 7.2), not on the key.
  [[nodiscard]] VrfProof prove(ByteView alpha) const;
  // What a proof of this key is the proof of. Requires one that prove() made.
  [[nodiscard]] VrfHash hash(const VrfProof& proof) const;

 private:
  explicit VrfKey(ByteView seed) : seed_(seed) {}
  Secret<32> seed_;
};

// The hash that the owner of this key has for `alpha`. kReject where the proof does not show it,
// and for every wrong length.
[[nodiscard]] Result<VrfHash> vrf_verify(ByteView public_key, ByteView alpha, ByteView proof);

}  // namespace otr::crypto

#endif  // OTR_CRYPTO_ECVRF_H_

// HPKE (RFC 9180) in base mode, with one suite: DHKEM(X25519, HKDF-SHA256) 0x0020, HKDF-SHA256
// 0x0001, ChaCha20-Poly1305 0x0003. Whoever has a public key seals messages, in order, to its
// owner; who the sender is, nothing says.
//
// This module has no entropy: the ephemeral key is an argument. It must be new for every exchange
// and of 32 random bytes.
#ifndef OTR_CRYPTO_HPKE_H_
#define OTR_CRYPTO_HPKE_H_

#include "base/bytes.h"
#include "base/result.h"
#include "crypto/aead.h"
#include "crypto/secret.h"
#include "crypto/x25519.h"

namespace otr::crypto {

// What both sides derive from the key agreement and `info` (KeySchedule of RFC 9180).
struct HpkeKeys {
  Secret<32> key;
  AeadNonce base_nonce{};
  Secret<32> exporter;

  // `size_bytes` secret bytes for the use that `context` names. Requires 0 < size_bytes <=
  // kMaxHkdfBytes.
  [[nodiscard]] SecretBuffer export_secret(ByteView context, std::size_t size_bytes) const;
};

// `encapsulated` travels beside what is sealed. kReject where the public key is of small order.
struct HpkeEncapsulated {
  X25519Public encapsulated{};
  HpkeKeys keys;
};
[[nodiscard]] Result<HpkeEncapsulated> hpke_encapsulate(const X25519Public& recipient,
                                                        ByteView info, const X25519Key& ephemeral);
[[nodiscard]] Result<HpkeKeys> hpke_decapsulate(const X25519Public& encapsulated,
                                                const X25519Key& recipient, ByteView info);

// Seals messages in one direction, numbered from `first` on. The number is not sent.
class HpkeSender {
 public:
  explicit HpkeSender(HpkeKeys keys, std::uint64_t first = 0)
      : keys_(std::move(keys)), number_(first) {}

  // kUsage once 2^64 - 1 messages were sealed (a repeated nonce would give both away), and as
  // aead_seal.
  [[nodiscard]] Result<Bytes> seal(ByteView associated, ByteView plaintext);
  // Ends the exchange; its exporter may still be needed.
  [[nodiscard]] HpkeKeys take_keys() && { return std::move(keys_); }

 private:
  HpkeKeys keys_;
  std::uint64_t number_;
};

// Opens what HpkeSender sealed, in its order.
class HpkeReceiver {
 public:
  explicit HpkeReceiver(HpkeKeys keys, std::uint64_t first = 0)
      : keys_(std::move(keys)), number_(first) {}

  // kReject for anything but the next message, which then is still the next.
  [[nodiscard]] Result<Bytes> open(ByteView associated, ByteView sealed);
  // Ends the exchange; its exporter may still be needed.
  [[nodiscard]] HpkeKeys take_keys() && { return std::move(keys_); }

 private:
  HpkeKeys keys_;
  std::uint64_t number_;
};

}  // namespace otr::crypto

#endif  // OTR_CRYPTO_HPKE_H_

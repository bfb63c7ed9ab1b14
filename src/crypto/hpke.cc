#include "crypto/hpke.h"

#include "base/check.h"
#include "crypto/hkdf.h"

namespace otr::crypto {
namespace {

constexpr std::uint64_t kLastNumber = UINT64_MAX;  // never used: the counter ends there
constexpr std::uint8_t kModeBase = 0;
constexpr std::array<std::uint8_t, 5> kKemSuite = {'K', 'E', 'M', 0x00, 0x20};
constexpr std::array<std::uint8_t, 10> kSuite = {'H',  'P',  'K',  'E',  0x00,
                                                 0x20, 0x00, 0x01, 0x00, 0x03};

Secret<32> labeled_extract(ByteView suite, ByteView salt, std::string_view label, ByteView input) {
  const SecretBuffer labeled({as_bytes("HPKE-v1"), suite, as_bytes(label), input});
  return hkdf_extract(salt, labeled.bytes());
}

void labeled_expand(ByteView suite, const Secret<32>& secret, std::string_view label, ByteView info,
                    std::span<std::uint8_t> to) {
  const std::array<std::uint8_t, 2> size = {static_cast<std::uint8_t>(to.size() >> 8),
                                            static_cast<std::uint8_t>(to.size())};
  const SecretBuffer labeled({size, as_bytes("HPKE-v1"), suite, as_bytes(label), info});
  hkdf_expand(secret.bytes(), labeled.bytes(), to);
}

// ExtractAndExpand of DHKEM.
Secret<32> kem_secret(const Secret<32>& agreed, const X25519Public& encapsulated,
                      const X25519Public& recipient) {
  const Secret<32> extracted = labeled_extract(kKemSuite, {}, "eae_prk", agreed.bytes());
  const SecretBuffer context({encapsulated, recipient});
  Secret<32> shared;
  labeled_expand(kKemSuite, extracted, "shared_secret", context.bytes(), shared.writable());
  return shared;
}

HpkeKeys key_schedule(const Secret<32>& shared, ByteView info) {
  const Secret<32> psk_id_hash = labeled_extract(kSuite, {}, "psk_id_hash", {});
  const Secret<32> info_hash = labeled_extract(kSuite, {}, "info_hash", info);
  const SecretBuffer context({ByteView(&kModeBase, 1), psk_id_hash.bytes(), info_hash.bytes()});
  const Secret<32> secret = labeled_extract(kSuite, shared.bytes(), "secret", {});
  HpkeKeys keys;
  labeled_expand(kSuite, secret, "key", context.bytes(), keys.key.writable());
  labeled_expand(kSuite, secret, "base_nonce", context.bytes(), keys.base_nonce);
  labeled_expand(kSuite, secret, "exp", context.bytes(), keys.exporter.writable());
  return keys;
}

}  // namespace

SecretBuffer HpkeKeys::export_secret(ByteView context, std::size_t size_bytes) const {
  OTR_CHECK(size_bytes > 0 && size_bytes <= kMaxHkdfBytes);
  SecretBuffer secret(size_bytes);
  labeled_expand(kSuite, exporter, "sec", context, secret.writable());
  return secret;
}

Result<HpkeEncapsulated> hpke_encapsulate(const X25519Public& recipient, ByteView info,
                                          const X25519Key& ephemeral) {
  OTR_TRY_ASSIGN(const Secret<32> agreed, ephemeral.shared_secret(recipient));
  HpkeEncapsulated result{.encapsulated = ephemeral.public_key()};
  result.keys = key_schedule(kem_secret(agreed, result.encapsulated, recipient), info);
  return result;
}

Result<HpkeKeys> hpke_decapsulate(const X25519Public& encapsulated, const X25519Key& recipient,
                                  ByteView info) {
  OTR_TRY_ASSIGN(const Secret<32> agreed, recipient.shared_secret(encapsulated));
  return key_schedule(kem_secret(agreed, encapsulated, recipient.public_key()), info);
}

Result<Bytes> HpkeSender::seal(ByteView associated, ByteView plaintext) {
  if (number_ == kLastNumber) {
    return fail(ErrorKind::kUsage,
                "HPKE: the numbers of this exchange are used up: begin another.");
  }
  const AeadNonce nonce = numbered_nonce(keys_.base_nonce, number_);
  OTR_TRY_ASSIGN(Bytes sealed,
                 aead_seal(keys_.key.bytes().first<32>(), nonce, associated, plaintext));
  ++number_;
  return sealed;
}

Result<Bytes> HpkeReceiver::open(ByteView associated, ByteView sealed) {
  if (number_ == kLastNumber) {
    return fail(ErrorKind::kReject, "HPKE: the numbers of this exchange are used up.");
  }
  const AeadNonce nonce = numbered_nonce(keys_.base_nonce, number_);
  OTR_TRY_ASSIGN(Bytes plaintext,
                 aead_open(keys_.key.bytes().first<32>(), nonce, associated, sealed));
  ++number_;
  return plaintext;
}

}  // namespace otr::crypto

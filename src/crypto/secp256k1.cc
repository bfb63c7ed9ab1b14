#include "crypto/secp256k1.h"

#include <openssl/crypto.h>
#include <secp256k1.h>
#include <secp256k1_recovery.h>

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "crypto/keccak256.h"

namespace otr::crypto {
namespace {

using Word = std::array<std::uint8_t, 32>;  // a big-endian 256-bit number; compares as one

// The group order n and n/2 rounded down.
constexpr Word kOrder = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
                         0xff, 0xff, 0xff, 0xff, 0xfe, 0xba, 0xae, 0xdc, 0xe6, 0xaf, 0x48,
                         0xa0, 0x3b, 0xbf, 0xd2, 0x5e, 0x8c, 0xd0, 0x36, 0x41, 0x41};
constexpr Word kHalfOrder = {0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
                             0xff, 0xff, 0xff, 0xff, 0xff, 0x5d, 0x57, 0x6e, 0x73, 0x57, 0xa4,
                             0x50, 0x1d, 0xdf, 0xe9, 0x2f, 0x46, 0x68, 0x1b, 0x20, 0xa0};
constexpr std::uint8_t kFirstRecoveryByte = 27;

// Created once and never written again. It is not blinded with entropy: this module has none.
const secp256k1_context* context() {
  static const secp256k1_context* const created = secp256k1_context_create(SECP256K1_CONTEXT_NONE);
  return created;
}

Address address_of(const secp256k1_pubkey& key) {
  std::array<std::uint8_t, 65> encoded;
  std::size_t size = encoded.size();
  OTR_CHECK(secp256k1_ec_pubkey_serialize(context(), encoded.data(), &size, &key,
                                          SECP256K1_EC_UNCOMPRESSED) == 1);
  // The first byte of the encoding says "uncompressed" and is not part of the key.
  const Hash hash = keccak256(ByteView(encoded).subspan(1));
  Address address;
  std::copy(hash.end() - address.size(), hash.end(), address.begin());
  return address;
}

std::unexpected<Error> refuse(const char* why) {
  return fail(ErrorKind::kReject, std::string("signature: ") + why);
}

}  // namespace

Result<PrivateKey> PrivateKey::from_bytes(ByteView bytes) {
  PrivateKey key;
  if (bytes.size() != key.scalar_.size()) {
    return fail(ErrorKind::kBadInput,
                "private key: expected 32 bytes, got " + std::to_string(bytes.size()) + ".");
  }
  if (secp256k1_ec_seckey_verify(context(), bytes.data()) != 1) {
    return fail(ErrorKind::kBadInput,
                "private key: the number is zero or not below the order of secp256k1.");
  }
  std::copy(bytes.begin(), bytes.end(), key.scalar_.begin());
  return key;
}

PrivateKey::PrivateKey(PrivateKey&& other) noexcept { *this = std::move(other); }

PrivateKey& PrivateKey::operator=(PrivateKey&& other) noexcept {
  if (this != &other) {
    scalar_ = other.scalar_;
    OPENSSL_cleanse(other.scalar_.data(), other.scalar_.size());
  }
  return *this;
}

PrivateKey::~PrivateKey() { OPENSSL_cleanse(scalar_.data(), scalar_.size()); }

Address PrivateKey::address() const {
  secp256k1_pubkey key;
  OTR_CHECK(secp256k1_ec_pubkey_create(context(), &key, scalar_.data()) == 1);
  return address_of(key);
}

Signature PrivateKey::sign(const Hash& digest) const {
  secp256k1_ecdsa_recoverable_signature made;
  OTR_CHECK(secp256k1_ecdsa_sign_recoverable(context(), &made, digest.data(), scalar_.data(),
                                             secp256k1_nonce_function_rfc6979, nullptr) == 1);
  Signature signature;
  int recovery_id = 0;
  OTR_CHECK(secp256k1_ecdsa_recoverable_signature_serialize_compact(context(), signature.data(),
                                                                    &recovery_id, &made) == 1);
  // Ids 2 and 3 mean that the x coordinate passed n, which nobody meets: the chance is 2^-127.
  OTR_CHECK(recovery_id == 0 || recovery_id == 1);
  signature[64] = static_cast<std::uint8_t>(kFirstRecoveryByte + recovery_id);
  return signature;
}

Result<Address> recover(const Hash& digest, const Signature& signature) {
  Word r;
  Word s;
  std::copy_n(signature.begin(), 32, r.begin());
  std::copy_n(signature.begin() + 32, 32, s.begin());
  const int recovery_id = signature[64] - kFirstRecoveryByte;
  // SPEC REQ-6
  if (recovery_id != 0 && recovery_id != 1) return refuse("v is not 27 or 28.");
  if (r == Word{} || r >= kOrder) return refuse("r is zero or not below the group order.");
  if (s == Word{} || s >= kOrder) return refuse("s is zero or not below the group order.");
  if (s > kHalfOrder) return refuse("s is in the upper half of the group order.");

  secp256k1_ecdsa_recoverable_signature parsed;
  OTR_CHECK(secp256k1_ecdsa_recoverable_signature_parse_compact(
                context(), &parsed, signature.data(), recovery_id) == 1);
  secp256k1_pubkey key;
  if (secp256k1_ecdsa_recover(context(), &key, &parsed, digest.data()) != 1) {
    return refuse("no public key belongs to it.");
  }
  return address_of(key);
}

Result<Address> recover(const Hash& digest, ByteView signature) {
  Signature exact;
  if (signature.size() != exact.size()) return refuse("it is not 65 bytes long.");
  std::copy(signature.begin(), signature.end(), exact.begin());
  return recover(digest, exact);
}

}  // namespace otr::crypto

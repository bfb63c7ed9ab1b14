// Public keys and the signatures under certificates and lists.
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <openssl/rsa.h>

#include <algorithm>

#include "attest/certificate_parts.h"

namespace otr::attest {
namespace {

struct Release {
  void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
  void operator()(EVP_PKEY_CTX* context) const { EVP_PKEY_CTX_free(context); }
  void operator()(EVP_MD_CTX* context) const { EVP_MD_CTX_free(context); }
  void operator()(OSSL_PARAM_BLD* builder) const { OSSL_PARAM_BLD_free(builder); }
  void operator()(OSSL_PARAM* params) const { OSSL_PARAM_free(params); }
  void operator()(BIGNUM* number) const { BN_free(number); }
};
template <class T>
using Owned = std::unique_ptr<T, Release>;

// SubjectPublicKeyInfo before the 64 or 96 bytes x || y of an uncompressed point.
constexpr std::array<std::uint8_t, 27> kP256Prefix = {
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06,
    0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00, 0x04};
constexpr std::array<std::uint8_t, 24> kP384Prefix = {
    0x30, 0x76, 0x30, 0x10, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02,
    0x01, 0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x22, 0x03, 0x62, 0x00, 0x04};
constexpr std::array<std::uint8_t, 12> kEd25519Prefix = {0x30, 0x2a, 0x30, 0x05, 0x06, 0x03,
                                                         0x2b, 0x65, 0x70, 0x03, 0x21, 0x00};
constexpr std::size_t kMaxRsaBits = 4096;  // a larger key would cost more than it proves

bool begins_with(ByteView bytes, ByteView prefix) {
  return bytes.size() >= prefix.size() && std::ranges::equal(bytes.first(prefix.size()), prefix);
}

const EVP_MD* md_of(Digest digest) {
  switch (digest) {
    case Digest::kSha256:
      return EVP_sha256();
    case Digest::kSha384:
      return EVP_sha384();
    default:
      return EVP_sha512();
  }
}

Owned<EVP_PKEY> key_of(const char* type, OSSL_PARAM* params) {
  const Owned<EVP_PKEY_CTX> context(EVP_PKEY_CTX_new_from_name(nullptr, type, nullptr));
  EVP_PKEY* key = nullptr;
  if (!context || EVP_PKEY_fromdata_init(context.get()) != 1) return nullptr;
  if (EVP_PKEY_fromdata(context.get(), &key, EVP_PKEY_PUBLIC_KEY, params) != 1) return nullptr;
  return Owned<EVP_PKEY>(key);
}

// OpenSSL refuses a point that is not on the curve.
Owned<EVP_PKEY> ec_key(const char* group, ByteView point) {
  std::string name = group;
  std::array<OSSL_PARAM, 3> params = {
      OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, name.data(), 0),
      OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PUB_KEY,
                                        const_cast<std::uint8_t*>(point.data()), point.size()),
      OSSL_PARAM_construct_end()};
  return key_of("EC", params.data());
}

// RSAPublicKey of RFC 8017, inside the bit string of a SubjectPublicKeyInfo.
Result<Owned<EVP_PKEY>> rsa_key(ByteView public_key) {
  DerReader outer(public_key);
  OTR_TRY_ASSIGN(const DerItem sequence, outer.next(kDerSequence));
  DerReader reader(sequence.content);
  OTR_TRY_ASSIGN(const DerItem modulus, reader.next(kDerInteger));
  OTR_TRY_ASSIGN(const DerItem exponent, reader.next(kDerInteger));
  OTR_TRY_ASSIGN(const std::uint64_t e, der_unsigned(exponent.content));
  if (!outer.empty() || !reader.empty() || modulus.content.size() < 2 || modulus.content[0] != 0 ||
      e < 3 || (e & 1) == 0) {
    return malformed_certificate("an RSA key that breaks its format");
  }
  const Owned<BIGNUM> n(
      BN_bin2bn(modulus.content.data(), static_cast<int>(modulus.content.size()), nullptr));
  const auto bits = static_cast<std::size_t>(n ? BN_num_bits(n.get()) : 0);
  if (bits < 2048 || bits > kMaxRsaBits) {
    return fail(
        ErrorKind::kBadInput,
        "certificate: an RSA key of " + std::to_string(bits) + " bits; 2048 to 4096 are supported",
        "UNSUPPORTED");
  }
  const Owned<BIGNUM> e_number(
      BN_bin2bn(exponent.content.data(), static_cast<int>(exponent.content.size()), nullptr));
  const Owned<OSSL_PARAM_BLD> builder(OSSL_PARAM_BLD_new());
  if (!builder || !e_number ||
      OSSL_PARAM_BLD_push_BN(builder.get(), OSSL_PKEY_PARAM_RSA_N, n.get()) != 1 ||
      OSSL_PARAM_BLD_push_BN(builder.get(), OSSL_PKEY_PARAM_RSA_E, e_number.get()) != 1) {
    return malformed_certificate("an RSA key that cannot be read");
  }
  const Owned<OSSL_PARAM> params(OSSL_PARAM_BLD_to_param(builder.get()));
  return key_of("RSA", params.get());
}

// The content of the bit string if `spki` is an RSA key with the NULL parameters of RFC 3279.
Result<Owned<EVP_PKEY>> rsa_key_of_info(ByteView spki) {
  DerReader outer(spki);
  OTR_TRY_ASSIGN(const DerItem sequence, outer.next(kDerSequence));
  DerReader reader(sequence.content);
  OTR_TRY_ASSIGN(const DerItem algorithm, reader.next(kDerSequence));
  OTR_TRY_ASSIGN(const DerItem bits, reader.next(kDerBitString));
  DerReader names(algorithm.content);
  OTR_TRY_ASSIGN(const DerItem oid, names.next(kDerOid));
  OTR_TRY_ASSIGN(const std::string name, der_oid(oid.content));
  if (name != "1.2.840.113549.1.1.1") {
    return fail(ErrorKind::kBadInput,
                "certificate: a public key of kind " + name +
                    "; P-256, P-384, RSA and Ed25519 are supported",
                "UNSUPPORTED");
  }
  if (!outer.empty() || !reader.empty() || bits.content.empty() || bits.content[0] != 0) {
    return malformed_certificate("a public key that breaks its format");
  }
  return rsa_key(bits.content.subspan(1));
}

// One INTEGER of an Ecdsa-Sig-Value from a big-endian number of fixed size.
void append_der_integer(Bytes& to, ByteView number) {
  while (number.size() > 1 && number[0] == 0) number = number.subspan(1);
  const bool pad = (number[0] & 0x80) != 0;
  to.push_back(kDerInteger);
  to.push_back(static_cast<std::uint8_t>(number.size() + (pad ? 1 : 0)));
  if (pad) to.push_back(0);
  append(to, number);
}

}  // namespace

struct PublicKey::Key {
  Owned<EVP_PKEY> key;
  Bytes spki;
  unsigned ec_bits = 0;  // 0: no elliptic curve of NIST
  bool is_rsa = false;
};

Result<PublicKey> PublicKey::from_point(ByteView xy) {
  Bytes spki;
  if (xy.size() == 64) {
    append(spki, kP256Prefix);
  } else if (xy.size() == 96) {
    append(spki, kP384Prefix);
  } else {
    return malformed_certificate("a point of " + std::to_string(xy.size()) + " bytes");
  }
  append(spki, xy);
  return from_der(spki);
}

Result<PublicKey> PublicKey::from_der(ByteView der) {
  auto key = std::make_shared<Key>();
  key->spki.assign(der.begin(), der.end());
  if (begins_with(der, kP256Prefix) && der.size() == kP256Prefix.size() + 64) {
    key->key = ec_key("P-256", der.subspan(kP256Prefix.size() - 1));
    key->ec_bits = 256;
  } else if (begins_with(der, kP384Prefix) && der.size() == kP384Prefix.size() + 96) {
    key->key = ec_key("P-384", der.subspan(kP384Prefix.size() - 1));
    key->ec_bits = 384;
  } else if (begins_with(der, kEd25519Prefix) && der.size() == kEd25519Prefix.size() + 32) {
    key->key.reset(EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, nullptr,
                                               der.data() + kEd25519Prefix.size(), 32));
  } else {
    OTR_TRY_ASSIGN(key->key, rsa_key_of_info(der));
    key->is_rsa = true;
  }
  if (!key->key) return malformed_certificate("a public key that is none: not on its curve");
  PublicKey result;
  result.key_ = std::move(key);
  return result;
}

bool PublicKey::verify_ecdsa(Digest digest, ByteView message, ByteView r_s) const {
  if (!key_ || key_->ec_bits == 0 || r_s.size() != key_->ec_bits / 4) return false;
  Bytes body;
  append_der_integer(body, r_s.first(r_s.size() / 2));
  append_der_integer(body, r_s.subspan(r_s.size() / 2));
  Bytes der = {kDerSequence, static_cast<std::uint8_t>(body.size())};  // at most 102 bytes follow
  append(der, body);
  const Owned<EVP_MD_CTX> context(EVP_MD_CTX_new());
  return context &&
         EVP_DigestVerifyInit(context.get(), nullptr, md_of(digest), nullptr, key_->key.get()) ==
             1 &&
         EVP_DigestVerify(context.get(), der.data(), der.size(), message.data(), message.size()) ==
             1;
}

bool PublicKey::verify_rsa_pss(Digest digest, ByteView message, ByteView signature) const {
  if (!key_ || !key_->is_rsa) return false;
  const Owned<EVP_MD_CTX> context(EVP_MD_CTX_new());
  EVP_PKEY_CTX* parameters = nullptr;  // owned by `context`
  return context &&
         EVP_DigestVerifyInit(context.get(), &parameters, md_of(digest), nullptr,
                              key_->key.get()) == 1 &&
         EVP_PKEY_CTX_set_rsa_padding(parameters, RSA_PKCS1_PSS_PADDING) == 1 &&
         EVP_PKEY_CTX_set_rsa_pss_saltlen(parameters, RSA_PSS_SALTLEN_DIGEST) == 1 &&
         EVP_DigestVerify(context.get(), signature.data(), signature.size(), message.data(),
                          message.size()) == 1;
}

bool PublicKey::verify_rsa_pkcs1(Digest digest, ByteView message, ByteView signature) const {
  if (!key_ || !key_->is_rsa) return false;
  const Owned<EVP_MD_CTX> context(EVP_MD_CTX_new());
  EVP_PKEY_CTX* parameters = nullptr;  // owned by `context`
  return context &&
         EVP_DigestVerifyInit(context.get(), &parameters, md_of(digest), nullptr,
                              key_->key.get()) == 1 &&
         EVP_PKEY_CTX_set_rsa_padding(parameters, RSA_PKCS1_PADDING) == 1 &&
         EVP_DigestVerify(context.get(), signature.data(), signature.size(), message.data(),
                          message.size()) == 1;
}

bool PublicKey::is_ec(unsigned bits) const { return key_ && key_->ec_bits == bits; }
Bytes PublicKey::der() const { return key_ ? key_->spki : Bytes(); }
bool PublicKey::operator==(const PublicKey& other) const { return der() == other.der(); }

}  // namespace otr::attest

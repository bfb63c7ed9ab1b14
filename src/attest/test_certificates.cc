#include "attest/test_certificates.h"

#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

#include <algorithm>

#include "attest/der.h"
#include "attest/encoding.h"
#include "base/check.h"

namespace otr::attest::test {
namespace {

EVP_PKEY* pkey(const std::shared_ptr<void>& key) { return static_cast<EVP_PKEY*>(key.get()); }

Bytes name_der(std::string_view name) {
  return sequence({tlv(kDerSet, sequence({oid("2.5.4.3"), tlv(kDerUtf8, as_bytes(name))}))});
}

Bytes extension_der(const ExtensionSpec& spec) {
  const std::uint8_t yes[] = {0xff};
  if (!spec.critical) return sequence({oid(spec.oid), octets(spec.content)});
  return sequence({oid(spec.oid), tlv(0x01, yes), octets(spec.content)});
}

Bytes sign_with(EVP_PKEY* key, const EVP_MD* md, bool pss, ByteView message) {
  EVP_MD_CTX* context = EVP_MD_CTX_new();
  EVP_PKEY_CTX* parameters = nullptr;
  OTR_CHECK(EVP_DigestSignInit(context, &parameters, md, nullptr, key) == 1);
  if (pss) {
    OTR_CHECK(EVP_PKEY_CTX_set_rsa_padding(parameters, RSA_PKCS1_PSS_PADDING) == 1);
    OTR_CHECK(EVP_PKEY_CTX_set_rsa_pss_saltlen(parameters, RSA_PSS_SALTLEN_DIGEST) == 1);
  }
  std::size_t size = 0;
  OTR_CHECK(EVP_DigestSign(context, nullptr, &size, message.data(), message.size()) == 1);
  Bytes signature(size);
  OTR_CHECK(EVP_DigestSign(context, signature.data(), &size, message.data(), message.size()) == 1);
  signature.resize(size);
  EVP_MD_CTX_free(context);
  return signature;
}

}  // namespace

Bytes tlv(std::uint8_t tag, ByteView content) {
  Bytes out = {tag};
  if (content.size() < 0x80) {
    out.push_back(static_cast<std::uint8_t>(content.size()));
  } else if (content.size() < 0x100) {
    out.insert(out.end(), {0x81, static_cast<std::uint8_t>(content.size())});
  } else {
    OTR_CHECK(content.size() < 0x10000);
    out.insert(out.end(), {0x82, static_cast<std::uint8_t>(content.size() >> 8),
                           static_cast<std::uint8_t>(content.size())});
  }
  append(out, content);
  return out;
}

Bytes joined(std::initializer_list<Bytes> items) {
  Bytes all;
  for (const Bytes& item : items) append(all, item);
  return all;
}
Bytes sequence(std::initializer_list<Bytes> items) { return tlv(kDerSequence, joined(items)); }
Bytes sequence(const std::vector<Bytes>& items) {
  Bytes all;
  for (const Bytes& item : items) append(all, item);
  return tlv(kDerSequence, all);
}

Bytes oid(std::string_view dotted) {
  std::vector<std::uint64_t> arcs(1, 0);
  for (const char c : dotted) {
    if (c == '.') {
      arcs.push_back(0);
    } else {
      arcs.back() = arcs.back() * 10 + static_cast<std::uint64_t>(c - '0');
    }
  }
  arcs[1] += 40 * arcs[0];
  Bytes content;
  for (std::size_t i = 1; i < arcs.size(); ++i) {
    Bytes reversed = {static_cast<std::uint8_t>(arcs[i] & 0x7f)};
    while ((arcs[i] >>= 7) != 0) reversed.push_back(static_cast<std::uint8_t>(arcs[i] | 0x80));
    content.insert(content.end(), reversed.rbegin(), reversed.rend());
  }
  return tlv(kDerOid, content);
}

Bytes integer(ByteView big_endian) {
  while (!big_endian.empty() && big_endian[0] == 0) big_endian = big_endian.subspan(1);
  Bytes content(big_endian.begin(), big_endian.end());
  if (content.empty() || (content[0] & 0x80) != 0) content.insert(content.begin(), 0);
  return tlv(kDerInteger, content);
}
Bytes integer(std::uint64_t value) {
  Bytes bytes(8);
  for (std::size_t i = 0; i < 8; ++i) bytes[i] = static_cast<std::uint8_t>(value >> (56 - 8 * i));
  return integer(ByteView(bytes));
}
Bytes octets(ByteView content) { return tlv(kDerOctetString, content); }
Bytes bit_string(ByteView content) {
  Bytes bytes = {0};
  append(bytes, content);
  return tlv(kDerBitString, bytes);
}
Bytes der_time(Time time) {
  std::string text = to_text(time);
  std::erase_if(text, [](char c) { return c == '-' || c == ':' || c == 'T'; });
  return tlv(0x18, as_bytes(text));
}

SigningKey SigningKey::make(KeyKind kind) {
  EVP_PKEY* made = kind == KeyKind::kP256      ? EVP_EC_gen("P-256")
                   : kind == KeyKind::kP384    ? EVP_EC_gen("P-384")
                   : kind == KeyKind::kRsa4096 ? EVP_RSA_gen(4096U)
                                               : EVP_RSA_gen(2048U);
  OTR_CHECK(made != nullptr);
  SigningKey key;
  key.key_ =
      std::shared_ptr<void>(made, [](void* it) { EVP_PKEY_free(static_cast<EVP_PKEY*>(it)); });
  key.kind_ = kind;
  return key;
}

Bytes SigningKey::spki() const {
  std::uint8_t* der = nullptr;
  const int size = i2d_PUBKEY(pkey(key_), &der);
  OTR_CHECK(size > 0);
  Bytes bytes(der, der + size);
  OPENSSL_free(der);
  return bytes;
}

PublicKey SigningKey::public_key() const {
  auto key = PublicKey::from_der(spki());
  OTR_CHECK(key.has_value());
  return *key;
}

Bytes SigningKey::point() const {
  const Bytes info = spki();
  return {info.end() - (kind_ == KeyKind::kP256 ? 64 : 96), info.end()};
}

Bytes SigningKey::sign(Digest digest, ByteView message) const {
  const EVP_MD* md = digest == Digest::kSha256   ? EVP_sha256()
                     : digest == Digest::kSha384 ? EVP_sha384()
                                                 : EVP_sha512();
  const Bytes der = sign_with(pkey(key_), md, false, message);
  const std::uint8_t* at = der.data();
  ECDSA_SIG* signature = d2i_ECDSA_SIG(nullptr, &at, static_cast<long>(der.size()));
  const int half = kind_ == KeyKind::kP256 ? 32 : 48;
  Bytes r_s(static_cast<std::size_t>(2 * half));
  OTR_CHECK(BN_bn2binpad(ECDSA_SIG_get0_r(signature), r_s.data(), half) == half);
  OTR_CHECK(BN_bn2binpad(ECDSA_SIG_get0_s(signature), r_s.data() + half, half) == half);
  ECDSA_SIG_free(signature);
  return r_s;
}

Bytes SigningKey::certificate_signature(ByteView message) const {
  const bool is_rsa = kind_ == KeyKind::kRsa2048 || kind_ == KeyKind::kRsa4096;
  const bool sha256 = kind_ == KeyKind::kP256 || kind_ == KeyKind::kRsaPkcs1;
  const EVP_MD* md = sha256 ? EVP_sha256() : EVP_sha384();
  return sign_with(pkey(key_), md, is_rsa, message);
}

Bytes SigningKey::algorithm() const {
  if (kind_ == KeyKind::kP256) return sequence({oid("1.2.840.10045.4.3.2")});
  if (kind_ == KeyKind::kP384) return sequence({oid("1.2.840.10045.4.3.3")});
  if (kind_ == KeyKind::kRsaPkcs1) {
    return sequence({oid("1.2.840.113549.1.1.11"), tlv(0x05, {})});
  }
  const Bytes sha384 = sequence({oid("2.16.840.1.101.3.4.2.2"), tlv(0x05, {})});
  return sequence(
      {oid("1.2.840.113549.1.1.10"),
       sequence({tlv(0xa0, sha384), tlv(0xa1, sequence({oid("1.2.840.113549.1.1.8"), sha384})),
                 tlv(0xa2, integer(48))})});
}

Bytes certificate_der(const CertificateSpec& spec, const SigningKey& subject_key,
                      std::string_view issuer, const SigningKey& issuer_key) {
  const std::uint8_t yes[] = {0xff};
  Bytes constraints = spec.ca ? tlv(0x01, yes) : Bytes();
  if (spec.path_length) append(constraints, integer(*spec.path_length));
  const Bytes usage = spec.usage_of_authority.value_or(spec.ca)
                          ? Bytes{1, 0x06}
                          : Bytes{6, 0xc0};  // sign certificates and lists
  Bytes extensions;
  append(extensions, extension_der({"2.5.29.19", tlv(kDerSequence, constraints), true}));
  append(extensions, extension_der({"2.5.29.15", tlv(kDerBitString, usage), true}));
  for (const ExtensionSpec& extension : spec.extensions) {
    append(extensions, extension_der(extension));
  }
  const Bytes content = sequence(
      {tlv(0xa0, integer(2)), integer(ByteView(spec.serial)), issuer_key.algorithm(),
       name_der(issuer), sequence({der_time(spec.not_before), der_time(spec.not_after)}),
       name_der(spec.subject), subject_key.spki(), tlv(0xa3, tlv(kDerSequence, extensions))});
  return sequence(
      {content, issuer_key.algorithm(), bit_string(issuer_key.certificate_signature(content))});
}

Authority Authority::root(std::string subject, KeyKind kind) {
  const SigningKey key = SigningKey::make(kind);
  const CertificateSpec spec = {.subject = std::move(subject), .ca = true};
  auto certificate = Certificate::from_der(certificate_der(spec, key, spec.subject, key));
  OTR_CHECK(certificate.has_value());
  return {key, *certificate};
}

Authority Authority::issue(const CertificateSpec& spec, KeyKind kind) const {
  return issue(spec, SigningKey::make(kind));
}

Authority Authority::issue(const CertificateSpec& spec, const SigningKey& subject_key) const {
  auto issued = Certificate::from_der(
      certificate_der(spec, subject_key, certificate.subject_common_name(), key));
  OTR_CHECK(issued.has_value());
  return {subject_key, *issued};
}

Bytes Authority::list_der(const ListSpec& spec) const {
  std::vector<Bytes> entries;
  for (const Bytes& serial : spec.revoked) {
    entries.push_back(sequence({integer(ByteView(serial)), der_time(spec.this_update)}));
  }
  const Bytes content =
      sequence({integer(1), key.algorithm(), name_der(certificate.subject_common_name()),
                der_time(spec.this_update), der_time(spec.next_update),
                entries.empty() ? Bytes() : sequence(entries)});
  return sequence({content, key.algorithm(), bit_string(key.certificate_signature(content))});
}

RevocationList Authority::list(const ListSpec& spec) const {
  auto made = RevocationList::from_der(list_der(spec));
  OTR_CHECK(made.has_value());
  return *made;
}

std::string to_pem(ByteView der, std::string_view label) {
  const std::string text = to_base64(der);
  std::string pem = "-----BEGIN " + std::string(label) + "-----\n";
  for (std::size_t at = 0; at < text.size(); at += 64) pem += text.substr(at, 64) + "\n";
  return pem + "-----END " + std::string(label) + "-----\n";
}

std::string to_pem(const std::vector<Certificate>& certificates) {
  std::string pem;
  for (const Certificate& certificate : certificates) pem += to_pem(certificate.der());
  return pem;
}

}  // namespace otr::attest::test

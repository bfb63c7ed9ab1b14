// A certificate authority for tests: keys, certificates, revocation lists and signatures made on
// the spot, so that evidence of every format can be generated under roots of our own. Linked into
// test programs alone (TESTS in CMakeLists.txt); keys are random and never leave the process.
#ifndef OTR_ATTEST_TEST_CERTIFICATES_H_
#define OTR_ATTEST_TEST_CERTIFICATES_H_

#include <initializer_list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "attest/certificate.h"

namespace otr::attest::test {

// DER, written.
[[nodiscard]] Bytes tlv(std::uint8_t tag, ByteView content);
[[nodiscard]] Bytes sequence(std::initializer_list<Bytes> items);
[[nodiscard]] Bytes sequence(const std::vector<Bytes>& items);
[[nodiscard]] Bytes oid(std::string_view dotted);
[[nodiscard]] Bytes integer(std::uint64_t value);
[[nodiscard]] Bytes integer(ByteView big_endian);  // non-negative
[[nodiscard]] Bytes octets(ByteView content);
[[nodiscard]] Bytes bit_string(ByteView content);
[[nodiscard]] Bytes der_time(Time time);  // GeneralizedTime
[[nodiscard]] Bytes joined(std::initializer_list<Bytes> items);

// kRsaPkcs1 has 2048 bits and signs certificates by PKCS #1 v1.5 with SHA-256.
enum class KeyKind { kP256, kP384, kRsa2048, kRsa4096, kRsaPkcs1 };

class SigningKey {
 public:
  // RSA of 4096 bits takes a second or so: make one and keep it.
  [[nodiscard]] static SigningKey make(KeyKind kind);

  [[nodiscard]] PublicKey public_key() const;
  [[nodiscard]] Bytes spki() const;   // SubjectPublicKeyInfo
  [[nodiscard]] Bytes point() const;  // x || y, of elliptic curves
  // ECDSA: r || s, big-endian, 64 or 96 bytes.
  [[nodiscard]] Bytes sign(Digest digest, ByteView message) const;
  // As certificates carry it: ECDSA in DER (P-256 with SHA-256, P-384 with SHA-384), or RSA-PSS
  // with SHA-384; and the AlgorithmIdentifier that says so.
  [[nodiscard]] Bytes certificate_signature(ByteView message) const;
  [[nodiscard]] Bytes algorithm() const;

 private:
  std::shared_ptr<void> key_;  // EVP_PKEY
  KeyKind kind_ = KeyKind::kP256;
};

struct ExtensionSpec {
  std::string oid;
  Bytes content;
  bool critical = false;
};

inline constexpr Time kTestStart = 1735689600;  // 2025-01-01
inline constexpr Time kTestNow = 1767225600;    // 2026-01-01
inline constexpr Time kTestEnd = 1893456000;    // 2030-01-01

struct CertificateSpec {
  std::string subject = "Test";  // the common name
  Bytes serial = {1};            // big-endian; {} or {0} for AMD's zero
  Time not_before = kTestStart, not_after = kTestEnd;
  bool ca = false;
  std::optional<std::uint64_t> path_length;
  std::vector<ExtensionSpec> extensions;   // beside basicConstraints and keyUsage
  std::optional<bool> usage_of_authority;  // what keyUsage says; otherwise as `ca`
};

// A key with its certificate.
struct Authority {
  SigningKey key;
  Certificate certificate;

  // Signed by itself.
  [[nodiscard]] static Authority root(std::string subject, KeyKind kind);
  // A certificate for a new key, or for `key`, issued by this one.
  [[nodiscard]] Authority issue(const CertificateSpec& spec, KeyKind kind) const;
  [[nodiscard]] Authority issue(const CertificateSpec& spec, const SigningKey& key) const;
  struct ListSpec {
    std::vector<Bytes> revoked;  // serial numbers
    Time this_update = kTestNow - 86400, next_update = kTestNow + 86400 * 30;
  };
  [[nodiscard]] Bytes list_der(const ListSpec& spec) const;
  [[nodiscard]] RevocationList list(const ListSpec& spec) const;
};

// The bytes of a certificate; `issuer` is a common name.
[[nodiscard]] Bytes certificate_der(const CertificateSpec& spec, const SigningKey& subject_key,
                                    std::string_view issuer, const SigningKey& issuer_key);
[[nodiscard]] std::string to_pem(ByteView der, std::string_view label = "CERTIFICATE");
[[nodiscard]] std::string to_pem(const std::vector<Certificate>& certificates);

}  // namespace otr::attest::test

#endif  // OTR_ATTEST_TEST_CERTIFICATES_H_

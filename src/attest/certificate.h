// X.509 certificates, revocation lists and the signatures under them, as the vendors of TEEs use
// them (RFC 5280), over OpenSSL. No clock, no default trust store, no network.
//
// DER is accepted strictly: one certificate, nothing after it. Serial number 0, which AMD uses, is
// allowed, negative ones are not. Nothing here judges a chain by names alone: issuance is a
// signature check.
#ifndef OTR_ATTEST_CERTIFICATE_H_
#define OTR_ATTEST_CERTIFICATE_H_

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "attest/verdict.h"
#include "base/bytes.h"
#include "base/result.h"

namespace otr::attest {

enum class Digest { kSha256, kSha384, kSha512 };

// A public key: P-256, P-384, RSA or Ed25519. Cheap to copy.
class PublicKey {
 public:
  // Uncompressed point x || y, 64 bytes on P-256 or 96 on P-384; kBadInput if not on the curve.
  [[nodiscard]] static Result<PublicKey> from_point(ByteView xy);
  // SubjectPublicKeyInfo.
  [[nodiscard]] static Result<PublicKey> from_der(ByteView der);

  // ECDSA with the signature r || s, both big-endian and as long as the curve's field. False for
  // any other length, r or s zero or not below the order, and for keys of other kinds.
  [[nodiscard]] bool verify_ecdsa(Digest digest, ByteView message, ByteView r_s) const;
  // RSA-PSS with MGF1 of the same digest and a salt as long as the digest.
  [[nodiscard]] bool verify_rsa_pss(Digest digest, ByteView message, ByteView signature) const;
  // RSASSA-PKCS1-v1_5.
  [[nodiscard]] bool verify_rsa_pkcs1(Digest digest, ByteView message, ByteView signature) const;
  [[nodiscard]] bool is_ec(unsigned bits) const;
  [[nodiscard]] Bytes der() const;  // SubjectPublicKeyInfo
  [[nodiscard]] bool operator==(const PublicKey& other) const;

 private:
  friend class Certificate;
  struct Key;
  std::shared_ptr<const Key> key_;
};

class Certificate {
 public:
  [[nodiscard]] static Result<Certificate> from_der(ByteView der);
  // All certificates of a PEM text in order, at most 16. Text between and around the blocks must be
  // white space, and NULs may follow the last one (as in quotes); kBadInput otherwise.
  [[nodiscard]] static Result<std::vector<Certificate>> from_pem(std::string_view pem);

  [[nodiscard]] ByteView der() const;
  [[nodiscard]] Hash fingerprint() const;     // SHA-256 of the DER
  [[nodiscard]] std::string subject() const;  // one line, RFC 2253
  [[nodiscard]] std::string issuer() const;
  [[nodiscard]] std::string subject_common_name() const;
  [[nodiscard]] std::string issuer_common_name() const;
  [[nodiscard]] Bytes serial() const;                // big-endian, without leading zeros
  [[nodiscard]] std::string serial_decimal() const;  // as NVIDIA writes a ueid
  [[nodiscard]] Time not_before() const;
  [[nodiscard]] Time not_after() const;
  [[nodiscard]] bool is_ca() const;  // basicConstraints says so
  [[nodiscard]] const PublicKey& key() const;
  // The content of the extension's OCTET STRING; nothing if absent. `oid` is dotted decimal.
  [[nodiscard]] std::optional<Bytes> extension(std::string_view oid) const;
  // That `issuer`'s name and key issued this certificate (also for a root and itself).
  [[nodiscard]] bool is_issued_by(const Certificate& issuer) const;
  [[nodiscard]] bool operator==(const Certificate& other) const;  // same DER

  struct Data;  // what was parsed: certificate_parts.h, for certificate*.cc alone

 private:
  std::shared_ptr<const Data> data_;
};

class VerifiedCache;

class RevocationList {
 public:
  [[nodiscard]] static Result<RevocationList> from_der(ByteView der);
  [[nodiscard]] static Result<RevocationList> from_pem(std::string_view pem);
  [[nodiscard]] std::string issuer() const;
  [[nodiscard]] Time this_update() const;
  [[nodiscard]] Time next_update() const;  // a list without it is refused when parsed
  [[nodiscard]] bool is_issued_by(const Certificate& issuer) const;
  // Whether the serial number is on it (also with reason certificateHold, never removeFromCRL).
  [[nodiscard]] bool revokes(const Certificate& certificate) const;

 private:
  struct Data;
  std::shared_ptr<const Data> data_;
};

// Checks of a chain, leaf first, each link signed by the next one, all but the leaf CAs with a path
// length that allows it, the last one equal to (or issued by) one of `anchors`. Appends to the list
// one check for each of: links (kChainInvalid), anchor (kAnchorUnknown), validity of every
// certificate at `at` (kTimeInvalid). `name` says whose chain: "PCK". Returns whether all passed;
// `chain` may or may not hold the root itself.
// With a cache (verified_cache.h), links that it knows are not computed again.
bool check_chain(Checks& checks, std::string_view name, std::span<const Certificate> chain,
                 std::span<const Certificate> anchors, Time at, VerifiedCache* cache = nullptr);

// That `list` is issued by `issuer`, valid at `at` and does not hold `certificate`. Codes
// kCollateralInvalid, kTimeInvalid, kRevoked.
bool check_not_revoked(Checks& checks, std::string_view name, const Certificate& certificate,
                       const RevocationList& list, const Certificate& issuer, Time at);

}  // namespace otr::attest

#endif  // OTR_ATTEST_CERTIFICATE_H_

// What certificates and revocation lists have in common, for certificate*.cc alone: RFC 5280 over
// der.h.
//
// An own parser rather than OpenSSL's: that one accepts BER in places, and takes a third of the
// time that a whole quote may take. OpenSSL does the mathematics and renders names.
#ifndef OTR_ATTEST_CERTIFICATE_PARTS_H_
#define OTR_ATTEST_CERTIFICATE_PARTS_H_

#include <array>
#include <optional>
#include <string>
#include <vector>

#include "attest/certificate.h"
#include "attest/der.h"

namespace otr::attest {

std::unexpected<Error> malformed_certificate(std::string message);

// SEQUENCE { to be signed, AlgorithmIdentifier, BIT STRING }: the views are into the given bytes.
struct SignedParts {
  ByteView to_be_signed, content;  // with and without identifier and length
  ByteView algorithm;              // AlgorithmIdentifier, whole
  ByteView signature;
};
Result<SignedParts> split_signed(ByteView der);

// Whether `key` made the signature. ECDSA with SHA-2, RSA-PSS with SHA-2 whose mask and salt are of
// the same digest, RSA PKCS #1 v1.5 with SHA-2 (NVIDIA's attestation service); nothing else.
bool is_signed_by(const SignedParts& parts, const PublicKey& key);

// UTCTime and GeneralizedTime of RFC 5280: with seconds, "Z".
Result<Time> read_time(DerReader& reader);
// A CertificateSerialNumber, without leading zeros; negative ones are refused.
Result<Bytes> read_serial(DerReader& reader);

struct Extension {
  std::string oid;
  bool critical = false;
  ByteView content;
};
// The SEQUENCE OF Extension in `sequence`; none twice.
Result<std::vector<Extension>> read_extensions(ByteView sequence);
const Extension* find_extension(const std::vector<Extension>& extensions, std::string_view oid);

// A Name in one line (RFC 2253), or its common name; empty if there is none.
std::string name_text(ByteView name);
std::string common_name(ByteView name);

struct Certificate::Data {
  Bytes der;
  SignedParts parts;
  ByteView issuer, subject;  // Name, whole
  Bytes serial;
  Time not_before = 0, not_after = 0;
  PublicKey key;
  std::vector<Extension> extensions;
  bool is_ca = false;
  std::optional<std::uint64_t> path_length;
  bool may_sign_certificates = true, may_sign_lists = true;  // keyUsage, if present, says so
  std::string unknown_critical;  // an extension of which the issuer says that it must be understood

  // How check_chain and RevocationList see inside.
  static const Data& of(const Certificate& certificate) { return *certificate.data_; }
};

}  // namespace otr::attest

#endif  // OTR_ATTEST_CERTIFICATE_PARTS_H_

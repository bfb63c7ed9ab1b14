// AWS Nitro Enclaves attestation documents: COSE_Sign1 (RFC 9052) over CBOR (RFC 8949), ES384
// (SPEC ATT-11).
#ifndef OTR_ATTEST_NITRO_H_
#define OTR_ATTEST_NITRO_H_

#include <array>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "attest/certificate.h"
#include "attest/policy.h"
#include "attest/verdict.h"

namespace otr::attest {

struct NitroDocument {
  std::string module_id;
  std::uint64_t timestamp_ms = 0;
  std::map<unsigned, Bytes> pcrs;
  std::vector<Certificate> chain;  // leaf first, the root last
  std::optional<Bytes> public_key, user_data, nonce;
  Bytes signed_part;  // Sig_structure
  std::array<std::uint8_t, 96> r_s{};
  // Frames of others carry data of their own behind the document (dstack's does). It is unsigned,
  // and only counted: a document is known by its signed part, never by a hash of the whole.
  std::size_t trailing_bytes = 0;
};
// Strict CBOR (attest/cbor.h): shortest forms, no key twice, none unknown.
// With or without the tag of COSE_Sign1. kBadInput with the offset; code MALFORMED or UNSUPPORTED.
[[nodiscard]] Result<NitroDocument> parse_nitro(ByteView bytes);
// Every field as text and numbers, for Verdict::facts and for reports.
[[nodiscard]] Json nitro_facts(const NitroDocument& document);

// The signature, the chain to one of `anchors`, and the time of the document: a document is made
// while its leaf is valid, and at most kNitroClockSkew seconds after `at` (AWS's clock against
// ours).
inline constexpr Time kNitroClockSkew = 300;
bool verify_nitro(Verdict& verdict, const NitroDocument& document,
                  std::span<const Certificate> anchors, Time at);
void appraise_nitro(Verdict& verdict, const NitroDocument& document, const Policy& policy,
                    const Expected& expected);

}  // namespace otr::attest

#endif  // OTR_ATTEST_NITRO_H_

// NVIDIA's reference integrity manifests: SWID tags (ISO/IEC 19770-2) with an enveloped XML
// signature (SPEC ATT-9).
//
// Read by a strict reader of the XML these files use: elements, attributes, text, the five
// predefined entities and character references. A DTD, comments, CDATA, processing instructions
// beyond the XML declaration, more than one Signature, any Reference but "" and any algorithm but
// C14N 1.1, ecdsa-sha384 and sha384 are refused: what is verified is what is read.
#ifndef OTR_ATTEST_RIM_H_
#define OTR_ATTEST_RIM_H_

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "attest/certificate.h"
#include "attest/verdict.h"
#include "attest/verified_cache.h"

namespace otr::attest {

struct Rim {
  std::string tag_id, version;  // colloquialVersion
  std::string product, platform_model;
  // Index of an active measurement, from 0, to its alternatives (48 bytes each).
  std::map<unsigned, std::vector<Bytes>> measurements;
  std::map<unsigned, std::string> names;
  std::vector<Certificate> chain;  // of KeyInfo, leaf first
  Bytes canonical_content;         // what the digest covers: C14N 1.1 without the Signature
  Bytes canonical_signed_info;
  Bytes digest, signature;  // as stated in the file: 48 bytes; r || s, 96 bytes
};

// kBadInput, code MALFORMED, or UNSUPPORTED for a certificate of another kind. Nothing is verified.
[[nodiscard]] Result<Rim> parse_rim(std::string_view xml);

// Digest (kReferenceInvalid), signature by the leaf of its chain (kReferenceInvalid), chain and
// validity (check_chain).
bool verify_rim(Checks& checks, std::string_view name, const Rim& rim,
                std::span<const Certificate> anchors, Time at, VerifiedCache* cache = nullptr);

}  // namespace otr::attest

#endif  // OTR_ATTEST_RIM_H_

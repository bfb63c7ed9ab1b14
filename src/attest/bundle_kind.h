// What some bytes are, by their own content: the first step of sorting files (bundle.h). A guess by
// a few leading fields; the parser of the kind decides. No kind is recognised by two rules here.
#ifndef OTR_ATTEST_BUNDLE_KIND_H_
#define OTR_ATTEST_BUNDLE_KIND_H_

#include <optional>
#include <string>
#include <string_view>

#include "base/bytes.h"

namespace otr::attest {

enum class Form {
  kUnknown,
  kQuote,      // Intel
  kSnp,        // AMD
  kGpu,        // NVIDIA, SPDM request and response
  kNitro,      // COSE_Sign1
  kSimulated,  // of otr itself
  kDer,        // a certificate, a revocation list, an OCSP answer
  kJson,
  kXml,
  kPem,
  kText,  // text of another kind, perhaps an encoding of bytes
  kAzureHcl,
};

[[nodiscard]] Form form_of(ByteView bytes);

// The bytes that a text spells in hexadecimal (with or without 0x, folded or not) or in base64;
// nothing if neither.
[[nodiscard]] std::optional<Bytes> decode_text(std::string_view text);

// %41 to A; anything else stays.
[[nodiscard]] std::string percent_decoded(std::string_view text);

}  // namespace otr::attest

#endif  // OTR_ATTEST_BUNDLE_KIND_H_

// The document that holds a request, the claim on it and the answer (SPEC RCPT-1): all that is
// needed to check who said what, and to recompute it.
#ifndef OTR_PROTOCOL_RECEIPT_H_
#define OTR_PROTOCOL_RECEIPT_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "crypto/secp256k1.h"
#include "protocol/claim.h"
#include "protocol/fields.h"
#include "protocol/request.h"
#include "protocol/session.h"

namespace otr::protocol {

inline constexpr std::size_t kMaxReceiptBytes = std::size_t{16} << 20;
// Evidence of a session key made by an ordinary program: it says nothing of the machine (RCPT-5).
inline constexpr std::string_view kSoftwareKey = "software-key";
// The session key is that of the session beside it, whose evidence is to be appraised (RCPT-6).
inline constexpr std::string_view kSession = "session";

struct Receipt {
  Hash spec_hash{};
  Hash ledger{};  // zero where there is none yet
  SignedRequest request;
  Claim claim;
  crypto::Address signer{};  // of the session key
  crypto::Signature claim_signature{};
  crypto::Address operator_address{};
  crypto::Signature countersignature{};
  std::string evidence_kind{kSoftwareKey};
  std::optional<SessionDocument> session;  // of kSession alone
  std::vector<std::uint32_t> prompt_ids;
  std::string prompt_text;  // utf8_lossy of the ids' bytes
  std::vector<std::uint32_t> output_ids;
  std::string output_text;
  std::vector<Hash> trace_path;  // opens header and token root in the trace
};

// The member `claim` of a receipt and of a message (wire.h): the claim, who signed it and how.
[[nodiscard]] Json encode_claim(const Claim& claim, const crypto::Address& signer,
                                const crypto::Signature& signature);
void decode_claim(const Fields& parent, Claim& claim, crypto::Address& signer,
                  crypto::Signature& signature);

// Canonical JSON and one line feed. kBadInput if a text is not UTF-8, or with LIMIT_EXCEEDED if the
// receipt would be longer than 16 MiB.
[[nodiscard]] Result<std::string> encode_receipt(const Receipt& receipt);

// Only what encode_receipt makes. Codes MALFORMED, NOT_CANONICAL, LIMIT_EXCEEDED. Nothing is
// checked but the form (verify.h).
[[nodiscard]] Result<Receipt> decode_receipt(std::string_view text);

}  // namespace otr::protocol

#endif  // OTR_PROTOCOL_RECEIPT_H_

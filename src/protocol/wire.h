// What proxy, gateway and worker say to each other: a submission as the body of a POST, and its
// answer as a stream of messages, each one SSE event or one sealed chunk (SPEC GATE-2, GATE-3).
//
// All of it is canonical JSON with bounds. Nothing here is trusted: the request is signed by its
// client, the claim by the session and the operator, and the tokens are under the claim.
#ifndef OTR_PROTOCOL_WIRE_H_
#define OTR_PROTOCOL_WIRE_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "crypto/secp256k1.h"
#include "protocol/claim.h"
#include "protocol/receipt.h"
#include "protocol/request.h"

namespace otr::protocol {

inline constexpr std::size_t kMaxSubmissionBytes = std::size_t{4} << 20;
inline constexpr std::size_t kMaxMessageBytes = std::size_t{64} << 10;
inline constexpr unsigned kMaxTopLogprobs = 20;

// Public mode: what the worker gets. In sealed mode it is the plaintext of a SealedSubmission.
struct Submission {
  Hash session{};  // that shall answer
  SignedRequest request;
  std::vector<std::uint32_t> prompt_ids;
  // Log-probabilities of the chosen token and so many of the likeliest, at most 20. Not covered by
  // the claim.
  std::optional<std::uint32_t> logprobs;
};

// Sealed mode: all that a gateway sees (SPEC SEAL-2, SEAL-5).
struct SealedSubmission {
  Hash session{};
  Hash request_hash{};  // digest_of the request inside: what the claim will be about
  std::uint32_t prompt_count = 0, max_tokens = 0;  // for admission; checked inside
  Bytes sealed;  // seal_request (sealed.h) of the open submission, for seal_context
};
[[nodiscard]] Bytes seal_context(const SealedSubmission& submission);

[[nodiscard]] Result<std::string> encode_submission(const Submission& submission);
[[nodiscard]] Result<std::string> encode_submission(const SealedSubmission& submission);

struct AnySubmission {  // exactly one of the two
  std::optional<Submission> open;
  std::optional<SealedSubmission> sealed;
};
// Codes MALFORMED, NOT_CANONICAL, LIMIT_EXCEEDED. Nothing is checked but the form.
[[nodiscard]] Result<AnySubmission> decode_submission(std::string_view text);

// Of one token: nats in millionths, by floating point, not covered by any claim.
struct TokenLogprob {
  std::uint32_t id = 0;
  std::int64_t micro_nats = 0;
};
struct TokenMessage {
  std::uint32_t id = 0;
  std::vector<TokenLogprob> logprobs;  // the chosen token, then the likeliest; empty if not asked
};
// The end of a whole answer.
struct ClaimMessage {
  Claim claim;
  crypto::Address signer{};
  crypto::Signature claim_signature{};
  // The gateway's own words, which the worker leaves out.
  std::optional<crypto::Address> operator_address;
  crypto::Signature countersignature{};
  std::string receipt_id;  // where the gateway keeps it; empty from a worker
};
// The end of an answer that failed: nothing was signed.
struct ErrorMessage {
  std::uint32_t status = 500;  // as of HTTP
  std::string type, code, message;
};

// One message; any of its parts may be there. An answer is tokens*, then trace_path, then claim, or
// an error anywhere.
struct StreamMessage {
  std::vector<TokenMessage> tokens;
  std::optional<std::vector<Hash>> trace_path;
  std::optional<ClaimMessage> claim;
  std::optional<Bytes> sealed;  // first the answer's nonce, then chunks that hold messages (SEAL-3)
  std::optional<ErrorMessage> error;
};
[[nodiscard]] std::string encode_message(const StreamMessage& message);
[[nodiscard]] Result<StreamMessage> decode_message(std::string_view text);

}  // namespace otr::protocol

#endif  // OTR_PROTOCOL_WIRE_H_

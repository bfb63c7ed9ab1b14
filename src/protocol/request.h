// What a client asks for and signs (SPEC REQ). The worker chooses nothing that affects the output.
#ifndef OTR_PROTOCOL_REQUEST_H_
#define OTR_PROTOCOL_REQUEST_H_

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/canonical_json.h"
#include "base/result.h"
#include "crypto/secp256k1.h"
#include "machine/model.h"
#include "machine/program.h"
#include "protocol/decimal.h"
#include "trace/header.h"

namespace otr::protocol {

inline constexpr std::size_t kMaxStopStrings = 4;
inline constexpr std::size_t kMaxStopBytes = 64;

struct Request {
  crypto::Address client{};
  std::uint64_t counter = 0;  // used once by a client
  Hash task_id{};
  Hash model_root{};
  Hash prompt_root{};              // SPEC REQ-4: trace::token_root of the prompt
  std::uint32_t prompt_count = 0;  // ids in the prompt
  std::uint32_t max_tokens = 0;
  machine::Sampling sampling;
  std::vector<std::string> stop;  // ascending by bytes, distinct
  Uint256 price{};
  std::uint8_t mode = 0;  // trace::Privacy
  std::uint64_t deadline = 0;
};

[[nodiscard]] Hash task_id(const crypto::Address& client, std::uint64_t counter);  // SPEC REQ-3

// SPEC REQ-7: the seed of answer i of several to one prompt, the first being answer 0.
[[nodiscard]] Hash seed_of_answer(const Hash& seed, std::uint32_t i);

// SPEC REQ-2: hashStruct of EIP-712.
[[nodiscard]] Hash struct_hash(const Request& request);

// What the client signs (crypto::PrivateKey::sign) and the claim calls request hash.
// `ledger` is the ledger's id, zero where there is none.
[[nodiscard]] Hash digest_of(const Request& request, const Hash& ledger);

// The header of the trace that answers the request (SPEC TRACE-4).
[[nodiscard]] trace::TraceHeader trace_header(const Request& request, const Hash& spec_hash,
                                              std::uint32_t out_count);

// SPEC REQ-5 in two halves, code REQUEST_INVALID: the ranges that need no model, and the rest.
[[nodiscard]] Status check_ranges(const Request& request);
[[nodiscard]] Status check_ranges_of_model(const Request& request,
                                           std::span<const std::uint32_t> prompt_ids,
                                           const machine::Shape& shape);

// A request as it travels, before it is part of a receipt.
struct SignedRequest {
  Request request;
  crypto::Signature signature{};
};

// The member `request` of a receipt (SPEC RCPT-1). It does not hold the prompt's length, which the
// decoder takes from the ids beside it. Decoding refuses with MALFORMED and checks nothing else.
[[nodiscard]] Json encode_request(const SignedRequest& request);
[[nodiscard]] Result<SignedRequest> decode_request(const Json& object, std::string path,
                                                   std::uint32_t prompt_count);

// All checks of a request that a worker does before it runs it (SPEC RCPT-2, RCPT-3): ranges, task
// id, prompt root, signature, model root. The codes are those of a receipt that held it.
[[nodiscard]] Status check_request(const SignedRequest& request, const Hash& ledger,
                                   std::span<const std::uint32_t> prompt_ids,
                                   const machine::Shape& shape, const Hash& model_root);

// The single checks, for the verifier's list. Codes TASK_ID_MISMATCH, PROMPT_ROOT_MISMATCH,
// REQUEST_SIGNATURE. The second requires at least one id.
[[nodiscard]] Status check_task_id(const Request& request);
[[nodiscard]] Status check_prompt_root(const Request& request,
                                       std::span<const std::uint32_t> prompt_ids);
[[nodiscard]] Status check_signature(const SignedRequest& request, const Hash& ledger);

}  // namespace otr::protocol

#endif  // OTR_PROTOCOL_REQUEST_H_

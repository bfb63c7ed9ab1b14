// A model of eight tokens and a receipt about it, for tests and the fuzz target. The trace holds
// made-up rows: no check short of recomputing looks at them.
#ifndef OTR_PROTOCOL_TOY_RECEIPT_H_
#define OTR_PROTOCOL_TOY_RECEIPT_H_

#include <string_view>
#include <vector>

#include "crypto/secp256k1.h"
#include "machine/model.h"
#include "protocol/receipt.h"
#include "trace/trace.h"

namespace otr::protocol {

// The views of `model` are into the vectors beside it.
struct ToyModel {
  std::vector<std::uint32_t> token_offsets = {0};
  Bytes token_bytes;
  std::vector<std::uint32_t> eos_ids = {0};
  machine::Model model;
};

inline ToyModel toy_model() {
  ToyModel toy;
  // Tokens 3 and 4 are two halves of a euro sign.
  for (const std::string_view text : {"<end>", "a", "b", "\xE2\x82", "\xAC", " ", "stop", ""}) {
    append(toy.token_bytes, as_bytes(text));
    toy.token_offsets.push_back(static_cast<std::uint32_t>(toy.token_bytes.size()));
  }
  machine::Shape& shape = toy.model.shape;
  shape.hidden = 4;
  shape.heads = 2;
  shape.kv_heads = 1;
  shape.head_dim = 2;
  shape.ffn = 4;
  shape.layers = 2;
  shape.vocabulary = 8;
  shape.context = 16;
  toy.model.eos_ids = toy.eos_ids;
  toy.model.token_offsets = toy.token_offsets;
  toy.model.token_bytes = toy.token_bytes;
  return toy;
}

inline constexpr Hash kToySpecHash = {1};
inline constexpr Hash kToyModelRoot = {2};

// The key with the secret scalar `number`, which must not be 0.
inline crypto::PrivateKey toy_key(std::uint8_t number) {
  Hash scalar{};
  scalar[31] = number;
  return crypto::PrivateKey::from_bytes(scalar).value();
}

// Commits the ids and made-up rows.
inline void commit(Receipt& receipt, const machine::Shape& shape) {
  trace::TraceBuilder builder(shape, trace::TraceBuilder::Keep::kTops);
  for (const std::uint32_t id : receipt.prompt_ids) builder.append_token(id);
  for (const std::uint32_t id : receipt.output_ids) builder.append_token(id);
  const std::vector<std::int16_t> k(shape.head_dim, 5);
  const std::vector<std::int8_t> v(shape.head_dim, -5);
  const std::vector<std::int32_t> x(shape.hidden, 7);
  for (std::uint64_t t = 0; t + 1 < builder.token_count(); ++t) {
    for (std::uint32_t layer = 0; layer < shape.layers; ++layer) {
      for (std::uint32_t head = 0; head < shape.kv_heads; ++head) {
        builder.append_kv(layer, head, k, 9, v, 3);
      }
      builder.append_residual(layer, x);
    }
  }
  const trace::TraceHeader header =
      trace_header(receipt.request.request, receipt.spec_hash,
                   static_cast<std::uint32_t>(receipt.output_ids.size()));
  receipt.claim.trace_root = builder.root(header);
  receipt.trace_path = builder.token_path(header);
}

inline void sign_request(Receipt& receipt) {
  SignedRequest& request = receipt.request;
  request.signature = toy_key(1).sign(digest_of(request.request, receipt.ledger));
}

inline void sign_claim(Receipt& receipt) {
  const Hash digest = digest_of(receipt.claim, receipt.ledger);
  receipt.claim_signature = toy_key(2).sign(digest);
  receipt.countersignature = toy_key(3).sign(countersignature_digest(digest, receipt.ledger));
}

// Makes everything that is derived from the ids and the request's parameters agree with them.
inline void seal(Receipt& receipt, const machine::Shape& shape) {
  Request& request = receipt.request.request;
  request.client = toy_key(1).address();
  request.task_id = task_id(request.client, request.counter);
  request.prompt_count = static_cast<std::uint32_t>(receipt.prompt_ids.size());
  request.prompt_root = trace::token_root(receipt.prompt_ids);
  sign_request(receipt);
  commit(receipt, shape);
  receipt.claim.request_hash = digest_of(request, receipt.ledger);
  receipt.claim.prompt_count = request.prompt_count;
  receipt.claim.out_count = static_cast<std::uint32_t>(receipt.output_ids.size());
  receipt.signer = toy_key(2).address();
  receipt.operator_address = toy_key(3).address();
  sign_claim(receipt);
}

// A valid receipt that ends with a stop string.
inline Receipt toy_receipt() {
  Receipt receipt;
  receipt.spec_hash = kToySpecHash;
  receipt.prompt_ids = {1, 5, 2, 3};
  receipt.prompt_text = "a b\xEF\xBF\xBD";
  receipt.output_ids = {3, 4, 6};
  receipt.output_text = "\xE2\x82\xACstop";
  receipt.claim.finish_reason = 2;
  Request& request = receipt.request.request;
  request.counter = 18446744073709551615u;
  request.model_root = kToyModelRoot;
  request.max_tokens = 5;
  request.sampling.inv_t = 94548;
  request.sampling.top_k = 8;
  request.sampling.top_p = 60000;
  request.sampling.presence = -3;
  request.sampling.seed = {7};
  request.sampling.logit_bias = {{2, -65536}, {7, 100}};
  request.stop = {"\"x\n", "top"};
  request.price = uint256(1234567890123);
  request.deadline = 1800000000;
  seal(receipt, toy_model().model.shape);
  return receipt;
}

}  // namespace otr::protocol

#endif  // OTR_PROTOCOL_TOY_RECEIPT_H_

// The serve flow, top to bottom: each line is one call into the module that does it.
#include "node/worker.h"

#include "base/check.h"
#include "protocol/finish.h"
#include "text/utf8.h"
#include "trace/noise.h"

namespace otr::node {

using protocol::Receipt;

Worker::Worker(const model::Artifact& artifact, const engine::PackedModel& packed,
               crypto::PrivateKey session_key, crypto::PrivateKey operator_key, unsigned threads)
    : artifact_(artifact),
      session_key_(std::move(session_key)),
      operator_key_(std::move(operator_key)),
      forward_(packed, threads) {}

Result<Receipt> Worker::serve(const protocol::SignedRequest& request,
                              std::span<const std::uint32_t> prompt_ids,
                              const std::function<void(std::uint32_t)>& on_token,
                              const std::function<bool()>& cancelled,
                              const engine::OnLogits& on_logits) {
  const machine::Model& model = artifact_.view();
  Receipt receipt{.spec_hash = machine::kSpecHash, .request = request};
  receipt.prompt_ids.assign(prompt_ids.begin(), prompt_ids.end());

  // 1. The request is one this model can answer, and the client signed it.
  OTR_TRY(
      protocol::check_request(request, receipt.ledger, prompt_ids, model.shape, artifact_.root()));

  // 2. Compute; every row goes into the trace as it is made.
  trace::TraceBuilder trace(model.shape, trace::TraceBuilder::Keep::kTops);
  protocol::FinishDetector finish(model, request.request);
  std::optional<protocol::FinishReason> reason;
  const auto take = [&](std::uint32_t id) {
    on_token(id);
    reason = finish.push(id);
    return reason.has_value();
  };
  OTR_TRY_ASSIGN(
      receipt.output_ids,
      engine::generate(forward_, model, {prompt_ids, request.request.sampling, trace::noise_block},
                       trace, take, cancelled, on_logits));

  // 3. The claim: this model, on this request, gives this trace.
  const trace::TraceHeader header = protocol::trace_header(
      request.request, receipt.spec_hash, static_cast<std::uint32_t>(receipt.output_ids.size()));
  receipt.claim = {.request_hash = protocol::digest_of(request.request, receipt.ledger),
                   .trace_root = trace.root(header),
                   .prompt_count = request.request.prompt_count,
                   .out_count = header.out_count,
                   .finish_reason = static_cast<std::uint8_t>(*reason)};
  receipt.trace_path = trace.token_path(header);

  // 4. What a person reads.
  const auto text_of = [&](std::span<const std::uint32_t> ids) {
    std::string bytes;
    for (const std::uint32_t id : ids) bytes += as_text(protocol::token_bytes(model, id));
    return text::utf8_lossy(bytes);
  };
  receipt.prompt_text = text_of(receipt.prompt_ids);
  receipt.output_text = text_of(receipt.output_ids);

  // 5. The session key signs the claim; the operator, whose stake it risks, countersigns.
  const Hash claim_hash = protocol::digest_of(receipt.claim, receipt.ledger);
  receipt.signer = session_key_.address();
  receipt.claim_signature = session_key_.sign(claim_hash);
  receipt.operator_address = operator_key_.address();
  receipt.countersignature =
      operator_key_.sign(protocol::countersignature_digest(claim_hash, receipt.ledger));
  return receipt;
}

}  // namespace otr::node

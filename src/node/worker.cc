// The serve flow for one request, top to bottom: each line is one call into the module that does
// it.
#include "node/worker.h"

#include "node/signed_claim.h"
#include "protocol/finish.h"
#include "trace/noise.h"

namespace otr::node {

Worker::Worker(const model::Artifact& artifact, const engine::PackedModel& packed,
               crypto::PrivateKey session_key, crypto::PrivateKey operator_key, unsigned threads)
    : artifact_(artifact),
      signer_{.key = std::move(session_key)},
      operator_key_(std::move(operator_key)),
      forward_(packed, threads) {}

Result<protocol::Receipt> Worker::serve(const protocol::SignedRequest& request,
                                        std::span<const std::uint32_t> prompt_ids,
                                        const std::function<void(std::uint32_t)>& on_token,
                                        const std::function<bool()>& cancelled,
                                        const engine::OnLogits& on_logits) {
  const machine::Model& model = artifact_.view();
  // 1. The request is one this model can answer, and the client signed it.
  OTR_TRY(
      protocol::check_request(request, signer_.ledger, prompt_ids, model.shape, artifact_.root()));

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
      auto output_ids,
      engine::generate(forward_, model, {prompt_ids, request.request.sampling, trace::noise_block},
                       trace, take, cancelled, on_logits));

  // 3. The claim that this model, on this request, gives this trace, signed by the session key; the
  // operator, whose stake it risks, countersigns.
  Finished finished = sign_claim(request.request, std::move(output_ids), *reason, trace, signer_);
  return make_receipt(request, prompt_ids, std::move(finished), model, operator_key_,
                      signer_.ledger);
}

}  // namespace otr::node

#include "node/signed_claim.h"

#include <string>
#include <utility>

#include "machine/tables.h"
#include "text/utf8.h"

namespace otr::node {

Finished sign_claim(const protocol::Request& request, std::vector<std::uint32_t> output_ids,
                    protocol::FinishReason reason, const trace::TraceBuilder& trace,
                    const ClaimSigner& signer) {
  const trace::TraceHeader header = protocol::trace_header(
      request, machine::kSpecHash, static_cast<std::uint32_t>(output_ids.size()));
  Finished finished;
  finished.claim = {.request_hash = protocol::digest_of(request, signer.ledger),
                    .trace_root = trace.root(header),
                    .prompt_count = request.prompt_count,
                    .out_count = header.out_count,
                    .finish_reason = static_cast<std::uint8_t>(reason),
                    .session = signer.session};
  finished.claim_signature = signer.key.sign(protocol::digest_of(finished.claim, signer.ledger));
  finished.signer = signer.key.address();
  finished.output_ids = std::move(output_ids);
  finished.trace_path = trace.token_path(header);
  return finished;
}

protocol::Receipt make_receipt(const protocol::SignedRequest& request,
                               std::span<const std::uint32_t> prompt_ids, Finished finished,
                               const machine::Model& model, const crypto::PrivateKey& operator_key,
                               const Hash& ledger) {
  const auto text_of = [&](std::span<const std::uint32_t> ids) {
    std::string bytes;
    for (const std::uint32_t id : ids) bytes += as_text(protocol::token_bytes(model, id));
    return text::utf8_lossy(bytes);
  };
  protocol::Receipt receipt{.spec_hash = machine::kSpecHash, .ledger = ledger, .request = request};
  receipt.prompt_ids.assign(prompt_ids.begin(), prompt_ids.end());
  receipt.prompt_text = text_of(receipt.prompt_ids);
  receipt.claim = finished.claim;
  receipt.signer = finished.signer;
  receipt.claim_signature = finished.claim_signature;
  receipt.operator_address = operator_key.address();
  receipt.countersignature = operator_key.sign(
      protocol::countersignature_digest(protocol::digest_of(receipt.claim, ledger), ledger));
  receipt.output_ids = std::move(finished.output_ids);
  receipt.output_text = text_of(receipt.output_ids);
  receipt.trace_path = std::move(finished.trace_path);
  return receipt;
}

}  // namespace otr::node

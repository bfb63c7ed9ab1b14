#include "service/answer.h"

#include "machine/tables.h"
#include "protocol/finish.h"
#include "protocol/verify.h"
#include "text/utf8.h"

namespace otr::service {
namespace {

using protocol::Receipt;

// Bounded by the number of ids times the longest token.
std::string text_of(const machine::Model& model, const std::vector<std::uint32_t>& ids) {
  std::string bytes;
  for (const std::uint32_t id : ids) {
    if (id < model.shape.vocabulary) bytes += as_text(protocol::token_bytes(model, id));
  }
  return text::utf8_lossy(bytes);
}

Status to_status(const protocol::Report& report) {
  const protocol::Check* failure = report.failure();
  if (failure == nullptr) return {};
  return fail(ErrorKind::kReject, std::string(failure->name) + ": " + failure->detail,
              failure->reject ? std::string(name_of(*failure->reject)) : "");
}

}  // namespace

Result<VerifiedAnswer> verify_answer(const protocol::SignedRequest& request,
                                     const std::vector<std::uint32_t>& prompt_ids,
                                     const std::vector<std::uint32_t>& output_ids,
                                     const EndedAnswer& ended, const AppraisedSession& session,
                                     const machine::Model& model, const Hash& model_root,
                                     std::int64_t now) {
  if (!ended.claim.operator_address) {
    return fail(ErrorKind::kReject, "The operator did not countersign the claim.",
                "COUNTERSIGNATURE");
  }
  VerifiedAnswer answer;
  answer.receipt = {.spec_hash = machine::kSpecHash,
                    .ledger = session.document.ledger,
                    .request = request,
                    .claim = ended.claim.claim,
                    .signer = ended.claim.signer,
                    .claim_signature = ended.claim.claim_signature,
                    .operator_address = *ended.claim.operator_address,
                    .countersignature = ended.claim.countersignature,
                    .evidence_kind = std::string(protocol::kSession),
                    .session = session.document,
                    .prompt_ids = prompt_ids,
                    .prompt_text = text_of(model, prompt_ids),
                    .output_ids = output_ids,
                    .output_text = text_of(model, output_ids),
                    .trace_path = ended.trace_path};
  OTR_TRY(protocol::check_live(session.document.session, now));
  OTR_TRY_ASSIGN(answer.receipt_text, protocol::encode_receipt(answer.receipt));
  const protocol::OpenedReceipt opened =
      protocol::open_receipt(answer.receipt_text, machine::kSpecHash);
  OTR_TRY(to_status(opened.report));
  OTR_TRY(to_status(protocol::check_with_model(answer.receipt, model, model_root)));
  return answer;
}

}  // namespace otr::service

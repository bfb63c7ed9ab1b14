#include "node/audit.h"

#include <algorithm>

#include "base/hex.h"
#include "engine/generate.h"
#include "protocol/finish.h"
#include "text/utf8.h"
#include "trace/noise.h"

namespace otr::node {
namespace {

using protocol::Check;
using protocol::Outcome;

std::string quoted(const machine::Model& model, std::uint32_t id) {
  return "id " + std::to_string(id) + " \"" +
         text::utf8_lossy(as_text(protocol::token_bytes(model, id))) + "\"";
}

// The first chosen token that is not the claimed one.
Check compare_tokens(const machine::Model& model, const protocol::Receipt& receipt,
                     const std::vector<std::uint32_t>& chosen) {
  Check check{.name = "every output token is the one the model chooses", .outcome = Outcome::kPass};
  const auto [claimed, mine] = std::ranges::mismatch(receipt.output_ids, chosen);
  if (claimed == receipt.output_ids.end()) return check;
  const auto n = static_cast<std::size_t>(claimed - receipt.output_ids.begin());
  check.outcome = Outcome::kFail;
  check.reject = Reject::kTokenMismatch;
  check.detail = "output token " + std::to_string(n) + " is claimed to be " +
                 quoted(model, *claimed) + "; the model chooses " + quoted(model, *mine);
  return check;
}

Check compare_roots(const Hash& claimed, const Hash& mine) {
  Check check{.name = "trace root recomputed", .outcome = Outcome::kPass};
  if (claimed == mine) return check;
  check.outcome = Outcome::kFail;
  check.reject = Reject::kTraceRootMismatch;
  check.detail = "the claim says " + to_hex(claimed) + "; recomputed it is " + to_hex(mine);
  return check;
}

// SPEC RCPT-4.
void recompute(Audit& audit, const model::Artifact& artifact, const AuditOptions& options) {
  const machine::Model& model = artifact.view();
  const protocol::Receipt& receipt = *audit.receipt;
  const protocol::Request& request = receipt.request.request;
  engine::Forward forward(*options.recompute_with, options.threads);
  trace::TraceBuilder trace(model.shape, trace::TraceBuilder::Keep::kTops);
  const auto result =
      engine::recompute(forward, model, {receipt.prompt_ids, request.sampling, trace::noise_block},
                        receipt.output_ids, trace, options.cancelled);
  if (!result && result.error().kind == ErrorKind::kCancelled) {
    audit.inconclusive = result.error();
    return;
  }
  if (!result) {
    audit.report.checks.push_back({.name = "the arithmetic stays in range",
                                   .outcome = Outcome::kFail,
                                   .detail = result.error().message,
                                   .reject = Reject::kOutOfRange});
    return;
  }
  audit.report.checks.push_back(compare_tokens(model, receipt, result->chosen));
  if (audit.failed()) return;
  audit.report.checks.push_back(compare_roots(
      receipt.claim.trace_root,
      trace.root(protocol::trace_header(request, receipt.spec_hash, receipt.claim.out_count))));
  audit.recomputed = !audit.failed();
}

// SPEC SESS-7 and SESS-8, of a receipt whose checks have passed.
void appraise(Audit& audit, const AuditOptions& options) {
  const protocol::SessionDocument& document = *audit.receipt->session;
  const auto add = [&](std::string_view name, const Status& status) {
    Check check{.name = name, .outcome = status ? Outcome::kPass : Outcome::kFail};
    if (!status) {
      check.detail = status.error().message;
      check.reject = reject_named(status.error().code);
    }
    audit.report.checks.push_back(std::move(check));
    return status.has_value();
  };
  if (!add("session is live", protocol::check_live(document.session, options.at))) return;
  audit.session = protocol::appraise_session(
      document, *options.policy,
      options.anchors != nullptr ? *options.anchors : attest::vendor_anchors(), options.at);
  add("evidence of the session is accepted",
      audit.session->error ? Status(std::unexpected(*audit.session->error)) : Status());
}

}  // namespace

Audit audit(std::string_view receipt_text, const model::Artifact& artifact,
            const AuditOptions& options) {
  protocol::OpenedReceipt opened = protocol::open_receipt(receipt_text, machine::kSpecHash);
  Audit result{.report = std::move(opened.report), .receipt = std::move(opened.receipt)};
  if (result.failed()) return result;
  const protocol::Report with_model =
      protocol::check_with_model(*result.receipt, artifact.view(), artifact.root());
  result.report.checks.insert(result.report.checks.end(), with_model.checks.begin(),
                              with_model.checks.end());
  if (!result.failed() && options.policy != nullptr && result.receipt->session) {
    appraise(result, options);
  }
  if (!result.failed() && options.recompute_with != nullptr) recompute(result, artifact, options);
  return result;
}

}  // namespace otr::node

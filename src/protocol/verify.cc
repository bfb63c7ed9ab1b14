#include "protocol/verify.h"

#include <algorithm>
#include <array>
#include <span>

#include "base/check.h"
#include "base/hex.h"
#include "protocol/finish.h"
#include "text/utf8.h"
#include "trace/opening.h"

namespace otr::protocol {
namespace {

// What a verifier brings along.
struct Context {
  Hash spec_hash{};
  const machine::Model* model = nullptr;
  Hash model_root{};
};

struct Rule {
  std::string_view name;
  Reject reject;
  Status (*check)(const Receipt&, const Context&);
};

std::unexpected<Error> wrong(std::string message) {
  return fail(ErrorKind::kReject, std::move(message));
}

Hash token_root(const Receipt& receipt) {
  std::vector<std::uint32_t> ids = receipt.prompt_ids;
  ids.insert(ids.end(), receipt.output_ids.begin(), receipt.output_ids.end());
  return trace::token_root(ids);
}

trace::TraceHeader header_of(const Receipt& receipt) {
  return trace_header(receipt.request.request, receipt.spec_hash, receipt.claim.out_count);
}

Status spec_hash(const Receipt& receipt, const Context& context) {
  if (receipt.spec_hash == context.spec_hash) return {};
  return wrong("The receipt follows the SPEC " + to_hex(receipt.spec_hash) + ", this program " +
               to_hex(context.spec_hash) + ".");
}

Status request_ranges(const Receipt& receipt, const Context&) {
  return check_ranges(receipt.request.request);
}

Status request_task_id(const Receipt& receipt, const Context&) {
  return check_task_id(receipt.request.request);
}

Status prompt_root(const Receipt& receipt, const Context&) {
  return check_prompt_root(receipt.request.request, receipt.prompt_ids);
}

Status request_signature(const Receipt& receipt, const Context&) {
  return check_signature(receipt.request, receipt.ledger);
}

Status request_hash(const Receipt& receipt, const Context&) {
  if (receipt.claim.request_hash == digest_of(receipt.request.request, receipt.ledger)) return {};
  return wrong("The claim is about another request.");
}

Status counts(const Receipt& receipt, const Context&) {
  const Claim& claim = receipt.claim;
  if (claim.prompt_count != receipt.prompt_ids.size() ||
      claim.out_count != receipt.output_ids.size()) {
    return wrong("The claim counts " + std::to_string(claim.prompt_count) + " and " +
                 std::to_string(claim.out_count) + " ids, the receipt holds " +
                 std::to_string(receipt.prompt_ids.size()) + " and " +
                 std::to_string(receipt.output_ids.size()) + ".");
  }
  if (claim.out_count < 1 || claim.out_count > receipt.request.request.max_tokens) {
    return wrong("The output has " + std::to_string(claim.out_count) +
                 " ids; the request allows 1 to " +
                 std::to_string(receipt.request.request.max_tokens) + ".");
  }
  return {};
}

Status claim_signature(const Receipt& receipt, const Context&) {
  return check_signer(digest_of(receipt.claim, receipt.ledger), receipt.claim_signature,
                      receipt.signer, name_of(Reject::kClaimSignature));
}

Status countersignature(const Receipt& receipt, const Context&) {
  if (receipt.operator_address == receipt.signer) {
    return wrong("The operator's key is the session's own: a thief of one would have both.");
  }
  const Hash claim_hash = digest_of(receipt.claim, receipt.ledger);
  return check_signer(countersignature_digest(claim_hash, receipt.ledger), receipt.countersignature,
                      receipt.operator_address, name_of(Reject::kCountersignature));
}

// SPEC RCPT-6.
Status speaks_for(const SessionDocument& document, const Receipt& receipt) {
  const Session& session = document.session;
  const auto other = [](std::string_view what) {
    return fail(ErrorKind::kReject, "The session beside the claim " + std::string(what) + ".",
                std::string(name_of(Reject::kSessionMismatch)));
  };
  if (document.ledger != receipt.ledger) return other("belongs to another ledger");
  if (receipt.claim.session != session_id(session, document.ledger)) {
    return other("is not the one that the claim names");
  }
  if (receipt.signer != session.key) return other("has another key than the claim's signer");
  if (receipt.operator_address != session.operator_address) {
    return other("names another operator than the one that countersigned");
  }
  if (receipt.request.request.model_root != session.model_root) {
    return other("measured another model than the one requested");
  }
  return {};
}

Status evidence(const Receipt& receipt, const Context& context) {
  const Claim& claim = receipt.claim;
  if (receipt.evidence_kind != kSoftwareKey && receipt.evidence_kind != kSession) {
    return wrong(
        "This program knows no evidence of that kind, only \"software-key\" and "
        "\"session\".");
  }
  if (claim.checkpoint != 0 && receipt.ledger == Hash{}) {
    return wrong("Without a ledger there is no checkpoint: it must be zero.");
  }
  if (claim.checkpoint == 0 && claim.checkpoint_hash != Hash{}) {
    return wrong("The hash of no checkpoint must be zero.");
  }
  if (receipt.session) {
    OTR_TRY(check_session(*receipt.session, context.spec_hash));
    return speaks_for(*receipt.session, receipt);
  }
  if (claim.session != Hash{} || receipt.ledger != Hash{}) {
    return wrong("A software key has neither session nor ledger.");
  }
  return {};
}

// SPEC RCPT-2 after the form, in its order.
constexpr std::array<Rule, 10> kRulesAlone = {{
    {"arithmetic and formats are ours", Reject::kSpecMismatch, spec_hash},
    {"request is valid", Reject::kRequestInvalid, request_ranges},
    {"task id is the client's", Reject::kTaskIdMismatch, request_task_id},
    {"prompt is the one requested", Reject::kPromptRootMismatch, prompt_root},
    {"request signed by the client", Reject::kRequestSignature, request_signature},
    {"claim is about this request", Reject::kRequestHashMismatch, request_hash},
    {"counts are those of the ids", Reject::kCountMismatch, counts},
    {"claim signed by the session key", Reject::kClaimSignature, claim_signature},
    {"claim countersigned by the operator", Reject::kCountersignature, countersignature},
    {"session is one and speaks for the claim", Reject::kEvidenceMismatch, evidence},
}};

Status model_root(const Receipt& receipt, const Context& context) {
  if (receipt.request.request.model_root == context.model_root) return {};
  return wrong("The receipt is about the model " + to_hex(receipt.request.request.model_root) +
               ", this one is " + to_hex(context.model_root) + ".");
}

Status request_ranges_of_model(const Receipt& receipt, const Context& context) {
  return check_ranges_of_model(receipt.request.request, receipt.prompt_ids, context.model->shape);
}

Status token_path(const Receipt& receipt, const Context& context) {
  if (receipt.prompt_ids.empty()) return wrong("There is no prompt, so there is no trace.");
  const std::uint64_t leaf_count = trace::trace_leaf_count(context.model->shape);
  return trace::check_token_path(leaf_count, receipt.claim.trace_root, header_of(receipt),
                                 token_root(receipt), receipt.trace_path);
}

// A replacement is never shorter than what it replaces, so more bytes than text cannot match.
bool is_text_of(const machine::Model& model, std::span<const std::uint32_t> ids,
                const std::string& text) {
  const std::optional<std::string> bytes = joined_bytes(model, ids, text.size());
  return bytes && text::utf8_lossy(*bytes) == text;
}

Status texts(const Receipt& receipt, const Context& context) {
  if (!is_text_of(*context.model, receipt.prompt_ids, receipt.prompt_text)) {
    return wrong("prompt_text is not the text of prompt_ids.");
  }
  if (!is_text_of(*context.model, receipt.output_ids, receipt.output_text)) {
    return wrong("output_text is not the text of output_ids.");
  }
  return {};
}

// Requires output ids below V, which the rule before has shown.
Status finish(const Receipt& receipt, const Context& context) {
  FinishDetector detector(*context.model, receipt.request.request);
  for (std::size_t i = 0; i < receipt.output_ids.size(); ++i) {
    const std::optional<FinishReason> reason = detector.push(receipt.output_ids[i]);
    const bool last = i + 1 == receipt.output_ids.size();
    if (reason && !last) {
      return wrong("The answer ended at output token " + std::to_string(i) + " of " +
                   std::to_string(receipt.output_ids.size()) + ".");
    }
    if (!last) continue;
    if (!reason) return wrong("Nothing ends the answer at its last token.");
    if (static_cast<std::uint8_t>(*reason) == receipt.claim.finish_reason) return {};
    return wrong("The finish reason is " + std::to_string(static_cast<unsigned>(*reason)) +
                 ", not " + std::to_string(receipt.claim.finish_reason) + ".");
  }
  return wrong("There is no output.");
}

// SPEC RCPT-3, in its order.
constexpr std::array<Rule, 5> kRulesWithModel = {{
    {"model root is the one requested", Reject::kModelRootMismatch, model_root},
    {"request is valid for the model", Reject::kRequestInvalid, request_ranges_of_model},
    {"ids are under the trace root", Reject::kTokenPathMismatch, token_path},
    {"texts are those of the ids", Reject::kTextMismatch, texts},
    {"answer ends where it must", Reject::kFinishMismatch, finish},
}};

// The code of a failure is the error's own, else that of the rule.
Check checked(std::string_view name, Reject reject, const Status& status) {
  if (status) return {.name = name, .outcome = Outcome::kPass, .detail = {}, .reject = {}};
  return {.name = name,
          .outcome = Outcome::kFail,
          .detail = status.error().message,
          .reject = reject_named(status.error().code).value_or(reject)};
}

// Runs the rules unless there is no receipt or something failed before.
void apply(std::span<const Rule> rules, const Receipt* receipt, const Context& context,
           Report& report) {
  for (const Rule& rule : rules) {
    if (receipt == nullptr || report.failure() != nullptr) {
      report.checks.push_back({.name = rule.name, .detail = {}, .reject = {}});
    } else {
      report.checks.push_back(checked(rule.name, rule.reject, rule.check(*receipt, context)));
    }
  }
}

}  // namespace

std::string_view name_of(Outcome outcome) {
  switch (outcome) {
    case Outcome::kPass:
      return "PASS";
    case Outcome::kFail:
      return "FAIL";
    case Outcome::kNotChecked:
      return "NOT CHECKED";
  }
  OTR_CHECK(false);
}

const Check* Report::failure() const {
  const auto found = std::ranges::find(checks, Outcome::kFail, &Check::outcome);
  return found == checks.end() ? nullptr : &*found;
}

std::optional<Reject> Report::reject() const {
  const Check* failed = failure();
  return failed == nullptr ? std::nullopt : failed->reject;
}

OpenedReceipt open_receipt(std::string_view text, const Hash& spec_hash) {
  OpenedReceipt opened;
  Result<Receipt> decoded = decode_receipt(text);
  constexpr std::string_view kForm = "form is canonical";
  if (decoded) {
    opened.receipt = *std::move(decoded);
    opened.report.checks.push_back(checked(kForm, Reject::kMalformed, {}));
  } else {
    const Reject reject = reject_named(decoded.error().code).value_or(Reject::kMalformed);
    opened.report.checks.push_back(
        checked(kForm, reject, std::unexpected(std::move(decoded).error())));
  }
  const Receipt* receipt = opened.receipt ? &*opened.receipt : nullptr;
  apply(kRulesAlone, receipt, {.spec_hash = spec_hash, .model = nullptr, .model_root = {}},
        opened.report);
  return opened;
}

Report check_with_model(const Receipt& receipt, const machine::Model& model,
                        const Hash& model_root) {
  Report report;
  apply(kRulesWithModel, &receipt,
        {.spec_hash = receipt.spec_hash, .model = &model, .model_root = model_root}, report);
  return report;
}

}  // namespace otr::protocol

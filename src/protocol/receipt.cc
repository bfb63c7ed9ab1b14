#include "protocol/receipt.h"

#include "base/hex.h"
#include "protocol/fields.h"

namespace otr::protocol {
namespace {

constexpr std::string_view kFormat = "otr-receipt/1";
constexpr std::size_t kMaxTracePath = 20;  // SPEC RCPT-1
// A valid receipt has at most two ids for each position of the longest context, and a few fields.
constexpr JsonBounds kBounds = {.max_bytes = kMaxReceiptBytes, .max_values = std::size_t{1} << 20};

}  // namespace

Json encode_claim(const Claim& claim, const crypto::Address& signer,
                  const crypto::Signature& signature) {
  return {{"checkpoint", std::to_string(claim.checkpoint)},
          {"checkpoint_hash", to_hex(claim.checkpoint_hash)},
          {"finish_reason", claim.finish_reason},
          {"out_count", claim.out_count},
          {"prompt_count", claim.prompt_count},
          {"request_hash", to_hex(claim.request_hash)},
          {"session", to_hex(claim.session)},
          {"signature", to_hex(signature)},
          {"signer", to_hex(signer)},
          {"trace_root", to_hex(claim.trace_root)}};
}

void decode_claim(const Fields& parent, Claim& claim, crypto::Address& signer,
                  crypto::Signature& signature) {
  const Fields fields = parent.object(
      "claim", {"checkpoint", "checkpoint_hash", "finish_reason", "out_count", "prompt_count",
                "request_hash", "session", "signature", "signer", "trace_root"});
  claim = {.request_hash = fields.bytes<32>("request_hash"),
           .trace_root = fields.bytes<32>("trace_root"),
           .prompt_count = fields.number<std::uint32_t>("prompt_count"),
           .out_count = fields.number<std::uint32_t>("out_count"),
           .finish_reason = fields.number<std::uint8_t>("finish_reason"),
           .session = fields.bytes<32>("session"),
           .checkpoint = fields.decimal64("checkpoint"),
           .checkpoint_hash = fields.bytes<32>("checkpoint_hash")};
  signature = fields.bytes<65>("signature");
  signer = fields.bytes<20>("signer");
}

namespace {

Result<Receipt> decode_members(const Json& document) {
  Status status;
  const Fields fields(
      document, "receipt",
      {"claim", "countersignature", "evidence", "format", "ledger", "output_ids", "output_text",
       "prompt_ids", "prompt_text", "request", "spec_hash", "trace_path"},
      status);
  Receipt receipt;
  const std::string format = fields.text("format");
  OTR_TRY(status);
  if (format != kFormat) {
    return fail(ErrorKind::kBadInput, "receipt.format must be \"otr-receipt/1\".", "MALFORMED");
  }
  decode_claim(fields, receipt.claim, receipt.signer, receipt.claim_signature);
  const Fields countersignature = fields.object("countersignature", {"operator", "signature"});
  receipt.operator_address = countersignature.bytes<20>("operator");
  receipt.countersignature = countersignature.bytes<65>("signature");
  const Json& evidence = fields.member("evidence");
  const bool has_session = evidence.is_object() && evidence.contains("session");
  const Fields kind = has_session ? fields.object("evidence", {"kind", "session"})
                                  : fields.object("evidence", {"kind"});
  receipt.evidence_kind = kind.text("kind");
  receipt.ledger = fields.bytes<32>("ledger");
  receipt.output_ids = fields.ids("output_ids");
  receipt.output_text = fields.text("output_text");
  receipt.prompt_ids = fields.ids("prompt_ids");
  receipt.prompt_text = fields.text("prompt_text");
  receipt.spec_hash = fields.bytes<32>("spec_hash");
  receipt.trace_path = fields.hashes("trace_path", kMaxTracePath);
  OTR_TRY(status);
  if (has_session != (receipt.evidence_kind == kSession)) {
    return fail(ErrorKind::kBadInput,
                "receipt.evidence has a session exactly where its kind is \"session\".",
                "MALFORMED");
  }
  if (has_session) {
    OTR_TRY_ASSIGN(receipt.session,
                   session_from_json(kind.member("session"), "receipt.evidence.session"));
  }
  OTR_TRY_ASSIGN(receipt.request,
                 decode_request(fields.member("request"), "receipt.request",
                                static_cast<std::uint32_t>(receipt.prompt_ids.size())));
  return receipt;
}

}  // namespace

Result<std::string> encode_receipt(const Receipt& receipt) {
  Json evidence = {{"kind", receipt.evidence_kind}};
  if (receipt.session) {
    OTR_TRY_ASSIGN(evidence["session"], session_to_json(*receipt.session));
  }
  const Json document = {
      {"claim", encode_claim(receipt.claim, receipt.signer, receipt.claim_signature)},
      {"countersignature",
       {{"operator", to_hex(receipt.operator_address)},
        {"signature", to_hex(receipt.countersignature)}}},
      {"evidence", evidence},
      {"format", kFormat},
      {"ledger", to_hex(receipt.ledger)},
      {"output_ids", receipt.output_ids},
      {"output_text", receipt.output_text},
      {"prompt_ids", receipt.prompt_ids},
      {"prompt_text", receipt.prompt_text},
      {"request", encode_request(receipt.request)},
      {"spec_hash", to_hex(receipt.spec_hash)},
      {"trace_path", hex_list(receipt.trace_path)}};
  OTR_TRY_ASSIGN(std::string text, dump_canonical_json(document, "receipt"));
  text += '\n';
  if (text.size() > kMaxReceiptBytes) {
    return fail(ErrorKind::kBadInput, "The receipt is longer than 16 MiB.", "LIMIT_EXCEEDED");
  }
  return text;
}

Result<Receipt> decode_receipt(std::string_view text) {
  if (text.size() > kMaxReceiptBytes) {
    return fail(ErrorKind::kBadInput, "The receipt is longer than 16 MiB.", "LIMIT_EXCEEDED");
  }
  const bool ended = text.ends_with('\n');
  if (ended) text.remove_suffix(1);
  OTR_TRY_ASSIGN(const Json document, parse_canonical_json(text, "receipt", kBounds));
  if (!ended) {
    return fail(ErrorKind::kBadInput, "The receipt does not end with a line feed.",
                "NOT_CANONICAL");
  }
  return decode_members(document);
}

}  // namespace otr::protocol

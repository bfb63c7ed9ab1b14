#include "protocol/wire.h"

#include <array>

#include "base/hex.h"
#include "protocol/fields.h"
#include "text/base64.h"

namespace otr::protocol {
namespace {

constexpr std::string_view kOpen = "otr-submission/1", kSealed = "otr-sealed-submission/1";
constexpr std::size_t kMaxTokensOfMessage = 256;
constexpr std::size_t kMaxTracePath = 20;  // SPEC RCPT-1

std::unexpected<Error> malformed(std::string message) {
  return fail(ErrorKind::kBadInput, std::move(message), "MALFORMED");
}

std::string base64_of(const Bytes& bytes) { return text::to_base64(as_text(bytes)); }

Result<Bytes> bytes_of(const Json& value, const std::string& path) {
  const auto decoded =
      value.is_string() ? text::from_base64(value.get_ref<const std::string&>()) : std::nullopt;
  if (!decoded) return malformed(path + " must be a string in base64.");
  const ByteView view = as_bytes(*decoded);
  return Bytes(view.begin(), view.end());
}

Result<Submission> decode_open(const Json& json) {
  Status status;
  const bool with_logprobs = json.contains("logprobs");
  const std::string path = "submission";
  const Fields fields =
      with_logprobs
          ? Fields(json, path, {"format", "logprobs", "prompt_ids", "request", "session"}, status)
          : Fields(json, path, {"format", "prompt_ids", "request", "session"}, status);
  Submission submission;
  submission.session = fields.bytes<32>("session");
  submission.prompt_ids = fields.ids("prompt_ids");
  if (with_logprobs) submission.logprobs = fields.number<std::uint32_t>("logprobs");
  OTR_TRY(status);
  if (submission.logprobs.value_or(0) > kMaxTopLogprobs) {
    return malformed("submission.logprobs must be at most 20.");
  }
  OTR_TRY_ASSIGN(submission.request,
                 decode_request(fields.member("request"), "submission.request",
                                static_cast<std::uint32_t>(submission.prompt_ids.size())));
  return submission;
}

Result<SealedSubmission> decode_sealed(const Json& json) {
  Status status;
  const Fields fields(json, "submission",
                      {"format", "max_tokens", "prompt_count", "request_hash", "sealed", "session"},
                      status);
  SealedSubmission submission{.session = fields.bytes<32>("session"),
                              .request_hash = fields.bytes<32>("request_hash"),
                              .prompt_count = fields.number<std::uint32_t>("prompt_count"),
                              .max_tokens = fields.number<std::uint32_t>("max_tokens"),
                              .sealed = {}};
  OTR_TRY(status);
  OTR_TRY_ASSIGN(submission.sealed, bytes_of(fields.member("sealed"), "submission.sealed"));
  return submission;
}

Json encode_token(const TokenMessage& token) {
  if (token.logprobs.empty()) return token.id;
  Json list = Json::array();
  for (const TokenLogprob& one : token.logprobs) list.push_back({one.id, one.micro_nats});
  return {{"id", token.id}, {"logprobs", list}};
}

bool is_id(const Json& value) {
  return value.is_number_unsigned() && value.get<std::uint64_t>() <= 0xFFFFFFFF;
}

Result<TokenMessage> decode_token(const Json& json) {
  if (is_id(json)) return TokenMessage{.id = json.get<std::uint32_t>(), .logprobs = {}};
  Status status;
  const Fields fields(json, "message.tokens[]", {"id", "logprobs"}, status);
  TokenMessage token;
  token.id = fields.number<std::uint32_t>("id");
  OTR_TRY(status);
  const Json& list = fields.member("logprobs");
  bool good = list.is_array() && !list.empty() && list.size() <= kMaxTopLogprobs + 1;
  for (std::size_t i = 0; good && i < list.size(); ++i) {
    const Json& pair = list[i];
    good = pair.is_array() && pair.size() == 2 && is_id(pair[0]) && pair[1].is_number_integer() &&
           !(pair[1].is_number_unsigned() && pair[1].get<std::uint64_t>() >> 63 != 0);
    if (!good) break;
    token.logprobs.push_back({pair[0].get<std::uint32_t>(), pair[1].get<std::int64_t>()});
  }
  if (!good) return malformed("message.tokens[].logprobs must be 1 to 21 pairs of integers.");
  return token;
}

Json encode_claim_message(const ClaimMessage& message) {
  Json json = {{"claim", encode_claim(message.claim, message.signer, message.claim_signature)}};
  if (message.operator_address) {
    json["countersignature"] = {{"operator", to_hex(*message.operator_address)},
                                {"signature", to_hex(message.countersignature)}};
    json["receipt_id"] = message.receipt_id;
  }
  return json;
}

Result<ClaimMessage> decode_claim_message(const Json& json) {
  Status status;
  const bool signed_twice = json.contains("countersignature");
  const std::string path = "message.final";
  const Fields fields =
      signed_twice ? Fields(json, path, {"claim", "countersignature", "receipt_id"}, status)
                   : Fields(json, path, {"claim"}, status);
  ClaimMessage message;
  decode_claim(fields, message.claim, message.signer, message.claim_signature);
  if (signed_twice) {
    const Fields second = fields.object("countersignature", {"operator", "signature"});
    message.operator_address = second.bytes<20>("operator");
    message.countersignature = second.bytes<65>("signature");
    message.receipt_id = fields.text("receipt_id");
    if (message.receipt_id.size() > 100) return malformed("message.final.receipt_id is too long.");
  }
  OTR_TRY(status);
  return message;
}

Result<ErrorMessage> decode_error(const Json& json) {
  Status status;
  const Fields fields(json, "message.error", {"code", "message", "status", "type"}, status);
  ErrorMessage message{.status = fields.number<std::uint32_t>("status"),
                       .type = fields.text("type"),
                       .code = fields.text("code"),
                       .message = fields.text("message")};
  OTR_TRY(status);
  if (message.status < 400 || message.status > 599) {
    return malformed("message.error.status must be from 400 to 599.");
  }
  return message;
}

Status decode_tokens(const Json& list, std::vector<TokenMessage>& tokens) {
  if (!list.is_array() || list.empty() || list.size() > kMaxTokensOfMessage) {
    return malformed("message.tokens must be an array of 1 to 256 tokens.");
  }
  for (const Json& one : list) {
    OTR_TRY_ASSIGN(tokens.emplace_back(), decode_token(one));
  }
  return {};
}

Status decode_member(const std::string& name, const Json& value, StreamMessage& message) {
  if (name == "tokens") return decode_tokens(value, message.tokens);
  if (name == "trace_path") {
    Status status;
    const Json wrapped = {{"trace_path", value}};
    message.trace_path =
        Fields(wrapped, "message", {"trace_path"}, status).hashes("trace_path", kMaxTracePath);
    return status;
  }
  if (name == "final") {
    OTR_TRY_ASSIGN(message.claim, decode_claim_message(value));
    return {};
  }
  if (name == "sealed") {
    OTR_TRY_ASSIGN(message.sealed, bytes_of(value, "message.sealed"));
    return {};
  }
  if (name == "error") {
    OTR_TRY_ASSIGN(message.error, decode_error(value));
    return {};
  }
  return malformed(
      "message has a member that it must not: tokens, trace_path, sealed, final and "
      "error are known.");
}

}  // namespace

Result<std::string> encode_submission(const Submission& submission) {
  Json json = {{"format", kOpen},
               {"prompt_ids", submission.prompt_ids},
               {"request", encode_request(submission.request)},
               {"session", to_hex(submission.session)}};
  if (submission.logprobs) json["logprobs"] = *submission.logprobs;
  return dump_canonical_json(json, "submission");
}

Result<std::string> encode_submission(const SealedSubmission& submission) {
  return dump_canonical_json({{"format", kSealed},
                              {"max_tokens", submission.max_tokens},
                              {"prompt_count", submission.prompt_count},
                              {"request_hash", to_hex(submission.request_hash)},
                              {"sealed", base64_of(submission.sealed)},
                              {"session", to_hex(submission.session)}},
                             "submission");
}

Bytes seal_context(const SealedSubmission& submission) {
  Bytes context;
  append(context, as_bytes("OTR.seal"));
  append(context, submission.session);
  append(context, submission.request_hash);
  append_le(context, submission.prompt_count);
  append_le(context, submission.max_tokens);
  return context;
}

Result<AnySubmission> decode_submission(std::string_view text) {
  constexpr JsonBounds kBounds = {.max_bytes = kMaxSubmissionBytes,
                                  .max_values = std::size_t{1} << 18};
  OTR_TRY_ASSIGN(const Json json, parse_canonical_json(text, "submission", kBounds));
  const auto format = json.is_object() ? json.find("format") : json.end();
  AnySubmission any;
  if (json.is_object() && format != json.end() && *format == kOpen) {
    OTR_TRY_ASSIGN(any.open, decode_open(json));
  } else if (json.is_object() && format != json.end() && *format == kSealed) {
    OTR_TRY_ASSIGN(any.sealed, decode_sealed(json));
  } else {
    return malformed(
        "submission.format must be \"otr-submission/1\" or "
        "\"otr-sealed-submission/1\".");
  }
  return any;
}

std::string encode_message(const StreamMessage& message) {
  Json json = Json::object();
  for (const TokenMessage& token : message.tokens) json["tokens"].push_back(encode_token(token));
  if (message.trace_path) json["trace_path"] = hex_list(*message.trace_path);
  if (message.claim) json["final"] = encode_claim_message(*message.claim);
  if (message.sealed) json["sealed"] = base64_of(*message.sealed);
  if (message.error) {
    json["error"] = {{"code", message.error->code},
                     {"message", message.error->message},
                     {"status", message.error->status},
                     {"type", message.error->type}};
  }
  // Errors quote what others sent: what is no UTF-8 in it is replaced, and never throws.
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

Result<StreamMessage> decode_message(std::string_view text) {
  constexpr JsonBounds kBounds = {.max_bytes = kMaxMessageBytes, .max_values = 16384};
  OTR_TRY_ASSIGN(const Json json, parse_canonical_json(text, "message", kBounds));
  if (!json.is_object() || json.empty()) return malformed("message must be an object.");
  StreamMessage message;
  for (const auto& [name, value] : json.items()) {
    OTR_TRY(decode_member(name, value, message));
  }
  return message;
}

}  // namespace otr::protocol

#include "openai/render.h"

#include <algorithm>

#include "base/check.h"
#include "base/hex.h"
#include "text/utf8.h"

namespace otr::openai {
namespace {

bool is_chat(const Head& head) { return head.kind == Kind::kChat; }

// Millionths of a natural logarithm. OpenAI's value for what has no probability is -9999.
double nats(const Logprob& logprob) {
  return std::max(-9999.0, static_cast<double>(logprob.micro_nats) / 1e6);
}

std::vector<int> bytes_of(std::string_view text) {
  const ByteView bytes = as_bytes(text);
  return {bytes.begin(), bytes.end()};
}

Json chat_token(const Logprob& logprob) {
  return {{"token", text::utf8_lossy(logprob.bytes)},
          {"logprob", nats(logprob)},
          {"bytes", bytes_of(logprob.bytes)}};
}

Json chat_logprobs(const std::vector<TokenLogprobs>& tokens) {
  Json content = Json::array();
  for (const TokenLogprobs& token : tokens) {
    Json one = chat_token(token.chosen);
    Json& likeliest = one["top_logprobs"] = Json::array();
    for (const Logprob& other : token.likeliest) likeliest.push_back(chat_token(other));
    content.push_back(std::move(one));
  }
  return {{"content", std::move(content)}, {"refusal", nullptr}};
}

std::size_t characters(std::string_view utf8) {
  std::size_t count = 0;
  for (const char c : utf8) count += (static_cast<std::uint8_t>(c) & 0xC0) != 0x80;
  return count;
}

// Two tokens of one spelling, such as parts of characters, share a member: the likelier counts.
Json legacy_likeliest(const std::vector<Logprob>& likeliest) {
  Json object = Json::object();
  for (const Logprob& one : likeliest) {
    object.emplace(text::utf8_lossy(one.bytes), nats(one));
  }
  return object;
}

Json legacy_logprobs(const std::vector<TokenLogprobs>& tokens, std::size_t offset) {
  Json result = {{"tokens", Json::array()},
                 {"token_logprobs", Json::array()},
                 {"top_logprobs", Json::array()},
                 {"text_offset", Json::array()}};
  for (const TokenLogprobs& token : tokens) {
    const std::string text = text::utf8_lossy(token.chosen.bytes);
    result["tokens"].push_back(text);
    result["token_logprobs"].push_back(nats(token.chosen));
    result["top_logprobs"].push_back(legacy_likeliest(token.likeliest));
    result["text_offset"].push_back(offset);
    offset += characters(text);
  }
  return result;
}

Json logprobs_of(const Head& head, const std::optional<std::vector<TokenLogprobs>>& logprobs,
                 std::size_t offset) {
  if (!logprobs) return nullptr;
  return is_chat(head) ? chat_logprobs(*logprobs) : legacy_logprobs(*logprobs, offset);
}

Json to_json(const Usage& usage) {
  return {{"prompt_tokens", usage.prompt_tokens},
          {"completion_tokens", usage.completion_tokens},
          {"total_tokens", usage.prompt_tokens + usage.completion_tokens}};
}

Json to_json(const Timings& timings) {
  const auto ms = [](std::int64_t us) { return static_cast<double>(us) / 1000; };
  const auto per_second = [](std::uint32_t count, std::int64_t us) {
    return us > 0 ? static_cast<double>(count) * 1e6 / static_cast<double>(us) : 0.0;
  };
  return {{"prompt_n", timings.prompt_tokens},
          {"prompt_ms", ms(timings.prompt_us)},
          {"prompt_per_second", per_second(timings.prompt_tokens, timings.prompt_us)},
          {"predicted_n", timings.completion_tokens},
          {"predicted_ms", ms(timings.completion_us)},
          {"predicted_per_second", per_second(timings.completion_tokens, timings.completion_us)}};
}

Json to_json(const ClaimFacts& claim) {
  Json facts = {{"receipt_id", claim.receipt_id},
                {"claim_id", claim.claim_id},
                {"trace_root", claim.trace_root}};
  if (!claim.session.empty()) {
    facts["session"] = claim.session;
    facts["verified"] = true;
    facts["verified_by"] = claim.verified_by;
    facts["hardware"] = claim.hardware;
  }
  return facts;
}

Json render_choice(const Head& head, std::size_t index, const Answer& answer) {
  Json choice = {{"index", index},
                 {"finish_reason", finish_reason(answer.reason)},
                 {"logprobs", logprobs_of(head, answer.logprobs, 0)}};
  const std::string text = text::utf8_lossy(answer.text);
  if (is_chat(head)) {
    choice["message"] = {{"role", "assistant"}, {"content", text}, {"refusal", nullptr}};
  } else {
    choice["text"] = text;
  }
  return choice;
}

Json with_head(const Head& head, std::string_view object) {
  return {{"id", head.id},
          {"object", object},
          {"created", head.created},
          {"model", head.model},
          {"system_fingerprint", head.fingerprint}};
}

}  // namespace

std::string response_id(Kind kind, const Hash& unique) {
  return (kind == Kind::kChat ? "chatcmpl-" : "cmpl-") +
         to_hex(ByteView(unique).first(16)).substr(2);
}

std::string system_fingerprint(std::uint32_t spec_version, const Hash& model_root) {
  return "b" + std::to_string(spec_version) + "-" + to_hex(ByteView(model_root).first(4)).substr(2);
}

std::string_view finish_reason(protocol::FinishReason reason) {
  return reason == protocol::FinishReason::kLength ? "length" : "stop";
}

Json render_body(const Head& head, std::span<const Answer> answers, const Usage& usage,
                 const std::optional<Timings>& timings) {
  Json body = with_head(head, is_chat(head) ? "chat.completion" : "text_completion");
  Json& choices = body["choices"] = Json::array();
  for (std::size_t i = 0; i < answers.size(); ++i) {
    choices.push_back(render_choice(head, i, answers[i]));
    if (answers[i].claim && answers.size() > 1) choices[i]["otr"] = to_json(*answers[i].claim);
  }
  body["usage"] = to_json(usage);
  if (timings) body["timings"] = to_json(*timings);
  if (!answers.empty() && answers[0].claim) body["otr"] = to_json(*answers[0].claim);
  return body;
}

std::string sse_event(const Json& value) { return "data: " + value.dump() + "\n\n"; }

Json StreamRenderer::chunk() const {
  Json chunk = with_head(head_, is_chat(head_) ? "chat.completion.chunk" : "text_completion");
  if (include_usage_) chunk["usage"] = nullptr;
  return chunk;
}

std::string StreamRenderer::begin(std::uint32_t index) const {
  if (!is_chat(head_)) return {};
  Json event = chunk();
  event["choices"] = Json::array({{{"index", index},
                                   {"delta", {{"role", "assistant"}, {"content", nullptr}}},
                                   {"logprobs", nullptr},
                                   {"finish_reason", nullptr}}});
  return sse_event(event);
}

std::string StreamRenderer::text(std::uint32_t index, std::string_view text,
                                 const std::optional<std::vector<TokenLogprobs>>& logprobs,
                                 std::size_t offset) const {
  Json choice = {{"index", index},
                 {"logprobs", logprobs_of(head_, logprobs, offset)},
                 {"finish_reason", nullptr}};
  const std::string content = text::utf8_lossy(text);
  if (is_chat(head_)) {
    choice["delta"] = {{"content", content}};
  } else {
    choice["text"] = content;
  }
  Json event = chunk();
  event["choices"] = Json::array({std::move(choice)});
  return sse_event(event);
}

std::string StreamRenderer::end(std::uint32_t index, protocol::FinishReason reason,
                                const std::optional<ClaimFacts>& claim,
                                const std::optional<Timings>& timings) const {
  Json choice = {{"index", index}, {"logprobs", nullptr}, {"finish_reason", finish_reason(reason)}};
  if (is_chat(head_)) {
    choice["delta"] = Json::object();
  } else {
    choice["text"] = "";
  }
  Json event = chunk();
  event["choices"] = Json::array({std::move(choice)});
  if (claim) event["otr"] = to_json(*claim);
  if (timings) event["timings"] = to_json(*timings);
  return sse_event(event);
}

std::string StreamRenderer::usage(const Usage& usage, const std::optional<ClaimFacts>& claim,
                                  const std::optional<Timings>& timings) const {
  if (!include_usage_) return {};
  Json event = chunk();
  event["choices"] = Json::array();
  event["usage"] = to_json(usage);
  if (claim) event["otr"] = to_json(*claim);
  if (timings) event["timings"] = to_json(*timings);
  return sse_event(event);
}

Json render_model(const ModelCard& model) {
  return {{"id", model.id},
          {"object", "model"},
          {"created", model.created},
          {"owned_by", "otr"},
          {"max_model_len", model.context},
          {"meta",
           {{"n_ctx_train", model.context},
            {"n_vocab", model.vocabulary},
            {"n_params", model.parameters},
            {"size", model.size_bytes},
            {"model_root", to_hex(model.model_root)}}}};
}

Json render_models(std::span<const ModelCard> models) {
  Json data = Json::array();
  for (const ModelCard& model : models) data.push_back(render_model(model));
  return {{"object", "list"}, {"data", std::move(data)}};
}

Json render_tokens(std::span<const std::uint32_t> ids, std::span<const std::string> pieces,
                   std::uint32_t context) {
  OTR_CHECK(pieces.empty() || pieces.size() == ids.size());
  Json tokens = Json::array();
  for (std::size_t i = 0; i < ids.size(); ++i) {
    if (pieces.empty()) {
      tokens.push_back(ids[i]);
      continue;
    }
    const bool is_text = !text::utf8_error(pieces[i]);
    tokens.push_back(
        {{"id", ids[i]}, {"piece", is_text ? Json(pieces[i]) : Json(bytes_of(pieces[i]))}});
  }
  return {{"tokens", std::move(tokens)}, {"count", ids.size()}, {"max_model_len", context}};
}

Json render_text(std::string_view text) {
  const std::string shown = text::utf8_lossy(text);
  return {{"content", shown}, {"prompt", shown}};
}

}  // namespace otr::openai

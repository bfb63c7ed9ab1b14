#include "openai/parse.h"

#include <algorithm>

#include "openai/fields.h"
#include "openai/generation.h"
#include "openai/messages.h"

namespace otr::openai {
namespace {

// `logprobs: true` and, with it, `top_logprobs`.
Parsed<std::optional<std::uint32_t>> parse_chat_logprobs(Fields& fields) {
  OTR_TRY_ASSIGN(const bool wanted, fields.boolean("logprobs", false));
  OTR_TRY_ASSIGN(const auto top, fields.integer("top_logprobs", 0, kMaxTopLogprobs));
  if (top.value_or(0) > 0 && !wanted) {
    const std::string param = fields.param("top_logprobs");
    return std::unexpected(invalid_request(
        param, "'" + param + "' is allowed only where 'logprobs' is true.", "invalid_value"));
  }
  if (!wanted) return std::nullopt;
  return static_cast<std::uint32_t>(top.value_or(0));
}

// Yes-or-no variables of the chat template; what else a template could be given is not known here.
Parsed<std::map<std::string, bool>> parse_template_flags(Fields& fields) {
  const Json& value = fields.take("chat_template_kwargs");
  const std::string param = fields.param("chat_template_kwargs");
  std::map<std::string, bool> flags;
  if (value.is_null()) return flags;
  if (!value.is_object()) return std::unexpected(wrong_type(param, "an object", value));
  for (const auto& [name, flag] : value.items()) {
    if (!flag.is_boolean()) {
      return std::unexpected(
          invalid_request(param, "'" + param + "' may hold only variables that are true or false.",
                          "invalid_type"));
    }
    flags[name] = flag.get<bool>();
  }
  return flags;
}

Parsed<std::vector<CompletionPrompt>> parse_prompts(const Json& value, const std::string& param) {
  std::vector<CompletionPrompt> prompts;
  if (value.is_string()) {
    prompts.push_back({value.get<std::string>(), {}});
  } else if (!value.is_array() || value.empty()) {
    return std::unexpected(wrong_type(
        param, "a string, an array of strings, or token ids (one array, or an array of arrays)",
        value));
  } else if (value[0].is_number()) {
    OTR_TRY_ASSIGN(auto ids, parse_ids(value, param));
    prompts.push_back({{}, std::move(ids)});
  } else {
    for (std::size_t i = 0; i < value.size(); ++i) {
      if (value[i].is_string()) {
        prompts.push_back({value[i].get<std::string>(), {}});
        continue;
      }
      OTR_TRY_ASSIGN(auto ids, parse_ids(value[i], param + "[" + std::to_string(i) + "]"));
      prompts.push_back({{}, std::move(ids)});
    }
  }
  for (const CompletionPrompt& prompt : prompts) {
    if (prompt.ids ? prompt.ids->empty() : prompt.text.empty()) {
      return std::unexpected(invalid_request(
          param, "'" + param + "' is empty: give some text to go on with.", "invalid_value"));
    }
  }
  return prompts;
}

}  // namespace

Parsed<ChatRequest> parse_chat(std::string_view body) {
  OTR_TRY_ASSIGN(const Json json, parse_body(body));
  Fields fields(json);
  ChatRequest request;
  OTR_TRY_ASSIGN(request.messages, parse_messages(fields.take("messages"), "messages"));
  OTR_TRY_ASSIGN(request.generation, parse_generation(fields));
  OTR_TRY_ASSIGN(request.generation.logprobs, parse_chat_logprobs(fields));
  OTR_TRY_ASSIGN(request.add_generation_prompt, fields.boolean("add_generation_prompt", true));
  OTR_TRY_ASSIGN(request.template_flags, parse_template_flags(fields));
  request.generation.unknown = fields.unknown();
  return request;
}

Parsed<CompletionRequest> parse_completion(std::string_view body) {
  OTR_TRY_ASSIGN(const Json json, parse_body(body));
  Fields fields(json);
  CompletionRequest request;
  OTR_TRY_ASSIGN(request.prompts, parse_prompts(fields.take("prompt"), "prompt"));
  OTR_TRY_ASSIGN(request.generation, parse_generation(fields));
  Generation& generation = request.generation;
  OTR_TRY_ASSIGN(const auto logprobs, fields.integer("logprobs", 0, kMaxTopLogprobs));
  if (logprobs) generation.logprobs = static_cast<std::uint32_t>(*logprobs);
  if (request.prompts.size() > kMaxAnswers / generation.n) {
    return std::unexpected(invalid_request("prompt",
                                           std::to_string(request.prompts.size()) +
                                               " prompts with 'n' " + std::to_string(generation.n) +
                                               " ask for more than " + std::to_string(kMaxAnswers) +
                                               " answers: send several requests.",
                                           "out_of_range"));
  }
  generation.unknown = fields.unknown();
  return request;
}

Parsed<std::uint32_t> fit_to_model(Generation& generation,
                                   const std::vector<std::uint32_t>& prompt_ids,
                                   const machine::Shape& shape, const std::string& param) {
  const auto too_long = [&](const std::string& of, const std::string& what) {
    return std::unexpected(
        invalid_request(of,
                        "This model's context is " + std::to_string(shape.context) +
                            " tokens; the prompt has " + std::to_string(prompt_ids.size()) + what,
                        "context_length_exceeded"));
  };
  if (prompt_ids.empty()) {
    return std::unexpected(
        invalid_request(param, "The prompt has no tokens: give some text.", "invalid_value"));
  }
  if (prompt_ids.size() >= shape.context) return too_long(param, ": shorten it.");
  const auto known = [&](std::uint32_t id) { return id < shape.vocabulary; };
  if (!std::ranges::all_of(prompt_ids, known)) {
    return std::unexpected(invalid_request(param,
                                           "'" + param + "' has a token id that is not below " +
                                               std::to_string(shape.vocabulary) +
                                               ", the model's vocabulary.",
                                           "out_of_range"));
  }
  machine::Sampling& sampling = generation.sampling;
  if (!sampling.logit_bias.empty() && !known(sampling.logit_bias.back().id)) {
    return std::unexpected(
        invalid_request("logit_bias",
                        "'logit_bias' has the id " + std::to_string(sampling.logit_bias.back().id) +
                            ", which is not below " + std::to_string(shape.vocabulary) +
                            ", the model's vocabulary.",
                        "out_of_range"));
  }
  if (sampling.top_k >= shape.vocabulary) sampling.top_k = 0;
  const auto room = shape.context - static_cast<std::uint32_t>(prompt_ids.size());
  if (generation.max_tokens.value_or(1) > room) {
    return too_long("max_tokens", " and leaves room for " + std::to_string(room) +
                                      ", not for 'max_tokens' " +
                                      std::to_string(*generation.max_tokens) +
                                      ": ask for less, or leave it out.");
  }
  return generation.max_tokens.value_or(room);
}

Parsed<TokenizeRequest> parse_tokenize(std::string_view body) {
  OTR_TRY_ASSIGN(const Json json, parse_body(body));
  Fields fields(json);
  TokenizeRequest request;
  OTR_TRY_ASSIGN(const auto model, fields.text("model", kMaxModelNameBytes));
  request.model = model.value_or("");
  OTR_TRY_ASSIGN(const auto content, fields.text("content"));
  OTR_TRY_ASSIGN(const auto prompt, fields.text("prompt"));
  const Json& messages = fields.take("messages");
  if (content.has_value() + prompt.has_value() + !messages.is_null() != 1) {
    return std::unexpected(invalid_request(
        "content", "Give one of 'content', 'prompt' and 'messages'.", "invalid_value"));
  }
  request.text = content.value_or(prompt.value_or(""));
  if (!messages.is_null()) {
    OTR_TRY_ASSIGN(request.messages, parse_messages(messages, "messages"));
  }
  OTR_TRY_ASSIGN(request.add_generation_prompt, fields.boolean("add_generation_prompt", true));
  OTR_TRY_ASSIGN(request.add_special, fields.boolean("add_special", false));
  // vLLM adds them where a prompt does not say.
  OTR_TRY_ASSIGN(const bool add_special_tokens,
                 fields.boolean("add_special_tokens", prompt.has_value()));
  request.add_special = request.add_special || add_special_tokens;
  OTR_TRY_ASSIGN(request.parse_special, fields.boolean("parse_special", false));
  OTR_TRY_ASSIGN(request.with_pieces, fields.boolean("with_pieces", false));
  return request;
}

Parsed<DetokenizeRequest> parse_detokenize(std::string_view body) {
  OTR_TRY_ASSIGN(const Json json, parse_body(body));
  Fields fields(json);
  DetokenizeRequest request;
  OTR_TRY_ASSIGN(const auto model, fields.text("model", kMaxModelNameBytes));
  request.model = model.value_or("");
  OTR_TRY_ASSIGN(request.ids, parse_ids(fields.take("tokens"), "tokens"));
  return request;
}

}  // namespace otr::openai

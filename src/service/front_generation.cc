// From the body of a chat or a completion to what is to be answered.
#include "openai/parse.h"
#include "service/error_answer.h"
#include "service/front_parts.h"
#include "service/front_reply.h"
#include "service/prompt.h"

namespace otr::service {
namespace {

using Ids = std::vector<std::uint32_t>;

// Nothing is ever cut: a prompt that leaves no room is refused with both numbers.
openai::Parsed<bool> fit(Plan& plan, const std::string& param, std::uint32_t max_answers) {
  openai::Generation& generation = plan.generation;
  if (plan.prompts.size() * generation.n > max_answers) {
    return std::unexpected(openai::invalid_request(
        "n", "At most " + std::to_string(max_answers) + " answers to one request are given here.",
        "out_of_range"));
  }
  for (const Ids& ids : plan.prompts) {
    OTR_TRY_ASSIGN(
        const std::uint32_t max_tokens,
        openai::fit_to_model(generation, ids, plan.model->artifact->view().shape, param));
    plan.max_tokens.push_back(max_tokens);
  }
  return true;
}

openai::Parsed<Plan> plan_of_chat(const FrontParts& parts, std::string_view body) {
  OTR_TRY_ASSIGN(openai::ChatRequest request, openai::parse_chat(body));
  Plan plan{.kind = openai::Kind::kChat, .generation = std::move(request.generation)};
  OTR_TRY_ASSIGN(plan.model, parts.find_model(plan.generation.model));
  auto ids = encode_chat(*plan.model->artifact, *plan.model->tokenizer, request.messages,
                         {request.add_generation_prompt, std::move(request.template_flags)});
  if (!ids) return std::unexpected(openai::from_error(ids.error(), "messages"));
  plan.prompts.push_back(*std::move(ids));
  OTR_TRY(fit(plan, "messages", parts.options.max_answers));
  return plan;
}

openai::Parsed<Plan> plan_of_completion(const FrontParts& parts, std::string_view body) {
  OTR_TRY_ASSIGN(openai::CompletionRequest request, openai::parse_completion(body));
  Plan plan{.kind = openai::Kind::kCompletion, .generation = std::move(request.generation)};
  OTR_TRY_ASSIGN(plan.model, parts.find_model(plan.generation.model));
  for (openai::CompletionPrompt& prompt : request.prompts) {
    if (prompt.ids) {
      plan.prompts.push_back(*std::move(prompt.ids));
      continue;
    }
    auto ids = encode_text(*plan.model->tokenizer, prompt.text);
    if (!ids) return std::unexpected(openai::from_error(ids.error(), "prompt"));
    plan.prompts.push_back(*std::move(ids));
  }
  OTR_TRY(fit(plan, "prompt", parts.options.max_answers));
  return plan;
}

}  // namespace

void handle_generation(const std::shared_ptr<FrontParts>& parts, Incoming incoming) {
  auto admitted = parts->idempotency.admit(incoming.exchange, incoming.api_key);
  if (!admitted) return send(*parts, incoming, error_answer(admitted.error()));
  const std::shared_ptr<Recording> recording = *std::move(admitted);
  if (recording == nullptr) {
    parts->services.metrics.add("otr_requests_total", 1,
                                {{"route", incoming.route}, {"code", "joined"}});
    return;
  }
  incoming.exchange = recording;
  if (parts->drains) {
    return send(*parts, incoming,
                error_answer(openai::unavailable("The service is being shut down.")));
  }
  const auto reply = std::make_shared<Reply>(parts, incoming, recording);
  if (!reply->enter()) return reply->fail(openai::too_many(), "busy");
  parts->queue->post([parts, reply, recording, route = incoming.route] {
    const std::string body = recording->take_body();
    openai::Parsed<Plan> plan = route == "/v1/chat/completions" ? plan_of_chat(*parts, body)
                                                                : plan_of_completion(*parts, body);
    if (!plan) return reply->fail(plan.error(), "request");
    reply->start(*std::move(plan));
  });
}

}  // namespace otr::service

#include "apps/logprobs.h"

#include <cstdio>
#include <utility>

#include "protocol/finish.h"
#include "text/utf8.h"

namespace otr::apps {
namespace {

constexpr std::string_view kNotCovered =
    "natural log-probabilities of the model's raw logits (before bias, penalties, temperature and "
    "filters), by floating point: NOT COVERED BY THE CLAIM";

std::string text_of(const machine::Model& model, std::uint32_t id) {
  return text::utf8_lossy(as_text(protocol::token_bytes(model, id)));
}

std::string line_of(const machine::Model& model, const node::TokenLogprob& token) {
  char number[32];
  std::snprintf(number, sizeof number, "%.4f ", token.logprob);
  return number + Json(text_of(model, token.id)).dump();
}

Json member_of(const machine::Model& model, const node::TokenLogprob& token) {
  const ByteView bytes = protocol::token_bytes(model, token.id);
  return {{"id", token.id},
          {"token", text_of(model, token.id)},
          {"bytes", std::vector<int>(bytes.begin(), bytes.end())},
          {"logprob", token.logprob}};
}

}  // namespace

std::string to_text(std::span<const node::TokenLogprobs> logprobs, const machine::Model& model) {
  std::string text = "\nLogprobs: " + std::string(kNotCovered) + "\n";
  for (const node::TokenLogprobs& position : logprobs) {
    text += "  " + line_of(model, position.chosen);
    const char* before = "   likeliest: ";
    for (const node::TokenLogprob& token : position.likeliest) {
      text += std::exchange(before, ", ") + line_of(model, token);
    }
    text += "\n";
  }
  return text;
}

Json to_json(std::span<const node::TokenLogprobs> logprobs, const machine::Model& model) {
  Json tokens = Json::array();
  for (const node::TokenLogprobs& position : logprobs) {
    Json token = member_of(model, position.chosen);
    Json& likeliest = token["top_logprobs"] = Json::array();
    for (const node::TokenLogprob& one : position.likeliest)
      likeliest.push_back(member_of(model, one));
    tokens.push_back(std::move(token));
  }
  return {{"note", kNotCovered}, {"tokens", std::move(tokens)}};
}

}  // namespace otr::apps

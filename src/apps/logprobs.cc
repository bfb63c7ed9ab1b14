#include "apps/logprobs.h"

#include <algorithm>
#include <cstdio>
#include <numeric>

#include "eval/log_softmax.h"
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

std::string line_of(const machine::Model& model, const TokenLogprob& token) {
  char number[32];
  std::snprintf(number, sizeof number, "%.4f ", token.logprob);
  return number + Json(text_of(model, token.id)).dump();
}

Json member_of(const machine::Model& model, const TokenLogprob& token) {
  const ByteView bytes = protocol::token_bytes(model, token.id);
  return {{"id", token.id},
          {"token", text_of(model, token.id)},
          {"bytes", std::vector<int>(bytes.begin(), bytes.end())},
          {"logprob", token.logprob}};
}

}  // namespace

void LogprobCollector::push_logits(std::span<const std::int32_t> logits) {
  row_ = eval::log_softmax(logits, eval::kLogitUnit);
}

void LogprobCollector::push_token(std::uint32_t id) {
  Logprobs::Position position{.chosen = {id, row_[id]}, .likeliest = {}};
  std::vector<std::uint32_t> ids(row_.size());
  std::iota(ids.begin(), ids.end(), 0u);
  const std::size_t count = std::min<std::size_t>(count_, ids.size());
  std::ranges::partial_sort(ids, ids.begin() + static_cast<std::ptrdiff_t>(count),
                            [&](std::uint32_t a, std::uint32_t b) {
                              return row_[a] != row_[b] ? row_[a] > row_[b] : a < b;
                            });
  for (std::size_t i = 0; i < count; ++i) position.likeliest.push_back({ids[i], row_[ids[i]]});
  logprobs_.positions.push_back(std::move(position));
}

std::string to_text(const Logprobs& logprobs, const machine::Model& model) {
  std::string text = "\nLogprobs: " + std::string(kNotCovered) + "\n";
  for (const Logprobs::Position& position : logprobs.positions) {
    text += "  " + line_of(model, position.chosen);
    const char* before = "   likeliest: ";
    for (const TokenLogprob& token : position.likeliest) {
      text += std::exchange(before, ", ") + line_of(model, token);
    }
    text += "\n";
  }
  return text;
}

Json to_json(const Logprobs& logprobs, const machine::Model& model) {
  Json tokens = Json::array();
  for (const Logprobs::Position& position : logprobs.positions) {
    Json token = member_of(model, position.chosen);
    Json& likeliest = token["top_logprobs"] = Json::array();
    for (const TokenLogprob& one : position.likeliest) likeliest.push_back(member_of(model, one));
    tokens.push_back(std::move(token));
  }
  return {{"note", kNotCovered}, {"tokens", std::move(tokens)}};
}

}  // namespace otr::apps

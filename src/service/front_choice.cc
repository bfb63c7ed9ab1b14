#include "service/front_choice.h"

#include <algorithm>

#include "protocol/finish.h"

namespace otr::service {
namespace {

constexpr std::int64_t kUnknown = INT64_MIN;  // rendered as what has no probability

std::size_t characters(std::string_view utf8) {
  return static_cast<std::size_t>(std::ranges::count_if(
      utf8, [](char c) { return (static_cast<std::uint8_t>(c) & 0xC0) != 0x80; }));
}

}  // namespace

// Log-probabilities are nobody's claim: what is missing or senseless is shown as unknown or left
// out, and never a reason to refuse.
openai::TokenLogprobs Choice::told(const protocol::TokenMessage& token) const {
  const auto bytes = [&](std::uint32_t id) {
    return std::string(as_text(protocol::token_bytes(model_, id)));
  };
  openai::TokenLogprobs told{.chosen = {bytes(token.id), kUnknown}};
  for (std::size_t i = 0; i < token.logprobs.size(); ++i) {
    const protocol::TokenLogprob& one = token.logprobs[i];
    if (one.id >= model_.shape.vocabulary) continue;
    if (i == 0) {
      if (one.id == token.id) told.chosen.micro_nats = one.micro_nats;
    } else if (told.likeliest.size() < logprobs_.value_or(0)) {
      told.likeliest.push_back({bytes(one.id), one.micro_nats});
    }
  }
  return told;
}

Choice::Piece Choice::show(std::string text, std::vector<openai::TokenLogprobs> logprobs) {
  Piece piece{.text = std::move(text), .offset = characters_};
  characters_ += characters(piece.text);
  whole_.text += piece.text;
  if (logprobs_) {
    if (!whole_.logprobs) whole_.logprobs.emplace();
    whole_.logprobs->insert(whole_.logprobs->end(), logprobs.begin(), logprobs.end());
    piece.logprobs = std::move(logprobs);
  }
  return piece;
}

std::optional<Choice::Piece> Choice::push(const protocol::TokenMessage& token) {
  if (token.id >= model_.shape.vocabulary || ids_.size() >= request_.request.max_tokens) {
    return std::nullopt;
  }
  ids_.push_back(token.id);
  std::vector<openai::TokenLogprobs> logprobs;
  if (logprobs_) logprobs.push_back(told(token));
  return show(text_.push(token.id), std::move(logprobs));
}

Choice::Piece Choice::finish() { return show(text_.finish(), {}); }

}  // namespace otr::service

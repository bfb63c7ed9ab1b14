// One answer while it comes: tokens in, text and log-probabilities out. Inside of the front only.
#ifndef OTR_SERVICE_FRONT_CHOICE_H_
#define OTR_SERVICE_FRONT_CHOICE_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "machine/model.h"
#include "openai/render.h"
#include "protocol/answer_text.h"
#include "protocol/request.h"
#include "protocol/wire.h"

namespace otr::service {

class Choice {
 public:
  // A part of the answer that can be shown.
  struct Piece {
    std::string text;
    std::optional<std::vector<openai::TokenLogprobs>> logprobs;  // where asked for
    std::size_t offset = 0;  // characters of the answer before it
    [[nodiscard]] bool is_empty() const { return text.empty() && (!logprobs || logprobs->empty()); }
  };

  // `model` must outlive it; the object stays where it is.
  Choice(const machine::Model& model, protocol::SignedRequest request,
         std::optional<std::uint32_t> logprobs)
      : request_(std::move(request)),
        model_(model),
        logprobs_(logprobs),
        text_(model, request_.request) {}
  Choice(const Choice&) = delete;
  Choice& operator=(const Choice&) = delete;

  // Nothing where no honest answer goes on like this: an id beyond the vocabulary, or a token too
  // many.
  [[nodiscard]] std::optional<Piece> push(const protocol::TokenMessage& token);
  // The text that was held back.
  [[nodiscard]] Piece finish();

  [[nodiscard]] const protocol::SignedRequest& request() const { return request_; }
  [[nodiscard]] const std::vector<std::uint32_t>& ids() const { return ids_; }
  // All of it so far, from its beginning.
  [[nodiscard]] const Piece& whole() const { return whole_; }

 private:
  [[nodiscard]] Piece show(std::string text, std::vector<openai::TokenLogprobs> logprobs);
  [[nodiscard]] openai::TokenLogprobs told(const protocol::TokenMessage& token) const;

  const protocol::SignedRequest request_;
  const machine::Model& model_;
  const std::optional<std::uint32_t> logprobs_;
  protocol::AnswerText text_;
  std::vector<std::uint32_t> ids_;
  Piece whole_;
  std::size_t characters_ = 0;
};

}  // namespace otr::service

#endif  // OTR_SERVICE_FRONT_CHOICE_H_

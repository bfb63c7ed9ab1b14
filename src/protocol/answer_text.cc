#include "protocol/answer_text.h"

#include <algorithm>

#include "protocol/finish.h"

namespace otr::protocol {

// How many of the held bytes can not belong to a stop string any more.
std::size_t AnswerText::certain_bytes() const {
  std::size_t certain = held_.size();
  for (const std::string& stop : request_->stop) {
    for (std::size_t length = std::min(stop.size() - 1, held_.size()); length > 0; --length) {
      if (!held_.ends_with(std::string_view(stop).substr(0, length))) continue;
      certain = std::min(certain, held_.size() - length);
      break;
    }
  }
  return certain;
}

std::string AnswerText::push(std::uint32_t id) {
  if (stopped_) return {};
  if (std::ranges::binary_search(model_->eos_ids, id)) {
    stopped_ = true;
    return utf8_.push(std::exchange(held_, {}));
  }
  held_ += as_text(token_bytes(*model_, id));
  std::size_t first = std::string::npos;
  for (const std::string& stop : request_->stop) first = std::min(first, held_.find(stop));
  if (first != std::string::npos) {
    stopped_ = true;
    return utf8_.push(std::exchange(held_, {}).substr(0, first));
  }
  const std::size_t certain = certain_bytes();
  std::string text = utf8_.push(std::string_view(held_).substr(0, certain));
  held_.erase(0, certain);
  return text;
}

std::string AnswerText::finish() {
  std::string text = utf8_.push(std::exchange(held_, {}));
  return text + utf8_.finish();
}

}  // namespace otr::protocol

#include "protocol/finish.h"

#include <algorithm>

#include "base/check.h"

namespace otr::protocol {

ByteView token_bytes(const machine::Model& model, std::uint32_t id) {
  OTR_CHECK(id < model.shape.vocabulary);
  const std::uint32_t begin = model.token_offsets[id];
  return model.token_bytes.subspan(begin, model.token_offsets[id + 1] - begin);
}

std::optional<std::string> joined_bytes(const machine::Model& model,
                                        std::span<const std::uint32_t> ids, std::size_t max_bytes) {
  std::string joined;
  for (const std::uint32_t id : ids) {
    if (id >= model.shape.vocabulary) return std::nullopt;
    const ByteView bytes = token_bytes(model, id);
    if (bytes.size() > max_bytes - joined.size()) return std::nullopt;
    joined += as_text(bytes);
  }
  return joined;
}

FinishDetector::FinishDetector(const machine::Model& model, const Request& request)
    : model_(&model), request_(&request) {
  for (const std::string& stop : request.stop) longest_stop_ = std::max(longest_stop_, stop.size());
}

bool FinishDetector::completes_stop_string(std::uint32_t id) {
  if (longest_stop_ == 0) return false;
  tail_ += as_text(token_bytes(*model_, id));
  const bool found = std::ranges::any_of(request_->stop, [&](const std::string& stop) {
    return tail_.find(stop) != std::string::npos;
  });
  if (tail_.size() >= longest_stop_) tail_.erase(0, tail_.size() - (longest_stop_ - 1));
  return found;
}

std::optional<FinishReason> FinishDetector::push(std::uint32_t id) {
  ++out_count_;
  if (std::ranges::binary_search(model_->eos_ids, id)) return FinishReason::kStopToken;
  if (completes_stop_string(id)) return FinishReason::kStopString;
  // The position of the token just chosen is prompt_count + out_count_ - 1.
  const bool context_full =
      std::uint64_t{request_->prompt_count} + out_count_ >= model_->shape.context;
  if (out_count_ >= request_->max_tokens || context_full) return FinishReason::kLength;
  return std::nullopt;
}

}  // namespace otr::protocol

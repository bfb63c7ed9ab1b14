#include "net/sse.h"

#include <algorithm>
#include <utility>

namespace otr::net {

std::string sse_event(std::string_view data) {
  std::string out;
  out.reserve(data.size() + 8);
  while (true) {
    const std::size_t end = std::min(data.find_first_of("\r\n"), data.size());
    out += "data: ";
    out += data.substr(0, end);
    out += '\n';
    if (end == data.size()) break;
    const bool is_pair = data.substr(end).starts_with("\r\n");
    data.remove_prefix(end + (is_pair ? 2 : 1));
  }
  out += '\n';
  return out;
}

std::string sse_comment(std::string_view text) {
  std::string out = ": ";
  out += text;
  std::ranges::replace_if(out, [](char c) { return c == '\r' || c == '\n'; }, ' ');
  return out + "\n\n";
}

Status SseReader::put(std::string_view part, const std::function<void(SseEvent)>& event) {
  if (failed_) return fail(ErrorKind::kBadInput, "the event stream broke a limit before");
  while (!part.empty()) {
    if (std::exchange(skip_line_feed_, false) && part.front() == '\n') {
      part.remove_prefix(1);
      continue;
    }
    const std::size_t end = std::min(part.find_first_of("\r\n"), part.size());
    if (end > limits_.max_line_bytes - line_.size()) {
      failed_ = true;
      return fail(ErrorKind::kBadInput, "a line of the event stream is longer than " +
                                            std::to_string(limits_.max_line_bytes) + " bytes");
    }
    line_ += part.substr(0, end);
    if (end == part.size()) return {};
    skip_line_feed_ = part[end] == '\r';
    part.remove_prefix(end + 1);
    OTR_TRY(end_line(event));
  }
  return {};
}

Status SseReader::end_line(const std::function<void(SseEvent)>& event) {
  std::string_view line = line_;
  if (std::exchange(is_first_line_, false) && line.starts_with("\xEF\xBB\xBF")) {
    line.remove_prefix(3);
  }
  if (line.empty()) {
    SseEvent whole{type_.empty() ? "message" : std::move(type_), std::move(data_)};
    line_.clear(), type_.clear(), data_.clear();
    if (std::exchange(has_data_, false)) event(std::move(whole));
    return {};
  }
  const std::size_t colon = std::min(line.find(':'), line.size());
  const std::string_view field = line.substr(0, colon);
  std::string_view value = line.substr(std::min(colon + 1, line.size()));
  if (value.starts_with(' ')) value.remove_prefix(1);
  if (field == "data") {
    if (data_.size() + value.size() + 1 > limits_.max_event_bytes) {
      failed_ = true;
      return fail(ErrorKind::kBadInput, "an event of the stream has more than " +
                                            std::to_string(limits_.max_event_bytes) + " bytes");
    }
    if (std::exchange(has_data_, true)) data_ += '\n';
    data_ += value;
  } else if (field == "event") {
    type_ = value;
  }
  line_.clear();
  return {};
}

bool SseReader::is_inside_event() const { return has_data_ || !type_.empty() || !line_.empty(); }

}  // namespace otr::net

// Any bytes as an event stream: whole, and byte by byte, it gives the same events; what our writer
// makes of an event's data, the reader gives back.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/check.h"
#include "net/sse.h"

namespace {

using otr::net::SseEvent;
using otr::net::SseReader;

struct Outcome {
  std::vector<std::string> events;
  bool is_whole = true;
  bool operator==(const Outcome&) const = default;
};

Outcome read(std::string_view text, std::size_t part_bytes) {
  SseReader reader({.max_line_bytes = 64, .max_event_bytes = 128});
  Outcome out;
  const auto take = [&](const SseEvent& event) {
    OTR_CHECK(event.data.size() <= 128);
    out.events.push_back(event.type + '\0' + event.data);
  };
  while (!text.empty() && out.is_whole) {
    const std::string_view part = text.substr(0, part_bytes);
    out.is_whole = reader.put(part, take).has_value();
    text.remove_prefix(part.size());
  }
  return out;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  OTR_CHECK(read(text, size + 1) == read(text, 1));
  // Only line breaks change: each becomes a line feed.
  std::string plain;
  for (std::size_t i = 0; i < size; ++i) {
    if (text[i] == '\n' && i > 0 && text[i - 1] == '\r') continue;
    plain += text[i] == '\r' ? '\n' : text[i];
  }
  std::string back;
  const auto done =
      SseReader().put(otr::net::sse_event(text), [&](const SseEvent& event) { back = event.data; });
  OTR_CHECK(!done || back == plain);
  return 0;
}

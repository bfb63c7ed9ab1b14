// Server-sent events: the stream format of OpenAI's API (WHATWG HTML, "Server-sent events").
//
// The writer makes only what every client reads: one `data:` line per event, and comments. The
// reader takes what any server may send: all three line ends, many data lines, a byte order mark.
#ifndef OTR_NET_SSE_H_
#define OTR_NET_SSE_H_

#include <cstddef>
#include <functional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace otr::net {

// "data: <json>\n\n". Line breaks in `data` become further data lines, so that no content can
// forge an event.
[[nodiscard]] std::string sse_event(std::string_view data);

// ": <text>\n\n", which clients ignore; keeps proxies and idle timers quiet. Line breaks in `text`
// become blanks.
[[nodiscard]] std::string sse_comment(std::string_view text);

// One dispatched event. `type` is "message" unless an event: line names another.
struct SseEvent {
  std::string type;
  std::string data;
};

// Takes a stream in parts of any size and gives back whole events. An event that the stream's end
// cuts off is never given.
class SseReader {
 public:
  struct Limits {
    std::size_t max_line_bytes = 1 << 20;
    std::size_t max_event_bytes = 4 << 20;  // data of one event
  };
  SseReader() : SseReader(Limits()) {}
  explicit SseReader(Limits limits) : limits_(limits) {}

  // Calls `event` for each event that `part` completes. kBadInput beyond a limit; from then on
  // every call fails.
  Status put(std::string_view part, const std::function<void(SseEvent)>& event);

  // Whether bytes of an unfinished event or line are held: at the end of a stream, it was cut.
  [[nodiscard]] bool is_inside_event() const;

 private:
  Status end_line(const std::function<void(SseEvent)>& event);

  Limits limits_;
  std::string line_;
  std::string data_;
  std::string type_;
  bool has_data_ = false;
  bool skip_line_feed_ = false;  // the last byte was a carriage return
  bool is_first_line_ = true;    // a byte order mark may stand before it
  bool failed_ = false;
};

}  // namespace otr::net

#endif  // OTR_NET_SSE_H_

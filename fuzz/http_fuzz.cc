// Any bytes as a request and as an answer: whole and byte by byte they are read alike, limits hold,
// and an accepted request keeps every rule that message_parser.h promises.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/check.h"
#include "net/message_parser.h"
#include "net/url.h"

namespace {

using namespace otr::net;

constexpr MessageLimits kLimits{.max_header_bytes = 512, .max_body_bytes = 256};

// Gives `parser` the text in parts; the rest goes back in front, as a connection does. Returns what
// was left, or "!" and the fault.
template <class Parser>
std::string feed(Parser& parser, std::string_view text, std::size_t part_bytes) {
  std::string in;
  while (!text.empty() && !parser.is_done()) {
    in += text.substr(0, part_bytes);
    text.remove_prefix(std::min(text.size(), part_bytes));
    while (!in.empty() && !parser.is_done()) {
      const auto taken = parser.put(in);
      if (!taken) return "!";
      OTR_CHECK(*taken <= in.size());
      in.erase(0, *taken);
      if (*taken == 0) break;
    }
  }
  return in + std::string(text);
}

void check_request(RequestParser& parser) {
  const Request& request = parser.request();
  OTR_CHECK(request.path.starts_with('/') || request.path == "*");
  OTR_CHECK(request.body.size() <= kLimits.max_body_bytes);
  OTR_CHECK(request.path == "*" || is_target(request.path));
  for (const Header& header : request.headers) {
    OTR_CHECK(is_token(header.name) && is_field_value(header.value));
  }
  OTR_CHECK(request.is_http_10 || request.header("Host"));
  OTR_CHECK(!request.header("Transfer-Encoding") || !request.header("Content-Length"));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size > 4096) return 0;  // longer trailers may be read in one piece, but not in many
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  RequestParser whole(kLimits), bytewise(kLimits);
  const std::string rest = feed(whole, text, size + 1);
  const std::string bytewise_rest = feed(bytewise, text, 1);
  OTR_CHECK(whole.is_done() == bytewise.is_done());
  if (whole.is_done()) {
    OTR_CHECK(rest == bytewise_rest);
    check_request(whole);
    OTR_CHECK(whole.request().body == bytewise.request().body);
    OTR_CHECK(whole.request().headers == bytewise.request().headers);
  }
  std::string body;
  ResponseParser answer(kLimits, false, [&](std::string_view part) { body += part; });
  if (size > 0 && feed(answer, text, 7) != "!" && !answer.is_done()) (void)answer.put_end();
  OTR_CHECK(body.size() <= kLimits.max_body_bytes && body.size() == answer.body_bytes());
  return 0;
}

// What an HTTP/1.1 message is to the rest of the house: plain values, no library behind them.
//
// Serves the worker, the gateway, the proxy and the clients (server.h, client.h). Everything that
// reaches a Request has passed the strict rules of message_parser.h: header names are tokens,
// values are visible ASCII with inner blanks, and no header that decides about framing, routing or
// rights stands twice.
#ifndef OTR_NET_HTTP_H_
#define OTR_NET_HTTP_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace otr::net {

struct Header {
  std::string name;   // a token, in the spelling of the sender
  std::string value;  // without the blanks around it
  bool operator==(const Header&) const = default;
};
using Headers = std::vector<Header>;

// The value of the first header called `name`, compared without regard to ASCII case.
[[nodiscard]] std::optional<std::string_view> find_header(const Headers& headers,
                                                          std::string_view name);

struct Request {
  std::string method;  // one of GET HEAD POST PUT PATCH DELETE OPTIONS
  std::string target;  // as it stood in the request line
  std::string path;    // begins with '/' (or is "*" for OPTIONS); percent escapes are kept
  std::string query;   // what follows the '?', without it; percent escapes are kept
  Headers headers;
  std::string body;         // whole; the chunks of a chunked body joined
  std::string peer;         // IP address of the other end, without a port
  bool tls = false;         // came over TLS
  bool is_http_10 = false;  // the answer cannot be chunked; its end is the end of the connection

  [[nodiscard]] std::optional<std::string_view> header(std::string_view name) const {
    return find_header(headers, name);
  }
};

struct Response {
  unsigned status = 200;  // 200 to 599
  Headers headers = {};   // without Content-Length, Transfer-Encoding, Connection: ours to write
  std::string body = {};
};

// A JSON answer: content type and body.
[[nodiscard]] Response json_response(unsigned status, std::string json);

// An error in the shape that OpenAI's clients read:
// {"error":{"message","type","code","param"}}; an empty `code` or `param` becomes null. Bytes of
// `message` that are no UTF-8 are replaced. `type` is for example "invalid_request_error".
[[nodiscard]] Response error_response(unsigned status, std::string_view type, std::string_view code,
                                      std::string_view message, std::string_view param = {});

// "Not Found" for 404; "Unknown" where RFC 9110 names none.
[[nodiscard]] std::string_view reason_phrase(unsigned status);

// The names and values of a query such as "nonce=ab&x=%20y", unescaped ('+' is a blank).
// A broken escape, an escaped NUL or a name that stands twice is kBadInput.
[[nodiscard]] Result<std::vector<Header>> parse_query(std::string_view query);

[[nodiscard]] bool is_token(std::string_view text);        // RFC 9110 token, not empty
[[nodiscard]] bool is_field_value(std::string_view text);  // visible ASCII, inner blanks and tabs
[[nodiscard]] bool equal_ignoring_case(std::string_view a, std::string_view b);  // ASCII only

}  // namespace otr::net

#endif  // OTR_NET_HTTP_H_

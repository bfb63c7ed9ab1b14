// The strict reader of HTTP/1.1 messages: bytes in any parts in, checked values out, no socket.
//
// Boost.Beast reads the grammar and the framing; before it sees a head, and after, our own rules
// run, because what two programs in a row may read in two ways is how requests are smuggled:
// a head is visible ASCII in lines that end in CRLF, without folded lines; Content-Length is one
// number; Transfer-Encoding is "chunked" alone and never beside Content-Length; the headers named
// in message_parser.cc stand once; Host is there, and agrees with an absolute target.
#ifndef OTR_NET_MESSAGE_PARSER_H_
#define OTR_NET_MESSAGE_PARSER_H_

#include <cstddef>
#include <cstdint>
#include <expected>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "net/http.h"

namespace otr::net {

// Why a message is refused, as a server answers it.
struct Fault {
  unsigned status = 400;
  std::string code;
  std::string message;
};

// The answer that tells a fault.
[[nodiscard]] Response fault_response(const Fault& fault);

struct MessageLimits {
  std::size_t max_header_bytes = 16 << 10;
  std::size_t max_body_bytes = 4 << 20;
};

// Reads one request; a new one is needed for the next.
class RequestParser {
 public:
  explicit RequestParser(MessageLimits limits);
  ~RequestParser();

  // Takes what it can from the front of `bytes` and says how much; the rest, longer by what has
  // arrived since, must be given again. Not to be called once is_done(), nor after a fault.
  [[nodiscard]] std::expected<std::size_t, Fault> put(std::string_view bytes);

  [[nodiscard]] bool is_head_done() const;
  [[nodiscard]] bool is_done() const;
  [[nodiscard]] bool keeps_alive() const;       // the peer wants to send another; after the head
  [[nodiscard]] bool expects_continue() const;  // after the head
  [[nodiscard]] Request& request();             // `peer` and `tls` are the caller's to fill

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// Reads one answer, which may be an interim one (status 1xx); the body goes to `on_body` as it
// comes.
class ResponseParser {
 public:
  // `is_head_request`: the answer has no body, whatever its headers say.
  ResponseParser(MessageLimits limits, bool is_head_request,
                 std::function<void(std::string_view)> on_body);
  ~ResponseParser();

  // As RequestParser::put(); errors are kBadInput.
  [[nodiscard]] Result<std::size_t> put(std::string_view bytes);
  // The connection has ended: well only for a body that the end of the connection ends.
  [[nodiscard]] Status put_end();

  [[nodiscard]] bool is_head_done() const;
  [[nodiscard]] bool is_done() const;
  [[nodiscard]] bool keeps_alive() const;
  [[nodiscard]] unsigned status() const;
  [[nodiscard]] const Headers& headers() const;
  [[nodiscard]] std::size_t body_bytes() const;  // so far

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// Header lines as they go over the wire, without the empty line. `nullopt` if a header would break
// the head or is ours to write (Content-Length, Transfer-Encoding, Connection).
[[nodiscard]] std::optional<std::string> encode_headers(const Headers& headers);

// `bytes` as one chunk of a chunked body; nothing for nothing, as an empty chunk is the end.
[[nodiscard]] std::string encode_chunk(std::string_view bytes);
inline constexpr std::string_view kLastChunk = "0\r\n\r\n";

}  // namespace otr::net

#endif  // OTR_NET_MESSAGE_PARSER_H_

// Strict http and https addresses: what cannot be read in one way only is refused.
#ifndef OTR_NET_URL_H_
#define OTR_NET_URL_H_

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace otr::net {

struct Url {
  bool tls = false;         // https
  std::string host;         // lower case; an IPv6 address without its brackets
  std::uint16_t port = 80;  // given, or 80 or 443
  std::string path = "/";   // begins with '/'; escapes are kept
  std::string query;        // without the '?'

  // host[:port] as a Host header carries it: the port only where it is not the scheme's own.
  [[nodiscard]] std::string authority() const;
  [[nodiscard]] std::string target() const;  // path and query as a request line carries them
  [[nodiscard]] std::string origin() const;  // scheme://host[:port]
};

// http://host[:port][/path][?query]. No user, no password, no fragment, no blank, at most 8 KiB.
// kUsage with the offending part.
[[nodiscard]] Result<Url> parse_url(std::string_view text);

// host[:port] alone, as in a Host header; `tls` chooses the default port.
[[nodiscard]] Result<Url> parse_authority(std::string_view text, bool tls);

// Whether `text` may stand as path and query in a request line: begins with '/', only characters
// of RFC 3986, whole escapes.
[[nodiscard]] bool is_target(std::string_view text);

}  // namespace otr::net

#endif  // OTR_NET_URL_H_

// Whether a request to a server on loopback comes from this machine's own programs, and not from a
// web page that a browser of this machine shows: one whose name was pointed at 127.0.0.1 (DNS
// rebinding), or any other that sends a form there. For servers without API keys.
#ifndef OTR_SERVICE_LOCAL_REQUEST_H_
#define OTR_SERVICE_LOCAL_REQUEST_H_

#include <string_view>

#include "net/http.h"

namespace otr::service {

// "127.0.0.1", "::1": an address that only this machine reaches.
[[nodiscard]] bool is_loopback(std::string_view address);

// Its Host is a loopback address or localhost, with any port, and so is its Origin where it has
// one. Browsers write both themselves.
[[nodiscard]] bool is_local(const net::Request& request);

}  // namespace otr::service

#endif  // OTR_SERVICE_LOCAL_REQUEST_H_

#include "service/local_request.h"

namespace otr::service {
namespace {

// "localhost:8080", "[::1]:8080"
bool is_loopback_authority(std::string_view authority) {
  if (authority.starts_with('[')) {
    const std::size_t end = authority.find(']');
    return end != std::string_view::npos && is_loopback(authority.substr(1, end - 1));
  }
  const std::string_view host = authority.substr(0, authority.find(':'));
  return host == "localhost" || is_loopback(host);
}

}  // namespace

bool is_loopback(std::string_view address) {
  // Digits and dots alone: 127.0.0.1.evil.example is a name like any other.
  return address == "::1" || (address.starts_with("127.") &&
                              address.find_first_not_of("0123456789.") == std::string_view::npos);
}

bool is_local(const net::Request& request) {
  if (!is_loopback_authority(request.header("host").value_or(""))) return false;
  const auto origin = request.header("origin");
  if (!origin) return true;
  const std::size_t scheme = origin->find("://");
  return scheme != std::string_view::npos && is_loopback_authority(origin->substr(scheme + 3));
}

}  // namespace otr::service

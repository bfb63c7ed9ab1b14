#include "net/url.h"

#include <algorithm>
#include <charconv>

#include "net/http.h"

namespace otr::net {
namespace {

constexpr std::size_t kMaxUrlBytes = 8 << 10;
constexpr std::size_t kMaxHostBytes = 253;

bool is_alphanumeric(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

bool is_hex(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

std::unexpected<Error> refuse(std::string_view what, std::string_view text) {
  // The text may hold anything, so that only its visible ASCII is shown.
  std::string shown;
  for (char c : text.substr(0, 100)) shown += c > ' ' && c <= '~' ? c : '?';
  return fail(ErrorKind::kUsage, "'" + shown + "' is no address: " + std::string(what));
}

bool is_name(std::string_view host) {
  return !host.empty() && host.size() <= kMaxHostBytes && host.front() != '.' &&
         host.front() != '-' && !host.contains("..") && std::ranges::all_of(host, [](char c) {
           return is_alphanumeric(c) || c == '-' || c == '.' || c == '_';
         });
}

bool is_ipv6(std::string_view host) {
  return host.size() >= 2 && host.size() <= 45 && host.contains(':') &&
         std::ranges::all_of(host, [](char c) { return is_hex(c) || c == ':' || c == '.'; });
}

Result<std::uint16_t> parse_port(std::string_view text, std::string_view whole) {
  std::uint16_t port = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  if (error != std::errc() || end != text.data() + text.size() || port == 0 || text[0] == '0') {
    return refuse("its port is no number from 1 to 65535", whole);
  }
  return port;
}

}  // namespace

std::string Url::authority() const {
  std::string out = host.contains(':') ? "[" + host + "]" : host;
  if (port != (tls ? 443 : 80)) out += ":" + std::to_string(port);
  return out;
}

std::string Url::target() const { return query.empty() ? path : path + "?" + query; }

std::string Url::origin() const { return (tls ? "https://" : "http://") + authority(); }

bool is_target(std::string_view text) {
  // RFC 3986 unreserved and sub-delims, ':', '@', '/', '?'. Brackets are let through in a query
  // as every browser sends them.
  constexpr std::string_view kMarks = "-._~!$&'()*+,;=:@/?[]|";
  if (text.empty() || text.front() != '/') return false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '%') {
      if (i + 2 >= text.size() || !is_hex(text[i + 1]) || !is_hex(text[i + 2])) return false;
    } else if (!is_alphanumeric(text[i]) && !kMarks.contains(text[i])) {
      return false;
    }
  }
  return true;
}

Result<Url> parse_authority(std::string_view text, bool tls) {
  Url url{.tls = tls, .port = static_cast<std::uint16_t>(tls ? 443 : 80)};
  std::string_view host = text;
  std::string_view rest;
  if (text.starts_with('[')) {
    const std::size_t close = text.find(']');
    if (close == text.npos) return refuse("a bracket of its host is not closed", text);
    host = text.substr(1, close - 1);
    rest = text.substr(close + 1);
    if (!is_ipv6(host)) return refuse("its host is no IPv6 address", text);
  } else {
    host = text.substr(0, text.find(':'));
    rest = text.substr(host.size());
    if (!is_name(host)) return refuse("its host is no name and no IPv4 address", text);
  }
  if (!rest.empty()) {
    if (rest[0] != ':' || rest.size() == 1)
      return refuse("its host is not followed by a port", text);
    OTR_TRY_ASSIGN(url.port, parse_port(rest.substr(1), text));
  }
  url.host = host;
  std::ranges::transform(url.host, url.host.begin(), [](char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  });
  return url;
}

Result<Url> parse_url(std::string_view text) {
  if (text.size() > kMaxUrlBytes) return refuse("it is longer than 8 KiB", text);
  const std::size_t colon = std::min(text.find("://"), text.size());
  const std::string_view scheme = text.substr(0, colon);
  const bool tls = equal_ignoring_case(scheme, "https");
  if (!tls && !equal_ignoring_case(scheme, "http")) {
    return refuse("it does not begin with http:// or https://", text);
  }
  if (colon + 3 > text.size()) return refuse("it has no host", text);
  const std::string_view rest = text.substr(colon + 3);
  const std::string_view authority = rest.substr(0, rest.find_first_of("/?#"));
  const std::string_view target = rest.substr(authority.size());
  if (authority.contains('@')) return refuse("it carries a user name, which is not allowed", text);
  if (target.contains('#')) return refuse("it carries a fragment, which is not allowed", text);
  OTR_TRY_ASSIGN(Url url, parse_authority(authority, tls));
  const std::size_t mark = std::min(target.find('?'), target.size());
  if (mark > 0) url.path = target.substr(0, mark);
  if (mark < target.size()) url.query = target.substr(mark + 1);
  if (!is_target(url.target())) {
    return refuse("its path or query has a character that must be percent-escaped", text);
  }
  return url;
}

}  // namespace otr::net

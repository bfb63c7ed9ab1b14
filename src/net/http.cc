#include "net/http.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

namespace otr::net {
namespace {

constexpr std::pair<unsigned, std::string_view> kPhrases[] = {
    {100, "Continue"},
    {200, "OK"},
    {201, "Created"},
    {202, "Accepted"},
    {204, "No Content"},
    {304, "Not Modified"},
    {400, "Bad Request"},
    {401, "Unauthorized"},
    {403, "Forbidden"},
    {404, "Not Found"},
    {405, "Method Not Allowed"},
    {408, "Request Timeout"},
    {409, "Conflict"},
    {410, "Gone"},
    {411, "Length Required"},
    {412, "Precondition Failed"},
    {413, "Content Too Large"},
    {415, "Unsupported Media Type"},
    {417, "Expectation Failed"},
    {422, "Unprocessable Content"},
    {429, "Too Many Requests"},
    {431, "Request Header Fields Too Large"},
    {500, "Internal Server Error"},
    {501, "Not Implemented"},
    {502, "Bad Gateway"},
    {503, "Service Unavailable"},
    {504, "Gateway Timeout"},
    {505, "HTTP Version Not Supported"},
};

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

int hex_digit(char c) {
  const char l = lower(c);
  return c >= '0' && c <= '9' ? c - '0' : l >= 'a' && l <= 'f' ? l - 'a' + 10 : -1;
}

Result<std::string> unescape(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      out += text[i] == '+' ? ' ' : text[i];
      continue;
    }
    const int high = i + 1 < text.size() ? hex_digit(text[i + 1]) : -1;
    const int low = i + 2 < text.size() ? hex_digit(text[i + 2]) : -1;
    if (high < 0 || low < 0) {
      return fail(ErrorKind::kBadInput,
                  "the query has a '%' that is not followed by two hex digits");
    }
    if (high == 0 && low == 0) return fail(ErrorKind::kBadInput, "the query escapes a NUL byte");
    out += static_cast<char>(high * 16 + low);
    i += 2;
  }
  return out;
}

}  // namespace

bool equal_ignoring_case(std::string_view a, std::string_view b) {
  return std::ranges::equal(a, b, {}, lower, lower);
}

bool is_token(std::string_view text) {
  constexpr std::string_view kMarks = "!#$%&'*+-.^_`|~";
  return !text.empty() && std::ranges::all_of(text, [&](char c) {
    const char l = lower(c);
    return (l >= 'a' && l <= 'z') || (c >= '0' && c <= '9') || kMarks.contains(c);
  });
}

bool is_field_value(std::string_view text) {
  const auto is_blank = [](char c) { return c == ' ' || c == '\t'; };
  if (!text.empty() && (is_blank(text.front()) || is_blank(text.back()))) return false;
  return std::ranges::all_of(text, [&](char c) { return is_blank(c) || (c > ' ' && c <= '~'); });
}

std::optional<std::string_view> find_header(const Headers& headers, std::string_view name) {
  const auto is_named = [&](const Header& header) {
    return equal_ignoring_case(header.name, name);
  };
  const auto found = std::ranges::find_if(headers, is_named);
  if (found == headers.end()) return std::nullopt;
  return found->value;
}

Response json_response(unsigned status, std::string json) {
  return {status, {{"Content-Type", "application/json"}}, std::move(json)};
}

Response error_response(unsigned status, std::string_view type, std::string_view code,
                        std::string_view message, std::string_view param) {
  using nlohmann::json;
  const auto or_null = [](std::string_view text) { return text.empty() ? json() : json(text); };
  const json body = {
      {"error",
       {{"message", message}, {"type", type}, {"code", or_null(code)}, {"param", or_null(param)}}}};
  return json_response(status, body.dump(-1, ' ', false, json::error_handler_t::replace));
}

std::string_view reason_phrase(unsigned status) {
  const auto* found =
      std::ranges::find(kPhrases, status, &std::pair<unsigned, std::string_view>::first);
  return found == std::end(kPhrases) ? "Unknown" : found->second;
}

Result<std::vector<Header>> parse_query(std::string_view query) {
  std::vector<Header> out;
  while (!query.empty()) {
    const std::string_view pair = query.substr(0, query.find('&'));
    query.remove_prefix(std::min(query.size(), pair.size() + 1));
    if (pair.empty()) continue;
    const std::size_t equals = std::min(pair.find('='), pair.size());
    OTR_TRY_ASSIGN(std::string name, unescape(pair.substr(0, equals)));
    OTR_TRY_ASSIGN(std::string value, unescape(pair.substr(std::min(equals + 1, pair.size()))));
    if (std::ranges::find(out, name, &Header::name) != out.end()) {
      return fail(ErrorKind::kBadInput, "the query names a parameter twice");
    }
    out.push_back({std::move(name), std::move(value)});
  }
  return out;
}

}  // namespace otr::net

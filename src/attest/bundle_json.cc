#include "attest/bundle_json.h"

#include "base/bounded_json.h"

namespace otr::attest {
namespace {

constexpr std::string_view kSpace = " \t\r\n";

// The following functions walk text that was parsed before, so every index stays within it.
std::size_t skip_space(std::string_view text, std::size_t at) {
  while (at < text.size() && kSpace.find(text[at]) != kSpace.npos) ++at;
  return at;
}

// Past the string whose opening quote stands at `at`.
std::size_t skip_string(std::string_view text, std::size_t at) {
  for (++at; at < text.size() && text[at] != '"'; ++at) {
    if (text[at] == '\\') ++at;
  }
  return at + 1;
}

// Past the value that begins at `at`.
std::size_t skip_value(std::string_view text, std::size_t at) {
  if (text[at] == '"') return skip_string(text, at);
  if (text[at] != '{' && text[at] != '[') {
    return std::min(text.find_first_of(",]} \t\r\n", at), text.size());
  }
  std::size_t depth = 0;
  while (at < text.size()) {
    if (text[at] == '"') {
      at = skip_string(text, at);
      continue;
    }
    if (text[at] == '{' || text[at] == '[') ++depth;
    if (text[at] == '}' || text[at] == ']') --depth;
    ++at;
    if (depth == 0) break;
  }
  return at;
}

}  // namespace

Result<Json> parse_document(std::string_view text, std::string_view what) {
  auto json = parse_bounded_json(
      text, what, {.max_bytes = text.size(), .max_values = kMaxDocumentValues}, kMaxDocumentDepth);
  if (!json) json.error().code = "MALFORMED";
  return json;
}

std::vector<std::pair<std::string, Written>> Written::parts() const {
  std::vector<std::pair<std::string, Written>> parts;
  if (!value->is_structured()) return parts;
  std::size_t at = skip_space(text, 1);
  while (at < text.size() && text[at] != '}' && text[at] != ']') {
    std::string name;
    if (value->is_object()) {
      const std::size_t end = skip_string(text, at);
      name = Json::parse(text.substr(at, end - at)).get<std::string>();
      at = skip_space(text, skip_space(text, end) + 1);  // past the colon
    }
    const std::size_t end = skip_value(text, at);
    const Json& part = value->is_object() ? value->at(name) : value->at(parts.size());
    parts.emplace_back(std::move(name), Written{&part, text.substr(at, end - at)});
    at = skip_space(text, end);
    if (at < text.size() && text[at] == ',') at = skip_space(text, at + 1);
  }
  return parts;
}

Written written(std::string_view text, const Json& value) {
  const std::size_t begin = text.find_first_not_of(kSpace);
  return {&value, text.substr(begin, text.find_last_not_of(kSpace) + 1 - begin)};
}

}  // namespace otr::attest

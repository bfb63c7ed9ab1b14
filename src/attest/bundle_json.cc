#include "attest/bundle_json.h"

#include <set>

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

// Keeps the bounds and builds nothing; each call says whether to go on. The library's own filter
// looks at a whole array again for each object in it, which takes quadratic time.
class Bounds final : public nlohmann::json_sax<Json> {
 public:
  bool null() override { return value(); }
  bool boolean(bool) override { return value(); }
  bool number_integer(number_integer_t) override { return value(); }
  bool number_unsigned(number_unsigned_t) override { return value(); }
  bool number_float(number_float_t, const string_t&) override { return value(); }
  bool string(string_t&) override { return value(); }
  bool binary(binary_t&) override { return value(); }
  bool start_object(std::size_t) override { return open(); }
  bool start_array(std::size_t) override { return open(); }
  bool end_object() override { return close(); }
  bool end_array() override { return close(); }
  bool key(string_t& key) override {
    return keys_.back().insert(key).second || refuse("has a key twice in one object");
  }
  bool parse_error(std::size_t position, const std::string&,
                   const nlohmann::detail::exception& error) override {
    return refuse(dynamic_cast<const Json::parse_error*>(&error) == nullptr
                      ? "holds a number that is too large"
                      : "is not well-formed JSON at byte " + std::to_string(position));
  }

  std::string problem;  // of the first refusal

 private:
  bool refuse(std::string why) {
    if (problem.empty()) problem = std::move(why);
    return false;
  }
  bool value() {
    return ++values_ <= kMaxDocumentValues ||
           refuse("holds more than " + std::to_string(kMaxDocumentValues) + " values");
  }
  bool open() {
    keys_.emplace_back();
    return keys_.size() <= kMaxDocumentDepth ? value() : refuse("nests deeper than 32");
  }
  bool close() {
    keys_.pop_back();
    return true;
  }

  std::size_t values_ = 0;
  std::vector<std::set<std::string>> keys_;  // of each object and array that is open
};

}  // namespace

Result<Json> parse_document(std::string_view text, std::string_view what) {
  const auto bad = [what](const std::string& why) {
    return fail(ErrorKind::kBadInput, std::string(what) + " " + why, "MALFORMED");
  };
  // The library would take a zero byte for the end.
  if (const std::size_t zero = text.find('\0'); zero != text.npos) {
    return bad("is not well-formed JSON at byte " + std::to_string(zero + 1));
  }
  Bounds bounds;
  if (!Json::sax_parse(text, &bounds)) return bad(bounds.problem);
  return Json::parse(text, nullptr, false);
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

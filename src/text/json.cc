#include "text/json.h"

#include <algorithm>
#include <set>
#include <vector>

#include "text/utf8.h"

namespace otr::text {
namespace {

// Keeps the bounds and builds nothing. Each call says whether to go on.
class Checker final : public nlohmann::json_sax<Json> {
 public:
  explicit Checker(std::size_t max_values) : values_left_(max_values) {}

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
    if (keys_.back().insert(key).second) return true;
    twice = key.empty() ? "(empty)" : key;
    return false;
  }
  bool parse_error(std::size_t position, const std::string&,
                   const nlohmann::detail::exception& error) override {
    error_byte = position;
    overflows = dynamic_cast<const Json::parse_error*>(&error) == nullptr;
    return false;
  }

  std::string twice;
  bool is_too_much = false, overflows = false;
  std::size_t error_byte = 0;

 private:
  bool value() {
    is_too_much = values_left_ == 0;
    if (is_too_much) return false;
    --values_left_;
    return true;
  }
  bool open() {
    keys_.emplace_back();
    is_too_much = keys_.size() > kMaxJsonDepth;
    return !is_too_much && value();
  }
  bool close() {
    keys_.pop_back();
    return true;
  }

  std::size_t values_left_;
  std::vector<std::set<std::string>> keys_;  // of each object and array that is open
};

}  // namespace

Result<Json> parse_json(std::string_view source, std::string_view what, const JsonBounds& bounds) {
  const auto bad = [what](std::string why) {
    return fail(ErrorKind::kBadInput, std::string(what) + " " + std::move(why));
  };
  if (source.size() > bounds.max_bytes) {
    return bad("is larger than " + std::to_string(bounds.max_bytes >> 20) + " MiB");
  }
  // The library would take a zero byte for the end.
  if (const std::size_t zero = source.find('\0'); zero != std::string_view::npos) {
    return bad("is not well-formed JSON at byte " + std::to_string(zero + 1));
  }
  // The library's own filter for this looks at a whole array again for each object in it, so the
  // bounds are checked in a pass of their own.
  Checker checker(bounds.max_values);
  const bool is_good = Json::sax_parse(source, &checker);
  if (!is_good && !checker.twice.empty()) {
    return bad("has the key '" + utf8_lossy(std::string_view(checker.twice).substr(0, 80)) +
               "' twice in one object");
  }
  if (!is_good && checker.is_too_much) {
    return bad("nests deeper than 64 or holds more than " + std::to_string(bounds.max_values) +
               " values");
  }
  if (!is_good && checker.overflows) return bad("holds a number that is too large");
  // The library's own text quotes the input, which may not be printable: its offset is enough.
  if (!is_good) return bad("is not well-formed JSON at byte " + std::to_string(checker.error_byte));
  return Json::parse(source, nullptr, false);
}

Status check_members(const Json& object, std::string_view what,
                     std::initializer_list<std::string_view> allowed) {
  if (!object.is_object()) {
    return fail(ErrorKind::kBadInput, std::string(what) + " must be an object");
  }
  for (const auto& [key, value] : object.items()) {
    if (std::ranges::find(allowed, key) == allowed.end()) {
      return fail(ErrorKind::kBadInput,
                  std::string(what) + " has the member '" + key + "', which is not supported");
    }
  }
  return {};
}

const Json& member(const Json& object, std::string_view key) {
  static const Json kNull;
  const auto found = object.find(key);
  return found == object.end() ? kNull : *found;
}

Result<std::string> string_member(const Json& object, std::string_view key, std::string_view what) {
  const Json& value = member(object, key);
  if (value.is_null()) return std::string();
  if (value.is_string()) return value.get<std::string>();
  return fail(ErrorKind::kBadInput,
              std::string(what) + "." + std::string(key) + " must be a string or null");
}

Result<bool> bool_member(const Json& object, std::string_view key, bool otherwise,
                         std::string_view what) {
  const Json& value = member(object, key);
  if (value.is_null()) return otherwise;
  if (value.is_boolean()) return value.get<bool>();
  return fail(ErrorKind::kBadInput,
              std::string(what) + "." + std::string(key) + " must be true or false");
}

}  // namespace otr::text

#include "base/bounded_json.h"

#include <algorithm>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace otr {
namespace {

constexpr std::size_t kMaxShownBytes = 80;

// As much of a key as an error shows; whole characters, which the parser has checked.
std::string shown(const std::string& key) {
  if (key.empty()) return "(empty)";
  std::size_t size = std::min(key.size(), kMaxShownBytes);
  while (size < key.size() && (key[size] & 0xC0) == 0x80) --size;
  return key.substr(0, size);
}

// Keeps the bounds and builds nothing; each call says whether to go on. The library's own filter
// looks at a whole array again for each object in it, which takes quadratic time.
class Checker final : public nlohmann::json_sax<Json> {
 public:
  Checker(std::size_t max_values, std::size_t max_depth)
      : max_values_(max_values), max_depth_(max_depth) {}

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
    return keys_.back().insert(key).second ||
           refuse("has the key '" + shown(key) + "' twice in one object");
  }
  // The library's own text quotes the input, which may not be printable: its offset is enough.
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
    return ++values_ <= max_values_ ||
           refuse("holds more than " + std::to_string(max_values_) + " values");
  }
  bool open() {
    keys_.emplace_back();
    return keys_.size() <= max_depth_ ? value()
                                      : refuse("nests deeper than " + std::to_string(max_depth_));
  }
  bool close() {
    keys_.pop_back();
    return true;
  }

  const std::size_t max_values_, max_depth_;
  std::size_t values_ = 0;
  std::vector<std::set<std::string>> keys_;  // of each object and list that is open
};

}  // namespace

Result<Json> parse_bounded_json(std::string_view source, std::string_view what,
                                const JsonBounds& bounds, std::size_t max_depth) {
  const auto bad = [what](const std::string& why) {
    return fail(ErrorKind::kBadInput, std::string(what) + " " + why);
  };
  if (source.size() > bounds.max_bytes) {
    return bad("is larger than " + std::to_string(bounds.max_bytes >> 20) + " MiB");
  }
  // The library would take a zero byte for the end.
  if (const std::size_t zero = source.find('\0'); zero != std::string_view::npos) {
    return bad("is not well-formed JSON at byte " + std::to_string(zero + 1));
  }
  Checker checker(bounds.max_values, max_depth);
  if (!Json::sax_parse(source, &checker)) return bad(checker.problem);
  return Json::parse(source, nullptr, false);
}

}  // namespace otr

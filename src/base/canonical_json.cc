#include "base/canonical_json.h"

#include <algorithm>

namespace otr {
namespace {

std::unexpected<Error> refuse(std::string_view what, const std::string& why, std::string code) {
  return fail(ErrorKind::kBadInput, std::string(what) + " " + why, std::move(code));
}

// Bounds depth and number of values before anything is built. Openings and commas outside strings
// are at least as many as the values but one.
Status check_bounds(std::string_view source, std::string_view what, const JsonBounds& bounds) {
  if (source.size() > bounds.max_bytes) {
    return refuse(what, "is longer than " + std::to_string(bounds.max_bytes) + " bytes.",
                  "LIMIT_EXCEEDED");
  }
  std::size_t depth = 0;
  std::size_t values = 1;
  bool in_string = false;
  for (std::size_t at = 0; at < source.size(); ++at) {
    const char c = source[at];
    if (in_string) {
      if (c == '\\') ++at;
      if (c == '"') in_string = false;
      continue;
    }
    if (c == '"') in_string = true;
    if (c == '[' || c == '{') ++depth;
    if ((c == ']' || c == '}') && depth > 0) --depth;
    if (c == '[' || c == '{' || c == ',') ++values;
    if (depth > kMaxJsonDepth) {
      return refuse(what, "nests deeper than 64 at byte " + std::to_string(at) + ".",
                    "NOT_CANONICAL");
    }
    if (values > bounds.max_values) {
      return refuse(what, "holds more than " + std::to_string(bounds.max_values) + " values.",
                    "LIMIT_EXCEEDED");
    }
  }
  return {};
}

// Whether all numbers are integers and nothing nests deeper than `depth` more levels. The depth is
// checked on the way down, so that the recursion is bounded for values built in memory too.
bool is_representable(const Json& value, std::size_t depth) {
  if (value.is_number()) return value.is_number_integer();
  if (!value.is_structured()) return true;
  return depth > 0 && std::ranges::all_of(value, [depth](const Json& inner) {
           return is_representable(inner, depth - 1);
         });
}

}  // namespace

Result<std::string> dump_canonical_json(const Json& value, std::string_view what) {
  if (!is_representable(value, kMaxJsonDepth)) {
    return refuse(what, "holds a number that is not a 64-bit integer, or nests deeper than 64.",
                  "NOT_CANONICAL");
  }
  try {
    return value.dump();  // the library sorts members and escapes exactly as ENC-4 says
  } catch (const Json::exception&) {
    return refuse(what, "holds a string that is not UTF-8.", "NOT_CANONICAL");
  }
}

Result<Json> parse_canonical_json(std::string_view source, std::string_view what,
                                  const JsonBounds& bounds) {
  OTR_TRY(check_bounds(source, what, bounds));
  Json value;
  try {
    value = Json::parse(source);
  } catch (const Json::parse_error& error) {
    // The library's own text quotes the input, which may not be printable: its offset is enough.
    return refuse(what, "is not well-formed JSON at byte " + std::to_string(error.byte) + ".",
                  "MALFORMED");
  } catch (const Json::exception&) {  // a number beyond the range of a double
    return refuse(what, "holds a number that is not a 64-bit integer.", "NOT_CANONICAL");
  }
  OTR_TRY_ASSIGN(const std::string canonical, dump_canonical_json(value, what));
  if (canonical != source) {
    const auto at = std::ranges::mismatch(canonical, source).in2 - source.begin();
    return refuse(what,
                  "is not canonical JSON from byte " + std::to_string(at) +
                      " on: members sorted and unique, no white space, shortest escapes.",
                  "NOT_CANONICAL");
  }
  return value;
}

}  // namespace otr

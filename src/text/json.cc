#include "text/json.h"

#include <algorithm>

namespace otr::text {

Result<Json> parse_json(std::string_view source, std::string_view what) {
  const auto bad = [what](std::string why) {
    return fail(ErrorKind::kBadInput, std::string(what) + " " + std::move(why));
  };
  if (source.size() > kTokenizerBounds.max_bytes) return bad("is larger than 64 MiB");
  struct TooMuch {};
  std::size_t values = 0;
  const auto count = [&values](int depth, Json::parse_event_t, Json&) {
    if (depth > static_cast<int>(kMaxJsonDepth)) throw TooMuch();
    if (++values > 2 * kTokenizerBounds.max_values) throw TooMuch();  // keys and values
    return true;
  };
  try {
    return Json::parse(source, count);
  } catch (const TooMuch&) {
    return bad("nests deeper than 64 or holds more than 4194304 values");
  } catch (const Json::parse_error& error) {
    // The library's own text quotes the input, which may not be printable: its offset is enough.
    return bad("is not well-formed JSON at byte " + std::to_string(error.byte));
  } catch (const Json::exception&) {
    return bad("holds a number that is too large");
  }
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

#include "text/json.h"

#include <algorithm>

#include "base/bounded_json.h"

namespace otr::text {

Result<Json> parse_json(std::string_view source, std::string_view what, const JsonBounds& bounds) {
  return parse_bounded_json(source, what, bounds);
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

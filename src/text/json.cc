#include "text/json.h"

#include <algorithm>
#include <set>
#include <vector>

#include "text/utf8.h"

namespace otr::text {

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
  struct TooMuch {};
  struct Twice {
    std::string key;
  };
  std::size_t values = 0;
  std::vector<std::set<std::string>> keys;  // of each object that is open
  const auto count = [&](int depth, Json::parse_event_t event, Json& value) {
    if (depth > static_cast<int>(kMaxJsonDepth)) throw TooMuch();
    if (++values > 2 * bounds.max_values) throw TooMuch();  // keys and values
    if (event == Json::parse_event_t::object_start) keys.emplace_back();
    if (event == Json::parse_event_t::object_end) keys.pop_back();
    if (event == Json::parse_event_t::key &&
        !keys.back().insert(value.get_ref<const std::string&>()).second) {
      throw Twice{value.get<std::string>()};
    }
    return true;
  };
  try {
    return Json::parse(source, count);
  } catch (const TooMuch&) {
    return bad("nests deeper than 64 or holds more than " + std::to_string(bounds.max_values) +
               " values");
  } catch (const Twice& twice) {
    return bad("has the key '" + utf8_lossy(std::string_view(twice.key).substr(0, 80)) +
               "' twice in one object");
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

// JSON as other programs write it, bounded, and access to its members with errors that name them.
// The canonical form is base/canonical_json.h.
#ifndef OTR_TEXT_JSON_H_
#define OTR_TEXT_JSON_H_

#include <cstddef>
#include <initializer_list>
#include <string>
#include <string_view>

#include "base/canonical_json.h"
#include "base/result.h"

namespace otr::text {

// The largest known tokeniser has about two million values.
inline constexpr JsonBounds kTokenizerBounds = {.max_bytes = std::size_t{64} << 20,
                                                .max_values = std::size_t{4} << 20};

// parse_bounded_json with the bounds of a tokeniser where none are given.
[[nodiscard]] Result<Json> parse_json(std::string_view source, std::string_view what,
                                      const JsonBounds& bounds = kTokenizerBounds);

// An error unless `object` is an object whose members are all among `allowed`.
[[nodiscard]] Status check_members(const Json& object, std::string_view what,
                                   std::initializer_list<std::string_view> allowed);

// The member, or null where the object has none. `object` must be an object.
[[nodiscard]] const Json& member(const Json& object, std::string_view key);

// A string or boolean member; absent and null give the default.
[[nodiscard]] Result<std::string> string_member(const Json& object, std::string_view key,
                                                std::string_view what);
[[nodiscard]] Result<bool> bool_member(const Json& object, std::string_view key, bool otherwise,
                                       std::string_view what);

}  // namespace otr::text

#endif  // OTR_TEXT_JSON_H_

// Canonical JSON (SPEC ENC-4): the one spelling of a value, so that a hash of the text is a hash of
// the value.
//
// Members sorted by the bytes of their names, none twice; no white space outside strings; only
// integers in [-2^63, 2^64); nothing escaped that need not be; UTF-8; nesting at most 64.
#ifndef OTR_BASE_CANONICAL_JSON_H_
#define OTR_BASE_CANONICAL_JSON_H_

#include <cstddef>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "base/result.h"

namespace otr {

using Json = nlohmann::json;

inline constexpr std::size_t kMaxJsonDepth = 64;

// What a reader is willing to hold. A value costs up to about 100 bytes of memory, whatever its
// length in the text, so the bytes alone do not bound the memory.
struct JsonBounds {
  std::size_t max_bytes = std::size_t{64} << 20;
  std::size_t max_values = std::size_t{1} << 20;
};

// Accepts canonical JSON alone, the whole of `source`. `what` names the source in errors, which
// carry the offset and a code: LIMIT_EXCEEDED beyond the bounds, MALFORMED for what is no JSON,
// NOT_CANONICAL for JSON in another spelling, with a fraction, or nested too deep.
[[nodiscard]] Result<Json> parse_canonical_json(std::string_view source, std::string_view what,
                                                const JsonBounds& bounds = {});

// The canonical text of `value`. kBadInput, NOT_CANONICAL if it holds a number that is no integer,
// a string that is not UTF-8, or nests too deep.
[[nodiscard]] Result<std::string> dump_canonical_json(const Json& value, std::string_view what);

}  // namespace otr

#endif  // OTR_BASE_CANONICAL_JSON_H_

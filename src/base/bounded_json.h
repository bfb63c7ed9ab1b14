// JSON as other programs write it, within bounds. The canonical form is canonical_json.h.
#ifndef OTR_BASE_BOUNDED_JSON_H_
#define OTR_BASE_BOUNDED_JSON_H_

#include <cstddef>
#include <string_view>

#include "base/canonical_json.h"
#include "base/result.h"

namespace otr {

// Any well-formed JSON of at most bounds.max_bytes, bounds.max_values values (objects and lists
// count) and `max_depth` levels. An object with the same key twice is refused: readers differ in
// which of them counts. kBadInput otherwise; `what` names the source in the error.
[[nodiscard]] Result<Json> parse_bounded_json(std::string_view source, std::string_view what,
                                              const JsonBounds& bounds,
                                              std::size_t max_depth = kMaxJsonDepth);

}  // namespace otr

#endif  // OTR_BASE_BOUNDED_JSON_H_

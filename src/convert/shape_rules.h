// What a model's sizes must obey to become an artifact, whatever file said them (SPEC LIM-1).
#ifndef OTR_CONVERT_SHAPE_RULES_H_
#define OTR_CONVERT_SHAPE_RULES_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "machine/model.h"

namespace otr::convert {

// Heads, kv_heads and head_dim of `shape` against each other; `what` names the file.
[[nodiscard]] Status check_heads(const machine::Shape& shape, std::string_view what);

// A context beyond SPEC LIM-1 is cut to it, with a warning.
[[nodiscard]] std::uint32_t usable_context(std::uint32_t context,
                                           std::vector<std::string>& warnings);

}  // namespace otr::convert

#endif  // OTR_CONVERT_SHAPE_RULES_H_

#include "convert/shape_rules.h"

#include <algorithm>

namespace otr::convert {

Status check_heads(const machine::Shape& shape, std::string_view what) {
  const auto bad = [&](const std::string& why) {
    return fail(ErrorKind::kBadInput, std::string(what) + ": " + why);
  };
  if (shape.head_dim % 2 != 0 || shape.head_dim > machine::kMaxHeadDim) {
    return bad("the head size is " + std::to_string(shape.head_dim) +
               "; it must be even and at most 256.");
  }
  if (shape.heads % shape.kv_heads != 0) {
    return bad("the number of heads (" + std::to_string(shape.heads) +
               ") must be a multiple of that of key/value heads (" +
               std::to_string(shape.kv_heads) + ").");
  }
  if (shape.q_width() > machine::kMaxHeadsTimesDim) {
    return bad("the number of heads times the head size is " + std::to_string(shape.q_width()) +
               "; at most 32768 is supported.");
  }
  return {};
}

std::uint32_t usable_context(std::uint32_t context, std::vector<std::string>& warnings) {
  if (context > machine::kMaxContext) {
    warnings.push_back("the context of " + std::to_string(context) + " positions is cut to " +
                       std::to_string(machine::kMaxContext) + ".");
  }
  return std::min(context, machine::kMaxContext);
}

}  // namespace otr::convert

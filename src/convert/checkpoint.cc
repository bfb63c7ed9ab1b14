#include "convert/checkpoint.h"

namespace otr::convert {

Status Checkpoint::check_no_others(const std::set<std::string>& known) const {
  std::string list;
  std::size_t count = 0;
  for (const std::string& name : names()) {
    if (known.contains(name)) continue;
    if (++count <= 10) list += (count > 1 ? ", " : "") + name.substr(0, 200);
  }
  if (count == 0) return {};
  if (count > 10) list += " and " + std::to_string(count - 10) + " more";
  return fail(ErrorKind::kBadInput,
              "the model has tensors that its architecture does not explain: " + list + ".");
}

std::string shape_text(const std::vector<std::uint64_t>& shape) {
  std::string out = "[";
  for (const std::uint64_t size : shape) {
    if (out.size() > 1) out += ", ";
    out += std::to_string(size);
  }
  return out + "]";
}

}  // namespace otr::convert

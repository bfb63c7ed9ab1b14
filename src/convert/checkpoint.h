// The weights of a model that others made, whatever its file format: rows of floats under the names
// that Hugging Face gives to tensors ("model.layers.0.self_attn.q_proj.weight"), in its order of
// rows and with its rotation (pair i, i + D/2). Tensors are asked for by name and shape; what
// nobody asked for is reported, since a tensor that is not understood means a model that is not
// understood.
#ifndef OTR_CONVERT_CHECKPOINT_H_
#define OTR_CONVERT_CHECKPOINT_H_

#include <cstdint>
#include <set>
#include <string>
#include <vector>

#include "base/result.h"

namespace otr::convert {

class Checkpoint {
 public:
  virtual ~Checkpoint() = default;

  [[nodiscard]] virtual std::set<std::string> names() const = 0;
  // How the file stores this tensor, one of names(): "BF16", "Q4_K".
  [[nodiscard]] virtual std::string type_of(const std::string& name) const = 0;
  // Size of all tensors in the files.
  [[nodiscard]] virtual std::uint64_t size_bytes() const = 0;
  // Rows [begin, end) of the tensor, row-major; shape[0] counts rows, and a tensor of one dimension
  // has rows of one element. Memory for these rows and a bounded buffer. kBadInput if the tensor is
  // missing, has another shape or a type that cannot be read, or an element is not finite (with its
  // index). Requires begin <= end <= shape[0].
  [[nodiscard]] virtual Result<std::vector<float>> read_rows(
      const std::string& name, const std::vector<std::uint64_t>& shape, std::uint64_t begin,
      std::uint64_t end) const = 0;

  // All rows.
  [[nodiscard]] Result<std::vector<float>> read(const std::string& name,
                                                const std::vector<std::uint64_t>& shape) const {
    return read_rows(name, shape, 0, shape.front());
  }
  // That every tensor of the files is among `known`; the error lists up to ten that are not.
  [[nodiscard]] Status check_no_others(const std::set<std::string>& known) const;
};

// "[32000, 2048]", for errors.
[[nodiscard]] std::string shape_text(const std::vector<std::uint64_t>& shape);

}  // namespace otr::convert

#endif  // OTR_CONVERT_CHECKPOINT_H_

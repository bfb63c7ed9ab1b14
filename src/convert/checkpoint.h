// The weights of a Hugging Face directory: model.safetensors, or shards with their index. Tensors
// are asked for by name and shape; what nobody asked for is reported, since a tensor that is not
// understood means a model that is not understood.
#ifndef OTR_CONVERT_CHECKPOINT_H_
#define OTR_CONVERT_CHECKPOINT_H_

#include <filesystem>
#include <set>
#include <string>
#include <vector>

#include "convert/safetensors.h"

namespace otr::convert {

class Checkpoint {
 public:
  [[nodiscard]] static Result<Checkpoint> open(const std::filesystem::path& folder);

  [[nodiscard]] bool has(const std::string& name) const { return file_of_.contains(name); }
  // The elements, row-major. An error if the tensor is missing or has another shape or dtype.
  [[nodiscard]] Result<std::vector<float>> read(const std::string& name,
                                                const std::vector<std::uint64_t>& shape) const;
  // That every tensor of the files is among `known`; the error lists up to ten that are not.
  [[nodiscard]] Status check_no_others(const std::set<std::string>& known) const;
  // Size of all float tensors.
  [[nodiscard]] std::uint64_t size_bytes() const;

 private:
  std::vector<SafetensorsFile> files_;
  std::map<std::string, std::size_t> file_of_;  // every tensor -> index of its file
};

}  // namespace otr::convert

#endif  // OTR_CONVERT_CHECKPOINT_H_

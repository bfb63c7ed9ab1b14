// The weights of a Hugging Face directory: model.safetensors, or shards with their index.
#ifndef OTR_CONVERT_HUGGINGFACE_CHECKPOINT_H_
#define OTR_CONVERT_HUGGINGFACE_CHECKPOINT_H_

#include <filesystem>
#include <map>

#include "convert/checkpoint.h"
#include "convert/safetensors.h"

namespace otr::convert {

class HuggingFaceCheckpoint : public Checkpoint {
 public:
  [[nodiscard]] static Result<HuggingFaceCheckpoint> open(const std::filesystem::path& folder);

  [[nodiscard]] std::set<std::string> names() const override;
  [[nodiscard]] std::string type_of(const std::string& name) const override;
  [[nodiscard]] std::uint64_t size_bytes() const override;
  [[nodiscard]] Result<std::vector<float>> read_rows(const std::string& name,
                                                     const std::vector<std::uint64_t>& shape,
                                                     std::uint64_t begin,
                                                     std::uint64_t end) const override;

 private:
  std::vector<SafetensorsFile> files_;
  std::map<std::string, std::size_t> file_of_;  // every tensor -> index of its file
};

}  // namespace otr::convert

#endif  // OTR_CONVERT_HUGGINGFACE_CHECKPOINT_H_

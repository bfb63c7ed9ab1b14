// A GGUF model in one file, or split over several as llama-gguf-split does.
#ifndef OTR_CONVERT_GGUF_SPLIT_H_
#define OTR_CONVERT_GGUF_SPLIT_H_

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "convert/gguf.h"

namespace otr::convert {

struct GgufParts {
  struct Place {
    std::size_t part = 0;
    const GgufTensor* tensor = nullptr;
  };

  std::vector<GgufFile> files;          // the first has the metadata
  std::map<std::string, Place> places;  // of all tensors; points into `files`

  GgufParts() = default;
  GgufParts(GgufParts&&) = default;  // moving keeps the files' tensors where they are
  GgufParts& operator=(GgufParts&&) = default;

  [[nodiscard]] const GgufFile& first() const { return files.front(); }
  // Null where there is no such tensor.
  [[nodiscard]] const GgufTensor* find(const std::string& name) const;
};

// Given the first part, opens its siblings too ("NAME-00002-of-00003.gguf"). kUsage for another
// part; kBadInput if the parts do not belong together.
[[nodiscard]] Result<GgufParts> open_gguf_parts(const std::filesystem::path& path);
// A model in one file that is open already.
[[nodiscard]] Result<GgufParts> join_gguf_parts(std::vector<GgufFile> files);

}  // namespace otr::convert

#endif  // OTR_CONVERT_GGUF_SPLIT_H_

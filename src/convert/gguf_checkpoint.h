// The weights of a GGUF model, under Hugging Face's names and in its order.
//
// ggml counts dimensions from the fastest running one. The rows of q and k of architecture "llama"
// are stored for a rotation of neighbours: within each head, row 2i + s is Hugging Face's row
// s·D/2 + i. Readers get Hugging Face's order.
#ifndef OTR_CONVERT_GGUF_CHECKPOINT_H_
#define OTR_CONVERT_GGUF_CHECKPOINT_H_

#include <map>

#include "convert/checkpoint.h"
#include "convert/gguf_config.h"
#include "convert/gguf_split.h"

namespace otr::convert {

class GgufCheckpoint : public Checkpoint {
 public:
  // kBadInput unless the files hold exactly the tensors that `config` asks for, with its shapes and
  // types that can be read; errors use the names of the file.
  [[nodiscard]] static Result<GgufCheckpoint> make(GgufParts parts, const GgufConfig& config);

  [[nodiscard]] std::set<std::string> names() const override;
  [[nodiscard]] std::string type_of(const std::string& name) const override;
  [[nodiscard]] std::uint64_t size_bytes() const override;
  [[nodiscard]] Result<std::vector<float>> read_rows(const std::string& name,
                                                     const std::vector<std::uint64_t>& shape,
                                                     std::uint64_t begin,
                                                     std::uint64_t end) const override;

 private:
  struct Entry {
    std::string name;  // in the file
    std::size_t part = 0;
    const GgufTensor* tensor = nullptr;
    std::uint32_t rotated_head = 0;  // elements of a head whose rows are reordered; 0: none are
  };

  // Row `row` of Hugging Face's order in the file's.
  [[nodiscard]] static std::uint64_t stored_row(const Entry& entry, std::uint64_t row);
  [[nodiscard]] Status check_finite(const Entry& entry, std::span<const float> values,
                                    std::uint64_t first_element) const;
  // Elements [begin, end) in the file's order, which must be whole blocks.
  [[nodiscard]] Status read_elements(const Entry& entry, std::uint64_t begin,
                                     std::span<float> to) const;

  GgufParts parts_;
  std::map<std::string, Entry> entries_;  // by Hugging Face's name
};

}  // namespace otr::convert

#endif  // OTR_CONVERT_GGUF_CHECKPOINT_H_

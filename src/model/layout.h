// Names, types, shapes and order of an artifact's tensors, and its header (SPEC MODEL-1, MODEL-3).
//
// Reader and writer share this one list; the header's text is a function of it.
#ifndef OTR_MODEL_LAYOUT_H_
#define OTR_MODEL_LAYOUT_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/canonical_json.h"
#include "merkle/tree.h"
#include "model/config.h"

namespace otr::model {

inline constexpr std::size_t kMaxHeaderBytes = std::size_t{64} << 20;  // SPEC LIM-2
inline constexpr std::size_t kMaxTokenBytes = std::size_t{64} << 20;   // SPEC LIM-2
inline constexpr std::size_t kMaxTokenSize = 1024;  // of one token, in bytes: SPEC MODEL-4
inline constexpr std::size_t kMaxTemplateBytes = std::size_t{1} << 20;  // SPEC LIM-2
inline constexpr std::string_view kFormat = "otr-model/1";

struct TensorSpec {
  std::string name;
  merkle::Type type;
  std::vector<std::uint64_t> shape;  // one or two sizes
  std::uint64_t offset = 0;          // in the data, which begins behind the header
  std::uint64_t size_bytes = 0;

  // SPEC MODEL-5: a tensor of one dimension is one row.
  [[nodiscard]] std::uint64_t cols() const { return shape.back(); }
};

// All tensors in the order of MODEL-3 with their places. Requires a configuration within the limits
// of LIM-1; `token_bytes` is the length of tokens.bytes.
[[nodiscard]] std::vector<TensorSpec> tensor_layout(const Config& config,
                                                    std::uint64_t token_bytes);

// What the header says of one tensor.
[[nodiscard]] Json header_entry(const TensorSpec& spec);

// The first 8 + n bytes of the file, spaces included. NOT_CANONICAL if a text is not UTF-8.
[[nodiscard]] Result<std::string> encode_header(const std::vector<TensorSpec>& layout,
                                                std::string_view config, std::string_view tokenizer,
                                                std::string_view chat_template);

}  // namespace otr::model

#endif  // OTR_MODEL_LAYOUT_H_

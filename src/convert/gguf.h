// The header of a GGUF file, versions 2 and 3, little-endian: metadata and places of tensors.
//
//   "GGUF", u32 version, u64 tensors, u64 entries of metadata
//   metadata: key, u32 type, value
//   tensors: name, u32 number of dimensions, u64 of each (the fastest running first), u32 type,
//            u64 offset in the data
//   data, from the next multiple of general.alignment on
//
// All of it is a stranger's: every error names the field and its offset in the file, no count is
// believed before the file holds as many bytes, and memory is bounded by a small multiple of the
// header's size, which has a bound itself.
#ifndef OTR_CONVERT_GGUF_H_
#define OTR_CONVERT_GGUF_H_

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "convert/gguf_blocks.h"
#include "convert/gguf_value.h"

namespace otr::convert {

// Bytes at offsets: a file, or memory.
struct GgufInput {
  std::uint64_t size_bytes = 0;
  // Requires offset + to.size() <= size_bytes.
  std::function<Status(std::uint64_t offset, std::span<std::uint8_t> to)> read_at;
};

struct GgufTensor {
  std::vector<std::uint64_t> dims;  // 1 to 4, each at least 1; the fastest running first
  const GgufType* type = nullptr;   // never null
  std::uint64_t offset = 0;         // in the file
  std::uint64_t size_bytes = 0;     // lies inside the file, overlaps no other tensor
};

struct GgufHeader {
  std::uint32_t version = 0;
  std::uint32_t alignment = 32;
  std::uint64_t data_begin = 0;
  std::map<std::string, GgufValue> metadata;  // keys are UTF-8
  std::map<std::string, GgufTensor> tensors;  // so are names

  // Null where there is no such key.
  [[nodiscard]] const GgufValue* find(const std::string& key) const;
};

// `what` names the file in errors.
[[nodiscard]] Result<GgufHeader> parse_gguf_header(const GgufInput& input, std::string_view what);

struct GgufFile {
  std::string path;
  GgufInput input;
  GgufHeader header;
};

[[nodiscard]] Result<GgufFile> open_gguf(const std::filesystem::path& path);

}  // namespace otr::convert

#endif  // OTR_CONVERT_GGUF_H_

// The types that a GGUF file may give its tensors, as ggml numbers and names them, and how those
// of trained weights become floats.
//
// A row of a tensor is a sequence of blocks of a fixed number of elements; a quantised block holds
// small integers with scales and minima in half precision. Every product of those is exact in
// binary32, and so each float is the nearest to what the block says: the same bits as ggml's.
#ifndef OTR_CONVERT_GGUF_BLOCKS_H_
#define OTR_CONVERT_GGUF_BLOCKS_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "base/bytes.h"

namespace otr::convert {

struct GgufType {
  std::uint32_t id;
  const char* name;          // "Q4_K"
  std::uint32_t elements;    // of a block
  std::uint32_t size_bytes;  // of a block
  // Widens so many blocks; null for types that no row can be read from.
  void (*widen)(const std::uint8_t* raw, std::size_t blocks, float* to);
};

// The type with this number; null where ggml has none, or has removed it.
[[nodiscard]] const GgufType* gguf_type(std::uint32_t id);

// "F32, F16, ..., Q6_K": the types with `widen`.
[[nodiscard]] std::string readable_gguf_types();

// Widens whole blocks. Requires type.widen, and `raw` and `to` of equally many blocks.
void widen_blocks(const GgufType& type, ByteView raw, std::span<float> to);

}  // namespace otr::convert

#endif  // OTR_CONVERT_GGUF_BLOCKS_H_

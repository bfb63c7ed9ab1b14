// A value of a GGUF file's metadata.
#ifndef OTR_CONVERT_GGUF_VALUE_H_
#define OTR_CONVERT_GGUF_VALUE_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"

namespace otr::convert {

enum class GgufValueType : std::uint32_t {
  kU8 = 0,
  kI8 = 1,
  kU16 = 2,
  kI16 = 3,
  kU32 = 4,
  kI32 = 5,
  kF32 = 6,
  kBool = 7,
  kString = 8,
  kArray = 9,
  kU64 = 10,
  kI64 = 11,
  kF64 = 12,
};

// A value of metadata; `type` says which member holds it.
struct GgufValue {
  GgufValueType type = GgufValueType::kU8;
  std::uint64_t offset = 0;  // in the file
  // A number's or boolean's little-endian bytes; for an array of such, all of them.
  Bytes raw;
  std::string text;  // kString: any bytes
  // kArray: the type of its elements, and those that are strings or arrays.
  GgufValueType element_type = GgufValueType::kU8;
  std::vector<std::string> texts;
  std::vector<GgufValue> arrays;

  // Elements of an array.
  [[nodiscard]] std::size_t size() const;
};

// Bytes of a number or boolean; 0 for strings and arrays.
[[nodiscard]] std::size_t width_of(GgufValueType type);
// One element of a number's or boolean's bytes (GgufValue::raw), widened without loss where it is
// an integer or boolean: nothing for floats.
[[nodiscard]] std::optional<__int128> gguf_integer(GgufValueType type, ByteView raw,
                                                   std::size_t index);
// The same for any number: an integer beyond 2^53 is rounded.
[[nodiscard]] double gguf_number(GgufValueType type, ByteView raw, std::size_t index);

// "u32", "string": for errors.
[[nodiscard]] const char* name_of(GgufValueType type);
// An offset, for errors.
[[nodiscard]] std::string hex(std::uint64_t value);
// A stranger's text in quotes: without control characters, cut after 200 bytes.
[[nodiscard]] std::string in_quotes(std::string_view text);

}  // namespace otr::convert

#endif  // OTR_CONVERT_GGUF_VALUE_H_

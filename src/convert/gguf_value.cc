#include "convert/gguf_value.h"

#include <bit>
#include <cstdio>

#include "base/check.h"
#include "text/utf8.h"

namespace otr::convert {

std::size_t width_of(GgufValueType type) {
  switch (type) {
    case GgufValueType::kU8:
    case GgufValueType::kI8:
    case GgufValueType::kBool:
      return 1;
    case GgufValueType::kU16:
    case GgufValueType::kI16:
      return 2;
    case GgufValueType::kU32:
    case GgufValueType::kI32:
    case GgufValueType::kF32:
      return 4;
    case GgufValueType::kU64:
    case GgufValueType::kI64:
    case GgufValueType::kF64:
      return 8;
    case GgufValueType::kString:
    case GgufValueType::kArray:
      return 0;
  }
  OTR_CHECK(false);
}

std::size_t GgufValue::size() const {
  OTR_CHECK(type == GgufValueType::kArray);
  const std::size_t width = width_of(element_type);
  return width > 0 ? raw.size() / width : texts.size() + arrays.size();
}

std::optional<__int128> gguf_integer(GgufValueType type, ByteView raw, std::size_t index) {
  const std::size_t width = width_of(type);
  const std::uint8_t* at = raw.data() + index * width;
  switch (type) {
    case GgufValueType::kU8:
    case GgufValueType::kBool:
      return *at;
    case GgufValueType::kI8:
      return static_cast<std::int8_t>(*at);
    case GgufValueType::kU16:
      return load_le<std::uint16_t>(at);
    case GgufValueType::kI16:
      return load_le<std::int16_t>(at);
    case GgufValueType::kU32:
      return load_le<std::uint32_t>(at);
    case GgufValueType::kI32:
      return load_le<std::int32_t>(at);
    case GgufValueType::kU64:
      return load_le<std::uint64_t>(at);
    case GgufValueType::kI64:
      return load_le<std::int64_t>(at);
    default:
      return std::nullopt;
  }
}

double gguf_number(GgufValueType type, ByteView raw, std::size_t index) {
  if (type == GgufValueType::kF32) {
    return std::bit_cast<float>(load_le<std::uint32_t>(raw.data() + 4 * index));
  }
  if (type == GgufValueType::kF64) {
    return std::bit_cast<double>(load_le<std::uint64_t>(raw.data() + 8 * index));
  }
  return static_cast<double>(gguf_integer(type, raw, index).value());
}

const char* name_of(GgufValueType type) {
  constexpr const char* kNames[] = {"u8",   "i8",     "u16",   "i16", "u32", "i32", "f32",
                                    "bool", "string", "array", "u64", "i64", "f64"};
  return kNames[static_cast<std::size_t>(type)];
}

std::string hex(std::uint64_t value) {
  char text[24];
  std::snprintf(text, sizeof text, "0x%llx", static_cast<unsigned long long>(value));
  return text;
}

std::string in_quotes(std::string_view text) {
  std::string shown = text::utf8_lossy(text.substr(0, 200));
  for (char& byte : shown) {
    if (static_cast<unsigned char>(byte) < 0x20 || byte == 0x7f) byte = '?';
  }
  return "'" + shown + (text.size() > 200 ? "...'" : "'");
}

}  // namespace otr::convert

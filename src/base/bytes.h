// Byte strings and fixed little-endian integers (SPEC ENC).
#ifndef OTR_BASE_BYTES_H_
#define OTR_BASE_BYTES_H_

#include <array>
#include <bit>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace otr {

static_assert(std::endian::native == std::endian::little,
              "tiles and tables are hashed in place: only little-endian machines are supported");

using Bytes = std::vector<std::uint8_t>;
using ByteView = std::span<const std::uint8_t>;
using Hash = std::array<std::uint8_t, 32>;

inline ByteView as_bytes(std::string_view text) {
  return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}
template <std::integral T>
ByteView as_bytes(std::span<const T> values) {
  return {reinterpret_cast<const std::uint8_t*>(values.data()), values.size_bytes()};
}
inline std::string_view as_text(ByteView bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

template <std::integral T>
T load_le(const std::uint8_t* from) {
  T value;
  std::memcpy(&value, from, sizeof value);
  return value;
}
template <std::integral T>
void store_le(std::uint8_t* to, T value) {
  std::memcpy(to, &value, sizeof value);
}
template <std::integral T>
void append_le(Bytes& to, T value) {
  const std::size_t at = to.size();
  to.resize(at + sizeof value);
  store_le(to.data() + at, value);
}
inline void append(Bytes& to, ByteView bytes) { to.insert(to.end(), bytes.begin(), bytes.end()); }

}  // namespace otr

#endif  // OTR_BASE_BYTES_H_

#include "base/hex.h"

#include <algorithm>

namespace otr {
namespace {

constexpr std::string_view kDigits = "0123456789abcdef";

}  // namespace

std::string to_hex(ByteView bytes) {
  std::string text = "0x";
  text.reserve(2 + 2 * bytes.size());
  for (std::uint8_t byte : bytes) {
    text += kDigits[byte >> 4];
    text += kDigits[byte & 15];
  }
  return text;
}

Result<Bytes> from_hex(std::string_view text, std::size_t size_bytes, std::string_view what) {
  const auto bad = [&] {
    return fail(ErrorKind::kBadInput, std::string(what) + " must be 0x and " +
                                          std::to_string(2 * size_bytes) +
                                          " lower-case hexadecimal digits");
  };
  if (text.size() != 2 + 2 * size_bytes || !text.starts_with("0x")) return bad();
  Bytes bytes(size_bytes);
  for (std::size_t i = 0; i < size_bytes; ++i) {
    const auto high = kDigits.find(text[2 + 2 * i]);
    const auto low = kDigits.find(text[3 + 2 * i]);
    if (high == kDigits.npos || low == kDigits.npos) return bad();
    bytes[i] = static_cast<std::uint8_t>(high << 4 | low);
  }
  return bytes;
}

Result<Hash> hash_from_hex(std::string_view text, std::string_view what) {
  OTR_TRY_ASSIGN(const Bytes bytes, from_hex(text, 32, what));
  Hash hash;
  std::ranges::copy(bytes, hash.begin());
  return hash;
}

}  // namespace otr

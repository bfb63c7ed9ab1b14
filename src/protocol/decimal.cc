#include "protocol/decimal.h"

#include <algorithm>

namespace otr::protocol {
namespace {

constexpr std::size_t kMaxDigits = 78;  // of 2^256 - 1

bool is_decimal(std::string_view text) {
  return !text.empty() && text.size() <= kMaxDigits && (text[0] != '0' || text.size() == 1) &&
         std::ranges::all_of(text, [](char c) { return c >= '0' && c <= '9'; });
}

// value · 10 + digit; false if it leaves 256 bits.
bool append_digit(Uint256& value, unsigned digit) {
  unsigned carry = digit;
  for (std::size_t i = value.size(); i-- > 0;) {
    carry += value[i] * 10u;
    value[i] = static_cast<std::uint8_t>(carry);
    carry >>= 8;
  }
  return carry == 0;
}

// Divides by ten in place and returns the remainder.
unsigned remove_digit(Uint256& value) {
  unsigned remainder = 0;
  for (std::uint8_t& byte : value) {
    remainder = remainder << 8 | byte;
    byte = static_cast<std::uint8_t>(remainder / 10);
    remainder %= 10;
  }
  return remainder;
}

}  // namespace

Uint256 uint256(std::uint64_t value) {
  Uint256 wide{};
  for (std::size_t i = 0; i < 8; ++i) wide[31 - i] = static_cast<std::uint8_t>(value >> 8 * i);
  return wide;
}

std::optional<Uint256> parse_uint256(std::string_view text) {
  if (!is_decimal(text)) return std::nullopt;
  Uint256 value{};
  for (const char c : text) {
    if (!append_digit(value, static_cast<unsigned>(c - '0'))) return std::nullopt;
  }
  return value;
}

std::optional<std::uint64_t> parse_uint64(std::string_view text) {
  const std::optional<Uint256> wide = parse_uint256(text);
  if (!wide) return std::nullopt;
  std::uint64_t value = 0;
  for (std::size_t i = 0; i < 24; ++i) {
    if ((*wide)[i] != 0) return std::nullopt;
  }
  for (std::size_t i = 24; i < 32; ++i) value = value << 8 | (*wide)[i];
  return value;
}

std::string to_decimal(const Uint256& value) {
  Uint256 rest = value;
  std::string digits;
  do {
    digits += static_cast<char>('0' + remove_digit(rest));
  } while (rest != Uint256{});
  std::ranges::reverse(digits);
  return digits;
}

}  // namespace otr::protocol

#include "attest/encoding.h"

#include <array>
#include <cstddef>
#include <cstdint>

namespace otr::attest {
namespace {

constexpr std::string_view kHexDigits = "0123456789abcdef";
constexpr std::string_view kDigits =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
constexpr std::string_view kUrlDigits =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
constexpr std::uint8_t kNoDigit = 0xFF;

using Table = std::array<std::uint8_t, 256>;

constexpr Table table_of(std::string_view digits) {
  Table table{};
  for (std::uint8_t& value : table) value = kNoDigit;
  for (std::size_t i = 0; i < digits.size(); ++i) {
    table[static_cast<std::uint8_t>(digits[i])] = static_cast<std::uint8_t>(i);
  }
  return table;
}

constexpr Table kValues = table_of(kDigits), kUrlValues = table_of(kUrlDigits);

std::string encode(ByteView bytes, std::string_view digits) {
  std::string text;
  text.reserve((bytes.size() + 2) / 3 * 4);
  for (std::size_t at = 0; at < bytes.size(); at += 3) {
    const std::size_t count = bytes.size() - at < 3 ? bytes.size() - at : 3;
    std::uint32_t group = 0;
    for (std::size_t i = 0; i < 3; ++i) group = group << 8 | (i < count ? bytes[at + i] : 0u);
    for (std::size_t i = 0; i <= count; ++i) text += digits[group >> (18 - 6 * i) & 63];
  }
  return text;
}

// Digits without padding to bytes.
std::optional<Bytes> decode(std::string_view digits, const Table& values) {
  if (digits.size() % 4 == 1) return std::nullopt;
  Bytes bytes;
  bytes.reserve(digits.size() * 3 / 4);
  std::uint32_t bits = 0;
  unsigned bit_count = 0;
  for (const char digit : digits) {
    const std::uint8_t value = values[static_cast<std::uint8_t>(digit)];
    if (value == kNoDigit) return std::nullopt;
    bits = bits << 6 | value;
    bit_count += 6;
    if (bit_count >= 8) {
      bit_count -= 8;
      bytes.push_back(static_cast<std::uint8_t>(bits >> bit_count));
      bits &= (1u << bit_count) - 1;
    }
  }
  if (bits != 0) return std::nullopt;  // a second spelling of the same bytes
  return bytes;
}

int hex_value(char digit) {
  if (digit >= '0' && digit <= '9') return digit - '0';
  if (digit >= 'a' && digit <= 'f') return digit - 'a' + 10;
  if (digit >= 'A' && digit <= 'F') return digit - 'A' + 10;
  return -1;
}

struct Character {
  std::size_t size;
  bool is_plain;
};

bool is_plain(std::uint32_t code) {
  const bool turns = code == 0x061C || code == 0x200E || code == 0x200F ||
                     (code >= 0x202A && code <= 0x202E) || (code >= 0x2066 && code <= 0x2069);
  return code >= 0x20 && !(code >= 0x7F && code < 0xA0) && code != 0x2028 && code != 0x2029 &&
         !turns && code <= 0x10FFFF && !(code >= 0xD800 && code < 0xE000);
}

// The character that `text`, which is not empty, begins with; one byte that is not plain where it
// begins with no UTF-8 in its shortest form.
Character first_character(std::string_view text) {
  const auto byte = [&](std::size_t at) { return static_cast<std::uint8_t>(text[at]); };
  if (byte(0) < 0x80) return {1, is_plain(byte(0))};
  const std::size_t size = byte(0) >= 0xF0 ? 4 : byte(0) >= 0xE0 ? 3 : 2;
  if (byte(0) < 0xC2 || byte(0) > 0xF4 || text.size() < size) return {1, false};
  std::uint32_t code = byte(0) & (0x7Fu >> size);
  for (std::size_t at = 1; at < size; ++at) {
    if (byte(at) >> 6 != 2) return {1, false};
    code = code << 6 | (byte(at) & 0x3Fu);
  }
  constexpr std::array<std::uint32_t, 5> kLeast = {0, 0, 0x80, 0x800, 0x10000};
  if (code < kLeast[size]) return {1, false};
  return {size, is_plain(code)};
}

}  // namespace

std::string to_plain_hex(ByteView bytes) {
  std::string text;
  text.reserve(bytes.size() * 2);
  for (const std::uint8_t byte : bytes) {
    text += kHexDigits[byte >> 4];
    text += kHexDigits[byte & 15];
  }
  return text;
}

std::optional<Bytes> from_plain_hex(std::string_view text) {
  if (text.size() % 2 != 0) return std::nullopt;
  Bytes bytes;
  bytes.reserve(text.size() / 2);
  for (std::size_t i = 0; i < text.size(); i += 2) {
    const int high = hex_value(text[i]), low = hex_value(text[i + 1]);
    if (high < 0 || low < 0) return std::nullopt;
    bytes.push_back(static_cast<std::uint8_t>(high << 4 | low));
  }
  return bytes;
}

std::string to_base64(ByteView bytes) {
  std::string text = encode(bytes, kDigits);
  text.append((4 - text.size() % 4) % 4, '=');
  return text;
}

std::optional<Bytes> from_base64(std::string_view text) {
  if (text.size() % 4 != 0) return std::nullopt;
  for (int i = 0; i < 2 && text.ends_with('='); ++i) text.remove_suffix(1);
  return decode(text, kValues);
}

std::string to_base64url(ByteView bytes) { return encode(bytes, kUrlDigits); }

std::optional<Bytes> from_base64url(std::string_view text) { return decode(text, kUrlValues); }

std::string without_space(std::string_view text) {
  std::string rest;
  rest.reserve(text.size());
  for (const char c : text) {
    if (c != ' ' && c != '\t' && c != '\n' && c != '\r') rest += c;
  }
  return rest;
}

std::string one_line(std::string_view text) {
  std::string line;
  line.reserve(text.size());
  while (!text.empty()) {
    const Character character = first_character(text);
    line += character.is_plain ? text.substr(0, character.size) : std::string_view("?");
    text.remove_prefix(character.size);
  }
  return line;
}

}  // namespace otr::attest

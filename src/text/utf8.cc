#include "text/utf8.h"

#include <cstdint>
#include <utility>

namespace otr::text {
namespace {

constexpr std::string_view kReplacement = "\xEF\xBF\xBD";

enum class Form { kComplete, kIllFormed, kCutOff };

struct Sequence {
  Form form;
  std::size_t size_bytes;  // of the sequence, or of its maximal subpart; at least 1
};

// Reads one sequence. The second byte alone decides over-long forms, surrogates and the upper end.
Sequence scan(std::string_view bytes) {
  const auto byte = [&](std::size_t i) { return static_cast<std::uint8_t>(bytes[i]); };
  const std::uint8_t first = byte(0);
  if (first < 0x80) return {Form::kComplete, 1};
  if (first < 0xC2 || first > 0xF4) return {Form::kIllFormed, 1};
  const std::size_t size = first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4;
  std::uint8_t low = first == 0xE0 ? 0xA0 : first == 0xF0 ? 0x90 : 0x80;
  std::uint8_t high = first == 0xED ? 0x9F : first == 0xF4 ? 0x8F : 0xBF;
  for (std::size_t i = 1; i < size; ++i) {
    if (i == bytes.size()) return {Form::kCutOff, i};
    if (byte(i) < low || byte(i) > high) return {Form::kIllFormed, i};
    low = 0x80;
    high = 0xBF;
  }
  return {Form::kComplete, size};
}

// Appends the printable form of `bytes` and returns how many bytes at the end are a cut-off start.
std::size_t append_lossy(std::string& to, std::string_view bytes) {
  while (!bytes.empty()) {
    const Sequence next = scan(bytes);
    if (next.form == Form::kCutOff) return bytes.size();
    to += next.form == Form::kComplete ? bytes.substr(0, next.size_bytes) : kReplacement;
    bytes.remove_prefix(next.size_bytes);
  }
  return 0;
}

}  // namespace

std::optional<std::size_t> utf8_error(std::string_view bytes) {
  for (std::size_t at = 0; at < bytes.size();) {
    const Sequence next = scan(bytes.substr(at));
    if (next.form != Form::kComplete) return at;
    at += next.size_bytes;
  }
  return std::nullopt;
}

std::string utf8_lossy(std::string_view bytes) {
  std::string text;
  text.reserve(bytes.size());
  if (append_lossy(text, bytes) != 0) text += kReplacement;
  return text;
}

CodePoint first_code_point(std::string_view text) {
  const auto byte = [&](std::size_t i) { return static_cast<char32_t>(std::uint8_t(text[i])); };
  const char32_t first = byte(0);
  if (first < 0x80) return {first, 1};
  const std::size_t size = first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4;
  char32_t value = first & (0x7Fu >> size);
  for (std::size_t i = 1; i < size; ++i) value = value << 6 | (byte(i) & 0x3F);
  return {value, size};
}

void append_utf8(std::string& to, char32_t code_point) {
  const auto put = [&](char32_t byte) { to += static_cast<char>(byte); };
  const auto put_rest = [&](int shift) { put(0x80 | (code_point >> shift & 0x3F)); };
  if (code_point < 0x80) {
    put(code_point);
  } else if (code_point < 0x800) {
    put(0xC0 | code_point >> 6);
    put_rest(0);
  } else if (code_point < 0x10000) {
    put(0xE0 | code_point >> 12);
    put_rest(6);
    put_rest(0);
  } else {
    put(0xF0 | code_point >> 18);
    put_rest(12);
    put_rest(6);
    put_rest(0);
  }
}

std::string Utf8Stream::push(std::string_view bytes) {
  tail_ += bytes;
  std::string text;
  const std::size_t held = append_lossy(text, tail_);
  tail_.erase(0, tail_.size() - held);
  return text;
}

std::string Utf8Stream::finish() { return utf8_lossy(std::exchange(tail_, {})); }

}  // namespace otr::text

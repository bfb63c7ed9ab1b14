#include "chat/jinja_text.h"

#include <utf8proc.h>

#include <algorithm>
#include <array>

#include "text/utf8.h"

namespace otr::chat {
namespace {

std::size_t previous(std::string_view text, std::size_t at) {
  do --at;
  while (at > 0 && (static_cast<unsigned char>(text[at]) & 0xC0) == 0x80);
  return at;
}

bool contains(std::string_view characters, std::string_view one) {
  return characters.find(one) != characters.npos;
}

// Letters whose upper, lower or title case is not one letter by itself.
bool has_special_case(char32_t c) {
  constexpr std::array<std::pair<char32_t, char32_t>, 13> kRanges = {{{0xDF, 0xDF},
                                                                      {0x130, 0x130},
                                                                      {0x149, 0x149},
                                                                      {0x1F0, 0x1F0},
                                                                      {0x390, 0x390},
                                                                      {0x3A3, 0x3A3},
                                                                      {0x3B0, 0x3B0},
                                                                      {0x587, 0x587},
                                                                      {0x1E96, 0x1E9E},
                                                                      {0x1F50, 0x1F57},
                                                                      {0x1F80, 0x1FFC},
                                                                      {0xFB00, 0xFB06},
                                                                      {0xFB13, 0xFB17}}};
  return std::ranges::any_of(kRanges, [c](auto r) { return c >= r.first && c <= r.second; });
}

bool is_letter(char32_t c) {
  const auto category = utf8proc_category(static_cast<utf8proc_int32_t>(c));
  return category == UTF8PROC_CATEGORY_LU || category == UTF8PROC_CATEGORY_LL ||
         category == UTF8PROC_CATEGORY_LT;
}

// The borders of the title filter: [-\s({\[<]+.
bool ends_word(char32_t c) {
  return is_space(c) || c == '-' || c == '(' || c == '{' || c == '[' || c == '<';
}

bool ends_line(char32_t c) {
  return (c >= 0x0A && c <= 0x0D) || (c >= 0x1C && c <= 0x1E) || c == 0x85 || c == 0x2028 ||
         c == 0x2029;
}

bool is_printable(char32_t c) {
  if (c == ' ') return true;
  switch (utf8proc_category(static_cast<utf8proc_int32_t>(c))) {
    case UTF8PROC_CATEGORY_CC:
    case UTF8PROC_CATEGORY_CF:
    case UTF8PROC_CATEGORY_CS:
    case UTF8PROC_CATEGORY_CO:
    case UTF8PROC_CATEGORY_CN:
    case UTF8PROC_CATEGORY_ZL:
    case UTF8PROC_CATEGORY_ZP:
    case UTF8PROC_CATEGORY_ZS:
      return false;
    default:
      return true;
  }
}

std::string hex(std::string_view prefix, char32_t value, int digits) {
  std::string text(prefix);
  while (digits-- > 0) text += "0123456789abcdef"[value >> (4 * digits) & 15];
  return text;
}

std::string escaped_for_repr(char32_t c) {
  if (c == '\n') return "\\n";
  if (c == '\r') return "\\r";
  if (c == '\t') return "\\t";
  if (c < 0x100) return hex("\\x", c, 2);
  return c < 0x10000 ? hex("\\u", c, 4) : hex("\\U", c, 8);
}

std::string escaped_for_json(char32_t c) {
  constexpr std::string_view kNamed = "\"\\\b\f\n\r\t";
  if (c < 0x80 && kNamed.find(static_cast<char>(c)) != kNamed.npos) {
    return {'\\', "\"\\bfnrt"[kNamed.find(static_cast<char>(c))]};
  }
  if (c < 0x10000) return hex("\\u", c, 4);
  return hex("\\u", 0xD800 + ((c - 0x10000) >> 10), 4) + hex("\\u", 0xDC00 + (c & 0x3FF), 4);
}

// Calls f(code point, offset, size) for each character.
template <class F>
void for_each(std::string_view text, F f) {
  for (std::size_t at = 0; at < text.size();) {
    const text::CodePoint c = text::first_code_point(text.substr(at));
    f(c.value, at, c.size_bytes);
    at += c.size_bytes;
  }
}

}  // namespace

MarkedText MarkedText::written(std::string_view bytes) {
  return {std::string(bytes), std::string(bytes.size(), '\0')};
}

MarkedText MarkedText::from_outside(std::string_view bytes) {
  return {std::string(bytes), std::string(bytes.size(), '\1')};
}

MarkedText MarkedText::substr(std::size_t at, std::size_t count) const {
  return {bytes.substr(at, count), typed.substr(at, count)};
}

void MarkedText::append(const MarkedText& text) {
  bytes += text.bytes;
  typed += text.typed;
}

void MarkedText::append(std::string_view text, char mark) {
  bytes += text;
  typed.append(text.size(), mark);
}

bool is_space(char32_t c) {
  return (c >= 0x09 && c <= 0x0D) || (c >= 0x1C && c <= 0x20) || c == 0x85 || c == 0xA0 ||
         c == 0x1680 || (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 || c == 0x202F ||
         c == 0x205F || c == 0x3000;
}

std::vector<MarkedText> characters(const MarkedText& text) {
  std::vector<MarkedText> result;
  for_each(text.bytes, [&](char32_t, std::size_t at, std::size_t size) {
    result.push_back(text.substr(at, size));
  });
  return result;
}

std::size_t count_characters(std::string_view text) {
  return static_cast<std::size_t>(std::ranges::count_if(
      text, [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; }));
}

MarkedText strip(const MarkedText& text, Side side, std::optional<std::string_view> chars) {
  const auto goes = [&](std::string_view one) {
    return chars ? contains(*chars, one) : is_space(text::first_code_point(one).value);
  };
  const std::string_view bytes = text.bytes;
  std::size_t begin = 0;
  std::size_t end = bytes.size();
  while (side != Side::kRight && begin < end) {
    const std::size_t size = text::first_code_point(bytes.substr(begin)).size_bytes;
    if (!goes(bytes.substr(begin, size))) break;
    begin += size;
  }
  while (side != Side::kLeft && end > begin) {
    const std::size_t start = previous(bytes, end);
    if (!goes(bytes.substr(start, end - start))) break;
    end = start;
  }
  return text.substr(begin, end - begin);
}

namespace {

std::vector<MarkedText> split_at(const MarkedText& text, std::string_view separator,
                                 std::int64_t max, bool from_right) {
  std::vector<MarkedText> parts;
  std::size_t begin = 0;
  std::size_t end = text.size();
  for (; max != 0; --max) {
    if (from_right) {
      if (end < separator.size()) break;
      const std::size_t at =
          std::string_view(text.bytes).substr(0, end).rfind(separator, end - separator.size());
      if (at == std::string::npos) break;
      parts.push_back(text.substr(at + separator.size(), end - at - separator.size()));
      end = at;
    } else {
      const std::size_t at = text.bytes.find(separator, begin);
      if (at == std::string::npos) break;
      parts.push_back(text.substr(begin, at - begin));
      begin = at + separator.size();
    }
  }
  parts.push_back(text.substr(begin, end - begin));
  if (from_right) std::ranges::reverse(parts);
  return parts;
}

std::vector<MarkedText> split_at_space(const MarkedText& text, std::int64_t max, bool from_right) {
  std::vector<MarkedText> parts;
  MarkedText rest = strip(text, from_right ? Side::kRight : Side::kLeft, std::nullopt);
  std::vector<std::pair<std::size_t, std::size_t>> words;  // begin and end
  bool in_word = false;
  for_each(rest.bytes, [&](char32_t c, std::size_t at, std::size_t size) {
    if (is_space(c)) {
      in_word = false;
    } else if (in_word) {
      words.back().second = at + size;
    } else {
      words.emplace_back(at, at + size);
      in_word = true;
    }
  });
  const auto count = static_cast<std::int64_t>(words.size());
  const std::int64_t cuts = max < 0 ? count : std::min(max, count);
  if (from_right) {
    if (cuts < count) parts.push_back(rest.substr(0, words[count - cuts - 1].second));
    for (std::int64_t i = count - cuts; i < count; ++i) {
      parts.push_back(rest.substr(words[i].first, words[i].second - words[i].first));
    }
  } else {
    for (std::int64_t i = 0; i < cuts; ++i) {
      parts.push_back(rest.substr(words[i].first, words[i].second - words[i].first));
    }
    if (cuts < count) parts.push_back(rest.substr(words[cuts].first));
  }
  return parts;
}

}  // namespace

std::vector<MarkedText> split(const MarkedText& text, std::optional<std::string_view> separator,
                              std::int64_t max, bool from_right) {
  return separator ? split_at(text, *separator, max, from_right)
                   : split_at_space(text, max, from_right);
}

std::vector<MarkedText> split_lines(const MarkedText& text) {
  std::vector<MarkedText> lines;
  std::size_t start = 0;
  bool after_return = false;
  for_each(text.bytes, [&](char32_t c, std::size_t at, std::size_t size) {
    if (c == '\n' && after_return) {
      start = at + 1;
    } else if (ends_line(c)) {
      lines.push_back(text.substr(start, at - start));
      start = at + size;
    }
    after_return = c == '\r';
  });
  if (start < text.size()) lines.push_back(text.substr(start));
  return lines;
}

MarkedText replace(const MarkedText& text, std::string_view from, const MarkedText& to,
                   std::int64_t max, std::size_t max_bytes) {
  MarkedText result;
  std::size_t start = 0;
  if (from.empty()) {  // between all characters and at both ends
    for_each(text.bytes, [&](char32_t, std::size_t at, std::size_t size) {
      if (result.size() > max_bytes) return;
      if (max != 0) result.append(to);
      if (max > 0) --max;
      result.append(text.substr(at, size));
    });
    if (max != 0) result.append(to);
    return result;
  }
  for (; max != 0 && result.size() <= max_bytes; --max) {
    const std::size_t at = text.bytes.find(from, start);
    if (at == std::string::npos) break;
    result.append(text.substr(start, at - start));
    result.append(to);
    start = at + from.size();
  }
  result.append(text.substr(start));
  return result;
}

Result<MarkedText> to_case(const MarkedText& text, Case to) {
  MarkedText result;
  std::optional<char32_t> special;
  bool starts = true;  // a word, or the text
  for_each(text.bytes, [&](char32_t c, std::size_t at, std::size_t) {
    if (has_special_case(c)) special = c;
    const auto code = static_cast<utf8proc_int32_t>(c);
    const bool upper = to == Case::kUpper || (to == Case::kTitleFilter && starts);
    const bool title = (to == Case::kCapitalize || to == Case::kTitle) && starts;
    const auto changed = upper   ? utf8proc_toupper(code)
                         : title ? utf8proc_totitle(code)
                                 : utf8proc_tolower(code);
    starts = (to == Case::kTitle && !is_letter(c)) || (to == Case::kTitleFilter && ends_word(c));
    std::string one;
    text::append_utf8(one, static_cast<char32_t>(changed));
    result.append(one, text.typed[at]);
  });
  if (!special) return result;
  std::string letter;
  text::append_utf8(letter, *special);
  return fail(ErrorKind::kBadInput, "the upper and lower case of '" + letter +
                                        "' are not supported: they are not one letter each");
}

MarkedText repr(const MarkedText& text) {
  const bool doubled = contains(text.bytes, "'") && !contains(text.bytes, "\"");
  const char32_t quote = doubled ? '"' : '\'';
  MarkedText result;
  result.append(doubled ? "\"" : "'", '\0');
  for_each(text.bytes, [&](char32_t c, std::size_t at, std::size_t size) {
    if (c == quote || c == '\\') result.append("\\", text.typed[at]);
    if (is_printable(c)) {
      result.append(text.substr(at, size));
    } else {
      result.append(escaped_for_repr(c), text.typed[at]);
    }
  });
  result.append(doubled ? "\"" : "'", '\0');
  return result;
}

MarkedText json_string(const MarkedText& text, bool ensure_ascii) {
  MarkedText result;
  result.append("\"", '\0');
  for_each(text.bytes, [&](char32_t c, std::size_t at, std::size_t size) {
    if (c < 0x20 || c == '"' || c == '\\' || (ensure_ascii && c > 0x7E)) {
      result.append(escaped_for_json(c), text.typed[at]);
    } else {
      result.append(text.substr(at, size));
    }
  });
  result.append("\"", '\0');
  return result;
}

std::string quoted(std::string_view text, std::size_t max_bytes) {
  std::string shown = text::utf8_lossy(text.substr(0, max_bytes));
  for (char& c : shown) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F) c = ' ';
  }
  return "'" + shown + (text.size() > max_bytes ? "...'" : "'");
}

}  // namespace otr::chat

// Strings of a template, each byte marked with whether it came from outside, and the operations of
// Python's str on them. Marks travel with their bytes through every operation.
//
// Positions and lengths in the interface are bytes; whatever Python counts in characters says so.
#ifndef OTR_CHAT_JINJA_TEXT_H_
#define OTR_CHAT_JINJA_TEXT_H_

#include <algorithm>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace otr::chat {

// UTF-8 and one mark per byte: 1 where it was typed, 0 where the template wrote it.
struct MarkedText {
  std::string bytes;
  std::string typed;

  static MarkedText written(std::string_view bytes);
  static MarkedText from_outside(std::string_view bytes);

  [[nodiscard]] std::size_t size() const { return bytes.size(); }
  [[nodiscard]] MarkedText substr(std::size_t at, std::size_t count = std::string::npos) const;
  void append(const MarkedText& text);
  void append(std::string_view text, char mark);
};

// Whether the value is one of the range's.
template <class Range, class T, class Projection = std::identity>
[[nodiscard]] bool among(const Range& range, const T& value, Projection projection = {}) {
  return std::ranges::find(range, value, projection) != std::ranges::end(range);
}

// What Python's str.isspace says.
[[nodiscard]] bool is_space(char32_t c);

// The characters of a text, one MarkedText each.
[[nodiscard]] std::vector<MarkedText> characters(const MarkedText& text);
[[nodiscard]] std::size_t count_characters(std::string_view text);

enum class Side { kLeft, kRight, kBoth };
// str.strip, lstrip and rstrip; without `chars`, white space.
[[nodiscard]] MarkedText strip(const MarkedText& text, Side side,
                               std::optional<std::string_view> chars);

// str.split (or rsplit) at a separator that is not empty, or at white space. A `max` below 0 is
// no bound.
[[nodiscard]] std::vector<MarkedText> split(const MarkedText& text,
                                            std::optional<std::string_view> separator,
                                            std::int64_t max, bool from_right);
[[nodiscard]] std::vector<MarkedText> split_lines(const MarkedText& text);

// str.replace; a `max` below 0 is no bound. Stops once the result exceeds `max_bytes`.
[[nodiscard]] MarkedText replace(const MarkedText& text, std::string_view from,
                                 const MarkedText& to, std::int64_t max, std::size_t max_bytes);

enum class Case {
  kUpper,
  kLower,
  kCapitalize,  // str.capitalize
  kTitle,       // str.title
  kTitleFilter  // Jinja's filter, which knows other borders of words
};
// An error for the few letters whose case has another length or depends on the letters around
// (Unicode's SpecialCasing): they are named, not guessed.
[[nodiscard]] Result<MarkedText> to_case(const MarkedText& text, Case to);

// As Python's repr writes a string.
[[nodiscard]] MarkedText repr(const MarkedText& text);

// As json.dumps writes a string.
[[nodiscard]] MarkedText json_string(const MarkedText& text, bool ensure_ascii);

// For an error: printable, in quotes, cut where it is long.
[[nodiscard]] std::string quoted(std::string_view text, std::size_t max_bytes = 60);

}  // namespace otr::chat

#endif  // OTR_CHAT_JINJA_TEXT_H_

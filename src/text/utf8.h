// UTF-8 as text in and out of a model needs it: checked on the way in, made printable on the way
// out, where tokens may end in the middle of a character (Unicode 15, section 3.9, table 3-7).
#ifndef OTR_TEXT_UTF8_H_
#define OTR_TEXT_UTF8_H_

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace otr::text {

// The offset of the first byte that does not belong to a well-formed sequence; none if all do.
[[nodiscard]] std::optional<std::size_t> utf8_error(std::string_view bytes);

// Replaces each maximal subpart of an ill-formed sequence by one U+FFFD, as web browsers do.
[[nodiscard]] std::string utf8_lossy(std::string_view bytes);

struct CodePoint {
  char32_t value;
  std::size_t size_bytes;  // 1 to 4
};

// The first code point of `text`, which must be well-formed and not empty.
[[nodiscard]] CodePoint first_code_point(std::string_view text);

// Appends a code point that is at most U+10FFFF and no surrogate.
void append_utf8(std::string& to, char32_t code_point);

// Makes a stream of bytes printable piece by piece. The concatenation of everything returned is
// utf8_lossy of the concatenation of everything pushed; a character is held back until complete.
class Utf8Stream {
 public:
  [[nodiscard]] std::string push(std::string_view bytes);
  // Ends the stream: a character cut off becomes one U+FFFD. The object may then be used again.
  [[nodiscard]] std::string finish();

 private:
  std::string tail_;  // at most 3 bytes, the start of a sequence that may still become well-formed
};

}  // namespace otr::text

#endif  // OTR_TEXT_UTF8_H_

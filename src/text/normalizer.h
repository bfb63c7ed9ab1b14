// The normalizers of a tokenizer.json that are supported: NFC, and SentencePiece's space mark.
#ifndef OTR_TEXT_NORMALIZER_H_
#define OTR_TEXT_NORMALIZER_H_

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "text/json.h"

namespace otr::text {

// U+2581, by which SentencePiece writes a space.
inline constexpr std::string_view kSpaceMark = "\xE2\x96\x81";

void replace_all(std::string& text, std::string_view from, std::string_view to);

class Normalizer {
 public:
  // `value` is the "normalizer" of a tokenizer.json: null, {"type":"NFC"}, {"type":"Prepend",
  // "prepend":"\u2581"}, {"type":"Replace","pattern":{"String":" "},"content":"\u2581"}, or a
  // Sequence of these.
  [[nodiscard]] static Result<Normalizer> parse(const Json& value);

  // `text` must be UTF-8. At most three times as long afterwards, plus one mark.
  [[nodiscard]] std::string apply(std::string_view text) const;

 private:
  enum class Step { kNfc, kPrependMark, kReplaceSpaces };

  [[nodiscard]] Status add(const Json& value);

  std::vector<Step> steps_;
};

}  // namespace otr::text

#endif  // OTR_TEXT_NORMALIZER_H_

// What every kind of tokeniser gives: a table of bytes per id, and a way from text to ids.
#ifndef OTR_TEXT_ENCODER_H_
#define OTR_TEXT_ENCODER_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace otr::text {

// Ids are less than this. The largest vocabularies known have 262,144.
inline constexpr std::uint32_t kMaxVocabulary = std::uint32_t{1} << 18;

// What an id gives to a text. An id that the tokeniser leaves free is a control token.
struct TokenText {
  std::string bytes;  // empty for control tokens
  bool control = true;
};

class Encoder {
 public:
  virtual ~Encoder() = default;

  // Appends the ids of `text`, which is UTF-8, without a BOS. `parse_special` and `typed` as in
  // EncodeOptions (tokenizer.h); `typed` is empty or as long as the text.
  [[nodiscard]] virtual Status append(std::string_view text, bool parse_special,
                                      std::string_view typed,
                                      std::vector<std::uint32_t>& ids) const = 0;

  // The id of the token written so in the tokeniser's own files, for example "<s>".
  [[nodiscard]] virtual std::optional<std::uint32_t> find(std::string_view token) const = 0;

  // The reverse; nothing for an id that has no token.
  [[nodiscard]] virtual std::optional<std::string> name(std::uint32_t id) const = 0;
};

}  // namespace otr::text

#endif  // OTR_TEXT_ENCODER_H_

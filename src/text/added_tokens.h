// Finds the tokens that stand in a text as themselves (special and added ones), before the text
// between them goes to the model's own algorithm.
#ifndef OTR_TEXT_ADDED_TOKENS_H_
#define OTR_TEXT_ADDED_TOKENS_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace otr::text {

struct AddedToken {
  std::string content;  // not empty
  std::uint32_t id;
  bool control = false;  // frames a conversation: never made of what a user typed
};

struct Segment {
  std::string_view text;            // a part of the text that was split; not empty
  std::optional<std::uint32_t> id;  // set where the part is an added token
};

class AddedTokens {
 public:
  AddedTokens() = default;
  explicit AddedTokens(std::vector<AddedToken> tokens);

  // Cuts the text at every added token: leftmost first, of those the longest, of equals the one
  // given first. `typed` is empty or has one byte per byte of the text, not 0 where a user wrote
  // it: a control token with such a byte is ordinary text.
  // In time text length times token length, whatever the number of tokens.
  [[nodiscard]] std::vector<Segment> split(std::string_view text, std::string_view typed) const;

  [[nodiscard]] bool has_control() const { return has_control_; }

 private:
  [[nodiscard]] const AddedToken* longest_at_start(std::string_view text,
                                                   std::string_view typed) const;

  std::vector<AddedToken> tokens_;  // sorted by content
  bool has_control_ = false;
};

}  // namespace otr::text

#endif  // OTR_TEXT_ADDED_TOKENS_H_

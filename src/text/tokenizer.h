// Text to token ids and back, as the model root fixes it: the tokeniser is a canonical JSON
// document inside a model artifact, so that another tokeniser is another model (SPEC MODEL-6).
//
// The document is one of
//   {"add_bos":B,"bos_id":I,"document":{...},"eos_ids":[...],"kind":"hf-tokenizer-json"}
//   {"add_bos":B,"bos_id":I,"eos_ids":[...],"kind":"sentencepiece","model_base64":"..."}
// with exactly these members: B true or false, I an id or null, eos_ids ascending ids, `document`
// a tokenizer.json of Hugging Face, model_base64 a SentencePiece model file. document.h makes it.
//
// It does not promise to agree with other software on texts that are not UTF-8 (refused here) or on
// characters younger than Unicode 14.
#ifndef OTR_TEXT_TOKENIZER_H_
#define OTR_TEXT_TOKENIZER_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace otr::text {

struct EncodeOptions {
  // Puts the BOS in front, where the document's add_bos asks for it.
  bool add_special = true;
  // Recognises special tokens written in the text, as a chat template writes them. Leave it off
  // for what a user typed: then no control token but the unknown one can come from the text.
  bool parse_special = false;
  // Which bytes of the text a user typed: empty (none), or one byte per byte of the text, not 0
  // where typed (TemplatedText::typed). With parse_special, a control token that has a typed byte
  // is ordinary text, so that nobody forges the frame of a conversation.
  std::string_view typed = {};
};

// Immutable and movable; all member functions may be called from many threads at once. A
// moved-from tokeniser may only be destroyed or assigned to.
class Tokenizer {
 public:
  static constexpr std::size_t kMaxTextBytes = std::size_t{16} << 20;

  // Refuses documents that are larger than 64 MiB, deeper than 64 or not canonical, and names the
  // first thing in them that is not supported.
  [[nodiscard]] static Result<Tokenizer> parse(std::string_view source);

  // The ids of `text`, each less than vocabulary_size(). An error where the text is not UTF-8
  // (naming the offset), is longer than kMaxTextBytes, or holds what the vocabulary cannot say.
  // Takes time n log n in the length of the text, whatever it is.
  [[nodiscard]] Result<std::vector<std::uint32_t>> encode(std::string_view text,
                                                          EncodeOptions options = {}) const;

  // One more than the largest id, at most 2^18. Some ids below may be free.
  [[nodiscard]] std::uint32_t vocabulary_size() const;

  // The bytes that this id contributes to a text, whatever stands before or after it: a word with
  // its leading space, or one byte of a character. Empty for control tokens, the unknown token,
  // free ids and ids out of range. Stop strings are defined over this table.
  [[nodiscard]] std::string_view token_bytes(std::uint32_t id) const;

  // Whether the id is a control token, so that its bytes are empty by meaning.
  [[nodiscard]] bool is_control(std::uint32_t id) const;

  // The concatenation of token_bytes; possibly not UTF-8 (see utf8.h). Nothing is stripped: where
  // SentencePiece puts a space before the first word, the text begins with it, and a caller who
  // shows a whole text may drop that one space.
  [[nodiscard]] std::string decode(std::span<const std::uint32_t> ids) const;

  // The id of a token as the tokeniser's own files write it, for example "<|im_end|>".
  [[nodiscard]] std::optional<std::uint32_t> find(std::string_view token) const;

  // How the tokeniser's own files write the token of an id. Takes time linear in the vocabulary.
  [[nodiscard]] std::optional<std::string> name(std::uint32_t id) const;

  [[nodiscard]] bool add_bos() const;
  [[nodiscard]] std::optional<std::uint32_t> bos() const;
  [[nodiscard]] const std::vector<std::uint32_t>& eos() const;  // ascending; may be empty

  Tokenizer(Tokenizer&&) noexcept;
  Tokenizer& operator=(Tokenizer&&) noexcept;
  ~Tokenizer();

 private:
  struct Parts;
  explicit Tokenizer(std::unique_ptr<const Parts> parts);

  std::unique_ptr<const Parts> parts_;
};

}  // namespace otr::text

#endif  // OTR_TEXT_TOKENIZER_H_

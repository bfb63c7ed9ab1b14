// Byte-pair encoding as a tokenizer.json of Hugging Face describes it, of two kinds: byte-level
// (GPT-2, Llama 3, Qwen 2, SmolLM) and SentencePiece-like with byte fallback (Llama 2, Mistral).
// Whatever else a file asks for is named in an error; nothing is guessed.
#ifndef OTR_TEXT_HUGGINGFACE_H_
#define OTR_TEXT_HUGGINGFACE_H_

#include <array>
#include <map>

#include "text/added_tokens.h"
#include "text/bpe.h"
#include "text/encoder.h"
#include "text/json.h"
#include "text/normalizer.h"
#include "text/pre_tokenizer.h"

namespace otr::text {

class HuggingFaceEncoder : public Encoder {
 public:
  // Fills `tokens`, which must be empty, with one entry per id.
  [[nodiscard]] static Result<HuggingFaceEncoder> parse(const Json& document,
                                                        std::vector<TokenText>& tokens);

  [[nodiscard]] Status append(std::string_view text, bool parse_special, std::string_view typed,
                              std::vector<std::uint32_t>& ids) const override;
  [[nodiscard]] std::optional<std::uint32_t> find(std::string_view token) const override;
  [[nodiscard]] std::optional<std::string> name(std::uint32_t id) const override;

 private:
  using Vocabulary = std::map<std::string, std::uint32_t, std::less<>>;

  [[nodiscard]] Status parse_model(const Json& model);
  [[nodiscard]] Status parse_vocabulary(const Json& vocabulary);
  [[nodiscard]] Status parse_merges(const Json& merges);
  [[nodiscard]] Status parse_added_tokens(const Json& list, std::vector<TokenText>& tokens);
  [[nodiscard]] Status check_added_token(const Json& token, const std::string& content,
                                         std::uint32_t id) const;
  [[nodiscard]] Status check_decoder(const Json& decoder) const;
  void fill_tokens(std::vector<TokenText>& tokens) const;
  [[nodiscard]] Status check_no_control_by_merging(const std::vector<TokenText>& tokens) const;

  void fill_words(const std::vector<TokenText>& tokens);

  [[nodiscard]] std::string bytes_of(const std::string& token) const;
  [[nodiscard]] std::string typed_of_normal(std::string_view text, std::string_view typed,
                                            std::string_view normal) const;
  [[nodiscard]] Status append_word(std::string_view word, std::vector<std::uint32_t>& ids) const;
  [[nodiscard]] Status append_byte_symbols(std::string_view word,
                                           std::vector<std::uint32_t>& symbols) const;
  [[nodiscard]] Status append_symbols(std::string_view word,
                                      std::vector<std::uint32_t>& symbols) const;

  Normalizer normalizer_;
  PreTokenizer pre_tokenizer_;
  // Index: whether special tokens are recognised in the text. The first pair is searched for in
  // the text as given, the second in the normalised text.
  std::array<AddedTokens, 2> raw_added_;
  std::array<AddedTokens, 2> normalized_added_;

  Vocabulary vocabulary_;  // without added tokens outside it
  Vocabulary added_;
  Vocabulary words_;  // with ignore_merges: the words that are one token whatever the merges
  std::array<std::optional<std::uint32_t>, 256> byte_symbols_;
  std::vector<Merge> merges_;
  Bpe bpe_;
  std::optional<std::uint32_t> unknown_;
  bool fuse_unknown_ = false;
  bool byte_fallback_ = false;
  bool ignore_merges_ = false;
};

}  // namespace otr::text

#endif  // OTR_TEXT_HUGGINGFACE_H_

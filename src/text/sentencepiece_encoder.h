// SentencePiece models (BPE and unigram), run by the SentencePiece library on a model that this
// module has checked and written itself.
#ifndef OTR_TEXT_SENTENCEPIECE_ENCODER_H_
#define OTR_TEXT_SENTENCEPIECE_ENCODER_H_

#include <map>
#include <memory>

#include "text/added_tokens.h"
#include "text/encoder.h"
#include "text/sentencepiece_model.h"

namespace sentencepiece {
class SentencePieceProcessor;
}

namespace otr::text {

class SentencePieceEncoder : public Encoder {
 public:
  // Fills `tokens`, which must be empty, with one entry per id.
  [[nodiscard]] static Result<SentencePieceEncoder> load(const SentencePieceModel& model,
                                                         std::vector<TokenText>& tokens);
  SentencePieceEncoder(SentencePieceEncoder&&) noexcept;
  ~SentencePieceEncoder() override;

  // With `parse_special`, control pieces in the text become their ids, and each stretch between
  // them is encoded by itself, with the model's dummy prefix.
  [[nodiscard]] Status append(std::string_view text, bool parse_special, std::string_view typed,
                              std::vector<std::uint32_t>& ids) const override;
  [[nodiscard]] std::optional<std::uint32_t> find(std::string_view token) const override;
  [[nodiscard]] std::optional<std::string> name(std::uint32_t id) const override;

 private:
  SentencePieceEncoder();

  std::unique_ptr<sentencepiece::SentencePieceProcessor> processor_;
  AddedTokens control_;
  std::map<std::string, std::uint32_t, std::less<>> ids_;
};

}  // namespace otr::text

#endif  // OTR_TEXT_SENTENCEPIECE_ENCODER_H_

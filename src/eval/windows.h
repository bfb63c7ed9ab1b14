// A text as windows of token ids, for teacher-forced evaluation.
//
// Documents are separated by lines that hold nothing but <|endoftext|> or a control token of the
// tokeniser, such as <s>; white space around a document is dropped. Each document is tokenised
// without recognising control tokens. A window is one token of context (the BOS where the model
// wants one, else the last token of the window before) and the tokens to predict from it, so every
// token of the text is predicted once, but for the first of a document where there is no BOS.
#ifndef OTR_EVAL_WINDOWS_H_
#define OTR_EVAL_WINDOWS_H_

#include <cstdint>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "text/tokenizer.h"

namespace otr::eval {

using Window = std::vector<std::uint32_t>;  // at least two ids

[[nodiscard]] std::vector<std::string_view> split_documents(const text::Tokenizer& tokenizer,
                                                            std::string_view source);

// Windows of at most `window_tokens` >= 2 ids, context included. The tokeniser's error where a
// document cannot be said in its vocabulary.
[[nodiscard]] Result<std::vector<Window>> cut_windows(const text::Tokenizer& tokenizer,
                                                      std::string_view source,
                                                      std::uint32_t window_tokens);

}  // namespace otr::eval

#endif  // OTR_EVAL_WINDOWS_H_

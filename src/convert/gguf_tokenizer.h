// The tokeniser and chat template in a GGUF file's metadata.
#ifndef OTR_CONVERT_GGUF_TOKENIZER_H_
#define OTR_CONVERT_GGUF_TOKENIZER_H_

#include <string>

#include "convert/gguf.h"
#include "text/gguf_document.h"

namespace otr::convert {

// tokenizer.ggml.*. kBadInput if the file has no vocabulary, or a value has another type than this
// key needs; what the values say is checked by text::document_from_gguf.
[[nodiscard]] Result<text::GgufTokenizer> read_gguf_tokenizer(const GgufFile& file);

// tokenizer.chat_template: empty where there is none.
[[nodiscard]] Result<std::string> read_gguf_chat_template(const GgufFile& file);

}  // namespace otr::convert

#endif  // OTR_CONVERT_GGUF_TOKENIZER_H_

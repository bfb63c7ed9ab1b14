// The files beside the weights that turn text into ids and chats into text.
#ifndef OTR_CONVERT_TOKENIZER_FILES_H_
#define OTR_CONVERT_TOKENIZER_FILES_H_

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"

namespace otr::convert {

// SPEC MODEL-7: the bytes of token j are bytes[offsets[j], offsets[j + 1]).
struct TokenTable {
  std::vector<std::uint32_t> offsets;
  Bytes bytes;
};

struct TokenizerFiles {
  std::string document;       // of text/tokenizer.h
  std::string chat_template;  // empty where there is none
  std::vector<std::uint32_t> eos_ids;
  TokenTable tokens;  // ids beyond the tokeniser's have no bytes
};

// tokenizer.json or tokenizer.model, tokenizer_config.json, generation_config.json, config.json and
// chat_template.jinja of a Hugging Face folder. `vocabulary` as in open_tokenizer (source.h).
[[nodiscard]] Result<TokenizerFiles> read_tokenizer_files(const std::filesystem::path& folder,
                                                          std::optional<std::uint32_t> vocabulary);

// What follows from a tokeniser's document (text/tokenizer.h), whatever file that came from.
[[nodiscard]] Result<TokenizerFiles> from_document(std::string document, std::string chat_template,
                                                   std::optional<std::uint32_t> vocabulary);

}  // namespace otr::convert

#endif  // OTR_CONVERT_TOKENIZER_FILES_H_

// Makes the tokeniser document of a model artifact (tokenizer.h) from the files beside a model.
//
// BOS and EOS come from the files by these rules; what the tokeniser says of itself goes first.
//  - BOS: tokenizer_config.json's bos_token where that member is there (null: none); else
//    bos_token_id of generation_config.json, else of config.json.
//  - EOS: eos_token_id (an id or a list) of generation_config.json, else of config.json; and in
//    any case tokenizer_config.json's eos_token.
//  - add_bos: tokenizer_config.json's add_bos_token where that member is there; else whether the
//    TemplateProcessing of tokenizer.json begins with a special token, which then must be the BOS.
//    A SentencePiece file without either adds a BOS, as LlamaTokenizer does.
#ifndef OTR_TEXT_DOCUMENT_H_
#define OTR_TEXT_DOCUMENT_H_

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/result.h"
#include "text/json.h"

namespace otr::text {

// Contents of files of a Hugging Face model directory; empty where the file is absent.
struct HuggingFaceFiles {
  std::string_view tokenizer_json = {};
  std::string_view tokenizer_model = {};    // SentencePiece; used where there is no tokenizer.json
  std::string_view added_tokens_json = {};  // of old folders with a tokenizer.model
  std::string_view tokenizer_config_json = {};
  std::string_view generation_config_json = {};
  std::string_view config_json = {};
};

// A canonical document that Tokenizer::parse accepts, or an error that names the file at fault.
[[nodiscard]] Result<std::string> document_from_huggingface(const HuggingFaceFiles& files);

// The same from a SentencePiece file alone: BOS and EOS are the pieces it names so, if they are
// control pieces, and a BOS is added if there is one.
[[nodiscard]] Result<std::string> document_from_sentencepiece(ByteView model);

// The same from the tokenizer.bin of llama2.c (int32 longest piece, then per id: float32 score,
// int32 size, bytes), which holds a SentencePiece BPE vocabulary with <unk>, BOS, EOS and the 256
// bytes as its first 259 ids. `vocabulary_size` is in the header of the model file.
[[nodiscard]] Result<std::string> document_from_llama2c(ByteView tokenizer,
                                                        std::size_t vocabulary_size);

// For makers of documents: the ids that every kind of document holds.
struct SpecialIds {
  std::optional<std::uint32_t> bos = {};
  std::set<std::uint32_t> eos = {};
  bool add_bos = false;
};

// `members` are those of one kind; the ids are added, and the whole is seen to parse.
[[nodiscard]] Result<std::string> finish_document(Json members, const SpecialIds& ids);

// The members of a document with this SentencePiece file.
[[nodiscard]] Json sentencepiece_members(std::string_view file);

}  // namespace otr::text

#endif  // OTR_TEXT_DOCUMENT_H_

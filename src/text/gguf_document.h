// Makes the tokeniser document of a model artifact (tokenizer.h) from the metadata of a GGUF file.
//
// A GGUF file holds a vocabulary, but only the *name* of the rule that cuts a text into words
// (tokenizer.ggml.pre), and leaves out which ids end an answer. Both are settled here as llama.cpp
// settles them, so that a model answers as its owner is used to; what is not known by name is
// refused.
//
// It does not promise the ids that llama.cpp itself computes where that departs from the tokeniser
// a model was trained with: byte-level models get the rule of their original tokenizer.json.
#ifndef OTR_TEXT_GGUF_DOCUMENT_H_
#define OTR_TEXT_GGUF_DOCUMENT_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"

namespace otr::text {

// The values of tokenizer.ggml.*, unchecked. Absent ones: empty, or none.
struct GgufTokenizer {
  std::string model;                             // .model: "llama", "gpt2", ...
  std::string pre;                               // .pre
  std::vector<std::string> tokens;               // .tokens; index: id
  std::vector<std::uint32_t> score_bits;         // .scores, the bits of each binary32
  std::vector<std::int32_t> types;               // .token_type
  std::vector<std::string> merges;               // .merges
  std::optional<std::uint32_t> bos_id;           // .bos_token_id
  std::optional<std::uint32_t> eos_id;           // .eos_token_id
  std::optional<std::uint32_t> unknown_id;       // .unknown_token_id
  std::optional<std::uint32_t> eot_id;           // .eot_token_id
  std::optional<std::uint32_t> eom_id;           // .eom_token_id
  std::optional<std::uint32_t> padding_id;       // .padding_token_id
  std::vector<std::uint32_t> eog_ids;            // .eos_token_ids, .eog_token_ids: further ends
  std::optional<bool> add_bos;                   // .add_bos_token
  std::optional<bool> add_eos;                   // .add_eos_token
  std::optional<bool> add_space_prefix;          // .add_space_prefix
  std::optional<bool> remove_extra_whitespaces;  // .remove_extra_whitespaces
  bool has_charsmap = false;                     // .precompiled_charsmap is there and not empty
};

// A canonical document that Tokenizer::parse accepts, or an error (kBadInput) that names the
// metadata key at fault.
[[nodiscard]] Result<std::string> document_from_gguf(const GgufTokenizer& metadata);

}  // namespace otr::text

#endif  // OTR_TEXT_GGUF_DOCUMENT_H_

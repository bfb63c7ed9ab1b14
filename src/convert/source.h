// A model as somebody has it, ready to import: a Hugging Face directory or a GGUF file.
//
// Both say the same things in other words; behind this header nobody needs to know which it was.
#ifndef OTR_CONVERT_SOURCE_H_
#define OTR_CONVERT_SOURCE_H_

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "convert/checkpoint.h"
#include "convert/float_model.h"
#include "convert/tokenizer_files.h"

namespace otr::convert {

struct Source {
  std::string format;  // for people: "Hugging Face directory", "GGUF version 3"
  FloatConfig config;
  std::unique_ptr<const Checkpoint> checkpoint;  // with no tensor that `config` does not explain
  std::vector<std::string> warnings;             // what the import will change, or cannot know
};

// Reads the description and checks that all tensors are understood; weights are read later.
// kUsage if there is no model at this path, naming what can be imported.
[[nodiscard]] Result<Source> open_source(const std::filesystem::path& path);

// Tokeniser, chat template and end tokens of the model at this path; weights need not be there.
// Without `vocabulary` the table has the tokeniser's own size; kBadInput if the tokeniser has ids
// beyond a given one.
[[nodiscard]] Result<TokenizerFiles> open_tokenizer(const std::filesystem::path& path,
                                                    std::optional<std::uint32_t> vocabulary);

}  // namespace otr::convert

#endif  // OTR_CONVERT_SOURCE_H_

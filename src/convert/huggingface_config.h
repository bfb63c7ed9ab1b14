// config.json of a Hugging Face model: which of its models this program can run exactly, and their
// sizes. What would change the function and is not supported is refused by name.
#ifndef OTR_CONVERT_HUGGINGFACE_CONFIG_H_
#define OTR_CONVERT_HUGGINGFACE_CONFIG_H_

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "convert/float_model.h"

namespace otr::convert {

struct HuggingFaceConfig {
  FloatConfig config;
  std::vector<std::string> warnings;
};

// Architectures LlamaForCausalLM, MistralForCausalLM, Qwen2ForCausalLM and Qwen3ForCausalLM. A
// context beyond SPEC LIM-1 is cut to it with a warning; other sizes beyond it are kBadInput.
[[nodiscard]] Result<HuggingFaceConfig> parse_huggingface_config(std::string_view text,
                                                                 std::string_view what);
[[nodiscard]] Result<HuggingFaceConfig> read_huggingface_config(const std::filesystem::path& path);

}  // namespace otr::convert

#endif  // OTR_CONVERT_HUGGINGFACE_CONFIG_H_

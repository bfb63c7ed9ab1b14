// The metadata of a GGUF model as a FloatConfig: the same as huggingface_config.h makes of the same
// model. What would change the function and is not supported is refused by name.
#ifndef OTR_CONVERT_GGUF_CONFIG_H_
#define OTR_CONVERT_GGUF_CONFIG_H_

#include <string>
#include <vector>

#include "convert/float_model.h"
#include "convert/gguf_split.h"

namespace otr::convert {

struct GgufConfig {
  std::string architecture;  // "llama" (also of Mistral and SmolLM), "qwen2", "qwen3"
  FloatConfig config;
  std::vector<std::string> warnings;

  // llama.cpp rotates pairs (2i, 2i + 1) of these models, and the file's rows of q and k are in
  // that order; elsewhere they are as in Hugging Face's files.
  [[nodiscard]] bool rotates_neighbours() const { return architecture == "llama"; }
};

// Reads no tensor but rope_freqs.weight, Llama 3's divisors of the rotation's frequencies.
[[nodiscard]] Result<GgufConfig> read_gguf_config(const GgufParts& parts);

}  // namespace otr::convert

#endif  // OTR_CONVERT_GGUF_CONFIG_H_

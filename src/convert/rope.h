// Frequencies of the rotation (RoPE) with the scaling rules of Hugging Face's config.json.
#ifndef OTR_CONVERT_ROPE_H_
#define OTR_CONVERT_ROPE_H_

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "text/json.h"

namespace otr::convert {

struct Rope {
  std::vector<double> frequency;  // head_dim / 2, radians for each position
  double attention_factor = 1;    // of cosine and sine (YaRN), so its square multiplies the scores
};

// `config` is all of config.json: rope_theta and rope_scaling, or rope_parameters. Types default,
// linear, llama3 and yarn; others are refused by name.
[[nodiscard]] Result<Rope> parse_rope(const Json& config, std::uint32_t head_dim);

// round(2^64·frequency / 2π) (SPEC TAB-7). Requires frequency in [0, 2π).
[[nodiscard]] std::uint64_t rope_step(double frequency);

}  // namespace otr::convert

#endif  // OTR_CONVERT_ROPE_H_

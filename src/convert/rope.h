// Frequencies of the rotation (RoPE), with the scaling rules of Hugging Face's config.json.
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

// theta^(-2i / head_dim), unscaled.
[[nodiscard]] Rope plain_rope(double theta, std::uint32_t head_dim);

// YaRN (arXiv 2309.00071): dimensions that turn often in the original context keep their frequency,
// those that turn little are interpolated, with a ramp between.
struct YarnRule {
  double factor = 1;            // at least 1
  double original_context = 1;  // positions, at least 1
  double beta_fast = 32, beta_slow = 1;
  bool truncate = true;  // the ramp begins and ends at whole dimensions
};
// Changes the frequencies of plain_rope(theta), theta > 1; the attention factor stays.
void scale_yarn(const YarnRule& rule, double theta, Rope& rope);
// What YaRN makes of cosine and sine: 1 + m·ln(factor) / 10.
[[nodiscard]] double yarn_scale(double factor, double m);

// `config` is all of config.json: rope_theta and rope_scaling, or rope_parameters. Types default,
// linear, llama3 and yarn; others are refused by name.
[[nodiscard]] Result<Rope> parse_rope(const Json& config, std::uint32_t head_dim);

// round(2^64·frequency / 2π) (SPEC TAB-7). Requires frequency in [0, 2π).
[[nodiscard]] std::uint64_t rope_step(double frequency);

}  // namespace otr::convert

#endif  // OTR_CONVERT_ROPE_H_

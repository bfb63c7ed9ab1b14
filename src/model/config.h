// The configuration of a model: what stands in the artifact's metadata `otr.config` (SPEC MODEL-2).
#ifndef OTR_MODEL_CONFIG_H_
#define OTR_MODEL_CONFIG_H_

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "machine/model.h"

namespace otr::model {

inline constexpr std::size_t kMaxEosIds = 16;
inline constexpr std::int64_t kMaxEps = std::int64_t{1} << 40;

// One number for each layer: 16 or 8.
struct ActBits {
  std::vector<int> attn, o, mlp, down;
  int head = 16;
};

struct Config {
  machine::Shape shape;
  bool tied = true;      // the head is the embedding matrix
  bool qk_bias = false;  // wq and wk have a bias
  bool o_bias = false;   // wo has one
  ActBits act_bits;
  std::vector<std::uint32_t> eos_ids;    // ascending
  std::map<std::string, int> exponents;  // name of the matrix or gain -> exponent, exactly those
};

// The matrices and gains of a model, which are the names of `exponents`: `embed`,
// `layers.0.attn_norm` and so on, in the order of SPEC MODEL-3. Needs shape, tied and
// shape.qk_norm.
[[nodiscard]] std::vector<std::string> exponent_names(const Config& config);

// The greatest exponent that SPEC MODEL-4 allows the matrix or gain of this name; its least is 0.
[[nodiscard]] int max_exponent(std::string_view name, int qk_frac_bits);

// What the tensor `numbers` holds (SPEC MODEL-3): the configuration, for readers that parse no
// JSON. Needs all exponents.
[[nodiscard]] std::vector<std::int64_t> config_numbers(const Config& config);

// All of SPEC MODEL-2 and what MODEL-4 and LIM-1 say of the configuration. kBadInput with the
// code MALFORMED (other members or types), NOT_CANONICAL or MODEL_INVALID (values out of range).
// The message names the member.
[[nodiscard]] Result<Config> parse_config(std::string_view text);

// The canonical text. It parses again if and only if `config` is valid; this does not check it.
[[nodiscard]] std::string encode_config(const Config& config);

}  // namespace otr::model

#endif  // OTR_MODEL_CONFIG_H_

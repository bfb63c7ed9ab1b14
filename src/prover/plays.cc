// The passes on which the tamper tests lie.
#include <algorithm>

#include "prover/lies.h"

namespace otr::prover {
namespace {

void set_bits(std::vector<int>& list) { std::ranges::fill(list, 8); }

}  // namespace

const std::vector<Play>& plays() {
  static const std::vector<Play> list = {
      {.name = "sampled",
       .artifact = {.seed = 3, .tied = false, .biases = true, .layers = 1},
       .sampling = {.inv_t = 94548,
                    .min_p = 3000,
                    .presence = 70000,
                    .frequency = -30000,
                    .logit_bias = {{1, 50000}, {9, -50000}}},
       .prompt = 7},
      {.name = "great inv_t", .artifact = {.seed = 5, .layers = 1}, .sampling = {.inv_t = 1 << 24}},
      {.name = "greedy", .artifact = {.seed = 1, .layers = 1}, .sampling = {}, .prompt = 12},
      {.name = "great numbers",
       .artifact = {.seed = 9, .biases = true},
       .sampling = {.inv_t = 94548, .min_p = 100},
       .prompt = 15,
       .tweak =
           [](model::Config& config) {
             set_exponent(config, ".wq", 12);
             set_exponent(config, ".wk", 12);
             set_exponent(config, ".wv", 18);
             config.shape.residual_frac_bits = 20;
             set_exponent(config, ".wo", 13);
             set_exponent(config, ".w_gate", 14);
             set_exponent(config, ".w_down", 12);
           }},
      {.name = "small numbers",
       .artifact = {.seed = 10},
       .sampling = {},
       .tweak =
           [](model::Config& config) {
             set_exponent(config, "mlp_norm", 22);
             set_exponent(config, ".wo", 33);
             set_exponent(config, ".w_down", 33);
             set_bits(config.act_bits.down);
           }},
      // What attention and the gate make is rounded to nothing.
      {.name = "no attention, no gate",
       .artifact = {.seed = 11, .layers = 1},
       .sampling = {},
       .prompt = 6,
       .tweak =
           [](model::Config& config) {
             set_exponent(config, ".wv", 27);
             set_exponent(config, ".wo", 33);
             set_exponent(config, ".w_gate", 33);
             set_exponent(config, "mlp_norm", 22);
             set_bits(config.act_bits.o);
             set_bits(config.act_bits.mlp);
           }},
      {.name = "no feed-forward",
       .artifact = {.seed = 12, .layers = 1},
       .sampling = {},
       .tweak =
           [](model::Config& config) {
             set_exponent(config, ".w_up", 30);
             set_exponent(config, ".w_down", 33);
             set_bits(config.act_bits.down);
           }},
  };
  return list;
}

}  // namespace otr::prover

#include "convert/rope.h"

#include <gtest/gtest.h>

#include <cmath>

#include "convert/huggingface_config.h"

namespace otr::convert {
namespace {

Rope rope_of(const Json& scaling, double theta = 500000, std::uint32_t head_dim = 128) {
  const Json config = {
      {"rope_theta", theta}, {"rope_scaling", scaling}, {"max_position_embeddings", 32768}};
  Result<Rope> rope = parse_rope(config, head_dim);
  EXPECT_TRUE(rope) << (rope ? "" : rope.error().message);
  return *std::move(rope);
}

// Figures by the formulas of the papers, worked out apart from this code.
TEST(Rope, KnownFrequencies) {
  const Rope plain = rope_of(nullptr);
  EXPECT_EQ(plain.frequency[0], 1);
  EXPECT_NEAR(plain.frequency[32], std::sqrt(1 / 500000.0), 1e-12);
  EXPECT_EQ(rope_of({{"type", "linear"}, {"factor", 4}}).frequency[0], 0.25);

  const Rope llama3 = rope_of({{"rope_type", "llama3"},
                               {"factor", 8.0},
                               {"low_freq_factor", 1.0},
                               {"high_freq_factor", 4.0},
                               {"original_max_position_embeddings", 8192}});
  EXPECT_EQ(llama3.frequency[20], plain.frequency[20]);               // 21 turns in 8192
  EXPECT_NEAR(llama3.frequency[40], plain.frequency[40] / 8, 1e-15);  // 0.36 turns
  // Index 30: 8192·f/2π turns lie between 1 and 4.
  const double turns = 8192 * plain.frequency[30] / 6.283185307179586;
  ASSERT_TRUE(turns > 1 && turns < 4);
  const double kept = (turns - 1) / 3;
  EXPECT_NEAR(llama3.frequency[30], plain.frequency[30] * (kept + (1 - kept) / 8), 1e-12);

  const Rope base = rope_of(nullptr, 1000000);
  const Rope yarn = rope_of({{"type", "yarn"}, {"factor", 4.0}}, 1000000);
  EXPECT_EQ(yarn.frequency[0], 1);
  EXPECT_NEAR(yarn.frequency[63], base.frequency[63] / 4, 1e-15);
  EXPECT_NEAR(yarn.attention_factor, 1.1386294361, 1e-9);  // 0.1·ln 4 + 1
  // 32768 positions: 32 turns at index 23.6, 1 turn at 39.65, so the ramp runs from 23 to 40.
  EXPECT_EQ(yarn.frequency[23], base.frequency[23]);
  EXPECT_NEAR(yarn.frequency[24] / base.frequency[24], 1 - 0.75 / 17, 1e-12);
  EXPECT_NEAR(yarn.frequency[40] / base.frequency[40], 0.25, 1e-12);
}

TEST(Rope, NewerFilesAndRefusals) {
  const Json newer = {{"rope_parameters", {{"rope_type", "default"}, {"rope_theta", 100.0}}}};
  EXPECT_NEAR(parse_rope(newer, 4)->frequency[1], 0.1, 1e-15);
  for (const Json& bad :
       {Json{{"rope_theta", -1}}, Json{{"rope_theta", "x"}},
        Json{{"rope_scaling", {{"type", "longrope"}}}}, Json{{"rope_scaling", {{"type", 3}}}},
        Json{{"rope_scaling", {{"type", "yarn"}}}},
        Json{{"rope_scaling",
              {{"type", "llama3"},
               {"factor", 8},
               {"low_freq_factor", 4},
               {"high_freq_factor", 4},
               {"original_max_position_embeddings", 8192}}}}}) {
    EXPECT_FALSE(parse_rope(bad, 64)) << bad;
  }
}

TEST(Rope, Steps) {
  EXPECT_EQ(rope_step(0), 0U);
  EXPECT_EQ(rope_step(std::ldexp(6.283185307179586, -64)), 1U);
  EXPECT_NEAR(static_cast<double>(rope_step(1)), 2935890503282001226.0, 1024);
}

TEST(HuggingFaceConfig, Windows) {
  const auto window = [](const Json& changes) -> std::string {
    Json config = {{"architectures", {"Qwen2ForCausalLM"}},
                   {"hidden_size", 8},
                   {"num_attention_heads", 2},
                   {"intermediate_size", 8},
                   {"num_hidden_layers", 2},
                   {"vocab_size", 8},
                   {"max_position_embeddings", 100}};
    config.update(changes);
    const auto parsed = parse_huggingface_config(config.dump(), "config.json");
    return parsed ? std::to_string(parsed->config.shape.window) : parsed.error().message;
  };
  const Json sliding = {{"sliding_window", 10}, {"use_sliding_window", true}};
  const auto with = [&sliding](const Json& changes) {
    Json out = sliding;
    out.update(changes);
    return out;
  };
  EXPECT_EQ(window({{"sliding_window", 10}}), "0");  // Qwen's switch is off by default
  EXPECT_EQ(window(sliding), "0");                   // its first 28 layers do not slide
  EXPECT_EQ(window(with({{"max_window_layers", 0}})), "10");
  EXPECT_NE(window(with({{"max_window_layers", 1}})).find("max_window_layers"), std::string::npos);
  EXPECT_NE(window(with({{"max_window_layers", 0},
                         {"layer_types", {"full_attention", "sliding_attention"}}}))
                .find("layer_types"),
            std::string::npos);
  EXPECT_EQ(window({{"architectures", {"MistralForCausalLM"}}, {"sliding_window", 10}}), "10");
  EXPECT_EQ(window({{"architectures", {"MistralForCausalLM"}}, {"sliding_window", 100}}), "0");
  EXPECT_EQ(window({{"architectures", {"LlamaForCausalLM"}}, {"sliding_window", 10}}), "0");
}

}  // namespace
}  // namespace otr::convert

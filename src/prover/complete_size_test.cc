// Completeness at the limits of sizes (SPEC LIM-1), which make the greatest sums and so the
// greatest shifts; as in complete_test.cc. OTR_EXHAUSTIVE=1 runs also what takes half a GB.
#include <gtest/gtest.h>

#include <algorithm>

#include "prover/honest.h"

namespace otr::prover {
namespace {

using Prompt = std::vector<std::uint32_t>;

constexpr std::uint32_t kHidden = 16384;

// Every element of every row of the residual is 64 and every gain 32639, so a norm row is 32639
// with exponent 7, and a product of full weights is 127·32639·16384·4095.
HandModel full_model(std::uint32_t ffn) {
  machine::Shape shape = hand_shape(kHidden, 1, 1, 2, ffn, 1, 2);
  shape.residual_frac_bits = 8;
  HandModel model(shape);
  model.set("embed", 64, 1);
  for (auto& [name, values] : model.tensors) {
    if (name.ends_with(".gain")) std::ranges::fill(values, 32639);
  }
  model.set_exponent(".wq", 26), model.set_exponent(".wk", 26);
  model.set_exponent("head", 33);
  return model;
}

// SPEC PB-3's tightest row: silu·up·m < 2^62.98 and the shifts 48 and 56, of both signs.
TEST(CompleteSize, GreatestFeedForwardValues) {
  for (const int bits : {16, 8}) {
    for (const int sign : {1, -1}) {
      HandModel model = full_model(2);
      model.config.act_bits.down = {bits};
      model.set("layers.0.w_gate", 127, 4095);
      model.set_exponent("w_gate", 26);  // the gate's exponent is 0, where silu(g) = g
      model.set("layers.0.w_up", sign * 127, 4095);
      model.set_exponent("w_up", 33);
      model.set("layers.0.wv", sign * 127, 4095);
      model.set_exponent(".wo", 33), model.set_exponent("w_down", 33);
      auto honest = complete(model, {1, 0});
      ASSERT_TRUE(honest);
      EXPECT_EQ(honest->row(0, 0).g.exponent, 0);
      EXPECT_EQ(honest->line(0, 0).s_g, 33);
      EXPECT_EQ(honest->line(0, 0).s_h, bits == 16 ? 48 : 56);
      EXPECT_EQ(honest->line(0, 0).s_v[0], 41);
      EXPECT_GT(std::abs(honest->row(0, 0).h.value), std::int64_t{9} << 59);
      prove(*honest, Proof::kExhaustive);
    }
  }
}

// The norm of a row of -2^31 with the greatest gains: N = 2^60, values of 2^62, shifts 48 and 56.
TEST(CompleteSize, GreatestNormValues) {
  for (const int bits : {16, 8}) {
    for (const std::int64_t gain : {(1 << 23) - 1, 1 - (1 << 23), 1}) {
      machine::Shape shape = hand_shape(kHidden, 1, 1, 2, 1, 2, 2);
      shape.residual_frac_bits = 8;
      HandModel model(shape, true);
      model.set_bits(bits);
      std::ranges::fill(model["layers.0.wo.bias"], -(1 << 30));
      std::ranges::fill(model["layers.1.wo.bias"], -(1 << 30));
      for (const char* name : {"layers.1.mlp_norm.gain", "final_norm.gain"}) {
        std::ranges::fill(model[name], gain);
      }
      model.config.exponents["layers.1.mlp_norm"] = model.config.exponents["final_norm"] = 22;
      auto honest = complete(model, {1});
      ASSERT_TRUE(honest);
      EXPECT_EQ(honest->row(1, 0).norm_sumsq, std::uint64_t{1} << 60);
      EXPECT_EQ(honest->line(1, 0).s_m, gain == 1 || bits == 16 ? 48 : 56);
      prove(*honest, Proof::kExhaustive);
    }
  }
}

// y of q and k at -2^23 and 2^23 - 1, in reach where head norms follow; the longest shift, 57.
TEST(CompleteSize, GreatestHeadNorms) {
  for (const bool low : {true, false}) {
    machine::Shape shape = hand_shape(2, 1, 1, 256, 1, 1, 2);
    shape.qk_norm = true;
    HandModel model(shape, true);
    model.make_one_hot();
    const std::int64_t limit = (1 << 23) - 1;
    for (const char* name : {"layers.0.wq", "layers.0.wk"}) {
      if (low) model.set(name, -1, 1);
      std::ranges::fill(model[std::string(name) + ".bias"], low ? -limit : limit);
    }
    for (const char* name : {"layers.0.q_norm.gain", "layers.0.k_norm.gain"}) {
      std::ranges::fill(model[name], limit);
    }
    model.set_exponent("q_norm", 22), model.set_exponent("k_norm", 22);
    auto honest = complete(model, {1, 0});
    ASSERT_TRUE(honest);
    const auto y = honest->cells("q.y1");
    EXPECT_EQ(y[0], low ? -limit - 1 : limit);
    EXPECT_EQ(honest->line(0, 0).q_norms[0].shift, low ? 57 : 56);
    prove(*honest, Proof::kExhaustive);
  }
}

TEST(CompleteSize, GreatestSizes) {
  struct Sizes {
    std::uint32_t hidden, heads, kv_heads, head_dim, ffn, layers, vocabulary;
  };
  const Sizes list[] = {
      {2, 1, 1, 2, 2, 256, 3},    {2, 256, 256, 2, 2, 1, 3}, {1, 128, 1, 256, 1, 1, 2},
      {1, 1, 1, 2, 65536, 1, 2},  {3, 256, 2, 128, 2, 1, 5}, {16384, 1, 1, 2, 1, 1, 2},
      {1, 1, 1, 2, 1, 1, 262144},
  };
  std::uint64_t seed = 40;
  for (const Sizes& s : list) {
    SCOPED_TRACE(s.hidden);
    const auto shape =
        hand_shape(s.hidden, s.heads, s.kv_heads, s.head_dim, s.ffn, s.layers, s.vocabulary);
    HandModel model = random_model(++seed, shape);
    if (s.layers == 256) model.set_exponent(".wo", 30), model.set_exponent("w_down", 30);
    if (s.ffn == 65536) model.set_exponent("w_down", 30);
    auto honest = complete(model, {1, 0});
    ASSERT_TRUE(honest);
    prove(*honest, Proof::kExhaustive);
  }
}

// Sums over 65536 elements at their bound: 2^50, and a residual near its end.
TEST(CompleteSize, GreatestProducts) {
  machine::Shape shape = hand_shape(1, 1, 1, 2, 65536, 1, 1);
  shape.residual_frac_bits = 8;
  HandModel model(shape);
  model.set("embed", 64, 1);
  for (auto& [name, values] : model.tensors) {
    if (name.ends_with(".gain")) std::ranges::fill(values, 1);
  }
  model.set_exponent("w_gate", 5);
  model.set("layers.0.w_gate", 64, 256);
  model.set("layers.0.w_up", 127, 257);  // h = 32639
  model.set("layers.0.w_down", -127, 4095);
  model.set_exponent("w_down", 21);
  auto honest = complete(model, {0});
  ASSERT_TRUE(honest);
  EXPECT_EQ(honest->cells("f.h")[7], 32639);
  EXPECT_EQ(honest->cells("x.dacc")[0], -std::int64_t{127} * 32639 * 65536);
  EXPECT_LT(honest->witness.rows.x[0][0], -2100000000);
  prove(*honest, Proof::kExhaustive);
}

// Seventeen tiles of the greatest weights and values: A of 2^56 and the shift 39, a third limb.
TEST(CompleteSize, GreatestAttentionSums) {
  if (!exhaustive()) GTEST_SKIP() << "set OTR_EXHAUSTIVE=1: half a GB";
  machine::Shape shape = hand_shape(1, 1, 1, 2, 1, 1, 1);
  shape.context = 3000;
  HandModel model(shape, true);
  model.set("embed", 64, 1);
  for (auto& [name, values] : model.tensors) {
    if (name.ends_with(".gain")) std::ranges::fill(values, 1);
  }
  model["layers.0.wq.bias"][0] = 255;
  model["layers.0.wk.bias"][0] = 256;
  model.set("layers.0.wv", 127, 1);
  auto honest = Honest::answer(model, Prompt(17 * 128), 1, {});
  ASSERT_TRUE(honest);
  EXPECT_EQ(honest->wrong(false), "");
  EXPECT_EQ(honest->cells("z.z")[0], 255);
  EXPECT_EQ(honest->line(0, 17 * 128 - 1).heads[0].s_a, 39);
}

}  // namespace
}  // namespace otr::prover

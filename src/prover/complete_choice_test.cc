// Completeness of the choice of tokens and of all sizes, as in complete_test.cc.
#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>

#include "prover/honest.h"

namespace otr::prover {
namespace {

using machine::Sampling;
using Prompt = std::vector<std::uint32_t>;

void complete_and_prove(const HandModel& model, const Prompt& prompt, Proof when,
                        std::uint32_t outputs = 1, const Sampling& sampling = {}) {
  if (auto honest = complete(model, prompt, outputs, sampling)) prove(*honest, when);
}

// --- Choice --------------------------------------------------------------------------------------

// A logit of token j is w·m of row j, at every position.
HandModel logit_model(std::uint32_t tokens,
                      const std::vector<std::pair<std::int64_t, std::int64_t>>& rows) {
  HandModel model(hand_shape(1, 1, 1, 2, 1, 1, tokens));
  model.set("embed", 64, 1);
  for (auto& [name, values] : model.tensors) {
    if (name.ends_with(".gain")) std::ranges::fill(values, 1);
  }
  for (std::uint32_t j = 0; j < tokens; ++j) model.set("head", j, 0, rows[j].first, rows[j].second);
  return model;
}

TEST(Complete, TiesOfTheBest) {
  for (const Sampling& sampling :
       {Sampling{}, Sampling{.presence = 10 * 20, .frequency = 0}, Sampling{.frequency = 10 * 20},
        Sampling{.top_k = 2, .top_p = 9, .min_p = 65536}}) {
    // Two are equal; and with penalties, a third becomes equal.
    const HandModel model = logit_model(5, {{1, 1}, {10, 30}, {5, 60}, {10, 10}, {-9, 9}});
    auto honest = complete(model, {0}, 6, sampling);
    ASSERT_TRUE(honest);
    EXPECT_EQ(honest->output[0], 1u);
    EXPECT_EQ(honest->output[1], sampling.presence + sampling.frequency == 0 ? 1u : 2u);
    if (sampling.frequency + sampling.presence != 0) EXPECT_EQ(honest->output[2], 1u);
    prove(*honest, sampling.frequency != 0 ? Proof::kAlways : Proof::kExhaustive);
  }
}

// Scores (noise less distance) of two tokens that are equal: the lower id is the answer.
TEST(Complete, TiesOfSampledScores) {
  const Sampling sampling{.inv_t = 1 << 16};
  const HandModel plain =
      logit_model(17, std::vector<std::pair<std::int64_t, std::int64_t>>(17, {0, 1}));
  auto honest = complete(plain, {0}, 1, sampling);
  ASSERT_TRUE(honest);
  const std::uint32_t best = honest->output[0];
  const std::int64_t top = zk::noise_value(honest->job(), 0, best);
  int tied = 0;
  for (std::uint32_t other = 0; other < 17; ++other) {
    const std::int64_t difference = top - zk::noise_value(honest->job(), 0, other);
    // `other` has logit w·m = difference + 127·k, `best` 127·k, all others the least there is.
    std::vector<std::pair<std::int64_t, std::int64_t>> rows(17, {-127, 4095});
    for (std::int64_t k = 0; k <= 4094 && other != best; ++k) {
      for (std::int64_t w = 1; w <= 127; ++w) {
        const std::int64_t logit = difference + 127 * k;
        if (logit % w == 0 && logit / w <= 4095)
          rows[other] = {w, std::max<std::int64_t>(1, logit / w)};
      }
      if (rows[other].first < 0) continue;
      rows[best] = {k == 0 ? 0 : 127, std::max<std::int64_t>(1, k)};
      break;
    }
    if (rows[other].first < 0) continue;
    auto even = complete(logit_model(17, rows), {0}, 1, sampling);
    ASSERT_TRUE(even);
    EXPECT_EQ(even->output[0], std::min(best, other));
    if (++tied == 3) prove(*even, Proof::kExhaustive);
  }
  EXPECT_GT(tied, 4);
}

// Distances at the last that min_p keeps and the first that it does not.
TEST(Complete, DistancesAtMinP) {
  for (const std::uint32_t min_p : {1u, 32768u, 65535u, 65536u}) {
    for (const std::uint32_t inv_t : {1u, 1u << 16, 1u << 22, (1u << 22) - 1, 1u << 24}) {
      const HandModel model = logit_model(9, {{32, 2048},
                                              {0, 1},
                                              {-1, 1},
                                              {1, 1},
                                              {32, 2048},
                                              {-127, 4095},
                                              {127, 516},
                                              {4, 4},
                                              {65, 1008}});
      auto honest = complete(model, {3}, 3, {.inv_t = inv_t, .min_p = min_p});
      ASSERT_TRUE(honest);
      prove(*honest, Proof::kExhaustive);
    }
  }
}

TEST(Complete, Penalties) {
  for (const std::int32_t p : {1 << 20, -(1 << 20)}) {
    for (const std::uint32_t inv_t : {0u, 1u, 94548u, 1u << 24}) {
      const HandModel model = random_model(3, hand_shape(6, 2, 2, 4, 7, 1, 5));
      const Sampling sampling{.inv_t = inv_t, .presence = p, .frequency = p};
      auto honest = complete(model, {1, 1}, 40, sampling);
      ASSERT_TRUE(honest);
      prove(*honest, p < 0 && inv_t == 94548 ? Proof::kAlways : Proof::kExhaustive);
    }
  }
}

// The ends of the bias' range, at the first and last id, alone and where penalties meet it; and a
// bias that makes another token the best, so that a prover without it would have no answer.
TEST(Complete, LogitBias) {
  constexpr std::int32_t kEnd = machine::kMaxLogitBias;
  for (const std::uint32_t inv_t : {0u, 1u, 94548u, 1u << 24}) {
    for (const std::int32_t p : {0, 1 << 20}) {
      const HandModel model = random_model(3, hand_shape(6, 2, 2, 4, 7, 1, 5));
      const Sampling sampling{.inv_t = inv_t,
                              .presence = p,
                              .frequency = -p,
                              .logit_bias = {{0, kEnd}, {2, 1}, {4, -kEnd}}};
      auto honest = complete(model, {1, 1}, 12, sampling);
      ASSERT_TRUE(honest);
      if (inv_t == 94548) EXPECT_EQ(honest->output[0], 0u);
      prove(*honest, inv_t == 94548 ? Proof::kAlways : Proof::kExhaustive);
    }
  }
  const HandModel model = logit_model(5, {{1, 1}, {10, 30}, {5, 60}, {10, 10}, {-9, 9}});
  for (const auto& [id, value] : {std::pair{1u, -1}, std::pair{3u, 201}, std::pair{2u, 1}}) {
    auto honest = complete(model, {0}, 3, {.logit_bias = {{id, value}}});
    ASSERT_TRUE(honest);
    prove(*honest, Proof::kAlways);
  }
}

// The window of the penalties is 4096 positions: the first outputs leave it.
TEST(Complete, PenaltiesLeaveTheirWindow) {
  if (!exhaustive()) GTEST_SKIP() << "set OTR_EXHAUSTIVE=1: 1.2 GB, up to half a minute";
  HandModel model = logit_model(3, {{100, 4000}, {100, 3999}, {0, 1}});
  model.config.shape.context = 5000;
  auto honest = Honest::answer(model, {0}, 4100, {.frequency = 25});
  ASSERT_TRUE(honest);
  EXPECT_EQ(honest->output.size(), 4100u);
  EXPECT_EQ(honest->wrong(false), "");
}

TEST(Complete, StopsEarly) {
  HandModel model = logit_model(5, {{1, 1}, {10, 30}, {5, 60}, {10, 10}, {-9, 9}});
  model.config.eos_ids = {1};
  auto honest = complete(model, {0, 4}, 9);
  ASSERT_TRUE(honest);
  EXPECT_EQ(honest->output.size(), 1u);
}

// --- Shapes --------------------------------------------------------------------------------------

TEST(Complete, EverySizeOne) {
  const HandModel model = logit_model(1, {{127, 4095}});
  complete_and_prove(model, {0}, Proof::kAlways);
  complete_and_prove(model, {0}, Proof::kExhaustive, 1, {.inv_t = 1 << 24, .min_p = 1});
  const HandModel dense = random_model(3, hand_shape(1, 1, 1, 2, 1, 1, 1), true);
  complete_and_prove(dense, {0, 0}, Proof::kExhaustive, 3, {.inv_t = 1});
}

TEST(Complete, Sizes) {
  struct Sizes {
    std::uint32_t hidden, heads, kv_heads, head_dim, ffn, layers, vocabulary;
    Proof proof = Proof::kExhaustive;
  };
  const Sizes list[] = {
      {7, 3, 3, 6, 11, 3, 13, Proof::kAlways},  // no powers of two, G = H
      {9, 5, 1, 10, 3, 5, 6},                   // G = 1
      {8, 4, 2, 8, 16, 2, 16, Proof::kAlways},  // all powers of two
      {1, 6, 3, 2, 1, 1, 2},
      {33, 1, 1, 2, 65, 1, 1},
      {5, 12, 4, 14, 3, 7, 17},
      {3, 2, 1, 256, 2, 1, 5},
      {6, 1, 1, 254, 9, 2, 9},
      {600, 2, 2, 2, 3, 1, 4},
  };
  std::uint64_t seed = 10;
  for (const Sizes& s : list) {
    SCOPED_TRACE(s.hidden);
    ++seed;
    const auto shape =
        hand_shape(s.hidden, s.heads, s.kv_heads, s.head_dim, s.ffn, s.layers, s.vocabulary);
    Prompt prompt(5);
    std::iota(prompt.begin(), prompt.end(), 3u);
    for (std::uint32_t& id : prompt) id %= s.vocabulary;
    complete_and_prove(random_model(seed, shape, seed % 2 == 0), prompt, s.proof, 3);
  }
}

TEST(Complete, GreatVocabularies) {
  for (const std::uint32_t vocabulary : {65536u, 65537u, 70001u}) {
    const auto shape = hand_shape(3, 1, 1, 2, 2, 1, vocabulary);
    const HandModel model = random_model(vocabulary, shape);
    const Sampling sampling{.inv_t = 94548, .min_p = 10, .presence = 5};
    complete_and_prove(model, {1, vocabulary - 1}, Proof::kExhaustive, 2, sampling);
    if (!exhaustive()) break;
  }
}

// Positions around the edges of tiles, and windows that cut them.
TEST(Complete, PositionsAndWindows) {
  struct Length {
    std::uint32_t prompt, outputs, window;
    Proof proof = Proof::kExhaustive;
  };
  const Length list[] = {{1, 1, 0},
                         {2, 1, 1},
                         {127, 1, 0},
                         {128, 1, 0},
                         {128, 2, 0},
                         {1, 129, 0},
                         {255, 2, 0},
                         {256, 2, 0},
                         {200, 1, 1},
                         {200, 2, 127},
                         {260, 2, 128},
                         {260, 1, 129},
                         {257, 2, 100, Proof::kAlways},
                         {390, 1, 300}};
  for (const Length& length : list) {
    SCOPED_TRACE(length.prompt);
    auto shape = hand_shape(4, 2, 1, 4, 3, 1, 6);
    shape.window = length.window;
    Prompt prompt(length.prompt);
    for (std::uint32_t t = 0; t < length.prompt; ++t) prompt[t] = t * t % 6;
    auto honest = Honest::answer(random_model(20, shape), prompt, length.outputs, {});
    ASSERT_TRUE(honest);
    EXPECT_EQ(honest->wrong(length.prompt < 130), "");
    prove(*honest, length.proof);
  }
}

}  // namespace
}  // namespace otr::prover

// Log-probabilities against numbers worked out by hand.
#include "node/logprobs.h"

#include <gtest/gtest.h>

#include <cmath>

namespace otr::node {
namespace {

constexpr std::int32_t kUnit = 65536;  // a logit of 1

TEST(Logprobs, OfTheRawLogits) {
  // exp: 1, e, e, 1/e
  const auto logprobs = logprobs_of(std::vector<std::int32_t>{0, kUnit, kUnit, -kUnit}, 3, 3);
  const double total = std::log(1 + 2 * std::exp(1.0) + std::exp(-1.0));
  EXPECT_EQ(logprobs.chosen.id, 3u);
  EXPECT_NEAR(logprobs.chosen.logprob, -1 - total, 1e-12);
  ASSERT_EQ(logprobs.likeliest.size(), 3u);
  const std::uint32_t ids[] = {1, 2, 0};  // of equals the least id first
  const double logits[] = {1, 1, 0};
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(logprobs.likeliest[i].id, ids[i]);
    EXPECT_NEAR(logprobs.likeliest[i].logprob, logits[i] - total, 1e-12);
  }
}

TEST(Logprobs, ProbabilitiesOfAllSumToOne) {
  const auto logprobs =
      logprobs_of(std::vector<std::int32_t>{INT32_MIN, INT32_MAX, 5, -77777, 1 << 20, 3}, 1, 8);
  double sum = 0;
  for (const TokenLogprob& token : logprobs.likeliest) {
    sum += std::exp(token.logprob);
    EXPECT_LE(token.logprob, 0);
  }
  EXPECT_EQ(logprobs.likeliest.size(), 6u);  // there are no more
  EXPECT_NEAR(sum, 1, 1e-12);
}

TEST(Logprobs, NoneOfTheLikeliestIsAllowed) {
  EXPECT_TRUE(logprobs_of(std::vector<std::int32_t>{1, 2}, 0, 0).likeliest.empty());
}

}  // namespace
}  // namespace otr::node

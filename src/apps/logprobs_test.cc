// Log-probabilities against numbers worked out by hand, and what stands beside them.
#include "apps/logprobs.h"

#include <gtest/gtest.h>

#include <cmath>

#include "protocol/toy_receipt.h"

namespace otr::apps {
namespace {

constexpr std::int32_t kUnit = 65536;  // a logit of 1

TEST(Logprobs, OfTheRawLogits) {
  LogprobCollector collector(3);
  // exp: 1, e, e, 1/e
  collector.push_logits(std::vector<std::int32_t>{0, kUnit, kUnit, -kUnit});
  collector.push_token(3);
  const double total = std::log(1 + 2 * std::exp(1.0) + std::exp(-1.0));
  ASSERT_EQ(collector.logprobs().positions.size(), 1u);
  const Logprobs::Position& position = collector.logprobs().positions[0];
  EXPECT_EQ(position.chosen.id, 3u);
  EXPECT_NEAR(position.chosen.logprob, -1 - total, 1e-12);
  ASSERT_EQ(position.likeliest.size(), 3u);
  const std::uint32_t ids[] = {1, 2, 0};  // of equals the least id first
  const double logits[] = {1, 1, 0};
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(position.likeliest[i].id, ids[i]);
    EXPECT_NEAR(position.likeliest[i].logprob, logits[i] - total, 1e-12);
  }
}

TEST(Logprobs, ProbabilitiesOfAllSumToOne) {
  LogprobCollector collector(8);
  collector.push_logits(std::vector<std::int32_t>{INT32_MIN, INT32_MAX, 5, -77777, 1 << 20, 3});
  collector.push_token(1);
  double sum = 0;
  for (const TokenLogprob& token : collector.logprobs().positions[0].likeliest) {
    sum += std::exp(token.logprob);
    EXPECT_LE(token.logprob, 0);
  }
  EXPECT_EQ(collector.logprobs().positions[0].likeliest.size(), 6u);  // there are no more
  EXPECT_NEAR(sum, 1, 1e-12);
}

TEST(Logprobs, NoneOfTheLikeliestIsAllowed) {
  LogprobCollector collector(0);
  collector.push_logits(std::vector<std::int32_t>{1, 2});
  collector.push_token(0);
  EXPECT_TRUE(collector.logprobs().positions[0].likeliest.empty());
}

TEST(Logprobs, AreLabelledAndShowEveryByte) {
  const protocol::ToyModel toy = protocol::toy_model();
  LogprobCollector collector(2);
  collector.push_logits(std::vector<std::int32_t>{0, 0, 0, 9 * kUnit, 0, 0, 0, 0});
  collector.push_token(3);  // half a euro sign
  const std::string text = to_text(collector.logprobs(), toy.model);
  EXPECT_NE(text.find("NOT COVERED BY THE CLAIM"), std::string::npos);
  EXPECT_NE(text.find("-0.0009 \"\ufffd\"   likeliest: -0.0009 \"\ufffd\", -9.0009 \"<end>\""),
            std::string::npos)
      << text;
  const Json json = to_json(collector.logprobs(), toy.model);
  EXPECT_NE(json["note"].get<std::string>().find("NOT COVERED BY THE CLAIM"), std::string::npos);
  EXPECT_EQ(json["tokens"][0]["bytes"], Json({0xe2, 0x82}));
  EXPECT_EQ(json["tokens"][0]["top_logprobs"][1]["token"], "<end>");
  EXPECT_EQ(Json::parse(json.dump()), json);
}

}  // namespace
}  // namespace otr::apps

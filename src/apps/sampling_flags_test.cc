// What a person says of sampling becomes the integers of a request, or an error that names the
// flag.
#include "apps/sampling_flags.h"

#include <gtest/gtest.h>

#include <set>

#include "protocol/request.h"

namespace otr::apps {
namespace {

using Biases = std::vector<machine::LogitBias>;

TEST(SamplingFlags, DefaultsAreGreedyAndWithoutFilters) {
  const auto sampling = to_sampling({});
  ASSERT_TRUE(sampling);
  EXPECT_TRUE(sampling->greedy());
  EXPECT_EQ(sampling->top_k, 0u);
  EXPECT_EQ(sampling->top_p, 65536u);
  EXPECT_EQ(sampling->min_p, 0u);
  EXPECT_TRUE(sampling->logit_bias.empty());
}

TEST(SamplingFlags, NumbersAreUnitsOfTheLogit) {
  const auto sampling = to_sampling({.temperature = 1,
                                     .top_p = 0.5,
                                     .min_p = 0.25,
                                     .top_k = 40,
                                     .presence_penalty = -1.5,
                                     .frequency_penalty = 16,
                                     .logit_bias = {"7=-100", "3=1.5", "5=+0.5", "1=100"},
                                     .seed = "258"});
  ASSERT_TRUE(sampling) << sampling.error().message;
  EXPECT_EQ(sampling->inv_t, 94548u);
  EXPECT_EQ(sampling->top_p, 32768u);
  EXPECT_EQ(sampling->min_p, 16384u);
  EXPECT_EQ(sampling->presence, -98304);
  EXPECT_EQ(sampling->frequency, 1 << 20);
  EXPECT_EQ(sampling->logit_bias,
            (Biases{{1, 100 << 16}, {3, 98304}, {5, 32768}, {7, -100 * 65536}}));
  EXPECT_EQ(sampling->seed[0], 2);
  EXPECT_EQ(sampling->seed[1], 1);
}

// What is accepted here is a valid request's.
TEST(SamplingFlags, EndsOfTheRangesAreValid) {
  for (const double sign : {-1.0, 1.0}) {
    const auto sampling = to_sampling({.temperature = sign < 0 ? 0.006 : 100,
                                       .top_p = sign < 0 ? 0.0 : 1.0,
                                       .min_p = sign < 0 ? 0.0 : 1.0,
                                       .presence_penalty = 16 * sign,
                                       .frequency_penalty = 16 * sign,
                                       .logit_bias = {sign < 0 ? "0=-100" : "0=100"}});
    ASSERT_TRUE(sampling) << sampling.error().message;
    const protocol::Request request{.prompt_count = 1, .max_tokens = 1, .sampling = *sampling};
    EXPECT_TRUE(protocol::check_ranges(request));
  }
}

TEST(SamplingFlags, ABiasOfNothingIsNone) {
  const auto sampling = to_sampling({.logit_bias = {"5=0", "6=-0.0", "7=0.000001", "8=1"}});
  ASSERT_TRUE(sampling);
  EXPECT_EQ(sampling->logit_bias, (Biases{{8, 65536}}));
}

TEST(SamplingFlags, WrongBiasesAreNamed) {
  for (const char* text :
       {"",      "=",    "5",     "5=",           "=1",    "5=x",   "5=1x",    "5= 1",
        " 5=1",  "-5=1", "5=101", "5=-100.001",   "5=nan", "5=inf", "5=-inf",  "5=++1",
        "5=+-1", "5:1",  "5+1",   "4294967296=1", "5.0=1", "0x5=1", "hello=1", "5=1e999"}) {
    const auto sampling = to_sampling({.logit_bias = {text}});
    ASSERT_FALSE(sampling) << text;
    EXPECT_EQ(sampling.error().kind, ErrorKind::kUsage);
    EXPECT_NE(sampling.error().message.find("--logit-bias must be ID=VALUE"), std::string::npos);
  }
  const auto twice = to_sampling({.logit_bias = {"5=1", "6=1", "5=2"}});
  ASSERT_FALSE(twice);
  EXPECT_NE(twice.error().message.find("5 twice"), std::string::npos);
  SamplingFlags many;
  for (int id = 0; id < 300; ++id) many.logit_bias.push_back(std::to_string(id) + "=1");
  EXPECT_TRUE(to_sampling(many));
  many.logit_bias.push_back("300=1");
  EXPECT_FALSE(to_sampling(many));
}

TEST(SamplingFlags, SeveralAnswersHaveTheirOwnSeeds) {
  const auto sampling = to_sampling({.temperature = 1, .seed = "7"});
  ASSERT_TRUE(sampling);
  const auto five = of_answers(*sampling, 5);
  ASSERT_TRUE(five);
  ASSERT_EQ(five->size(), 5u);
  std::set<Hash> seeds;
  for (std::uint32_t i = 0; i < 5; ++i) {
    EXPECT_EQ((*five)[i].seed, protocol::seed_of_answer(sampling->seed, i));
    EXPECT_EQ((*five)[i].inv_t, sampling->inv_t);
    seeds.insert((*five)[i].seed);
  }
  EXPECT_EQ(seeds.size(), 5u);
  // One answer is the first of several.
  EXPECT_EQ(of_answers(*sampling, 1)->front().seed, sampling->seed);
}

TEST(SamplingFlags, SeveralGreedyAnswersWouldBeTheSame) {
  const auto greedy = to_sampling({});
  ASSERT_TRUE(greedy);
  EXPECT_TRUE(of_answers(*greedy, 1));
  const auto refused = of_answers(*greedy, 3);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind, ErrorKind::kUsage);
  EXPECT_NE(refused.error().message.find("--temperature"), std::string::npos);
}

}  // namespace
}  // namespace otr::apps

// Who looks, and who only says so (SPEC SET-36 to SET-39).
#include <gtest/gtest.h>

#include <functional>

#include "sim/canary_node.h"

namespace otr::sim {
namespace {

using ledger::CanaryStatus;

constexpr std::uint64_t kStake = 10'000'000;

class Attention : public ::testing::Test {
 protected:
  OperatorNode& add_canary_operator() {
    return world.add_operator("canaries' operator", kStake, [this](auto& options) {
      options.respond = [this](const auto& receipt, const auto& game, const auto& facts) {
        return canaries.respond(receipt, game, facts);
      };
    });
  }
  CanaryStatus status() { return world.state().canaries.begin()->second.status; }
  bool wait_for(const std::function<bool()>& done) { return world.run_until(done, 120'000); }
  ledger::ClaimKey key_of_canary(OperatorNode& of) { return *world.claim_of(of, canaries.last()); }
  void TearDown() override { EXPECT_EQ(world.chain().broken(), ""); }

  World world{{}};
  crypto::PrivateKey funder = world.funded_key(20'000'000);
  CanaryNode canaries{world, funder};
};

TEST_F(Attention, WhoLooksIsPaidAndWhoDoesNotEarnsNothing) {
  OperatorNode& of = add_canary_operator();
  FishermanNode& awake = world.add_fisherman("awake");
  FishermanNode& lazy =
      world.add_fisherman("lazy", 1'000'000, [](auto& options) { options.check_ppm = 0; });
  const std::uint64_t before = world.balance(awake.key.address());
  const std::uint64_t nothing = world.balance(lazy.key.address());
  ASSERT_TRUE(canaries.post(of));
  ASSERT_TRUE(wait_for([&] { return status() == CanaryStatus::kRevealed; }));
  ASSERT_TRUE(wait_for([&] { return awake.role->gauges().canaries_found == 1; }));
  EXPECT_GT(world.balance(awake.key.address()), before);
  EXPECT_EQ(world.balance(lazy.key.address()), nothing);
  EXPECT_EQ(world.stake(of), kStake);
  EXPECT_EQ(canaries.gauges().found, 1u);
  // The operator goes on, and what it says in earnest counts.
  const auto receipt = world.ask(of);
  ASSERT_TRUE(wait_for([&] {
    const auto key = world.claim_of(of, receipt);
    return key && ledger::is_final(world.state(), *key);
  }));
  EXPECT_FALSE(ledger::is_final(world.state(), key_of_canary(of)));
}

TEST_F(Attention, WhatNobodyFindsIsTakenBackBeforeItIsFinal) {
  OperatorNode& of = add_canary_operator();
  (void)world.add_fisherman("lazy", 1'000'000, [](auto& options) { options.check_ppm = 0; });
  const std::uint64_t before = world.balance(funder.address());
  ASSERT_TRUE(canaries.post(of));
  ASSERT_TRUE(wait_for([&] { return status() == CanaryStatus::kRevealed; }));
  world.run_ms(30'000);
  EXPECT_EQ(canaries.gauges().unfound, 1u);
  EXPECT_FALSE(ledger::is_final(world.state(), key_of_canary(of)));
  EXPECT_EQ(world.state().batches.at(1).status, ledger::BatchStatus::kFinal);
  EXPECT_GE(world.balance(funder.address()) + 2, before) << "all but fees";
  const auto where = rollup::whereabouts_of(world.state(), canaries.last(),
                                            *of.role->posted(canaries.last_hash()));
  ASSERT_TRUE(where);
  EXPECT_EQ(where->standing, rollup::Standing::kCanary);
}

// Kills, losses and delays at any moment: a canary is never forgotten, and never a slash.
TEST(AttentionUnderFaults, NoCanaryIsForgotten) {
  for (std::uint64_t seed = 1; seed <= 6; ++seed) {
    SCOPED_TRACE(seed);
    World world{{.seed = seed}};
    const auto funder = world.funded_key(20'000'000);
    CanaryNode canaries(world, funder);
    OperatorNode& of = world.add_operator("operator", kStake, [&](auto& options) {
      options.respond = [&](const auto& receipt, const auto& game, const auto& facts) {
        return canaries.respond(receipt, game, facts);
      };
    });
    (void)world.add_fisherman("fisherman");
    world.weather().faults = {.lose_request = 50'000,
                              .lose_answer = 50'000,
                              .delay = 100'000,
                              .max_delay_ms = 500,
                              .crash = 10'000};
    ASSERT_TRUE(canaries.post(of));
    world.run_ms(60'000);
    EXPECT_EQ(world.state().canaries.begin()->second.status, CanaryStatus::kRevealed);
    EXPECT_EQ(world.stake(of), kStake);
    EXPECT_EQ(world.chain().broken(), "");
  }
}

TEST_F(Attention, IsSeenByWhoeverComputesAndCannotBeCopied) {
  const auto attentive = [](rollup::FishermanOptions& options) { options.attends = true; };
  OperatorNode& honest = world.add_operator("operator");
  FishermanNode& first = world.add_fisherman("first", 1'000'000, attentive);
  FishermanNode& second = world.add_fisherman("second", 1'000'000, attentive);
  const auto receipt = world.ask(honest);
  ASSERT_TRUE(wait_for([&] { return world.state().attentions.size() == 2; }));
  const crypto::PrivateKey copier = world.funded_key(1'000'000);
  const auto& [key, said] = *world.state().attentions.begin();
  EXPECT_TRUE(world.send(copier, ledger::Attend{key.first.batch, key.first.index, said}));
  ASSERT_TRUE(wait_for([&] {
    return first.role->gauges().attention_false == 1 && second.role->gauges().attention_false == 1;
  }));
  for (FishermanNode* one : {&first, &second}) {
    EXPECT_EQ(one->role->gauges().attended, 1u);
    EXPECT_EQ(one->role->gauges().attention_true, 1u);
  }
}

}  // namespace
}  // namespace otr::sim

// Canaries and attention (SPEC SET-36 to SET-39): what a canary may not become.
#include "ledger/attention.h"

#include <gtest/gtest.h>

#include "ledger/test_fixture.h"

namespace otr::ledger {
namespace {

class AttentionTest : public WorldTest {
 protected:
  AttentionTest() { leaf_.t = 3; }

  // A batch of the operator's with one claim, a canary of kOther's.
  PostedBatch committed(std::uint64_t bond) {
    PostedBatch batch = world.make_batch(world.session.at(kOperator), 1, 70);
    world.must(kOther, CommitCanary{commitment(batch, self().next_sequence), kReward, bond});
    post(batch);
    return batch;
  }
  void post(PostedBatch& batch) {
    EXPECT_TRUE(world.post(kOperator, batch, world.session.at(kOperator))) << world.message;
  }
  Hash commitment(const PostedBatch& batch, std::uint64_t sequence, const Hash& salt = {9}) {
    return canary_commitment({address_of(kOther), address_of(kOperator), sequence}, salt,
                             batch.hashes[0], leaf_hash(leaf_));
  }
  RevealCanary reveal(const PostedBatch& batch, std::uint8_t consents = kClient,
                      const Hash& salt = {9}) {
    const std::uint64_t sequence = world.state.batches.at(batch.number).sequence;
    const Hash digest = consent_digest(world.state.id, commitment(batch, sequence, salt));
    return {salt,
            leaf_hash(leaf_),
            batch.number,
            batch.claims[0],
            batch.requests[0],
            key_of(consents).sign(digest),
            key_of(kOperator).sign(digest)};
  }
  void challenge_leaf(const PostedBatch& batch, std::uint8_t who, const referee::Leaf& leaf) {
    world.must(who, Challenge{batch.number, 0, batch.claims[0], batch.path(0), batch.requests[0]});
    const std::uint64_t number = world.state.games.size();
    const dispute::Move move{.side = dispute::Side::kChallenger,
                             .state = world.state.games.at(number).game_digest,
                             .action = dispute::Challenge{leaf}};
    world.must(who, Move{number, dispute::encode_move(move)});
  }
  void make_final(const PostedBatch& batch) {
    while (world.state.revealed_round < world.state.batches.at(batch.number).round) {
      world.pass(1000);
      ASSERT_TRUE(world.reveal()) << world.message;
    }
    for (std::uint32_t i = 0; i < batch.hashes.size(); ++i) {
      world.send(kOperator,
                 AnswerDraw{batch.number, i, batch.hashes[i], batch.path(i), 2, Hash{5}});
    }
    world.pass(world.state.parameters[0].window + world.state.parameters[0].draw +
               world.state.parameters[0].report);
    world.must(kFisherman, Finalise{batch.number});
  }
  std::uint64_t slash_burns() { return split_of(world.state.parameters[0], self().stake).burned; }

  static constexpr std::uint64_t kReward = 30'001;
  referee::Leaf leaf_;
};

TEST_F(AttentionTest, WhoNamesTheLeafFirstIsPaidAndNobodyIsSlashed) {
  const PostedBatch batch = committed(slash_burns());
  referee::Leaf other = leaf_;
  other.t = 4;
  challenge_leaf(batch, kClient, other);
  challenge_leaf(batch, kFisherman, leaf_);
  challenge_leaf(batch, kOperator, leaf_);
  const std::uint64_t fisherman = balance(kFisherman), funder = balance(kOther);
  const std::uint64_t burned = split_of(world.state.parameters[0], kReward).burned;
  EXPECT_EQ(burned, (kReward + 1) / 2) << "half, rounded up";
  const std::uint64_t bond = world.state.canaries.begin()->second.bond;
  world.must(kOther, reveal(batch));
  EXPECT_EQ(balance(kFisherman), fisherman + kReward - burned);
  EXPECT_EQ(balance(kOther), funder + bond - 1);
  EXPECT_EQ(self().epoch, 0u);
  // All games end without a loss, and the batch without the claim.
  const std::uint64_t games = world.state.games.size();
  for (std::uint64_t game = 1; game <= games; ++game) world.must(kClient, CloseGame{game});
  make_final(batch);
  EXPECT_EQ(self().reserved, 0u);
  EXPECT_FALSE(is_final(world.state, {batch.number, 0}));
  EXPECT_EQ(world.state.attributions.begin()->second.final_claims, 0u);
}

TEST_F(AttentionTest, ACheatCannotInsureItself) {
  // Its client is another: no consent, no canary.
  const PostedBatch batch = committed(slash_burns());
  refused(kOther, reveal(batch, kOther), "REQUEST_SIGNATURE");
  // Not committed to before the batch.
  const std::uint64_t sequence = world.state.batches.at(batch.number).sequence;
  world.must(kOther, CommitCanary{commitment(batch, sequence, {8}), kReward, slash_burns()});
  refused(kOther, reveal(batch, kClient, {8}), "CANARY_MISMATCH");
  // Not found out, and so not revealed: it loses what a slash burns, and the reward.
  make_final(batch);
  refused(kOther, reveal(batch), "BAD_STATE");
  // Nor does the same claim in another batch help.
  PostedBatch again = world.make_batch(world.session.at(kOperator), 1, 70);
  post(again);
  refused(kOther, reveal(again), "UNKNOWN");
  world.pass(world.state.parameters[0].unbond);
  const std::uint64_t before = world.state.burned, bond = slash_burns();
  world.must(kClient, MissCanary{address_of(kOther), commitment(batch, sequence)});
  EXPECT_EQ(world.state.burned, before + bond + kReward + 1);
}

TEST_F(AttentionTest, ABondBelowWhatASlashBurnsVoidsNothing) {
  const PostedBatch batch = committed(slash_burns() - 1);
  refused(kOther, reveal(batch), "STAKE_TOO_LOW");
  // Nor with a stake that moved out of sight.
  world.must(kOperator, Unstake{self().free_stake()});
  refused(kOther, reveal(batch), "STAKE_TOO_LOW");
}

TEST_F(AttentionTest, AHeldCanaryOfAFinalBatchIsStillRevealedAndItsReserveReturns) {
  const PostedBatch batch = committed(slash_burns());
  challenge_leaf(batch, kFisherman, leaf_);
  make_final(batch);
  EXPECT_GT(self().reserved, 0u);
  world.must(kOther, reveal(batch));
  world.must(kClient, CloseGame{1});
  EXPECT_EQ(self().reserved, 0u);
  EXPECT_FALSE(is_final(world.state, {batch.number, 0}));
}

// It has cost the slash; what lay beside it returns, less the reward for who found it.
TEST_F(AttentionTest, ACanaryThatWasProvenFalseFirstIsASlash) {
  const PostedBatch batch = committed(slash_burns());
  challenge_leaf(batch, kFisherman, leaf_);
  const dispute::Move move{.side = dispute::Side::kWorker,
                           .state = world.state.games.at(1).game_digest,
                           .action = dispute::Concede{}};
  world.must(kOperator, Move{1, dispute::encode_move(move)});
  EXPECT_EQ(self().epoch, 1u);
  const std::uint64_t bond = world.state.canaries.begin()->second.bond;
  const std::uint64_t before = balance(kOther);
  world.must(kOther, reveal(batch));
  EXPECT_EQ(balance(kOther), before + bond - 1);
  EXPECT_FALSE(world.state.claims.at({batch.number, 0}).canary);
}

// What was found out is not free, whatever leaf was written down and however quick the reveal is.
TEST_F(AttentionTest, WhoWasChallengedHasNoRewardBack) {
  for (const bool has_leaf : {false, true}) {
    PostedBatch batch = world.make_batch(world.session.at(kOperator), 1, has_leaf ? 80 : 90);
    const std::uint64_t bond = slash_burns();
    world.must(kOther, CommitCanary{commitment(batch, self().next_sequence), kReward, bond});
    post(batch);
    referee::Leaf other = leaf_;
    other.t = 5;
    if (has_leaf) {
      challenge_leaf(batch, kFisherman, other);
    } else {
      world.must(kFisherman, DemandClaim{batch.number, 0});
    }
    const std::uint64_t before = balance(kOther), burned = world.state.burned;
    world.must(kOther, reveal(batch));
    EXPECT_EQ(balance(kOther), before + bond - 1);
    EXPECT_EQ(world.state.burned, burned + kReward + 1);
  }
}

TEST_F(AttentionTest, FindingOnesOwnCanaryCosts) {
  const PostedBatch batch = committed(slash_burns());
  const std::uint64_t before = balance(kOther);
  challenge_leaf(batch, kOther, leaf_);
  world.must(kOther, reveal(batch));
  world.must(kOther, CloseGame{1});
  EXPECT_LT(balance(kOther), before + slash_burns() + kReward - kReward / 2);
}

}  // namespace
}  // namespace otr::ledger

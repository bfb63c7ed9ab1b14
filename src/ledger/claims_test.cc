// What happens to claims: finality, force, equivocation, draws, games and slashes; and everything
// at once, at random.
#include <gtest/gtest.h>

#include <random>

#include "dispute/game.h"
#include "ledger/invariants.h"
#include "ledger/test_fixture.h"
#include "protocol/eip712.h"

namespace otr::ledger {
namespace {

class ClaimsTest : public WorldTest {
 protected:
  PostedBatch posted(std::uint32_t count, std::uint64_t counter = 0, std::uint8_t mode = 0) {
    const Hash session = world.session[kOperator];
    PostedBatch batch;
    for (std::uint32_t i = 0; i < count; ++i) {
      batch.requests.push_back(world.request(counter + i, mode));
      batch.claims.push_back(world.claim(batch.requests.back(), session));
      batch.hashes.push_back(protocol::digest_of(batch.claims.back(), world.state.id));
      batch.tree.append(batch.hashes.back());
    }
    EXPECT_TRUE(world.post(kOperator, batch, session)) << world.message;
    return batch;
  }
  Force force(const PostedBatch& batch, std::uint32_t i) {
    Force body{.claim = batch.claims[i], .request = batch.requests[i]};
    const Hash ledger = world.state.id;
    body.claim_signature = key_of(kSessionKey).sign(batch.hashes[i]);
    body.countersignature =
        key_of(kOperator).sign(protocol::countersignature_digest(batch.hashes[i], ledger));
    body.request_signature = key_of(kClient).sign(protocol::digest_of(batch.requests[i], ledger));
    return body;
  }
  Challenge challenge(const PostedBatch& batch, std::uint32_t i) {
    return {batch.number, i, batch.claims[i], batch.path(i), batch.requests[i]};
  }
  Body move(std::uint64_t game, dispute::Side side, dispute::Action action) {
    return Move{game, dispute::encode_move({.side = side,
                                            .state = world.state.games.at(game).game_digest,
                                            .action = std::move(action)})};
  }
  void reveal_round_of(const PostedBatch& batch) {
    while (world.state.revealed_round < world.state.batches.at(batch.number).round) {
      world.pass(1000);
      ASSERT_TRUE(world.reveal()) << world.message;
    }
  }
  // The slash of everything `amount` gave: half burned, 30 % to the reporter.
  void expect_slashed(std::uint64_t epoch) {
    EXPECT_EQ(self().epoch, epoch + 1);
    EXPECT_EQ(self().stake + self().unbonding + self().reserved, 0u);
  }
};

TEST_F(ClaimsTest, BatchesBecomeFinalInOrderAfterWindowAndDraw) {
  const PostedBatch first = posted(2), second = posted(2, 10);
  world.pass(world.state.parameters[0].window);
  refused(kFisherman, Finalise{first.number}, "TOO_EARLY");
  reveal_round_of(second);
  refused(kFisherman, Finalise{first.number}, "TOO_EARLY");
  world.pass(world.state.parameters[0].draw + world.state.parameters[0].report);
  refused(kFisherman, Finalise{second.number}, "BAD_STATE");
  EXPECT_FALSE(is_final(world.state, {first.number, 0}));
  world.must(kFisherman, Finalise{first.number});
  EXPECT_TRUE(is_final(world.state, {first.number, 0}));
  refused(kFisherman, Finalise{first.number}, "BAD_STATE");
  world.must(kFisherman, Finalise{second.number});
  EXPECT_EQ(self().reserved, 0u);
  refused(kFisherman, challenge(first, 0), "BAD_STATE");
}

TEST_F(ClaimsTest, ALateBeaconDelaysAndADeadOneIsSaid) {
  const PostedBatch batch = posted(2);
  world.pass(world.state.parameters[0].beacon_dead - 1);
  refused(kFisherman, Finalise{batch.number}, "TOO_EARLY");
  refused(kFisherman, MissDraw{batch.number, 0}, "NOT_DRAWN");
  world.pass(1);
  world.must(kFisherman, Finalise{batch.number});
  EXPECT_EQ(world.events[0].kind, EventKind::kBatchFinalNotDrawn);
  refused(kAuditor, ReplaceBeacon{Hash{1}}, "NOT_ALLOWED");
  world.must(kGovernor, ReplaceBeacon{Hash{1}});
  refused(kGovernor, ReplaceBeacon{Hash{1}}, "TOO_EARLY");
}

TEST_F(ClaimsTest, WrongBatchesAreRefused) {
  PostedBatch batch = world.make_batch(world.session[kOperator], 2, 0);
  EXPECT_FALSE(world.post(kOther, batch, world.session[kOperator]));
  EXPECT_EQ(world.code, "NOT_ALLOWED");
  const Hash root = batch_root(batch.hashes), session = world.session[kOperator];
  refused(kFisherman, PostBatch{session, 0, root, 2, 1}, "STAKE_TOO_LOW");
  refused(kOperator, PostBatch{session, 1, root, 2, 1}, "NONCE");
  refused(kOperator, PostBatch{session, 0, root, 0, 1}, "BAD_AMOUNT");
  refused(kOperator, PostBatch{session, 0, root, 4097, 1}, "BAD_AMOUNT");
  refused(kOperator, PostBatch{session, 0, root, 2, 0}, "BAD_AMOUNT");
  refused(kOperator, PostBatch{session, 0, root, 2, kMaxValue + 1}, "BAD_AMOUNT");
  refused(kOperator, PostBatch{session, 0, root, 2, kMaxValue}, "STAKE_TOO_LOW");
  refused(kOperator, PostBatch{Hash{1}, 0, root, 2, 1}, "UNKNOWN");
  world.pass(2 * 86'400'000);
  refused(kOperator, PostBatch{session, 0, root, 2, 1}, "SESSION_EXPIRED");
}

TEST_F(ClaimsTest, ForcedClaimsArePostedOrCostTheStake) {
  const PostedBatch late = world.make_batch(world.session[kOperator], 2, 0);
  const std::uint64_t bond = world.state.parameters[0].force_bond;
  world.must(kClient, force(late, 0));
  world.must(kClient, force(late, 1));
  refused(kClient, force(late, 0), "EXISTS");
  refused(kClient, ForceMissed{late.hashes[0]}, "TOO_EARLY");
  world.pass(1);
  PostedBatch batch = world.make_batch(world.session[kOperator], 1, 0);
  ASSERT_TRUE(world.post(kOperator, batch, world.session[kOperator]));
  const std::uint64_t before = balance(kClient);
  refused(kOperator, ForceAnswer{late.hashes[1], batch.number, 0, batch.path(0)}, "PATH_INVALID");
  world.must(kOperator, ForceAnswer{late.hashes[0], batch.number, 0, batch.path(0)});
  EXPECT_EQ(balance(kClient), before + bond) << "it was not posted before";
  refused(kOperator, ForceAnswer{late.hashes[0], batch.number, 0, batch.path(0)}, "BAD_STATE");
  world.pass(world.state.parameters[0].force + 1);
  const std::uint64_t epoch = self().epoch, stake = self().stake, burned = world.state.burned;
  world.must(kFisherman, ForceMissed{late.hashes[1]});
  expect_slashed(epoch);
  EXPECT_EQ(world.state.burned, burned + stake / 2 + 1);
  EXPECT_EQ(balance(kClient), before + 2 * bond + stake / 2) << "reporter and client are one here";
  refused(kFisherman, ForceMissed{late.hashes[1]}, "BAD_STATE");
  refused(kFisherman, Finalise{batch.number}, "STALE_EPOCH");
  world.must(kClient, Refund{address_of(kOperator)});
}

TEST_F(ClaimsTest, AFalseAlarmPaysNobody) {
  const PostedBatch batch = posted(1);
  world.pass(1);
  world.must(kClient, force(batch, 0));
  const std::uint64_t before = balance(kOperator);
  world.must(kFisherman, ForceAnswer{batch.hashes[0], batch.number, 0, {}});
  EXPECT_EQ(balance(kOperator), before);
}

// Or who ends a session, or voids a model, is rid of what was countersigned under it.
TEST_F(ClaimsTest, WhatIsCountersignedIsPostedBehindAnEnd) {
  const PostedBatch batch = world.make_batch(world.session[kOperator], 2, 0);
  world.must(kOperator, RevokeSession{world.session[kOperator]});
  refused(kOperator, RevokeSession{world.session[kOperator]}, "BAD_STATE");
  world.state.models.at(world.model).voided_at = world.now;
  world.must(kClient, force(batch, 0));
  world.must(kClient, force(batch, 1));
  PostedBatch late = batch;
  ASSERT_TRUE(world.post(kOperator, late, world.session[kOperator])) << world.message;
  world.must(kOperator, ForceAnswer{batch.hashes[0], late.number, 0, late.path(0)});
  world.pass(world.state.parameters[0].force + 1);
  refused(kClient, force(world.make_batch(world.session[kOperator], 1, 5), 0), "SESSION_EXPIRED");
  const std::uint64_t epoch = self().epoch;
  world.must(kClient, ForceMissed{batch.hashes[1]});
  expect_slashed(epoch);
}

TEST_F(ClaimsTest, NobodyIsSlashedForARevokedSession) {
  const PostedBatch batch = world.make_batch(world.session[kOperator], 1, 0);
  world.must(kClient, force(batch, 0));
  world.must(kAuditor, RevokeRuntime{Hash{kOperator}});
  refused(kAuditor, RevokeRuntime{Hash{kOperator}}, "BAD_STATE");
  world.pass(world.state.parameters[0].force + 1);
  world.must(kClient, ForceMissed{batch.hashes[0]});
  EXPECT_EQ(self().epoch, 0u);
  refused(kClient, force(world.make_batch(world.session[kOperator], 1, 5), 0), "SESSION_REVOKED");
}

TEST_F(ClaimsTest, ForcedClaimsNeedAllSignatures) {
  const PostedBatch batch = world.make_batch(world.session[kOperator], 1, 0);
  Force body = force(batch, 0);
  body.claim_signature = body.countersignature;
  refused(kClient, body, "CLAIM_SIGNATURE");
  body = force(batch, 0);
  body.countersignature = body.claim_signature;
  refused(kClient, body, "COUNTERSIGNATURE");  // a thief of the enclave's key burns nobody
  body = force(batch, 0);
  body.request_signature = body.claim_signature;
  refused(kClient, body, "REQUEST_SIGNATURE");
  body = force(batch, 0);
  body.request = world.request(77);
  refused(kClient, body, "REQUEST_HASH_MISMATCH");
  body = force(batch, 0);
  body.claim.checkpoint = 1;
  body.claim_signature = key_of(kSessionKey).sign(protocol::digest_of(body.claim, world.state.id));
  body.countersignature = key_of(kOperator).sign(protocol::countersignature_digest(
      protocol::digest_of(body.claim, world.state.id), world.state.id));
  refused(kClient, body, "CHECKPOINT_MISMATCH");
}

TEST_F(ClaimsTest, EquivocationCostsTheStakeOnce) {
  const protocol::Claim a = world.claim(world.request(1), world.session[kOperator]);
  const auto sign_one = [&](const protocol::Claim& claim, std::uint8_t who = kOperator) {
    return key_of(who).sign(protocol::countersignature_digest(
        protocol::digest_of(claim, world.state.id), world.state.id));
  };
  protocol::Claim b = a;
  b.session = {1};
  b.checkpoint = 5;
  refused(kFisherman, Equivocate{a, sign_one(a), b, sign_one(b)}, "NOT_EQUIVOCATION");
  b.trace_root = {99};
  refused(kFisherman, Equivocate{a, sign_one(a), b, sign_one(b, kOther)}, "NOT_EQUIVOCATION");
  refused(kFisherman, Equivocate{a, sign_one(a), b, sign_one(b, kSessionKey)}, "COUNTERSIGNATURE");
  protocol::Claim other = b;
  other.request_hash = {1};
  refused(kFisherman, Equivocate{a, sign_one(a), other, sign_one(other)}, "NOT_EQUIVOCATION");
  const std::uint64_t epoch = self().epoch, stake = self().stake, before = balance(kFisherman);
  world.must(kFisherman, Equivocate{a, sign_one(a), b, sign_one(b)});
  expect_slashed(epoch);
  EXPECT_EQ(balance(kFisherman), before + stake * 3 / 10 - 1);
  world.must(kOperator, Stake{5'000'000});
  refused(kFisherman, Equivocate{b, sign_one(b), a, sign_one(a)}, "EXISTS");
}

TEST_F(ClaimsTest, UnbondingStakeIsSlashedToo) {
  world.must(kOperator, Unstake{9'000'000});
  protocol::Claim a = world.claim(world.request(1), world.session[kOperator]), b = a;
  b.finish_reason = 3;
  const auto sign_one = [&](const protocol::Claim& claim) {
    return key_of(kOperator).sign(protocol::countersignature_digest(
        protocol::digest_of(claim, world.state.id), world.state.id));
  };
  world.must(kFisherman, Equivocate{a, sign_one(a), b, sign_one(b)});
  world.pass(world.state.parameters[0].unbond);
  refused(kOperator, Release{}, "BAD_STATE");
}

TEST_F(ClaimsTest, DrawnClaimsAreAnsweredOrCostTheStake) {
  const PostedBatch batch = posted(32);
  reveal_round_of(batch);
  const Batch& entry = world.state.batches.at(batch.number);
  std::vector<std::uint32_t> drawn;
  std::optional<std::uint32_t> spared;
  for (std::uint32_t i = 0; i < 32; ++i) {
    if (*is_drawn(world.state, entry, i)) {
      drawn.push_back(i);
    } else {
      spared = i;
    }
  }
  ASSERT_GE(drawn.size(), 2u);
  ASSERT_TRUE(spared);
  const std::uint32_t i = drawn[0];
  refused(kFisherman, AnswerDraw{batch.number, i, batch.hashes[i], batch.path(i), 2, {}},
          "NOT_ALLOWED");
  refused(kOperator, AnswerDraw{batch.number, i, batch.hashes[i], batch.path(i), 3, {}},
          "BAD_AMOUNT");
  refused(kOperator, AnswerDraw{batch.number, i, Hash{1}, batch.path(i), 2, {}}, "PATH_INVALID");
  world.must(kOperator, AnswerDraw{batch.number, i, batch.hashes[i], batch.path(i), 2, Hash{5}});
  refused(kOperator, AnswerDraw{batch.number, i, batch.hashes[i], batch.path(i), 2, Hash{5}},
          "EXISTS");
  world.pass(world.state.parameters[0].draw + 1);
  refused(kFisherman, MissDraw{batch.number, i}, "BAD_STATE");
  refused(kFisherman, MissDraw{batch.number, *spared}, "NOT_DRAWN");
  const std::uint64_t epoch = self().epoch;
  world.must(kFisherman, MissDraw{batch.number, drawn[1]});
  expect_slashed(epoch);
  refused(kFisherman, MissDraw{batch.number, drawn[1]}, "BAD_STATE");
}

TEST_F(ClaimsTest, AQuorumChecksAndNeverJudges) {
  const PostedBatch batch = posted(1);
  reveal_round_of(batch);
  CheckDraw body{batch.number, 0, batch.hashes[0], {}, 2, Hash{5}, {}};
  refused(kFisherman, body, "UNKNOWN");
  world.must(kOperator, AnswerDraw{batch.number, 0, batch.hashes[0], {}, 2, Hash{5}});
  const Hash digest =
      check_digest(world.state.id, body, world.state.batches.at(batch.number).round);
  const ClaimEntry& entry = world.state.claims.at({batch.number, 0});
  refused(kFisherman, body, "QUORUM_MISSING");
  body.signatures = {key_of(kFisherman).sign(digest)};
  refused(kFisherman, body, "QUORUM_MISSING");
  body.signatures = {key_of(kCheckerA).sign(digest), key_of(kCheckerA).sign(digest)};
  world.must(kFisherman, body);
  EXPECT_FALSE(entry.checked);
  refused(kFisherman, body, "QUORUM_MISSING");
  body.signatures[1] = key_of(kCheckerC).sign(digest);
  world.must(kFisherman, body);
  EXPECT_TRUE(entry.checked);
  refused(kFisherman, body, "BAD_STATE");
}

TEST_F(ClaimsTest, RevealsAreTheChainAgainstTheLastCheckpoint) {
  const Hash tip = world.state.tip;
  refused(kAuditor, Reveal{1, Hash{1}, 0, tip}, "BEACON_MISMATCH");
  refused(kClient, Reveal{1, Hash{1}, 0, tip}, "NOT_ALLOWED");
  EXPECT_FALSE(world.reveal()) << "the interval has not passed";
  EXPECT_EQ(world.code, "TOO_EARLY");
  world.pass(1000);
  EXPECT_TRUE(world.reveal());
  EXPECT_FALSE(world.reveal());
  EXPECT_EQ(world.code, "TOO_EARLY");
}

TEST_F(ClaimsTest, AConcedingWorkerLosesEverythingAndTheReporterIsPaid) {
  const PostedBatch batch = posted(3);
  world.must(kFisherman, challenge(batch, 1));
  const std::uint64_t before = balance(kFisherman), client = balance(kClient);
  const std::uint64_t stake = self().stake, bond = world.state.parameters[0].challenge_bond;
  world.must(kClient, challenge(batch, 1));
  EXPECT_EQ(world.state.games.at(2).bond, bond + bond / 4);
  refused(kFisherman, move(1, dispute::Side::kWorker, dispute::Concede{}), "NOT_ALLOWED");
  refused(kOperator, move(1, dispute::Side::kChallenger, dispute::Concede{}), "NOT_ALLOWED");
  refused(kOperator, Move{1, Bytes{1, 2, 3}}, "MALFORMED");
  world.must(kFisherman,
             move(1, dispute::Side::kChallenger, dispute::Challenge{referee::Leaf{.t = 3}}));
  world.must(kOperator, move(1, dispute::Side::kWorker, dispute::Concede{}));
  EXPECT_EQ(self().epoch, 1u);
  EXPECT_EQ(balance(kFisherman), before + bond + stake * 3 / 10 - 1);
  refused(kOperator, move(1, dispute::Side::kWorker, dispute::Concede{}), "BAD_STATE");
  refused(kFisherman, challenge(batch, 0), "BAD_STATE");
  refused(kClient, move(2, dispute::Side::kChallenger, dispute::Concede{}), "BAD_STATE");
  world.must(kClient, CloseGame{2});
  EXPECT_EQ(balance(kClient), client + stake / 5 - 2)
      << "the other game is moot: its bond comes back; the client's share is a fifth";
  EXPECT_FALSE(is_final(world.state, {batch.number, 1}));
}

TEST_F(ClaimsTest, AWithdrawnChallengeCostsAFee) {
  const PostedBatch batch = posted(1);
  const std::uint64_t before = balance(kFisherman), own = balance(kOperator);
  world.must(kFisherman, challenge(batch, 0));
  world.must(kFisherman, move(1, dispute::Side::kChallenger, dispute::Concede{}));
  EXPECT_EQ(balance(kFisherman), before - world.state.parameters[0].force_bond - 2);
  EXPECT_EQ(balance(kOperator), own) << "nobody earns by it";
  refused(kFisherman, CloseGame{1}, "BAD_STATE");
}

// Or who registered a bad model could end the games about its own lies.
TEST_F(ClaimsTest, AVoidModelEndsNoGame) {
  const PostedBatch batch = posted(2);
  world.must(kFisherman, challenge(batch, 0));
  world.must(kFisherman, DemandClaim{batch.number, 1});
  world.state.models.at(world.model).voided_at = world.now;
  refused(kOperator, CloseGame{1}, "CLOCK_RUNNING");
  refused(kOperator, CloseGame{2}, "TOO_EARLY");
  world.must(kFisherman, challenge(batch, 0));
  const std::uint64_t epoch = self().epoch;
  world.pass(world.state.parameters[0].worker_clock + 1);
  world.must(kFisherman, CloseGame{2});
  expect_slashed(epoch);
}

TEST_F(ClaimsTest, AHeldClaimWaitsAndNoOtherDoes) {
  const PostedBatch batch = posted(3);
  const std::uint64_t reserve = world.state.batches.at(batch.number).reserve;
  world.must(kFisherman, challenge(batch, 1));
  reveal_round_of(batch);
  for (std::uint32_t i = 0; i < 3; ++i) {
    world.must(kOperator, AnswerDraw{batch.number, i, batch.hashes[i], batch.path(i), 2, {}});
  }
  world.pass(5000);
  world.must(kFisherman, Finalise{batch.number});
  EXPECT_TRUE(is_final(world.state, {batch.number, 0}));
  EXPECT_FALSE(is_final(world.state, {batch.number, 1}));
  EXPECT_EQ(self().reserved, reserve);
  // The challenger sleeps; its clock ends and the claim is final.
  refused(kOperator, CloseGame{1}, "CLOCK_RUNNING");
  world.pass(world.state.parameters[0].challenger_clock);
  const std::uint64_t before = balance(kOperator), burned = world.state.burned;
  const std::uint64_t bond = world.state.games.at(1).bond;
  world.must(kOperator, CloseGame{1});
  EXPECT_TRUE(is_final(world.state, {batch.number, 1}));
  EXPECT_EQ(self().reserved, 0u);
  EXPECT_EQ(balance(kOperator), before + bond / 2 - 1);
  EXPECT_EQ(world.state.burned, burned + (bond - bond / 2) + 1);
}

TEST_F(ClaimsTest, AWithheldClaimIsShownOrCostsTheStake) {
  const PostedBatch batch = posted(2);
  world.must(kFisherman, DemandClaim{batch.number, 0});
  world.must(kFisherman, DemandClaim{batch.number, 1});
  refused(kFisherman, move(1, dispute::Side::kChallenger, dispute::Concede{}), "BAD_STATE");
  refused(kOperator, RevealClaim{1, batch.claims[1], batch.path(1), batch.requests[1]},
          "PATH_INVALID");
  refused(kOperator, RevealClaim{1, batch.claims[0], batch.path(0), batch.requests[1]},
          "REQUEST_HASH_MISMATCH");
  world.must(kOperator, RevealClaim{1, batch.claims[0], batch.path(0), batch.requests[0]});
  refused(kOperator, RevealClaim{1, batch.claims[0], batch.path(0), batch.requests[0]},
          "BAD_STATE");
  world.must(kFisherman,
             move(1, dispute::Side::kChallenger, dispute::Challenge{referee::Leaf{.t = 3}}));
  refused(kFisherman, CloseGame{2}, "TOO_EARLY");
  world.pass(world.state.parameters[0].worker_clock + 1);
  refused(kOperator, RevealClaim{2, batch.claims[1], batch.path(1), batch.requests[1]}, "TOO_LATE");
  world.must(kFisherman, CloseGame{2});
  expect_slashed(0);
  world.must(kFisherman, CloseGame{1});
  EXPECT_EQ(world.state.games.at(1).game.phase, dispute::Phase::kMoot);
}

TEST_F(ClaimsTest, SealedAnswersAreChallengedByTheirClientAlone) {
  const PostedBatch batch = posted(1, 0, 1);
  refused(kFisherman, challenge(batch, 0), "NOT_ALLOWED");
  world.must(kClient, challenge(batch, 0));
  world.must(kFisherman, DemandClaim{batch.number, 0});
  world.must(kOperator, RevealClaim{2, batch.claims[0], {}, batch.requests[0]});
  EXPECT_EQ(world.state.games.at(2).stage, Stage::kEnded);
}

TEST_F(ClaimsTest, ChallengesComeInTheWindow) {
  const PostedBatch batch = posted(2);
  Challenge other = challenge(batch, 0);
  other.index = 1;
  refused(kFisherman, other, "PATH_INVALID");
  other = challenge(batch, 0);
  other.request = world.request(9);
  refused(kFisherman, other, "REQUEST_HASH_MISMATCH");
  world.pass(world.state.parameters[0].window - 1);
  world.must(kFisherman, challenge(batch, 0));
  world.pass(1);
  refused(kFisherman, challenge(batch, 0), "TOO_LATE");
  refused(kFisherman, DemandClaim{batch.number, 0}, "TOO_LATE");
}

TEST_F(ClaimsTest, AnEmergencyStretchesTheWindowAndPaysOnlyWhatWasChecked) {
  const PostedBatch batch = posted(1);
  world.must(kAuditor, RevokeSession{world.session[kOperator]});
  reveal_round_of(batch);
  world.must(kOperator, AnswerDraw{batch.number, 0, batch.hashes[0], {}, 2, {}});
  world.pass(world.state.parameters[0].window);
  refused(kFisherman, Finalise{batch.number}, "TOO_EARLY");
  world.must(kFisherman, DemandClaim{batch.number, 0});
  world.must(kOperator, RevealClaim{1, batch.claims[0], {}, batch.requests[0]});
  world.must(kFisherman, move(1, dispute::Side::kChallenger, dispute::Concede{}));
  world.pass(3 * world.state.parameters[0].window);
  world.must(kFisherman, Finalise{batch.number});
  refused(kFisherman,
          Settle{batch.number,
                 0,
                 batch.claims[0],
                 {},
                 batch.requests[0],
                 key_of(kClient).sign(protocol::digest_of(batch.requests[0], world.state.id)),
                 {}},
          "SESSION_REVOKED");
}

TEST(Draws, SelectWithTheRateAsked) {
  std::uint32_t drawn = 0;
  for (std::uint32_t i = 0; i < 4096; ++i) drawn += is_drawn(Hash{1}, Hash{2}, i, 50'000) ? 1 : 0;
  EXPECT_NEAR(drawn, 4096 * 0.05, 50);
  EXPECT_FALSE(is_drawn(Hash{1}, Hash{2}, 0, 0));
  EXPECT_TRUE(is_drawn(Hash{1}, Hash{2}, 0, kMillion)) << "rate 1 draws all";
}

class Generator : public Chooser {
 public:
  explicit Generator(std::uint64_t seed) : generator_(seed) {}
  std::uint64_t below(std::uint64_t bound) override { return generator_() % bound; }

 private:
  std::mt19937_64 generator_;
};

TEST(Random, SequencesKeepEveryInvariant) {
  std::size_t taken = 0;
  for (std::uint64_t seed = 1; seed <= 6; ++seed) {
    World world(artifact());
    Generator generator(seed);
    std::vector<PostedBatch> batches;
    for (int i = 0; i < 500; ++i) {
      random_step(world, generator, batches);
      ASSERT_EQ(world.failure, "") << "seed " << seed << ", step " << i;
    }
    taken += world.log.size();
    State replay = genesis_state(world.genesis).value();
    for (const auto& [time, bytes] : world.log) ASSERT_TRUE(apply(replay, bytes, time));
    EXPECT_EQ(digest_of(replay), digest_of(world.state));
  }
  EXPECT_GT(taken, 500u) << "the generator does too little that is allowed";
}

}  // namespace
}  // namespace otr::ledger

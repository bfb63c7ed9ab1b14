// The whole rollup, by its real roles: honest answers become final and paid, lies are caught and
// slashed, and nobody honest loses a bond.
#include <gtest/gtest.h>

#include "ledger/parameters.h"
#include "sim/world.h"

namespace otr::sim {
namespace {

using ledger::BatchStatus;

bool is_final(World& world, OperatorNode& of, const protocol::Receipt& receipt) {
  const auto key = world.claim_of(of, receipt);
  return key && ledger::is_final(world.state(), *key);
}

TEST(Story, AnHonestAnswerBecomesFinalAndIsPaid) {
  World world({});
  OperatorNode& honest = world.add_operator("operator");
  FishermanNode& fisherman = world.add_fisherman("fisherman");
  const std::uint64_t before = world.balance(honest.signers.operator_key.address());
  std::vector<protocol::Receipt> receipts;
  for (int i = 0; i < 5; ++i) receipts.push_back(world.ask(honest));
  ASSERT_TRUE(world.run_until([&] { return is_final(world, honest, receipts.back()); }, 60'000))
      << honest.role->gauges().last_refusal << honest.node->last_error;
  world.run_ms(2000);
  for (const auto& receipt : receipts) {
    EXPECT_TRUE(is_final(world, honest, receipt));
    EXPECT_TRUE(world.state().settled_requests.contains(
        {receipt.claim.request_hash, receipt.operator_address}));
  }
  EXPECT_EQ(fisherman.role->gauges().agreed, 5u);
  EXPECT_EQ(fisherman.role->gauges().games_open, 0u);
  EXPECT_EQ(world.state().games.size(), 0u);
  EXPECT_GT(world.balance(honest.signers.operator_key.address()), before);
  EXPECT_EQ(world.stake(honest), 10'000'000u);
  EXPECT_EQ(world.chain().broken(), "");
}

// What a channel cannot pay is asked for again when something was added to it, and not before.
TEST(Story, AnAnswerIsPaidOnceTheDepositSuffices) {
  World world({});
  OperatorNode& honest = world.add_operator("operator");
  const crypto::PrivateKey client = world.funded_key(100'000);
  const crypto::Address to = honest.signers.operator_key.address();
  ASSERT_TRUE(world.send(client, ledger::Deposit{to, 1}));
  const auto receipt =
      answer_honestly(world.weights(),
                      make_request(world.weights(), client, 1, world.prompt(), 6, world.state().id),
                      world.prompt(), honest.signers);
  world.give(honest, receipt);
  ASSERT_TRUE(world.run_until([&] { return is_final(world, honest, receipt); }, 60'000));
  world.run_ms(5000);
  const auto is_paid = [&] {
    return world.state().settled_requests.contains(
        {receipt.claim.request_hash, receipt.operator_address});
  };
  EXPECT_FALSE(is_paid());
  EXPECT_EQ(honest.role->gauges().refused, 0u) << honest.role->gauges().last_refusal;
  ASSERT_TRUE(world.send(client, ledger::Deposit{to, 1000}));
  EXPECT_TRUE(world.run_until(is_paid, 10'000)) << honest.role->gauges().last_refusal;
}

// Nor does it forget what it could not ask for while it had nothing left for fees.
TEST(Story, AnAnswerIsPaidOnceItsOperatorHasAFeeAgain) {
  World world({});
  OperatorNode& honest = world.add_operator("operator");
  const crypto::PrivateKey client = world.funded_key(100'000);
  const crypto::Address to = honest.signers.operator_key.address();
  const auto receipt = world.ask(honest);
  ASSERT_TRUE(world.run_until([&] { return world.claim_of(honest, receipt).has_value(); }, 10'000));
  const std::uint64_t fee = ledger::parameters_at(world.state(), world.state().time).fee;
  ASSERT_TRUE(world.send(honest.signers.operator_key, ledger::Withdraw{world.balance(to) - fee}));
  ASSERT_EQ(world.balance(to), 0u);
  const auto finalise = [&] {
    (void)world.send(client, ledger::Finalise{1});
    return is_final(world, honest, receipt);
  };
  ASSERT_TRUE(world.run_until(finalise, 60'000));
  world.run_ms(5000);
  const auto is_paid = [&] {
    return world.state().settled_requests.contains(
        {receipt.claim.request_hash, receipt.operator_address});
  };
  EXPECT_FALSE(is_paid());
  ASSERT_TRUE(world.send(client, ledger::Transfer{to, 10 * fee}));
  EXPECT_TRUE(world.run_until(is_paid, 10'000)) << honest.role->gauges().last_refusal;
}

// However long its operator would wait for others: who forces it at once must find it posted.
TEST(Story, AnAnswerWaitsForOthersNoLongerThanAForceAllows) {
  World world({});
  OperatorNode& honest = world.add_operator(
      "operator", 10'000'000, [](auto& options) { options.batch_every_ms = 3'600'000; });
  (void)world.ask(honest);
  world.new_session(honest);
  const auto receipt = world.ask(honest);
  const std::uint64_t force = ledger::parameters_at(world.state(), world.state().time).force;
  EXPECT_TRUE(world.run_until([&] { return world.claim_of(honest, receipt).has_value(); }, force));
}

TEST(Story, AForgedTokenIsProvenFalseInThreeMoves) {
  World world({});
  constexpr std::uint32_t kAt = 2, kToken = 5;
  const Alter lie = token_at(2 + kAt, kToken);  // after position 2 + kAt of prompt and output
  LiarsDefence defence(world.weights(), lie, false);
  OperatorNode& cheat = world.add_operator(
      "cheat", 10'000'000, [&](auto& options) { options.respond = std::ref(defence); });
  FishermanNode& fisherman = world.add_fisherman("fisherman");
  const auto forged =
      forge_token(world.weights(), world.request(), world.prompt(), kAt, kToken, cheat.signers);
  ASSERT_EQ(forged.output_ids[kAt], kToken);
  const std::uint64_t before = world.balance(fisherman.key.address());
  world.give(cheat, forged);
  ASSERT_TRUE(world.run_until([&] { return world.stake(cheat) == 0; }, 60'000))
      << fisherman.role->gauges().last_refusal << fisherman.node->last_error
      << cheat.role->gauges().last_refusal << cheat.node->last_error;
  ASSERT_EQ(world.state().games.size(), 1u);
  const ledger::GameEntry& game = world.state().games.at(1);
  EXPECT_EQ(game.game.ending, dispute::Ending::kProven);
  EXPECT_EQ(game.game.move_count, 3u);
  EXPECT_GT(world.balance(fisherman.key.address()), before);
  EXPECT_EQ(world.chain().broken(), "");
}

TEST(Story, AFalseAccusationCostsTheAccuser) {
  World world({});
  OperatorNode& honest = world.add_operator("operator");
  const crypto::PrivateKey accuser = world.funded_key(1'000'000);
  const auto receipt = world.ask(honest);
  ASSERT_TRUE(world.run_until([&] { return world.claim_of(honest, receipt).has_value(); }, 10'000));
  ASSERT_TRUE(world.send(accuser, ledger::Challenge{.batch = 1,
                                                    .index = 0,
                                                    .claim = receipt.claim,
                                                    .path = {},
                                                    .request = receipt.request.request}));
  const std::uint64_t bonded = world.balance(accuser.address());
  const auto move = [&](dispute::Action action) {
    const ledger::GameEntry& game = world.state().games.at(1);
    return world.send(
        accuser, ledger::Move{1, dispute::encode_move({dispute::Side::kChallenger, game.game_digest,
                                                       std::move(action)})});
  };
  ASSERT_TRUE(move(dispute::Challenge{{.t = 3, .stream = {}, .tile = 0}}));
  ASSERT_TRUE(world.run_until(
      [&] { return world.state().games.at(1).game.phase == dispute::Phase::kProving; }, 10'000))
      << honest.role->gauges().last_refusal << honest.node->last_error;
  ASSERT_TRUE(move(dispute::Concede{}));
  EXPECT_LE(world.balance(accuser.address()), bonded);
  EXPECT_EQ(world.stake(honest), 10'000'000u);
  ASSERT_TRUE(world.run_until([&] { return is_final(world, honest, receipt); }, 60'000));
  EXPECT_EQ(world.chain().broken(), "");
}

// With a game open the batch becomes final and its other claims are paid; what is held is shown and
// defended to the end of the game, whether anybody pays for it or not.
TEST(Story, AHeldClaimIsDefendedBehindItsBatch) {
  World world({});
  OperatorNode& honest = world.add_operator("operator");
  const crypto::PrivateKey client = world.new_key(), accuser = world.funded_key(1'000'000);
  const auto receipt =
      answer_honestly(world.weights(),
                      make_request(world.weights(), client, 1, world.prompt(), 6, world.state().id),
                      world.prompt(), honest.signers);
  world.give(honest, receipt);
  ASSERT_TRUE(world.run_until([&] { return world.claim_of(honest, receipt).has_value(); }, 10'000));
  ASSERT_TRUE(world.send(accuser, ledger::Challenge{.batch = 1,
                                                    .index = 0,
                                                    .claim = receipt.claim,
                                                    .path = {},
                                                    .request = receipt.request.request}));
  const auto is_batch_final = [&] {
    return world.state().batches.at(1).status == BatchStatus::kFinal;
  };
  ASSERT_TRUE(world.run_until(is_batch_final, 60'000));
  world.run_ms(1000);
  const ledger::GameEntry& game = world.state().games.at(1);
  ASSERT_NE(game.stage, ledger::Stage::kEnded);
  EXPECT_TRUE(honest.role->receipts(world.state().batches.at(1).root));
  ASSERT_TRUE(world.send(
      accuser, ledger::Move{1, dispute::encode_move(
                                   {dispute::Side::kChallenger, game.game_digest,
                                    dispute::Challenge{{.t = 3, .stream = {}, .tile = 0}}})}));
  EXPECT_TRUE(world.run_until([&] { return game.game.phase == dispute::Phase::kProving; }, 10'000));
  EXPECT_TRUE(world.run_until([&] { return is_final(world, honest, receipt); }, 120'000));
  EXPECT_EQ(world.stake(honest), 10'000'000u);
}

// A stranger posts somebody else's claim in a batch of its own: that is no place of the claim, and
// who cannot show what it has posted is slashed.
TEST(Story, AClaimInAStrangersBatchIsNotPosted) {
  World world({});
  OperatorNode& honest = world.add_operator("operator");
  OperatorNode& stranger = world.add_operator("stranger");
  world.add_fisherman("fisherman");
  const auto receipt = world.ask(honest);
  ASSERT_TRUE(world.run_until([&] { return world.claim_of(honest, receipt).has_value(); }, 10'000));
  const Hash claim = protocol::digest_of(receipt.claim, receipt.ledger);
  ASSERT_TRUE(world.send(stranger.signers.operator_key,
                         ledger::PostBatch{.session = stranger.signers.session.session,
                                           .sequence = 0,
                                           .root = ledger::batch_root({claim}),
                                           .count = 1,
                                           .value = 100}));
  const std::uint64_t parked = world.state().batches.size();
  const auto where = rollup::whereabouts_of(world.state(), receipt, {parked, 0, {}});
  ASSERT_FALSE(where);
  EXPECT_EQ(where.error().code, "SESSION_MISMATCH");
  EXPECT_TRUE(rollup::whereabouts_of(world.state(), receipt, {1, 0, {}}));
  EXPECT_TRUE(world.run_until([&] { return world.stake(stranger) == 0; }, 200'000));
  EXPECT_EQ(world.stake(honest), 10'000'000u);
  EXPECT_EQ(world.chain().broken(), "");
}

}  // namespace
}  // namespace otr::sim

// Draws answered by proofs and by re-execution, and the checkers that verify them: an operator that
// is killed, late, or cannot prove; answers that show nothing.
#include <gtest/gtest.h>

#include <deque>
#include <thread>

#include "crypto/sha256.h"
#include "node/proof.h"
#include "rollup/batch_data.h"
#include "sim/cast.h"
#include "sim/world.h"

namespace otr::sim {
namespace {

using ledger::ClaimKey;

constexpr std::uint8_t kProof = 1, kExecution = 2;
constexpr std::uint64_t kLongMs = 60'000;

WorldOptions all_drawn(std::uint8_t checkers = 1) {
  ledger::Parameters parameters = ledger::example_parameters(true);
  parameters.draw_ppm = ledger::kMillion;
  return {.parameters = parameters, .checkers = checkers};
}

class Draws : public ::testing::Test {
 protected:
  // As World::ask, with all that a gateway's receipt has.
  protocol::Receipt ask(OperatorNode& of) {
    const auto receipt =
        attested(answer_honestly(world.weights(), world.request(), world.prompt(), of.signers), of);
    world.give(of, receipt);
    return receipt;
  }
  OperatorNode& add_operator(rollup::ProverOptions prover) {
    return world.add_operator("operator", 10'000'000,
                              [prover](auto& options) { options.prover = prover; });
  }
  const ledger::ClaimEntry* answer(const ClaimKey& key) {
    const auto found = world.state().claims.find(key);
    const bool is_there = found != world.state().claims.end() && found->second.lane != 0;
    return is_there ? &found->second : nullptr;
  }
  // In which lane the claim is answered for; 0 where it is not in time.
  int lane_of(OperatorNode& of, const protocol::Receipt& receipt) {
    std::optional<ClaimKey> key;
    (void)world.run_until(
        [&] {
          if (!key) key = world.claim_of(of, receipt);
          return key && answer(*key) != nullptr;
        },
        kLongMs);
    return key && answer(*key) != nullptr ? answer(*key)->lane : 0;
  }
  bool is_final(OperatorNode& of, const protocol::Receipt& receipt) {
    return world.run_until(
        [&] {
          const auto key = world.claim_of(of, receipt);
          return key && ledger::is_final(world.state(), *key);
        },
        kLongMs);
  }

  World world{all_drawn()};
  ProofFolder folder;
};

// --- Operator

TEST_F(Draws, AProofIsCheckedAndTheClaimPaid) {
  OperatorNode& prover = add_operator(folder.at_once());
  const auto checker = add_checker(world, 0, *prover.data);
  const auto receipt = ask(prover);
  EXPECT_EQ(lane_of(prover, receipt), kProof) << prover.role->gauges().proofs.last_failure;
  ASSERT_TRUE(world.run_until(
      [&] { return checker->role && checker->role->gauges().signed_count == 1; }, kLongMs));
  const auto key = *world.claim_of(prover, receipt);
  EXPECT_TRUE(world.state().claims.at(key).checked);
  EXPECT_EQ(checker->role->gauges().proven, 1u);
  EXPECT_EQ(checker->role->gauges().executed, 0u);
  ASSERT_TRUE(is_final(prover, receipt));
  EXPECT_TRUE(world.run_until(
      [&] {
        return world.state().settled_requests.contains(
            {receipt.claim.request_hash, receipt.operator_address});
      },
      kLongMs));
  EXPECT_EQ(prover.role->gauges().proofs.made, 1u);
  // What it serves is that proof, and no file but proofs.
  const Bytes proof = *prover.role->proof(world.state().claims.at(key).digest);
  EXPECT_TRUE(node::audit_proof(proof, world.weights().artifact).audit.proven);
  EXPECT_EQ(prover.role->proof(Hash{1}).error().kind, ErrorKind::kBadInput);
  EXPECT_EQ(world.chain().broken(), "");
}

TEST_F(Draws, WhatCannotBeProvenIsExecuted) {
  rollup::ProverOptions no_memory = folder.at_once();
  no_memory.memory_bytes = 1000;
  rollup::ProverOptions slow = folder.at_once();
  slow.ns_per_unit = 1'000'000;
  for (const auto& options : {no_memory, slow}) {
    OperatorNode& prover = add_operator(options);
    const auto receipt = ask(prover);
    EXPECT_EQ(lane_of(prover, receipt), kExecution);
    EXPECT_EQ(prover.role->gauges().proofs.made, 0u);
    EXPECT_EQ(prover.role->gauges().proofs.failed, options.memory_bytes ? 1u : 0u);
    EXPECT_TRUE(is_final(prover, receipt));
  }
}

TEST_F(Draws, OfALieThereIsNoProof) {
  OperatorNode& liar = add_operator(folder.at_once());
  const auto checker = add_checker(world, 0, *liar.data);
  const auto forged = attested(
      forge_token(world.weights(), world.request(), world.prompt(), 0, 5, liar.signers), liar);
  world.give(liar, forged);
  EXPECT_EQ(lane_of(liar, forged), kExecution);
  const std::string why = liar.role->gauges().proofs.last_failure;
  EXPECT_NE(why.find("not the best"), std::string::npos) << why;
  ASSERT_TRUE(world.run_until(
      [&] { return checker->role && checker->role->gauges().disagreed == 1; }, kLongMs));
  world.run_ms(5000);
  EXPECT_FALSE(world.state().claims.at(*world.claim_of(liar, forged)).checked);
}

// A proof that never ends: all draws are answered in time, and games go on.
TEST_F(Draws, NoDrawWaitsForAProof) {
  rollup::ProverOptions options = folder.at_once();
  std::deque<std::function<void()>> under_way;
  options.beside = [&](std::function<void()> run) { under_way.push_back(std::move(run)); };
  OperatorNode& prover = add_operator(options);
  FishermanNode& fisherman = world.add_fisherman("fisherman");
  std::vector<protocol::Receipt> receipts;
  for (int i = 0; i < 3; ++i) receipts.push_back(ask(prover));
  for (const auto& receipt : receipts) EXPECT_EQ(lane_of(prover, receipt), kExecution);
  EXPECT_EQ(under_way.size(), 1u);
  for (const auto& receipt : receipts) EXPECT_TRUE(is_final(prover, receipt));
  EXPECT_EQ(world.stake(prover), 10'000'000u);
  EXPECT_EQ(fisherman.role->gauges().refused, 0u);
  // Too late, it is not made to its end, and the next one is.
  under_way.front()();
  const auto next = ask(prover);
  ASSERT_TRUE(world.run_until([&] { return under_way.size() == 2; }, kLongMs));
  under_way.back()();
  EXPECT_EQ(lane_of(prover, next), kProof);
  EXPECT_EQ(prover.role->gauges().proofs.failed, 1u);
  EXPECT_EQ(prover.role->gauges().proofs.made, 1u);
}

// Killed after the proof is in the journal and before the ledger has its answer.
TEST_F(Draws, AKillBetweenProofAndAnswerCostsNoSecondProof) {
  rollup::ProverOptions options = folder.at_once();
  OperatorNode* prover = nullptr;
  int started = 0;
  options.beside = [&](const std::function<void()>& run) {
    run();
    ++started;
    prover->node->link.is_cut = true;
  };
  prover = &add_operator(options);
  const auto receipt = ask(*prover);
  ASSERT_TRUE(world.run_until([&] { return started == 1; }, kLongMs));
  prover->node->link.has_crashed = true;
  prover->node->link.is_cut = false;
  EXPECT_EQ(lane_of(*prover, receipt), kProof);
  EXPECT_EQ(prover->node->kills, 1u);
  EXPECT_EQ(started, 1);
  EXPECT_TRUE(is_final(*prover, receipt));
}

// Its disk keeps what the journal names, or the draw is executed.
TEST_F(Draws, ALostProofIsExecuted) {
  rollup::ProverOptions options = folder.at_once();
  OperatorNode* prover = nullptr;
  options.beside = [&](const std::function<void()>& run) {
    run();
    for (const auto& file : std::filesystem::directory_iterator(folder.path())) {
      std::filesystem::resize_file(file.path(), 100);
    }
    prover->node->link.is_cut = true;
  };
  prover = &add_operator(options);
  const auto receipt = ask(*prover);
  ASSERT_TRUE(world.run_until([&] { return prover->node->link.is_cut; }, kLongMs));
  prover->node->link.has_crashed = true;
  prover->node->link.is_cut = false;
  EXPECT_EQ(lane_of(*prover, receipt), kExecution);
  EXPECT_TRUE(is_final(*prover, receipt));
}

// Killed anywhere, with calls and answers that get lost: each draw is answered once, checked, paid.
TEST(DrawsUnderFaults, EachIsAnsweredAndChecked) {
  for (std::uint64_t seed = 1; seed <= 4; ++seed) {
    SCOPED_TRACE(seed);
    WorldOptions options = all_drawn();
    options.seed = seed;
    ledger::Parameters& parameters = *options.parameters;
    parameters.draw = 20'000;
    ledger::set_least_waits(parameters);
    World world(options);
    const ProofFolder folder;
    OperatorNode& prover = world.add_operator("operator", 10'000'000,
                                              [&](auto& its) { its.prover = folder.at_once(); });
    world.add_fisherman("fisherman");
    const auto checker = add_checker(world, 0, *prover.data);
    const auto receipt = attested(
        answer_honestly(world.weights(), world.request(), world.prompt(), prover.signers), prover);
    world.give(prover, receipt);
    world.weather().faults = {.lose_request = 100'000,
                              .lose_answer = 100'000,
                              .delay = 100'000,
                              .max_delay_ms = 500,
                              .repeat = 100'000,
                              .crash = 100'000};
    EXPECT_TRUE(world.run_until(
        [&] {
          const auto& claims = world.state().claims;
          return claims.contains({1, 0}) && claims.at({1, 0}).checked &&
                 world.state().settled_requests.contains(
                     {receipt.claim.request_hash, receipt.operator_address});
        },
        120'000));
    EXPECT_EQ(world.state().claims.at({1, 0}).lane, kProof);
    EXPECT_EQ(world.stake(prover), 10'000'000u);
    EXPECT_EQ(world.chain().broken(), "");
  }
}

// In a thread, as a process makes it; and an operator that goes away does not wait for it.
TEST_F(Draws, AThreadMakesProofsToo) {
  rollup::ProverOptions options = folder.at_once();
  options.beside = nullptr;
  options.threads = 2;
  OperatorNode& prover = add_operator(options);
  const auto receipt = ask(prover);
  const auto started = [&] {
    const auto key = world.claim_of(prover, receipt);
    return key && world.state().beacon.contains(world.state().batches.at(key->batch).round);
  };
  ASSERT_TRUE(world.run_until(started, kLongMs));
  // Virtual time stands still while the thread works, a step looks whether it is done.
  const std::uint64_t now = world.weather().now;
  while (prover.role->gauges().proofs.made == 0) {
    ASSERT_TRUE(prover.role->step(now));
    ASSERT_EQ(prover.role->gauges().proofs.failed, 0u);
    std::this_thread::yield();
  }
  EXPECT_EQ(lane_of(prover, receipt), kProof);
  (void)ask(prover);
  world.run_ms(1500);
  prover.role.reset();
  prover.node->step = [](std::uint64_t) { return Status(); };
}

// --- Checker

// A claim whose draw is answered by hand, with anything.
class Checkers : public Draws {
 protected:
  void post(const protocol::Receipt& its_receipt) {
    receipt = its_receipt;
    world.give(at, receipt);
    ASSERT_TRUE(world.run_until([&] { return world.claim_of(at, receipt).has_value(); }, kLongMs));
    key = *world.claim_of(at, receipt);
    at.node->step = [](std::uint64_t) { return Status(); };
    ASSERT_TRUE(world.run_until([&] { return beacon() != nullptr; }, kLongMs));
  }
  void post_true() { post(honest()); }
  protocol::Receipt honest() {
    return attested(answer_honestly(world.weights(), world.request(), world.prompt(), at.signers),
                    at);
  }
  const Hash* beacon() {
    const auto found = world.state().beacon.find(world.state().batches.at(key.batch).round);
    return found == world.state().beacon.end() ? nullptr : &found->second.value;
  }
  Bytes prove(const protocol::Receipt& of, const Hash& value) {
    auto proof = node::prove_receipt(*protocol::encode_receipt(of), world.weights().artifact,
                                     {.beacon = value});
    EXPECT_TRUE(proof) << proof.error().message;
    return proof ? *std::move(proof) : Bytes{};
  }
  void answer_with(std::uint8_t lane, const Hash& digest) {
    const Status sent = world.send(
        at.signers.operator_key,
        ledger::AnswerDraw{.batch = key.batch,
                           .index = key.index,
                           .claim_hash = protocol::digest_of(receipt.claim, receipt.ledger),
                           .path = {},
                           .lane = lane,
                           .digest = digest});
    ASSERT_TRUE(sent) << sent.error().message;
  }
  rollup::CheckerGauges look() {
    world.run_ms(3000);
    EXPECT_EQ(world.chain().broken(), "");
    return checker->role->gauges();
  }
  bool is_checked() { return world.state().claims.at(key).checked; }
  void expect_wrong(const std::string& why) {
    const auto gauges = look();
    EXPECT_EQ(gauges.disagreed, 1u);
    EXPECT_EQ(gauges.signed_count, 0u);
    EXPECT_NE(gauges.last_disagreement.find(why), std::string::npos) << gauges.last_disagreement;
    EXPECT_FALSE(is_checked());
  }

  OperatorNode& at = world.add_operator("operator");
  ProofShelf shelf{*at.data};
  std::unique_ptr<CheckerNode> checker = add_checker(world, 0, shelf);
  protocol::Receipt receipt;
  ClaimKey key;
};

TEST_F(Checkers, SignsARightProof) {
  post_true();
  answer_with(kProof, shelf.put(prove(receipt, *beacon())));
  EXPECT_EQ(look().proven, 1u);
  EXPECT_TRUE(is_checked());
  checker->node->link.has_crashed = true;
  EXPECT_EQ((look(), look()).signed_count, 0u);  // nothing left to sign
}

TEST_F(Checkers, RefusesAProofOfAnotherBeacon) {
  post_true();
  answer_with(kProof, shelf.put(prove(receipt, World::beacon_value(1))));
  ASSERT_NE(World::beacon_value(1), *beacon());
  expect_wrong("beacon");
}

TEST_F(Checkers, RefusesAProofOfAnotherClaim) {
  post_true();
  answer_with(kProof, shelf.put(prove(honest(), *beacon())));
  expect_wrong("another claim");
}

TEST_F(Checkers, RefusesAProofThatWasChanged) {
  post_true();
  Bytes proof = prove(receipt, *beacon());
  proof[proof.size() * 3 / 4] ^= 1;
  answer_with(kProof, shelf.put(std::move(proof)));
  expect_wrong("");
}

TEST_F(Checkers, RefusesWhatIsNoProof) {
  post_true();
  answer_with(kProof, shelf.put({1, 2, 3}));
  expect_wrong("OTRPROOF");
}

// As long as nobody shows it; then it is checked after all.
TEST_F(Checkers, AsksAgainForWhatIsWithheld) {
  post_true();
  Bytes proof = prove(receipt, *beacon());
  answer_with(kProof, crypto::sha256({proof}));
  auto gauges = look();
  EXPECT_GE(gauges.withheld, 1u);
  EXPECT_EQ(gauges.disagreed, 0u);
  EXPECT_FALSE(is_checked());
  checker->data = nullptr;
  EXPECT_EQ(look().disagreed, 0u);
  checker->data = &shelf;
  shelf.put(std::move(proof));
  EXPECT_EQ(look().proven, 1u);
  EXPECT_TRUE(is_checked());
}

TEST_F(Checkers, ComputesAgainWhatIsExecuted) {
  post_true();
  answer_with(kExecution, crypto::sha256({as_bytes(*protocol::encode_receipt(receipt))}));
  const auto gauges = look();
  EXPECT_EQ(gauges.executed, 1u);
  EXPECT_EQ(gauges.proven, 0u);
  EXPECT_TRUE(is_checked());
}

TEST_F(Checkers, SignsNoReceiptThatWasNotNamed) {
  post_true();
  answer_with(kExecution, crypto::sha256({as_bytes(*protocol::encode_receipt(honest()))}));
  EXPECT_GE(look().withheld, 1u);
  EXPECT_FALSE(is_checked());
}

TEST_F(Checkers, SignsNoLie) {
  post(forge_token(world.weights(), world.request(), world.prompt(), 0, 5, at.signers));
  answer_with(kExecution, crypto::sha256({as_bytes(*protocol::encode_receipt(receipt))}));
  expect_wrong("");
}

// Each signs for itself; the claim is checked when all have.
TEST(Quorum, EachCheckerSignsForItself) {
  World world(all_drawn(2));
  OperatorNode& at = world.add_operator("operator");
  const auto first = add_checker(world, 0, *at.data);
  const auto receipt = world.ask(at);
  ASSERT_TRUE(world.run_until(
      [&] { return first->role && first->role->gauges().signed_count == 1; }, kLongMs));
  const ClaimKey key = *world.claim_of(at, receipt);
  EXPECT_FALSE(world.state().claims.at(key).checked);
  const auto second = add_checker(world, 1, *at.data);
  EXPECT_TRUE(world.run_until([&] { return world.state().claims.at(key).checked; }, kLongMs));
  EXPECT_EQ(first->role->gauges().refused, 0u);
}

// Nothing is drawn; but of a revoked session only what was checked is paid (SPEC SET-19).
TEST(Quorum, ClaimsOfARevokedSessionAreCheckedAndPaid) {
  WorldOptions options = all_drawn(1);
  options.parameters->draw_ppm = 0;
  World world(options);
  OperatorNode& at = world.add_operator("operator");
  const auto checker = add_checker(world, 0, *at.data);
  const auto receipt = world.ask(at);
  ASSERT_TRUE(world.run_until([&] { return world.claim_of(at, receipt).has_value(); }, kLongMs));
  ASSERT_TRUE(world.send(world.auditor(), ledger::RevokeSession{receipt.claim.session}));
  const ClaimKey key = *world.claim_of(at, receipt);
  EXPECT_TRUE(world.run_until(
      [&] { return world.state().claims.contains(key) && world.state().claims.at(key).checked; },
      kLongMs));
  EXPECT_TRUE(world.run_until(
      [&] {
        return world.state().settled_requests.contains(
            {receipt.claim.request_hash, receipt.operator_address});
      },
      2 * kLongMs));
}

// A server that fails is left alone, however many claims wait for it.
TEST(Quorum, AServerThatFailsCostsACheckerLittle) {
  struct Failing : rollup::DataPort {
    std::uint64_t calls = 0;
    Result<std::vector<std::string>> receipts(const Hash&) override {
      ++calls;
      return fail(ErrorKind::kNetwork, "SIMULATED: it dribbles.");
    }
    Result<Bytes> proof(const Hash&) override { return fail(ErrorKind::kNetwork, "SIMULATED"); }
  } failing;
  World world(all_drawn(1));
  OperatorNode& at = world.add_operator("operator", 10'000'000, [](auto& options) {
    options.max_batch = 8;
    options.batch_every_ms = 1'000;
  });
  const auto checker = add_checker(world, 0, failing);
  for (int i = 0; i < 8; ++i) (void)world.ask(at);
  ASSERT_TRUE(world.run_until(
      [&] { return checker->role && checker->role->gauges().answered == 8; }, kLongMs));
  const std::uint64_t before = failing.calls;
  world.run_ms(2'000);
  const std::uint64_t pause = world.state().parameters.at(0).window / 8;
  EXPECT_LE(failing.calls - before, 2'000 / pause + 1);
}

TEST(Quorum, NobodySignsWhoIsNotAppointed) {
  World world(all_drawn(1));
  OperatorNode& at = world.add_operator("operator");
  const auto stranger = add_checker(world, 1, *at.data);
  const auto receipt = world.ask(at);
  world.run_ms(10'000);
  EXPECT_FALSE(stranger->role->is_appointed());
  EXPECT_EQ(stranger->role->gauges().signed_count + stranger->role->gauges().refused, 0u);
}

}  // namespace
}  // namespace otr::sim

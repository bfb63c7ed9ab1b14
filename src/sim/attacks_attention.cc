// Cheats that would turn canaries into an insurance, and watchers that only say that they watch
// (SIMULATED cheats).
#include <array>

#include "sim/canary_node.h"
#include "sim/trial.h"

namespace otr::sim {
namespace {

using ledger::EventKind;

constexpr std::uint64_t kFunds = 20'000'000;
constexpr std::uint64_t kReward = 50'000;
constexpr Hash kSalt{4};

// A cheat whose claims would be canaries if only they were found.
struct Insured {
  explicit Insured(std::uint64_t seed)
      : trial(seed),
        funder(trial.cheating_key("funder", kFunds)),
        canaries(trial.world, funder, kReward),
        cheat(trial.cheat([this](const auto& receipt, const auto& game, const auto& facts) {
          return canaries.respond(receipt, game, facts);
        })) {}
  Trial trial;
  crypto::PrivateKey funder;
  CanaryNode canaries;
  OperatorNode& cheat;
};

// It costs the reward for each that is found, and earns nothing.
Outcome insured_lie(std::uint64_t seed) {
  Insured stage(seed);
  (void)stage.trial.fisherman();
  stage.trial.strike();
  stage.trial.expect(stage.canaries.post(stage.cheat), "the canary was not posted");
  (void)stage.trial.until(EventKind::kCanaryRevealed);
  const auto key = stage.trial.world.claim_of(stage.cheat, stage.canaries.last());
  stage.trial.expect(stage.trial.world.balance(stage.funder.address()) + kReward <= kFunds,
                     "the funder has its reward back");
  Outcome outcome = stage.trial.finish();
  if (!key || ledger::is_final(stage.trial.world.state(), *key)) outcome.wrong = "it is final";
  return outcome;
}

// The cheat's own challenger takes the reward.
Outcome own_finder(std::uint64_t seed) {
  Insured stage(seed);
  World& world = stage.trial.world;
  const auto puppet = stage.trial.cheating_key("puppet");
  stage.trial.strike();
  stage.trial.expect(stage.canaries.post(stage.cheat), "the canary was not posted");
  stage.trial.expect(open_game(world, puppet, {1, 0}, stage.canaries.last()).has_value(),
                     "no game");
  (void)play(world, puppet, 1, dispute::Challenge{stage.canaries.leaf()});
  (void)stage.trial.until(EventKind::kCanaryRevealed);
  (void)world.send(puppet, ledger::CloseGame{1});
  stage.trial.expect(world.state().burned >= kReward / 2, "nothing was burned");
  return stage.trial.finish();
}

// A lie of the cheat's that it tries to call a canary; a fisherman is awake.
struct Excuse {
  explicit Excuse(std::uint64_t seed)
      : trial(seed),
        defence(trial.world.weights(), token_at(2, 5), false),
        cheat(trial.cheat(std::ref(defence))),
        funder(trial.cheating_key("funder", kFunds)),
        client(trial.world.new_key()) {
    (void)trial.fisherman();
  }
  void lie_to(const crypto::PrivateKey& whom) {
    World& world = trial.world;
    forged =
        forge_token(world.weights(),
                    make_request(world.weights(), whom, 900, world.prompt(), 6, world.state().id),
                    world.prompt(), 0, 5, cheat.signers);
    const ledger::CanaryPlace place{funder.address(), cheat.signers.operator_key.address(), 0};
    commitment = ledger::canary_commitment(
        place, kSalt, protocol::digest_of(forged.claim, world.state().id), leaf);
  }
  Status commit(std::uint64_t bond) {
    return trial.world.send(funder, ledger::CommitCanary{commitment, kReward, bond});
  }
  Status reveal(const crypto::PrivateKey& consents) {
    const Hash digest = ledger::consent_digest(trial.world.state().id, commitment);
    return trial.world.send(
        funder, ledger::RevealCanary{.salt = kSalt,
                                     .leaf = leaf,
                                     .batch = 1,
                                     .claim = forged.claim,
                                     .request = forged.request.request,
                                     .consent = consents.sign(digest),
                                     .operator_consent = cheat.signers.operator_key.sign(digest)});
  }
  Outcome finish() {
    (void)trial.until(EventKind::kRefuted);
    // What it had put aside for the excuse is lost too.
    World& world = trial.world;
    world.run_ms(world.state().parameters.at(0).unbond);
    const auto anybody = world.funded_key(1'000);
    trial.expect(world.send(anybody, ledger::MissCanary{funder.address(), commitment}).has_value(),
                 "the canary's bond is not burned");
    return trial.finish();
  }
  Trial trial;
  LiarsDefence defence;
  OperatorNode& cheat;
  crypto::PrivateKey funder, client;
  protocol::Receipt forged;
  const Hash leaf = ledger::leaf_hash({.t = 3, .stream = {}, .tile = 0});
  Hash commitment{};
};

// A client calls the true answer that it has had a canary, to pay nothing for it.
Outcome canary_on_truth(std::uint64_t seed) {
  Trial trial(seed);
  World& world = trial.world;
  OperatorNode& honest = trial.honest_operator();
  const auto client = trial.cheating_key("client of its own", kFunds);
  const Hash leaf = ledger::leaf_hash({.t = 3, .stream = {}, .tile = 0});
  const auto receipt = answer_honestly(
      world.weights(),
      make_request(world.weights(), client, 900, world.prompt(), 6, world.state().id),
      world.prompt(), honest.signers);
  const crypto::Address to = honest.signers.operator_key.address();
  const Hash commitment = ledger::canary_commitment(
      {client.address(), to, 0}, kSalt, protocol::digest_of(receipt.claim, receipt.ledger), leaf);
  trial.expect(world.send(client, ledger::Deposit{to, 1'000}).has_value(), "no deposit");
  trial.expect(world.send(client, ledger::CommitCanary{commitment, kReward, kStake}).has_value(),
               "no commitment");
  (void)trial.post(honest, receipt, true);
  trial.strike();
  const Hash digest = ledger::consent_digest(world.state().id, commitment);
  trial.refused(world.send(client, ledger::RevealCanary{.salt = kSalt,
                                                        .leaf = leaf,
                                                        .batch = 1,
                                                        .claim = receipt.claim,
                                                        .request = receipt.request.request,
                                                        .consent = client.sign(digest),
                                                        .operator_consent = client.sign(digest)}));
  const std::uint64_t deadline = world.state().canaries.begin()->second.deadline;
  world.run_ms(deadline - world.weather().now + 1000);
  trial.expect(world.send(client, ledger::MissCanary{client.address(), commitment}).has_value(),
               "the canary's bond is not burned");
  return trial.finish();
}

Outcome clients_canary(std::uint64_t seed) {
  Excuse stage(seed);
  stage.lie_to(stage.trial.world.client());
  stage.trial.strike();
  stage.trial.expect(stage.commit(kStake).has_value(), "no commitment");
  (void)stage.trial.post(stage.cheat, stage.forged, false);
  stage.trial.refused(stage.reveal(stage.client));
  return stage.finish();
}

Outcome late_canary(std::uint64_t seed) {
  Excuse stage(seed);
  stage.lie_to(stage.client);
  stage.trial.strike();
  (void)stage.trial.post(stage.cheat, stage.forged, false);
  stage.trial.expect(stage.commit(kStake).has_value(), "no commitment");
  stage.trial.refused(stage.reveal(stage.client));
  return stage.finish();
}

Outcome cheap_canary(std::uint64_t seed) {
  Excuse stage(seed);
  stage.lie_to(stage.client);
  stage.trial.strike();
  stage.trial.expect(stage.commit(kStake / 100).has_value(), "no commitment");
  (void)stage.trial.post(stage.cheat, stage.forged, false);
  stage.trial.refused(stage.reveal(stage.client));
  return stage.finish();
}

// Nobody looks at the lie, which becomes final; the same claim is posted again, to be revealed
// there.
Outcome canary_twice(std::uint64_t seed) {
  Insured stage(seed);
  World& world = stage.trial.world;
  stage.trial.strike();
  stage.trial.expect(stage.canaries.post(stage.cheat), "the canary was not posted");
  stage.canaries.node().link.is_cut = true;
  const auto is_final = [&] { return ledger::is_final(world.state(), {1, 0}); };
  stage.trial.expect(world.run_until(is_final, 60'000), "nobody was to look");
  const crypto::PrivateKey& key = stage.cheat.signers.operator_key;
  const protocol::Receipt& lie = stage.canaries.last();
  const Hash hash = stage.canaries.last_hash();
  (void)world.send(key, ledger::PostBatch{.session = lie.claim.session,
                                          .sequence = 1,
                                          .root = ledger::batch_root({hash}),
                                          .count = 1,
                                          .value = 1});
  stage.trial.refused(stage.canaries.reveal_at(2));
  world.run_ms(world.state().parameters.at(0).unbond);
  const Hash commitment = world.state().canaries.begin()->first.second;
  const auto anybody = world.funded_key(1'000);
  stage.trial.expect(
      world.send(anybody, ledger::MissCanary{stage.funder.address(), commitment}).has_value(),
      "the canary's bond is not burned");
  return stage.trial.finish();
}

// The digest of a fisherman that has computed, under another name.
Outcome copied_attention(std::uint64_t seed) {
  Trial trial(seed);
  World& world = trial.world;
  FishermanNode& awake = world.add_fisherman(
      "fisherman", 1'000'000, [](rollup::FishermanOptions& options) { options.attends = true; });
  trial.join("fisherman", awake.key.address(), true);
  OperatorNode& honest = trial.honest_operator();
  const auto lazy = trial.cheating_key("lazy");
  const protocol::Receipt receipt =
      answer_honestly(world.weights(), world.request(), world.prompt(), honest.signers);
  (void)trial.post(honest, receipt, true);
  (void)world.run_until([&] { return !world.state().attentions.empty(); }, 20'000);
  trial.strike();
  if (!world.state().attentions.empty()) {
    const auto& [key, said] = *world.state().attentions.begin();
    trial.expect(
        world.send(lazy, ledger::Attend{key.first.batch, key.first.index, said}).has_value(),
        "it was not taken");
  }
  const auto is_seen = [&] { return awake.role && awake.role->gauges().attention_false == 1; };
  if (world.run_until(is_seen, 10'000)) trial.caught(Tier::kOptimistic, "RECOMPUTED");
  return trial.finish();
}

constexpr Demanded ruled(std::string_view how, std::string_view losers, std::string_view rule) {
  return {Tier::kRule, how, losers, rule};
}

constexpr std::array kAttacks = {
    Attack{"insured-lie",
           "a lie to its own client, committed to as a canary in case it is found",
           {Tier::kOptimistic, "CANARY", "funder", "SET-37"},
           insured_lie},
    Attack{"own-canary-found",
           "the funder's puppet takes the canary's reward",
           {Tier::kOptimistic, "CANARY", "funder", "SET-37"},
           own_finder},
    Attack{"canary-on-truth", "a true answer is called a canary by its own client",
           ruled("COUNTERSIGNATURE", "client of its own", "SET-37"), canary_on_truth},
    Attack{"canary-on-a-client", "a lie to somebody else's client is called a canary",
           ruled("REQUEST_SIGNATURE", "cheat,funder", "SET-37"), clients_canary},
    Attack{"canary-after-the-fact", "a posted lie is called a canary",
           ruled("CANARY_MISMATCH", "cheat,funder", "SET-37"), late_canary},
    Attack{"cheap-canary", "a canary's bond is less than a slash would burn",
           ruled("STAKE_TOO_LOW", "cheat,funder", "SET-37"), cheap_canary},
    Attack{"canary-posted-twice",
           "a lie that became final is revealed as a canary in a second batch",
           ruled("UNKNOWN", "funder", "SET-36"), canary_twice},
    Attack{"copied-attention",
           "another fisherman's evidence under one's own name",
           {Tier::kOptimistic, "RECOMPUTED", "", "SET-39"},
           copied_attention},
};

}  // namespace

std::span<const Attack> attacks_on_attention() { return kAttacks; }

}  // namespace otr::sim

// The beacon and its draws: operators that dodge them, auditors that grind, quorums that collude
// (SIMULATED cheats).
#include <array>

#include "crypto/sha256.h"
#include "node/proof.h"
#include "rollup/batch_data.h"
#include "sim/cast.h"
#include "sim/trial.h"

namespace otr::sim {
namespace {

using ledger::EventKind;

// Every claim is drawn, so that the seed decides nothing.
WorldOptions all_drawn() {
  WorldOptions options;
  options.parameters = ledger::example_parameters(true);
  options.parameters->draw_ppm = ledger::kMillion;
  return options;
}

// Posts a claim by hand, while the operator's own process is away.
Status post_by_hand(World& world, const OperatorNode& of, const std::vector<Hash>& claims,
                    const Hash& session) {
  const auto& own = world.state().operators.at(of.signers.operator_key.address());
  return world.send(of.signers.operator_key,
                    ledger::PostBatch{.session = session,
                                      .sequence = own.next_sequence,
                                      .root = ledger::batch_root(claims),
                                      .count = static_cast<std::uint32_t>(claims.size()),
                                      .value = 100});
}

std::vector<Hash> two_claims(World& world, const OperatorNode& of) {
  std::vector<Hash> hashes;
  for (int i = 0; i < 2; ++i) {
    const auto receipt =
        answer_honestly(world.weights(), world.request(), world.prompt(), of.signers);
    hashes.push_back(protocol::digest_of(receipt.claim, receipt.ledger));
  }
  return hashes;
}

bool is_revealed(const World& world, std::uint64_t batch) {
  return world.state().beacon.contains(world.state().batches.at(batch).round);
}

Outcome missed_draw(std::uint64_t seed) {
  Trial trial(seed, all_drawn());
  World& world = trial.world;
  OperatorNode& cheat = trial.cheat();
  FishermanNode& fisherman = trial.fisherman();
  cheat.node->link.is_cut = fisherman.node->link.is_cut = true;
  trial.strike();
  const auto claims = two_claims(world, cheat);
  trial.expect(post_by_hand(world, cheat, claims, cheat.signers.session.session).has_value(),
               "not posted");
  (void)world.run_until([&] { return is_revealed(world, 1); }, 20'000);
  world.run_ms(world.state().parameters.at(0).draw + 200);
  trial.expect(world.send(fisherman.key, ledger::MissDraw{1, 0}).has_value(), "not reported");
  (void)trial.until(EventKind::kDrawMissed);
  return trial.finish();
}

// What was drawn is posted again in another order; the first batch stays what it is.
Outcome reordered_batch(std::uint64_t seed) {
  Trial trial(seed, all_drawn());
  World& world = trial.world;
  OperatorNode& cheat = trial.cheat();
  FishermanNode& fisherman = trial.fisherman();
  cheat.node->link.is_cut = fisherman.node->link.is_cut = true;
  trial.strike();
  std::vector<Hash> claims = two_claims(world, cheat);
  const Hash& session = cheat.signers.session.session;
  trial.expect(post_by_hand(world, cheat, claims, session).has_value(), "not posted");
  (void)world.run_until([&] { return is_revealed(world, 1); }, 20'000);
  std::swap(claims[0], claims[1]);
  trial.expect(post_by_hand(world, cheat, claims, session).has_value(), "not posted again");
  trial.expect(world.state().batches.at(2).round > world.state().batches.at(1).round,
               "the second batch has a round whose value is known");
  // An answer for the second batch is none for the first.
  const Status dodged = world.send(cheat.signers.operator_key,
                                   ledger::AnswerDraw{.batch = 1,
                                                      .index = 0,
                                                      .claim_hash = claims[0],
                                                      .path = rollup::batch_path(claims, 0),
                                                      .lane = 2,
                                                      .digest = {1}});
  trial.expect(!dodged && dodged.error().code == "PATH_INVALID", "the draw was dodged");
  world.run_ms(world.state().parameters.at(0).draw + 200);
  trial.expect(world.send(fisherman.key, ledger::MissDraw{1, 0}).has_value(), "not reported");
  (void)trial.until(EventKind::kDrawMissed);
  return trial.finish();
}

// Somebody reports a draw as missed before the beacon has spoken; the auditor is late.
Outcome late_beacon(std::uint64_t seed) {
  Trial trial(seed, all_drawn());
  World& world = trial.world;
  OperatorNode& honest = trial.honest_operator();
  const auto griefer = trial.cheating_key("griefer");
  Node& auditor = *world.nodes().front();
  auditor.link.is_cut = true;
  (void)trial.post_true(honest);
  world.run_ms(20'000);
  trial.strike();
  trial.refused(world.send(griefer, ledger::MissDraw{1, 0}));
  auditor.link.is_cut = false;
  return trial.finish();
}

// The first moment at which the auditor may reveal, with its own process away.
void await_reveal(World& world) {
  world.run_ms(2000);
  world.nodes().front()->link.is_cut = true;
  world.run_ms(world.state().parameters.at(0).beacon_interval + 1000);
}

ledger::Reveal next_reveal(World& world) {
  const ledger::State& state = world.state();
  const std::uint64_t round = state.revealed_round + 1;
  return {.round = round,
          .value = World::beacon_value(round),
          .checkpoint = state.checkpoint_count,
          .tip = state.checkpoints.at(state.checkpoint_count).tip};
}

Outcome reveal_refused(std::uint64_t seed,
                       const std::function<void(World&, ledger::Reveal&)>& bend) {
  Trial trial(seed);
  World& world = trial.world;
  await_reveal(world);
  ledger::Reveal body = next_reveal(world);
  bend(world, body);
  trial.strike();
  trial.refused(world.send(world.auditor(), body));
  trial.expect(world.send(world.auditor(), next_reveal(world)).has_value(),
               "the true reveal is refused");
  return trial.finish();
}

Outcome other_value(std::uint64_t seed) {
  return reveal_refused(seed, [seed](World&, auto& body) { body.value[seed % 32] ^= 1; });
}

Outcome other_checkpoint(std::uint64_t seed) {
  return reveal_refused(seed, [](World& world, auto& body) {
    --body.checkpoint;
    body.tip = world.state().checkpoints.at(body.checkpoint).tip;
  });
}

Outcome skipped_round(std::uint64_t seed) {
  return reveal_refused(seed, [](World&, auto& body) {
    ++body.round;
    body.value = World::beacon_value(body.round);
  });
}

// A governor replaces a beacon that lives, to choose the values itself.
Outcome beacon_takeover(std::uint64_t seed) {
  Trial trial(seed);
  World& world = trial.world;
  const auto patron = world.funded_key(2000);
  world.run_ms(3000);
  trial.expect(world.send(patron, ledger::Transfer{world.governor().address(), 1000}).has_value(),
               "not paid");
  trial.strike();
  trial.refused(world.send(world.governor(), ledger::ReplaceBeacon{Hash{1}}));
  return trial.finish();
}

crypto::Signature check_of(World& world, std::uint8_t checker, const ledger::CheckDraw& body) {
  const std::uint64_t round = world.state().batches.at(body.batch).round;
  return world.checker(checker).sign(ledger::check_digest(world.state().id, body, round));
}

// All checkers say that a lie is true. A check is no verdict: the game goes on, and wins.
Outcome colluding_quorum(std::uint64_t seed) {
  WorldOptions options = all_drawn();
  options.checkers = 3;
  Trial trial(seed, options);
  World& world = trial.world;
  LiarsDefence defence(world.weights(), token_at(2, 5), false);
  OperatorNode& cheat = trial.cheat(std::ref(defence));
  FishermanNode& fisherman = trial.fisherman();
  fisherman.node->link.is_cut = true;  // until the quorum has spoken
  const auto forged =
      forge_token(world.weights(), world.request(), world.prompt(), 0, 5, cheat.signers);
  trial.strike();
  const auto key = trial.post(cheat, forged, false);
  (void)world.run_until([&] { return trial.count(EventKind::kDrawAnswered) > 0; }, 20'000);
  const auto& answered = world.state().claims.at(key);
  ledger::CheckDraw body{.batch = key.batch,
                         .index = key.index,
                         .claim_hash = protocol::digest_of(forged.claim, forged.ledger),
                         .lane = answered.lane,
                         .digest = answered.digest};
  for (std::uint8_t i = 0; i < 3; ++i) body.signatures.push_back(check_of(world, i, body));
  const Status checked = world.send(cheat.signers.operator_key, body);
  trial.expect(checked.has_value(), checked ? "" : checked.error().message);
  fisherman.node->link.is_cut = false;
  (void)trial.until(EventKind::kRefuted);
  return trial.finish();
}

// One checker of three signs three times, and once more.
Outcome quorum_of_one(std::uint64_t seed) {
  WorldOptions options = all_drawn();
  options.checkers = 3;
  Trial trial(seed, options);
  World& world = trial.world;
  OperatorNode& cheat = trial.cheat();
  const auto receipt = trial.post_true(cheat);
  (void)world.run_until([&] { return trial.count(EventKind::kDrawAnswered) > 0; }, 20'000);
  const auto& answered = world.state().claims.at({1, 0});
  ledger::CheckDraw body{.batch = 1,
                         .index = 0,
                         .claim_hash = protocol::digest_of(receipt.claim, receipt.ledger),
                         .lane = answered.lane,
                         .digest = answered.digest};
  body.signatures.assign(3, check_of(world, 1, body));
  trial.strike();
  trial.expect(world.send(cheat.signers.operator_key, body).has_value(), "its own was not taken");
  trial.expect(!world.state().claims.at({1, 0}).checked, "one has made a quorum");
  trial.refused(world.send(cheat.signers.operator_key, body));
  return trial.finish();
}

// A proof of a claim that is named for an answer, bound to a value.
Bytes proof_of(const World& world, const protocol::Receipt& receipt, const Hash& value) {
  return node::prove_receipt(*protocol::encode_receipt(receipt), world.weights().artifact,
                             {.beacon = value})
      .value();
}

// An operator by hand: its claim is posted, and its draw answered with what `name` puts on a shelf.
// The checker of the genesis signs nothing.
struct Answered {
  explicit Answered(std::uint64_t seed) : trial(seed, drawn_and_checked()) {}
  static WorldOptions drawn_and_checked() {
    WorldOptions options = all_drawn();
    options.checkers = 1;
    return options;
  }
  protocol::Receipt honest() {
    return attested(answer_honestly(trial.world.weights(), trial.world.request(),
                                    trial.world.prompt(), cheat.signers),
                    cheat);
  }
  void answer(const protocol::Receipt& receipt, bool is_true,
              const std::function<Hash(const Hash& value)>& name) {
    World& world = trial.world;
    trial.strike();
    key = trial.post(cheat, receipt, is_true);
    const auto step = std::exchange(cheat.node->step, [](std::uint64_t) { return Status(); });
    (void)world.run_until([&] { return is_revealed(world, key.batch); }, 20'000);
    const Hash& value = world.state().beacon.at(world.state().batches.at(key.batch).round).value;
    const Status sent = world.send(
        cheat.signers.operator_key,
        ledger::AnswerDraw{.batch = key.batch,
                           .index = key.index,
                           .claim_hash = protocol::digest_of(receipt.claim, receipt.ledger),
                           .path = {},
                           .lane = 1,
                           .digest = name(value)});
    trial.expect(sent.has_value(), "the answer was not taken");
    cheat.node->step = step;
    (void)world.run_until([&] { return checker->role->gauges().disagreed == 1; }, 20'000);
    trial.expect(checker->role->gauges().disagreed == 1, "the checker has not seen through it");
  }
  void expect_unchecked() {
    trial.expect(!trial.world.state().claims.at(key).checked, "it was checked");
    trial.caught(Tier::kDraw, "NOT_CHECKED");
  }

  Trial trial;
  LiarsDefence defence{trial.world.weights(), token_at(2, 5), false};
  OperatorNode& cheat = trial.cheat(std::ref(defence));
  ProofShelf shelf{*cheat.data};
  std::unique_ptr<CheckerNode> checker = add_checker(trial.world, 0, shelf);
  ledger::ClaimKey key;
};

// A proof that was made before anybody could know what would be drawn.
Outcome stale_beacon_proof(std::uint64_t seed) {
  Answered play(seed);
  const auto receipt = play.honest();
  play.answer(receipt, true, [&](const Hash&) {
    return play.shelf.put(proof_of(play.trial.world, receipt, World::beacon_value(1)));
  });
  play.expect_unchecked();
  return play.trial.finish();
}

// For a lie there is no proof, so that of a true claim is named. The fisherman does the rest.
Outcome proof_of_another(std::uint64_t seed) {
  Answered play(seed);
  World& world = play.trial.world;
  FishermanNode& fisherman = play.trial.fisherman();
  fisherman.node->link.is_cut = true;  // until the checker has looked
  const auto truth = play.honest();
  const auto forged = attested(
      forge_token(world.weights(), truth.request, world.prompt(), 0, 5, play.cheat.signers),
      play.cheat);
  play.answer(forged, false,
              [&](const Hash& value) { return play.shelf.put(proof_of(world, truth, value)); });
  play.trial.expect(!world.state().claims.at(play.key).checked, "it was checked");
  fisherman.node->link.is_cut = false;
  (void)play.trial.until(EventKind::kRefuted);
  return play.trial.finish();
}

// A proof with one bit changed.
Outcome changed_proof(std::uint64_t seed) {
  Answered play(seed);
  const auto receipt = play.honest();
  play.answer(receipt, true, [&](const Hash& value) {
    Bytes proof = proof_of(play.trial.world, receipt, value);
    proof[proof.size() - 1 - seed % (proof.size() / 2)] ^= 1;
    return play.shelf.put(std::move(proof));
  });
  play.expect_unchecked();
  return play.trial.finish();
}

constexpr Demanded draw(std::string_view how, std::string_view losers, std::string_view rule) {
  return {Tier::kDraw, how, losers, rule};
}
constexpr Demanded ruled(std::string_view how, std::string_view rule) {
  return {Tier::kRule, how, "", rule};
}

constexpr std::array kAttacks = {
    Attack{"missed-draw", "a drawn claim is not answered for",
           draw("DRAW_MISSED", "cheat", "SET-31"), missed_draw},
    Attack{"reordered-batch", "drawn claims are posted again in another order",
           draw("DRAW_MISSED", "cheat", "SET-31"), reordered_batch},
    Attack{"late-beacon", "a draw is called missed while the beacon is late; nobody burns",
           ruled("NOT_DRAWN", "SET-31"), late_beacon},
    Attack{"draw-grinding-value", "the auditor reveals another value",
           ruled("BEACON_MISMATCH", "SET-29"), other_value},
    Attack{"draw-grinding-checkpoint", "the auditor reveals against an older checkpoint",
           ruled("CHECKPOINT_MISMATCH", "SET-29"), other_checkpoint},
    Attack{"draw-grinding-round", "the auditor leaves a round out",
           ruled("BEACON_MISMATCH", "SET-29"), skipped_round},
    Attack{"beacon-takeover", "the governor replaces a beacon that lives",
           ruled("TOO_EARLY", "SET-29"), beacon_takeover},
    Attack{"colluding-quorum",
           "all checkers sign that a lie is true",
           {Tier::kOptimistic, "STEP_MISMATCH", "cheat", "SET-30"},
           colluding_quorum},
    Attack{"stale-beacon-proof", "a draw is answered with a proof made before it",
           draw("NOT_CHECKED", "", "SET-30"), stale_beacon_proof},
    Attack{"proof-of-another",
           "a drawn lie is answered with the proof of a true claim",
           {Tier::kOptimistic, "STEP_MISMATCH", "cheat", "SET-30"},
           proof_of_another},
    Attack{"changed-proof", "a draw is answered with a proof that was changed",
           draw("NOT_CHECKED", "", "SET-30"), changed_proof},
    Attack{"quorum-of-one", "one checker signs for three", ruled("QUORUM_MISSING", "SET-30"),
           quorum_of_one},
};

}  // namespace

std::span<const Attack> attacks_on_draws() { return kAttacks; }

}  // namespace otr::sim

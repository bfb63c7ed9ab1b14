// Operators that post what they must not, or do not post what they must (SIMULATED cheats).
#include <array>
#include <optional>

#include "crypto/sha256.h"
#include "merkle/tree.h"
#include "rollup/registration.h"
#include "sim/substitute.h"
#include "sim/trial.h"

namespace otr::sim {
namespace {

using ledger::EventKind;

protocol::Receipt make_true(World& world, const OperatorNode& of) {
  return answer_honestly(world.weights(), world.request(), world.prompt(), of.signers);
}

ledger::PostBatch batch_of(World& world, const OperatorNode& of, const protocol::Receipt& receipt) {
  const auto found = world.state().operators.find(of.signers.operator_key.address());
  return {.session = receipt.claim.session,
          .sequence = found == world.state().operators.end() ? 0 : found->second.next_sequence,
          .root = ledger::batch_root({protocol::digest_of(receipt.claim, receipt.ledger)}),
          .count = 1,
          .value = 100};
}

ledger::Force force_of(const protocol::Receipt& receipt) {
  return {.claim = receipt.claim,
          .claim_signature = receipt.claim_signature,
          .countersignature = receipt.countersignature,
          .request = receipt.request.request,
          .request_signature = receipt.request.signature};
}

Outcome equivocation(std::uint64_t seed) {
  Trial trial(seed);
  World& world = trial.world;
  OperatorNode& cheat = trial.cheat();
  const auto request = world.request();
  const auto one = answer_honestly(world.weights(), request, world.prompt(), cheat.signers);
  const auto two = forge_token(world.weights(), request, world.prompt(), 0,
                               (one.output_ids[0] + 1) % 15, cheat.signers);
  trial.strike();
  const Status done =
      world.send(world.client(), ledger::Equivocate{.claim_a = one.claim,
                                                    .countersignature_a = one.countersignature,
                                                    .claim_b = two.claim,
                                                    .countersignature_b = two.countersignature});
  trial.expect(done.has_value(), "the report was refused");
  (void)trial.until(EventKind::kEquivocated);
  trial.expect(world.stake(cheat) == 0, "the stake stands");
  return trial.finish();
}

// A client calls one answer, countersigned twice, an equivocation.
Outcome false_equivocation(std::uint64_t seed) {
  Trial trial(seed);
  World& world = trial.world;
  OperatorNode& honest = trial.honest_operator();
  const auto accuser = trial.cheating_key("accuser");
  const auto request = world.request();
  const auto one = answer_honestly(world.weights(), request, world.prompt(), honest.signers);
  trial.strike();
  trial.refused(world.send(accuser, ledger::Equivocate{one.claim, one.countersignature, one.claim,
                                                       one.countersignature}));
  return trial.finish();
}

Outcome overcommit(std::uint64_t seed) {
  Trial trial(seed);
  World& world = trial.world;
  OperatorNode& cheat = trial.cheat();
  ledger::PostBatch body = batch_of(world, cheat, make_true(world, cheat));
  body.value = ledger::v_max(world.state().parameters.at(0), kStake) + 1;
  trial.strike();
  trial.refused(world.send(cheat.signers.operator_key, body));
  --body.value;
  trial.expect(world.send(cheat.signers.operator_key, body).has_value(), "V_max itself is refused");
  return trial.finish();
}

// A lie is posted and the free stake unstaked at once; the slash takes what unbonds, too.
Outcome unbonding_race(std::uint64_t seed) {
  Trial trial(seed);
  World& world = trial.world;
  const Alter lie = token_at(2, 5);
  LiarsDefence defence(world.weights(), lie, false);
  OperatorNode& cheat = trial.cheat(std::ref(defence));
  (void)trial.fisherman();
  auto forged = forge_token(world.weights(), world.request(), world.prompt(), 0, 5, cheat.signers);
  trial.expect(forged.output_ids[0] == 5, "the lie is no lie");
  trial.strike();
  (void)trial.post(cheat, forged, false);
  const auto& own = world.state().operators.at(cheat.signers.operator_key.address());
  trial.expect(
      world.send(cheat.signers.operator_key, ledger::Unstake{own.free_stake()}).has_value(),
      "nothing could be unstaked");
  (void)trial.until(EventKind::kRefuted);
  trial.expect(own.stake == 0 && own.unbonding == 0, "some of the stake got away");
  return trial.finish();
}

Outcome unstake_reserved(std::uint64_t seed) {
  Trial trial(seed);
  OperatorNode& cheat = trial.cheat();
  (void)trial.post_true(cheat);
  trial.strike();
  trial.refused(trial.world.send(cheat.signers.operator_key, ledger::Unstake{kStake}));
  return trial.finish();
}

Outcome early_release(std::uint64_t seed) {
  Trial trial(seed);
  OperatorNode& cheat = trial.cheat();
  const crypto::PrivateKey& key = cheat.signers.operator_key;
  trial.expect(trial.world.send(key, ledger::Unstake{kStake}).has_value(), "not unstaked");
  trial.strike();
  trial.refused(trial.world.send(key, ledger::Release{}));
  return trial.finish();
}

// A gateway that never posts what it countersigned.
Outcome censoring_gateway(std::uint64_t seed) {
  Trial trial(seed);
  World& world = trial.world;
  OperatorNode& cheat = trial.cheat();
  const auto receipt = make_true(world, cheat);
  trial.strike();
  trial.expect(world.send(world.client(), force_of(receipt)).has_value(), "the force was refused");
  const Hash hash = protocol::digest_of(receipt.claim, receipt.ledger);
  world.run_ms(world.state().parameters.at(0).force + 100);
  trial.expect(world.send(world.client(), ledger::ForceMissed{hash}).has_value(), "not missed");
  (void)trial.until(EventKind::kForceMissed);
  return trial.finish();
}

// It ends the session behind what it has countersigned, as if it could then post it no more.
Outcome ended_session(std::uint64_t seed) {
  Trial trial(seed);
  World& world = trial.world;
  OperatorNode& cheat = trial.cheat();
  const auto receipt = make_true(world, cheat);
  trial.strike();
  trial.expect(world.send(cheat.signers.operator_key, ledger::RevokeSession{receipt.claim.session})
                   .has_value(),
               "not ended");
  trial.expect(world.send(world.client(), force_of(receipt)).has_value(), "the force was refused");
  const Hash hash = protocol::digest_of(receipt.claim, receipt.ledger);
  world.run_ms(world.state().parameters.at(0).force + 100);
  trial.expect(world.send(world.client(), ledger::ForceMissed{hash}).has_value(), "not missed");
  (void)trial.until(EventKind::kForceMissed);
  return trial.finish();
}

// It shows the claim when the miss has been reported.
Outcome late_force_answer(std::uint64_t seed) {
  Trial trial(seed);
  World& world = trial.world;
  OperatorNode& cheat = trial.cheat();
  cheat.node->link.is_cut = true;
  const auto receipt = make_true(world, cheat);
  trial.expect(world.send(world.client(), force_of(receipt)).has_value(), "the force was refused");
  world.run_ms(world.state().parameters.at(0).force + 100);
  trial.expect(world.send(cheat.signers.operator_key, batch_of(world, cheat, receipt)).has_value(),
               "not posted");
  const Hash hash = protocol::digest_of(receipt.claim, receipt.ledger);
  trial.expect(world.send(world.client(), ledger::ForceMissed{hash}).has_value(), "not missed");
  trial.strike();
  trial.refused(world.send(cheat.signers.operator_key,
                           ledger::ForceAnswer{.claim_hash = hash, .batch = 1, .index = 0}));
  return trial.finish();
}

// A thief forces a claim that only the enclave's stolen key has signed.
Outcome forced_without_countersignature(std::uint64_t seed) {
  Trial trial(seed);
  World& world = trial.world;
  OperatorNode& victim = trial.honest_operator();
  const auto thief = trial.cheating_key("thief");
  const auto forged = answer_honestly(world.weights(), world.request(), world.prompt(),
                                      Signing(victim.signers.session, thief));
  trial.strike();
  trial.refused(world.send(thief, force_of(forged)));
  return trial.finish();
}

// A thief with its own stake posts a batch under the session whose key it stole.
Outcome posted_by_a_stranger(std::uint64_t seed) {
  Trial trial(seed);
  World& world = trial.world;
  OperatorNode& victim = trial.honest_operator();
  OperatorNode& thief = trial.cheat();
  const auto forged = answer_honestly(world.weights(), world.request(), world.prompt(),
                                      Signing(victim.signers.session, thief.signers.operator_key));
  trial.strike();
  trial.refused(world.send(thief.signers.operator_key, batch_of(world, thief, forged)));
  return trial.finish();
}

Outcome revoked_session(std::uint64_t seed) {
  Trial trial(seed);
  World& world = trial.world;
  OperatorNode& cheat = trial.cheat();
  const auto receipt = make_true(world, cheat);
  trial.expect(
      world.send(world.auditor(), ledger::RevokeSession{receipt.claim.session}).has_value(),
      "not revoked");
  trial.strike();
  trial.refused(world.send(cheat.signers.operator_key, batch_of(world, cheat, receipt)));
  return trial.finish();
}

// A batch whose runtime is revoked before it is final is never paid by itself.
Outcome revoked_runtime(std::uint64_t seed) {
  Trial trial(seed);
  World& world = trial.world;
  OperatorNode& cheat = trial.cheat();
  const auto receipt = make_true(world, cheat);
  world.give(cheat, receipt);
  trial.expect(world.run_until([&] { return world.claim_of(cheat, receipt).has_value(); }, 5000),
               "not posted");
  const ledger::ClaimKey key{1, 0};
  const Hash& runtime = world.state().sessions.at(receipt.claim.session).session.runtime;
  trial.strike();
  trial.expect(world.send(world.auditor(), ledger::RevokeRuntime{runtime}).has_value(),
               "not revoked");
  trial.expect(world.run_until([&] { return ledger::is_final(world.state(), key); }, 60'000),
               "the batch did not become final");
  const auto& parameters = world.state().parameters.at(0);
  trial.expect(world.weather().now >=
                   world.state().batches.at(1).posted_at + parameters.stretch * parameters.window,
               "the window was not stretched");
  trial.refused(world.send(cheat.signers.operator_key,
                           ledger::Settle{.batch = key.batch,
                                          .index = key.index,
                                          .claim = receipt.claim,
                                          .path = {},
                                          .request = receipt.request.request,
                                          .request_signature = receipt.request.signature,
                                          .claim_signature = receipt.claim_signature}));
  return trial.finish();
}

// A model registered under the configuration of another: the programs of both differ.
Outcome false_config(std::uint64_t seed) {
  Trial trial(seed);
  const auto cheat = trial.cheating_key("cheat");
  const Substitute mine(nullptr, {.layers = 1});
  const Substitute other(nullptr, {.layers = 3});
  auto body = rollup::register_model(mine.weights().artifact, {}, true);
  body.config = rollup::register_model(other.weights().artifact, {}, true).config;
  trial.strike();
  trial.refused(trial.world.send(cheat, body));
  return trial.finish();
}

struct Forbidden {
  ledger::RegisterModel registration;
  ledger::VoidModel proof;
};

// A model with one weight replaced, by -128 one that no model may be, and the tile that shows it.
Forbidden model_with(const model::Artifact& artifact, std::optional<std::int8_t> weight) {
  Forbidden made{rollup::register_model(artifact, {}, false), {}};
  std::size_t which = 0;
  while (artifact.tensors()[which].spec.type != merkle::Type::kI8) ++which;
  const model::Tensor& tensor = artifact.tensors()[which];
  Bytes data(tensor.data.begin(), tensor.data.end());
  if (weight) data[0] = static_cast<std::uint8_t>(*weight);
  merkle::Tree tiles, list;
  merkle::append_rows(tiles, merkle::Kind::kModelTensor, tensor.spec.type, tensor.spec.cols(),
                      data);
  list.append(crypto::sha256({as_bytes("OTR.conf"), made.registration.config}));
  list.append(crypto::sha256({as_bytes("OTR.toks"), as_bytes(artifact.tokenizer())}));
  list.append(crypto::sha256({as_bytes("OTR.tmpl"), as_bytes(artifact.chat_template())}));
  for (std::size_t i = 0; i < artifact.tensors().size(); ++i) {
    list.append(i == which ? merkle::tensor_root(merkle::Kind::kModelTensor, tensor.spec.type,
                                                 tensor.spec.cols(), data)
                           : artifact.tensors()[i].root);
  }
  made.registration.root =
      merkle::root(merkle::Kind::kModel, merkle::Type::kHash, list.size(), 1, list.top());
  made.registration.config_path = list.open_range(0, 1);
  made.registration.list_path = list.open_range(list.size() - 1, list.size());
  const std::size_t size = std::min<std::size_t>(tensor.spec.cols(), 512);
  made.proof = {.root = made.registration.root,
                .tensor = static_cast<std::uint32_t>(which),
                .tile = 0,
                .bytes = Bytes(data.begin(), data.begin() + static_cast<std::ptrdiff_t>(size)),
                .path = tiles.open_range(0, 1),
                .list_path = list.open_range(3 + which, 4 + which)};
  return made;
}

Outcome void_model(std::uint64_t seed) {
  Trial trial(seed);
  World& world = trial.world;
  const auto cheat = trial.cheating_key("cheat");
  FishermanNode& fisherman = trial.fisherman();
  const Substitute base(nullptr, {.layers = 1});
  const Forbidden made = model_with(base.weights().artifact, -128);
  const Status registered = world.send(cheat, made.registration);
  trial.expect(registered.has_value(), "the model was not registered");
  trial.strike();
  const Status voided = world.send(fisherman.key, made.proof);
  trial.expect(voided.has_value(), voided ? "" : voided.error().message);
  (void)trial.until(EventKind::kModelVoided);
  return trial.finish();
}

// What was posted under the bad model is to be forgotten with it: its registrant voids it himself.
Outcome void_model_exit(std::uint64_t seed) {
  Trial trial(seed);
  World& world = trial.world;
  OperatorNode& cheat = trial.cheat();
  const auto accomplice = trial.cheating_key("accomplice");
  FishermanNode& fisherman = trial.fisherman();
  const Substitute base(nullptr, {.layers = 1});
  Forbidden made = model_with(base.weights().artifact, -128);
  made.registration.max_prompt_tariff = made.registration.max_output_tariff = 1'000;
  trial.expect(world.send(accomplice, made.registration).has_value(), "not registered");
  world.new_session(cheat, made.registration.root);
  const ledger::PostBatch batch{.session = cheat.signers.session.session,
                                .sequence = 0,
                                .root = ledger::batch_root({Hash{5}}),
                                .count = 1,
                                .value = 100};
  trial.strike();
  trial.expect(world.send(cheat.signers.operator_key, batch).has_value(), "not posted");
  trial.expect(world.send(accomplice, made.proof).has_value(), "not voided");
  (void)world.send(fisherman.key, ledger::DemandClaim{1, 0});
  (void)trial.until(EventKind::kRefuted);
  return trial.finish();
}

// The tile of a good model proves nothing against it.
Outcome false_voiding(std::uint64_t seed) {
  Trial trial(seed);
  World& world = trial.world;
  const auto accuser = trial.cheating_key("accuser");
  const Forbidden made = model_with(world.weights().artifact, std::nullopt);
  trial.expect(made.proof.root == world.weights().artifact.root(), "another model is meant");
  trial.strike();
  trial.refused(world.send(accuser, made.proof));
  return trial.finish();
}

constexpr Demanded rule(std::string_view how, std::string_view losers, std::string_view number) {
  return {Tier::kRule, how, losers, number};
}

constexpr std::array kAttacks = {
    Attack{"equivocation", "two different answers to one request, both countersigned",
           rule("EQUIVOCATED", "cheat", "SET-28"), equivocation},
    Attack{"false-equivocation", "one answer reported as two",
           rule("NOT_EQUIVOCATION", "", "SET-28"), false_equivocation},
    Attack{"overcommit", "claims that carry more than V_max", rule("STAKE_TOO_LOW", "", "SET-21"),
           overcommit},
    Attack{"unbonding-race",
           "a lie, and the stake unstaked at once",
           {Tier::kOptimistic, "STEP_MISMATCH", "cheat", "SET-12"},
           unbonding_race},
    Attack{"unstake-reserved", "stake that open claims reserve is unstaked",
           rule("INSUFFICIENT", "", "SET-12"), unstake_reserved},
    Attack{"early-release", "unbonding stake is released before its time",
           rule("TOO_EARLY", "", "SET-12"), early_release},
    Attack{"censoring-gateway", "an answer is countersigned and never posted",
           rule("FORCE_MISSED", "cheat", "SET-27"), censoring_gateway},
    Attack{"ended-session", "a session is ended behind an answer that is never posted",
           rule("FORCE_MISSED", "cheat", "SET-19"), ended_session},
    Attack{"late-force-answer", "a forced claim is shown after its miss was reported",
           rule("BAD_STATE", "cheat", "SET-27"), late_force_answer},
    Attack{"forced-by-a-thief", "a stolen enclave key's claim is forced; nobody burns",
           rule("COUNTERSIGNATURE", "", "SET-27"), forced_without_countersignature},
    Attack{"posted-by-a-stranger", "a stolen enclave key's claim in a stranger's batch",
           rule("NOT_ALLOWED", "", "SET-20"), posted_by_a_stranger},
    Attack{"revoked-session", "a batch of a revoked session", rule("SESSION_REVOKED", "", "SET-19"),
           revoked_session},
    Attack{"revoked-runtime", "pay is wanted for a batch of a revoked runtime",
           rule("SESSION_REVOKED", "", "SET-19"), revoked_runtime},
    Attack{"false-config", "a model under another's configuration",
           rule("PATH_INVALID", "", "SET-16"), false_config},
    Attack{"void-model", "a model with a weight that no model may hold",
           rule("MODEL_VOIDED", "cheat", "SET-17"), void_model},
    Attack{"void-model-exit",
           "a bad model is voided to end what is about its claims",
           {Tier::kOptimistic, "NOT_SHOWN", "accomplice,cheat", "SET-17"},
           void_model_exit},
    Attack{"false-voiding", "a good model is said to be void", rule("STEP_MISMATCH", "", "SET-17"),
           false_voiding},
};

}  // namespace

std::span<const Attack> attacks_on_batches() { return kAttacks; }

}  // namespace otr::sim

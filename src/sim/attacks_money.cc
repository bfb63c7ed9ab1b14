// Vouchers, settlements and fees (SIMULATED cheats).
#include <array>

#include "protocol/eip712.h"
#include "sim/trial.h"

namespace otr::sim {
namespace {

using ledger::EventKind;

ledger::Redeem voucher(const World& world, const OperatorNode& of, const crypto::PrivateKey& signer,
                       std::uint64_t through, std::uint64_t cumulative) {
  const crypto::Address address = of.signers.operator_key.address();
  const Hash words = protocol::StructHasher(
                         "Voucher(address operator,uint64 epoch,uint64 through,uint64 cumulative)")
                         .address(address)
                         .number(world.state().operators.at(address).epoch)
                         .number(through)
                         .number(cumulative)
                         .finish();
  return {.client = world.client().address(),
          .through = through,
          .cumulative = cumulative,
          .signature = signer.sign(protocol::signing_digest(world.state().id, words))};
}

ledger::Settle settle_of(const protocol::Receipt& receipt) {
  return {.batch = 1,
          .index = 0,
          .claim = receipt.claim,
          .path = {},
          .request = receipt.request.request,
          .request_signature = receipt.request.signature,
          .claim_signature = receipt.claim_signature};
}

struct Paid {
  explicit Paid(std::uint64_t seed)
      : trial(seed), world(trial.world), cheat(trial.cheat()), receipt(trial.post_true(cheat)) {}
  // One answer is final, and paid by Settle.
  void await_pay() {
    trial.expect(world.run_until([&] { return !world.state().settled_requests.empty(); }, 60'000),
                 "not paid");
  }
  [[nodiscard]] std::uint64_t paid() const {
    return world.state()
        .channels.at({world.client().address(), cheat.signers.operator_key.address()})
        .paid;
  }
  Status send(ledger::Body body) { return world.send(cheat.signers.operator_key, std::move(body)); }
  Trial trial;
  World& world;
  OperatorNode& cheat;
  protocol::Receipt receipt;
};

Outcome voucher_twice(std::uint64_t seed) {
  Paid stage(seed);
  stage.await_pay();
  const auto body = voucher(stage.world, stage.cheat, stage.world.client(), 1, stage.paid() + 40);
  stage.trial.expect(stage.send(body).has_value(), "the voucher is refused");
  stage.trial.strike();
  stage.trial.refused(stage.send(body));
  return stage.trial.finish();
}

Outcome voucher_too_early(std::uint64_t seed) {
  Paid stage(seed);
  stage.trial.strike();
  stage.trial.refused(
      stage.send(voucher(stage.world, stage.cheat, stage.world.client(), 1, stage.paid() + 40)));
  return stage.trial.finish();
}

Outcome voucher_forged(std::uint64_t seed) {
  Paid stage(seed);
  stage.await_pay();
  stage.trial.strike();
  stage.trial.refused(stage.send(
      voucher(stage.world, stage.cheat, stage.cheat.signers.operator_key, 1, stage.paid() + 40)));
  return stage.trial.finish();
}

Outcome voucher_overdrawn(std::uint64_t seed) {
  Paid stage(seed);
  stage.await_pay();
  stage.trial.strike();
  stage.trial.refused(
      stage.send(voucher(stage.world, stage.cheat, stage.world.client(), 1, 1'000'000)));
  return stage.trial.finish();
}

// A voucher of the time before the operator was slashed.
Outcome voucher_after_slash(std::uint64_t seed) {
  Paid stage(seed);
  stage.await_pay();
  World& world = stage.world;
  const auto body = voucher(world, stage.cheat, world.client(), 1, stage.paid() + 40);
  const auto request = world.request();
  const auto one = answer_honestly(world.weights(), request, world.prompt(), stage.cheat.signers);
  const auto two = forge_token(world.weights(), request, world.prompt(), 0,
                               (one.output_ids[0] + 1) % 15, stage.cheat.signers);
  stage.trial.expect(world
                         .send(world.client(), ledger::Equivocate{one.claim, one.countersignature,
                                                                  two.claim, two.countersignature})
                         .has_value(),
                     "not slashed");
  stage.trial.strike();
  stage.trial.refused(stage.send(body));
  return stage.trial.finish();
}

Outcome settled_twice(std::uint64_t seed) {
  Paid stage(seed);
  stage.await_pay();
  stage.trial.strike();
  stage.trial.refused(stage.send(settle_of(stage.receipt)));
  return stage.trial.finish();
}

Outcome settled_too_early(std::uint64_t seed) {
  Paid stage(seed);
  stage.trial.strike();
  stage.trial.refused(stage.send(settle_of(stage.receipt)));
  return stage.trial.finish();
}

// More tokens are charged than the claim attests.
Outcome padded_bill(std::uint64_t seed) {
  Paid stage(seed);
  (void)stage.world.run_until([&] { return ledger::is_final(stage.world.state(), {1, 0}); },
                              60'000);
  ledger::Settle body = settle_of(stage.receipt);
  body.claim.out_count += 1;
  stage.trial.strike();
  stage.trial.refused(stage.send(body));
  return stage.trial.finish();
}

// A client takes its deposit back while answers are on their way.
Outcome early_refund(std::uint64_t seed) {
  Trial trial(seed);
  World& world = trial.world;
  OperatorNode& honest = trial.honest_operator();
  (void)trial.post_true(honest);
  const crypto::Address to = honest.signers.operator_key.address();
  trial.expect(world.send(world.client(), ledger::Close{to}).has_value(), "not closed");
  trial.strike();
  trial.refused(world.send(world.client(), ledger::Refund{to}));
  return trial.finish();
}

Bytes signed_bytes(World& world, const crypto::PrivateKey& key, const Hash& ledger,
                   ledger::Body body) {
  ledger::Transaction transaction{.nonce = world.state().accounts.at(key.address()).nonce,
                                  .body = std::move(body)};
  ledger::sign(transaction, ledger, key);
  return ledger::encode(transaction);
}

Outcome replayed_transaction(std::uint64_t seed) {
  Trial trial(seed);
  World& world = trial.world;
  const auto thief = world.funded_key(1000);
  const auto victim = world.funded_key(1000);
  const Bytes once =
      signed_bytes(world, victim, world.state().id, ledger::Transfer{thief.address(), 10});
  trial.expect(world.chain().submit(once, world.weather().now).has_value(), "not taken");
  trial.join("thief", thief.address(), false);
  trial.join("victim", victim.address(), true);
  trial.strike();
  trial.refused(world.chain().submit(once, world.weather().now));
  return trial.finish();
}

// What somebody signed for another ledger names nobody here.
Outcome foreign_transaction(std::uint64_t seed) {
  Trial trial(seed);
  World& world = trial.world;
  const auto thief = trial.cheating_key("thief");
  const auto victim = world.funded_key(1000);
  trial.join("victim", victim.address(), true);
  const Bytes foreign = signed_bytes(world, victim, Hash{1}, ledger::Transfer{thief.address(), 10});
  trial.strike();
  trial.refused(world.chain().submit(foreign, world.weather().now));
  return trial.finish();
}

Outcome dust(std::uint64_t seed) {
  Trial trial(seed);
  World& world = trial.world;
  const auto spammer = trial.cheating_key("spammer", 20);
  const std::uint64_t burned = world.state().burned;
  Status last;
  trial.strike();
  std::uint64_t taken = 0;
  for (; taken < 100 && last; ++taken) {
    last = world.send(spammer, ledger::Transfer{spammer.address(), 1});
  }
  trial.refused(last);
  trial.expect(world.state().burned == burned + taken - 1, "spam is free");
  return trial.finish();
}

Outcome minted_by_a_stranger(std::uint64_t seed) {
  Trial trial(seed);
  const auto thief = trial.cheating_key("thief");
  trial.strike();
  trial.refused(trial.world.send(thief, ledger::Mint{thief.address(), 1}));
  return trial.finish();
}

constexpr Demanded ruled(std::string_view how, std::string_view losers, std::string_view rule) {
  return {Tier::kRule, how, losers, rule};
}

constexpr std::array kAttacks = {
    Attack{"voucher-twice", "a voucher is redeemed twice", ruled("BAD_AMOUNT", "", "SET-14"),
           voucher_twice},
    Attack{"voucher-too-early", "a voucher for a batch that is not final",
           ruled("TOO_EARLY", "", "SET-14"), voucher_too_early},
    Attack{"voucher-forged", "a voucher that the operator signed itself",
           ruled("VOUCHER_SIGNATURE", "", "SET-14"), voucher_forged},
    Attack{"voucher-overdrawn", "a voucher above the deposit", ruled("INSUFFICIENT", "", "SET-14"),
           voucher_overdrawn},
    Attack{"voucher-after-slash", "a voucher of an epoch that was slashed",
           ruled("STALE_EPOCH", "cheat", "SET-33"), voucher_after_slash},
    Attack{"settled-twice", "an answer is paid twice", ruled("EXISTS", "", "SET-15"),
           settled_twice},
    Attack{"settled-too-early", "pay is wanted before finality", ruled("TOO_EARLY", "", "SET-15"),
           settled_too_early},
    Attack{"padded-bill", "more tokens are charged than were attested",
           ruled("PATH_INVALID", "", "SET-15"), padded_bill},
    Attack{"early-refund", "a client takes its deposit back before answers are paid",
           ruled("TOO_EARLY", "", "SET-13"), early_refund},
    Attack{"replayed-transaction", "a transaction is sent again", ruled("NONCE", "", "SET-7"),
           replayed_transaction},
    Attack{"foreign-transaction", "a transaction of another ledger",
           ruled("NO_ACCOUNT", "", "SET-3"), foreign_transaction},
    Attack{"dust", "a spammer sends until its fees are gone", ruled("INSUFFICIENT", "", "SET-7"),
           dust},
    Attack{"minted-by-a-stranger", "money out of nothing", ruled("NOT_ALLOWED", "", "SET-11"),
           minted_by_a_stranger},
};

}  // namespace

std::span<const Attack> attacks_on_money() { return kAttacks; }

}  // namespace otr::sim

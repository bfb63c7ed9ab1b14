#include "sim/trial.h"

#include <algorithm>

#include "base/reject.h"

namespace otr::sim {

using ledger::EventKind;

namespace {

constexpr std::uint64_t kQuietMs = 3000;
constexpr std::uint64_t kLongestMs = 120'000;

std::string name_of_ending(const ledger::GameEntry& entry) {
  switch (entry.game.ending) {
    case dispute::Ending::kProven:
      return std::string(name_of(static_cast<Reject>(entry.game.verdict)));
    case dispute::Ending::kTime:
      return "TIME";
    case dispute::Ending::kConceded:
      return "CONCEDED";
    case dispute::Ending::kWithdrawn:
      return "WITHDRAWN";
    case dispute::Ending::kMoot:
      return "MOOT";
    case dispute::Ending::kNone:
      return "NOT_SHOWN";
  }
  return "";
}

// By what an event says that somebody was caught.
std::pair<Tier, std::string> finding_of(const ledger::State& state, const ledger::Event& event) {
  switch (event.kind) {
    case EventKind::kRefuted:
      return {Tier::kOptimistic, name_of_ending(state.games.at(event.a))};
    case EventKind::kUpheld:
      return {Tier::kOptimistic, "UPHELD"};
    case EventKind::kDrawMissed:
      return {Tier::kDraw, "DRAW_MISSED"};
    case EventKind::kForceMissed:
      return {Tier::kRule, "FORCE_MISSED"};
    case EventKind::kEquivocated:
      return {Tier::kRule, "EQUIVOCATED"};
    case EventKind::kCanaryRevealed:
      return {Tier::kOptimistic, "CANARY"};
    case EventKind::kModelVoided:
      return {Tier::kRule, "MODEL_VOIDED"};
    case EventKind::kBatchFinalNotDrawn:
      return {Tier::kDraw, "FINAL_NOT_DRAWN"};
    default:
      return {Tier::kRule, std::string(name_of(event.kind))};
  }
}

WorldOptions seeded(std::uint64_t seed, WorldOptions options) {
  options.seed = seed;
  return options;
}

}  // namespace

Trial::Trial(std::uint64_t seed, WorldOptions options) : world(seeded(seed, std::move(options))) {
  join("client", world.client().address(), true);
}

void Trial::join(const std::string& name, const crypto::Address& address, bool is_honest) {
  parties_.push_back({name, address, is_honest, worth(address)});
}

OperatorNode& Trial::honest_operator() {
  OperatorNode& made = world.add_operator("operator", kStake);
  join("operator", made.signers.operator_key.address(), true);
  return made;
}

OperatorNode& Trial::cheat(const decltype(rollup::OperatorOptions::respond)& respond) {
  OperatorNode& made = world.add_operator(
      "cheat", kStake, [respond](rollup::OperatorOptions& options) { options.respond = respond; });
  join("cheat", made.signers.operator_key.address(), false);
  return made;
}

FishermanNode& Trial::fisherman() {
  FishermanNode& made = world.add_fisherman("fisherman");
  join("fisherman", made.key.address(), true);
  return made;
}

crypto::PrivateKey Trial::cheating_key(const std::string& name, std::uint64_t amount) {
  crypto::PrivateKey key = world.funded_key(amount);
  join(name, key.address(), false);
  return key;
}

ledger::ClaimKey Trial::post(OperatorNode& of, const protocol::Receipt& receipt, bool is_true) {
  world.give(of, receipt);
  posted_.push_back({&of, receipt, is_true});
  (void)world.run_until([&] { return world.claim_of(of, receipt).has_value(); }, 20'000);
  const auto key = world.claim_of(of, receipt);
  expect(key.has_value(), "a claim was not posted");
  return key.value_or(ledger::ClaimKey{});
}

protocol::Receipt Trial::post_true(OperatorNode& of) {
  const protocol::Receipt receipt =
      answer_honestly(world.weights(), world.request(), world.prompt(), of.signers);
  (void)post(of, receipt, true);
  return receipt;
}

void Trial::strike() {
  struck_at_ = world.weather().now;
  first_event_ = world.chain().events().size();
}

void Trial::refused(const Status& status) {
  if (!status) caught(Tier::kRule, status.error().code);
}

void Trial::caught(Tier tier, std::string_view how) {
  if (how.empty() || outcome_.is_caught) return;
  outcome_.is_caught = true;
  outcome_.tier = tier;
  outcome_.how = how;
  outcome_.caught_ms = world.weather().now - struck_at_;
}

bool Trial::until(EventKind kind, std::uint64_t at_most_ms) {
  const auto& events = world.chain().events();
  std::size_t seen = first_event_;
  const ledger::Event* found = nullptr;
  const bool has_come = world.run_until(
      [&] {
        for (; found == nullptr && seen < events.size(); ++seen) {
          if (events[seen].kind == kind) found = &events[seen];
        }
        return found != nullptr;
      },
      at_most_ms);
  if (!has_come) return false;
  const auto [tier, how] = finding_of(world.state(), *found);
  caught(tier, how);
  return true;
}

std::uint64_t Trial::count(EventKind kind) {
  const auto& events = world.chain().events();
  return static_cast<std::uint64_t>(
      std::ranges::count(events.begin() + static_cast<std::ptrdiff_t>(first_event_), events.end(),
                         kind, &ledger::Event::kind));
}

void Trial::expect(bool holds, std::string_view what) {
  if (!holds && outcome_.wrong.empty()) outcome_.wrong = what;
}

// Everything that belongs to an account, plus what it paid in fees or for answers and minus what
// its answers earned: it changes only by penalties and rewards.
std::int64_t Trial::worth(const crypto::Address& address) const {
  const ledger::State& state = world.state();
  std::uint64_t has = 0, earned = 0;
  const auto account = state.accounts.find(address);
  if (account != state.accounts.end()) {
    has += account->second.balance +
           account->second.nonce * ledger::parameters_at(state, state.time).fee;
  }
  const auto found = state.operators.find(address);
  if (found != state.operators.end()) has += found->second.stake + found->second.unbonding;
  for (const auto& [pair, channel] : state.channels) {
    if (pair.first == address) has += channel.deposit + channel.paid;
    if (pair.second == address) earned += channel.paid;
  }
  for (const auto& [number, game] : state.games) {
    if (game.challenger == address) has += game.bond;
  }
  for (const auto& [hash, force] : state.forces) {
    if (force.forcer == address && force.status == ledger::ForceStatus::kOpen) has += force.bond;
  }
  for (const auto& [key, canary] : state.canaries) {
    if (key.first == address) has += canary.bond + canary.reward;
  }
  for (const auto& [root, model] : state.models) {
    if (model.registrant == address) has += model.bond;
  }
  return static_cast<std::int64_t>(has) - static_cast<std::int64_t>(earned);
}

bool Trial::is_final(const Posted& posted) {
  const auto key = world.claim_of(*posted.of, posted.receipt);
  return key && ledger::is_final(world.state(), *key);
}

void Trial::judge_claims() {
  const auto is_settled = [&](const Posted& one) {
    return world.state().settled_requests.contains(
        {one.receipt.claim.request_hash, one.receipt.operator_address});
  };
  for (const Posted& one : posted_) {
    if (one.is_true) {
      expect(is_final(one), "a true claim is not final");
      expect(is_settled(one), "a true claim is not paid");
    } else {
      expect(!is_final(one), "a false claim is final");
      expect(!is_settled(one), "a false claim is paid");
    }
  }
}

Outcome Trial::finish() {
  const auto is_over = [&] {
    const bool is_quiet = std::ranges::all_of(world.state().games, [](const auto& entry) {
      return entry.second.stage == ledger::Stage::kEnded;
    });
    return is_quiet && std::ranges::all_of(posted_, [&](const Posted& one) {
             return !one.is_true || is_final(one);
           });
  };
  (void)world.run_until(is_over, kLongestMs);
  world.run_ms(kQuietMs);
  judge_claims();
  expect(world.chain().broken().empty(), "an invariant: " + world.chain().broken());
  std::int64_t of_cheats = 0;
  for (const Party& party : parties_) {
    const std::int64_t change = worth(party.address) - party.before;
    if (!party.is_honest) of_cheats += change;
    if (change < 0) outcome_.losses.push_back({party.name, static_cast<std::uint64_t>(-change)});
  }
  expect(of_cheats <= 0, "the cheats together have earned " + std::to_string(of_cheats));
  return std::move(outcome_);
}

Status play(World& world, const crypto::PrivateKey& key, std::uint64_t game,
            dispute::Action action) {
  const Hash& digest = world.state().games.at(game).game_digest;
  return world.send(key, ledger::Move{game, dispute::encode_move({dispute::Side::kChallenger,
                                                                  digest, std::move(action)})});
}

Status open_game(World& world, const crypto::PrivateKey& key, const ledger::ClaimKey& claim,
                 const protocol::Receipt& receipt) {
  return world.send(key, ledger::Challenge{.batch = claim.batch,
                                           .index = claim.index,
                                           .claim = receipt.claim,
                                           .path = {},
                                           .request = receipt.request.request});
}

}  // namespace otr::sim

// Accusers that lie, puppets, floods, and thieves of other people's moves (SIMULATED cheats).
#include <array>

#include "sim/trial.h"

namespace otr::sim {
namespace {

using ledger::EventKind;

dispute::Challenge leaf_of_token(std::uint64_t t) { return {{.t = t, .stream = {}, .tile = 0}}; }

bool is_proving(const World& world, std::uint64_t game) {
  return world.state().games.at(game).game.phase == dispute::Phase::kProving;
}

// Stands for whatever cheat opens a game on an honest claim.
struct Accused {
  explicit Accused(std::uint64_t seed)
      : trial(seed),
        accuser(trial.cheating_key("accuser")),
        honest(trial.honest_operator()),
        receipt(trial.post_true(honest)) {}
  Status accuse() { return open_game(trial.world, accuser, {1, 0}, receipt); }
  Trial trial;
  crypto::PrivateKey accuser;
  OperatorNode& honest;
  protocol::Receipt receipt;
};

Outcome false_accusation(std::uint64_t seed) {
  Accused stage(seed);
  World& world = stage.trial.world;
  stage.trial.strike();
  stage.trial.expect(stage.accuse().has_value(), "no game");
  (void)play(world, stage.accuser, 1, leaf_of_token(3 + seed % 3));
  (void)world.run_until([&] { return is_proving(world, 1); }, 10'000);
  // A bluff is no proof, whatever it names.
  const Status bluff =
      play(world, stage.accuser, 1,
           referee::Proof{
               .kind = referee::ProofKind::kStep, .tensor = machine::Tensor::kToken, .index = 0});
  stage.trial.expect(!bluff, "a bluff was taken for a proof");
  (void)play(world, stage.accuser, 1, dispute::Concede{});
  (void)stage.trial.until(EventKind::kUpheld);
  return stage.trial.finish();
}

Outcome silent_accuser(std::uint64_t seed) {
  Accused stage(seed);
  World& world = stage.trial.world;
  stage.trial.strike();
  stage.trial.expect(stage.accuse().has_value(), "no game");
  (void)play(world, stage.accuser, 1, leaf_of_token(3 + seed % 3));
  (void)stage.trial.until(EventKind::kUpheld);
  return stage.trial.finish();
}

Outcome flood(std::uint64_t seed) {
  Accused stage(seed);
  World& world = stage.trial.world;
  stage.trial.strike();
  constexpr std::uint64_t kGames = 12;
  std::uint64_t bond = 0;
  for (std::uint64_t game = 1; game <= kGames; ++game) {
    stage.trial.expect(stage.accuse().has_value(), "no game");
    const std::uint64_t its = world.state().games.at(game).bond;
    stage.trial.expect(its > bond, "the bond does not rise");
    bond = its;
    (void)play(world, stage.accuser, game, leaf_of_token(3 + game % 3));
  }
  for (std::uint64_t game = 1; game <= kGames; ++game) {
    (void)world.run_until([&] { return is_proving(world, game); }, 20'000);
    (void)play(world, stage.accuser, game, dispute::Concede{});
  }
  (void)stage.trial.until(EventKind::kUpheld);
  return stage.trial.finish();
}

// Each demand the moment after the last reveal, so that the worker's clock runs most of the time.
Outcome demand_flood(std::uint64_t seed) {
  Accused stage(seed);
  World& world = stage.trial.world;
  stage.trial.strike();
  stage.trial.expect(stage.accuse().has_value(), "no game");
  (void)play(world, stage.accuser, 1, leaf_of_token(3 + seed % 3));
  std::uint32_t demands = 0;
  while (world.run_until([&] { return is_proving(world, 1); }, 60'000)) {
    const referee::Demand demand{{referee::Place::kTokens, 0, 0}, 0, demands % 4, demands % 4 + 1};
    if (!play(world, stage.accuser, 1, demand)) break;
    ++demands;
  }
  stage.trial.expect(demands == world.state().parameters.at(0).max_demands, "no limit of demands");
  (void)stage.trial.until(EventKind::kUpheld);
  return stage.trial.finish();
}

// What a game opened too late, after the window, would stall.
Outcome late_challenge(std::uint64_t seed) {
  Accused stage(seed);
  stage.trial.world.run_ms(stage.trial.world.state().parameters.at(0).window + 100);
  stage.trial.strike();
  stage.trial.refused(stage.accuse());
  return stage.trial.finish();
}

// The cheat's own challenger proves the cheat's own lie first, for the reward.
Outcome sock_puppet(std::uint64_t seed) {
  Trial trial(seed);
  World& world = trial.world;
  LiarsDefence defence(world.weights(), token_at(2, 5), false);
  OperatorNode& cheat = trial.cheat(std::ref(defence));
  FishermanNode& puppet = world.add_fisherman("puppet");
  trial.join("puppet", puppet.key.address(), false);
  const auto forged =
      forge_token(world.weights(), world.request(), world.prompt(), 0, 5, cheat.signers);
  trial.strike();
  (void)trial.post(cheat, forged, false);
  (void)trial.until(EventKind::kRefuted);
  const auto split = ledger::split_of(world.state().parameters.at(0), kStake);
  trial.expect(split.reporter < kStake - split.burned + 1 && split.burned * 2 >= kStake,
               "the burned share does not deter");
  trial.expect(world.state().burned >= split.burned, "nothing was burned");
  return trial.finish();
}

// A puppet holds one claim of its master; the finality of the others does not wait.
Outcome self_challenge(std::uint64_t seed) {
  Trial trial(seed);
  World& world = trial.world;
  OperatorNode& master = trial.cheat();
  const auto puppet = trial.cheating_key("puppet");
  const auto held = trial.post_true(master);
  const auto other = trial.post_true(master);
  trial.strike();
  trial.expect(open_game(world, puppet, {1, 0}, held).has_value(), "no game");
  (void)play(world, puppet, 1, leaf_of_token(3));
  const bool is_other_final =
      world.run_until([&] { return ledger::is_final(world.state(), {2, 0}); }, 30'000);
  trial.expect(is_other_final, "another claim waits for the game");
  trial.expect(!ledger::is_final(world.state(), {1, 0}), "the held claim is final");
  (void)trial.until(EventKind::kUpheld);
  return trial.finish();
}

// The liar answers nothing at all.
Outcome delaying_operator(std::uint64_t seed) {
  Trial trial(seed);
  World& world = trial.world;
  OperatorNode& cheat =
      trial.cheat([](const auto&, const auto&, const auto&) { return dispute::Close{}; });
  (void)trial.fisherman();
  const auto forged =
      forge_token(world.weights(), world.request(), world.prompt(), 0, 5, cheat.signers);
  trial.strike();
  (void)trial.post(cheat, forged, false);
  (void)trial.until(EventKind::kRefuted);
  const auto& parameters = world.state().parameters.at(0);
  trial.expect(world.weather().now <= world.state().games.at(1).opened_at +
                                          parameters.worker_clock + parameters.challenger_clock,
               "the game took longer than both clocks");
  return trial.finish();
}

// A lie is challenged by an honest account and by a thief that copies its moves.
struct Copied {
  explicit Copied(std::uint64_t seed)
      : trial(seed),
        defence(trial.world.weights(), token_at(2, 5), false),
        cheat(trial.cheat(std::ref(defence))),
        thief(trial.cheating_key("thief")),
        honest(trial.world.funded_key(1'000'000)) {
    trial.join("challenger", honest.address(), true);
    World& world = trial.world;
    forged = forge_token(world.weights(), world.request(), world.prompt(), 0, 5, cheat.signers);
    (void)trial.post(cheat, forged, false);
    trial.expect(open_game(world, honest, {1, 0}, forged).has_value(), "no game");
  }
  [[nodiscard]] ledger::Move next(dispute::Action action) const {
    return {1,
            dispute::encode_move({dispute::Side::kChallenger,
                                  trial.world.state().games.at(1).game_digest, std::move(action)})};
  }
  // The honest challenger goes on, and wins by the operator's own clock or answer.
  Outcome finish() {
    (void)trial.world.send(honest, next(leaf_of_token(3)));
    cheat.node->link.is_cut = true;
    trial.world.run_ms(61'000);
    (void)trial.world.send(honest, ledger::CloseGame{1});
    return trial.finish();
  }
  Trial trial;
  LiarsDefence defence;
  OperatorNode& cheat;
  crypto::PrivateKey thief, honest;
  protocol::Receipt forged;
};

// The thief sends the honest challenger's move under its own name.
Outcome front_run_move(std::uint64_t seed) {
  Copied stage(seed);
  stage.trial.strike();
  stage.trial.refused(stage.trial.world.send(stage.thief, stage.next(leaf_of_token(3))));
  return stage.finish();
}

// The thief opens a game of its own, a moment later, and plays the copied move there.
Outcome front_run_proof(std::uint64_t seed) {
  Copied stage(seed);
  World& world = stage.trial.world;
  ledger::Move copied = stage.next(leaf_of_token(3));
  world.run_ms(500);
  stage.trial.expect(open_game(world, stage.thief, {1, 0}, stage.forged).has_value(), "no game");
  copied.game = 2;
  stage.trial.strike();
  stage.trial.refused(world.send(stage.thief, copied));
  return stage.finish();
}

// The liar plays for its challenger, and concedes for it.
Outcome move_for_the_other(std::uint64_t seed) {
  Copied stage(seed);
  stage.trial.strike();
  stage.trial.refused(
      stage.trial.world.send(stage.cheat.signers.operator_key, stage.next(dispute::Concede{})));
  return stage.finish();
}

// A game is closed while a clock still runs.
Outcome early_close(std::uint64_t seed) {
  Accused stage(seed);
  stage.trial.expect(stage.accuse().has_value(), "no game");
  stage.trial.strike();
  stage.trial.refused(stage.trial.world.send(stage.accuser, ledger::CloseGame{1}));
  return stage.trial.finish();
}

// Nobody pays whoever checks nothing: what a liar loses goes to who has found it.
Outcome lazy_fisherman(std::uint64_t seed) {
  Trial trial(seed);
  World& world = trial.world;
  LiarsDefence defence(world.weights(), token_at(2, 5), false);
  OperatorNode& cheat = trial.cheat(std::ref(defence));
  FishermanNode& lazy =
      world.add_fisherman("lazy", 1'000'000, [](auto& options) { options.check_ppm = 0; });
  trial.join("lazy", lazy.key.address(), false);
  FishermanNode& awake = trial.fisherman();
  const std::uint64_t lazy_before = world.balance(lazy.key.address());
  const std::uint64_t awake_before = world.balance(awake.key.address());
  const auto forged =
      forge_token(world.weights(), world.request(), world.prompt(), 0, 5, cheat.signers);
  trial.strike();
  (void)trial.post(cheat, forged, false);
  (void)trial.until(EventKind::kRefuted);
  trial.expect(world.balance(lazy.key.address()) == lazy_before, "the lazy one was paid");
  trial.expect(world.balance(awake.key.address()) > awake_before, "the awake one was not paid");
  return trial.finish();
}

constexpr Demanded game(std::string_view how, std::string_view losers, std::string_view rule) {
  return {Tier::kOptimistic, how, losers, rule};
}
constexpr Demanded ruled(std::string_view how, std::string_view losers, std::string_view rule) {
  return {Tier::kRule, how, losers, rule};
}

constexpr std::array kAttacks = {
    Attack{"false-accusation", "an honest claim is challenged, with a bluff for a proof",
           game("UPHELD", "accuser", "SET-32"), false_accusation},
    Attack{"silent-accuser", "an honest claim is challenged, and the accuser falls silent",
           game("UPHELD", "accuser", "GAME-7"), silent_accuser},
    Attack{"flood", "a dozen challenges against one honest claim",
           game("UPHELD", "accuser", "SET-32"), flood},
    Attack{"demand-flood", "as many demands as there may be, to use up an honest worker's clock",
           game("UPHELD", "accuser", "SET-9"), demand_flood},
    Attack{"late-challenge", "a challenge after the window", ruled("TOO_LATE", "", "SET-23"),
           late_challenge},
    Attack{"sock-puppet", "a liar's own challenger takes the reward",
           game("STEP_MISMATCH", "cheat", "SET-33"), sock_puppet},
    Attack{"self-challenge", "a puppet stalls its master's claim; the others do not wait",
           game("UPHELD", "puppet", "GAME-1"), self_challenge},
    Attack{"delaying-operator", "a liar lets its clock run", game("TIME", "cheat", "GAME-10"),
           delaying_operator},
    Attack{"front-run-move", "a thief sends a challenger's move as its own",
           ruled("NOT_ALLOWED", "cheat", "SET-32"), front_run_move},
    Attack{"front-run-proof", "a thief plays a copied move in a game of its own",
           ruled("STATE_MISMATCH", "cheat", "GAME-8"), front_run_proof},
    Attack{"move-for-the-other", "a liar concedes in its challenger's name",
           ruled("NOT_ALLOWED", "cheat", "GAME-4"), move_for_the_other},
    Attack{"early-close", "a game is closed while a clock runs",
           ruled("CLOCK_RUNNING", "accuser", "GAME-7"), early_close},
    Attack{"lazy-fisherman", "a fisherman that checks nothing, beside one that is awake",
           game("STEP_MISMATCH", "cheat", "SET-33"), lazy_fisherman},
};

}  // namespace

std::span<const Attack> attacks_on_games() { return kAttacks; }

}  // namespace otr::sim

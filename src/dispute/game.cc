#include "dispute/game.h"

#include <string>

#include "crypto/sha256.h"
#include "referee/encoding.h"
#include "referee/reject.h"

namespace otr::dispute {
namespace {

using referee::MoveReject;
using referee::reject;

template <class... Ts>
struct Overloaded : Ts... {
  using Ts::operator()...;
};

std::uint64_t elapsed_ms(const Game& game, std::uint64_t now_ms) {
  return now_ms > game.moved_at_ms ? now_ms - game.moved_at_ms : 0;
}

std::uint64_t left_ms(const Game& game, Side side) {
  return side == Side::kWorker ? game.worker_left_ms : game.challenger_left_ms;
}

// One move of one game; `next` starts as the state before it.
class Turn {
 public:
  Turn(const Game& game, Side side, const Facts& facts)
      : game_(game), side_(side), facts_(facts), next_(game) {
    if (game.leaf && game.micro_root) {
      // The leaf was one of this claim when it was challenged.
      micro_ =
          referee::MicroTrace{*referee::position_of(facts.statement, *game.leaf), *game.micro_root};
    }
  }

  Result<Game> play(const Action& action) {
    OTR_TRY(std::visit([&](const auto& what) { return move(what); }, action));
    return std::move(next_);
  }

 private:
  Status expect(Side side, std::initializer_list<Phase> phases) const {
    for (const Phase phase : phases) {
      if (side == side_ && game_.phase == phase) return {};
    }
    return reject(MoveReject::kMoveOutOfTurn, "the game is not in a phase for this move.");
  }
  [[nodiscard]] const referee::MicroTrace* micro() const { return micro_ ? &*micro_ : nullptr; }

  void finish(Phase phase, Ending ending, std::uint8_t verdict = 0) {
    next_.phase = phase;
    next_.ending = ending;
    next_.verdict = verdict;
    next_.demand.reset();
  }

  Status move(const Challenge& challenge) {
    OTR_TRY(expect(Side::kChallenger, {Phase::kSearching}));
    OTR_TRY(referee::check_statement(facts_.statement));
    OTR_TRY(referee::position_of(facts_.statement, challenge.leaf));
    next_.leaf = challenge.leaf;
    next_.micro_root = facts_.bound;  // SPEC GAME-5
    next_.phase = facts_.bound ? Phase::kProving : Phase::kAnswering;
    return {};
  }
  Status move(const referee::Demand& demand) {
    OTR_TRY(expect(Side::kChallenger, {Phase::kSearching, Phase::kProving}));
    if (game_.demand_count >= game_.parameters.max_demands) {
      return reject(MoveReject::kDemandLimit, "the game has had all its demands.");
    }
    OTR_TRY(referee::check_statement(facts_.statement));
    OTR_TRY(referee::check_demand(facts_.statement, micro(), demand));
    next_.demand = demand;
    ++next_.demand_count;
    next_.phase = Phase::kRevealing;
    return {};
  }
  Status move(const referee::Proof& proof) {
    OTR_TRY(expect(Side::kChallenger, {Phase::kSearching, Phase::kProving}));
    OTR_TRY_ASSIGN(const referee::Verdict verdict,
                   referee::adjudicate(facts_.statement, micro(), proof));
    finish(Phase::kRefuted, Ending::kProven, static_cast<std::uint8_t>(verdict.code));
    return {};
  }
  Status move(const referee::Answer& answer) {
    OTR_TRY(expect(Side::kWorker, {Phase::kAnswering}));
    const bool is_short = answer.tensor_roots.empty() && answer.outputs.empty();
    if (facts_.bound && is_short) {
      next_.micro_root = facts_.bound;
    } else {
      OTR_TRY_ASSIGN(const referee::MicroTrace micro,
                     referee::check_answer(facts_.statement, *game_.leaf, answer));
      if (facts_.bound && *facts_.bound != micro.root) {
        return reject(MoveReject::kAnswerBound, "the leaf was answered with another micro-trace.");
      }
      next_.micro_root = micro.root;
    }
    next_.phase = Phase::kProving;
    return {};
  }
  Status move(const referee::Opening& reveal) {
    OTR_TRY(expect(Side::kWorker, {Phase::kRevealing}));
    OTR_TRY(referee::check_reveal(facts_.statement, micro(), *game_.demand, reveal));
    next_.demand.reset();
    next_.phase = game_.leaf ? Phase::kProving : Phase::kSearching;
    return {};
  }
  Status move(const Concede&) {
    if (side_ != to_move(game_)) {
      return reject(MoveReject::kMoveOutOfTurn, "only the side to move concedes.");
    }
    if (side_ == Side::kWorker) {
      finish(Phase::kRefuted, Ending::kConceded);
    } else {
      finish(Phase::kUpheld, game_.leaf ? Ending::kConceded : Ending::kWithdrawn);
    }
    return {};
  }
  // SPEC GAME-7. apply() has found that the side to move has expired, or that the claim has fallen.
  Status move(const Close&) {
    if (facts_.refuted) {
      finish(Phase::kMoot, Ending::kMoot);
    } else {
      finish(to_move(game_) == Side::kWorker ? Phase::kRefuted : Phase::kUpheld, Ending::kTime);
    }
    return {};
  }

  const Game& game_;
  const Side side_;
  const Facts& facts_;
  Game next_;
  std::optional<referee::MicroTrace> micro_;
};

}  // namespace

// SPEC GAME-2.
Status check(const Parameters& parameters) {
  const auto is_clock = [](std::uint64_t ms) { return ms >= kMinClockMs && ms <= kMaxClockMs; };
  if (!is_clock(parameters.worker_clock_ms) || !is_clock(parameters.challenger_clock_ms)) {
    return reject(MoveReject::kParametersInvalid,
                  "clocks must be from 60,000 to 604,800,000 milliseconds.");
  }
  if (parameters.max_demands < kMinDemands || parameters.max_demands > kMaxDemands) {
    return reject(MoveReject::kParametersInvalid, "max_demands must be from 64 to 4096.");
  }
  return {};
}

Result<Game> open(const Parameters& parameters, std::uint64_t now_ms) {
  OTR_TRY(check(parameters));
  return Game{.parameters = parameters,
              .moved_at_ms = now_ms,
              .challenger_left_ms = parameters.challenger_clock_ms,
              .worker_left_ms = parameters.worker_clock_ms};
}

std::optional<Side> to_move(const Game& game) {
  switch (game.phase) {
    case Phase::kSearching:
    case Phase::kProving:
      return Side::kChallenger;
    case Phase::kRevealing:
    case Phase::kAnswering:
      return Side::kWorker;
    default:
      return std::nullopt;
  }
}

// SPEC GAME-6.
bool has_expired(const Game& game, std::uint64_t now_ms) {
  const std::optional<Side> side = to_move(game);
  return side && elapsed_ms(game, now_ms) > left_ms(game, *side);
}

std::uint64_t expires_at_ms(const Game& game) {
  return game.moved_at_ms + left_ms(game, *to_move(game)) + 1;
}

Result<Game> apply(const Game& game, const Move& move, std::uint64_t now_ms, const Facts& facts) {
  if (is_over(game.phase)) return reject(MoveReject::kGameOver, "the game is over.");
  if (move.state != digest_of(game)) {
    return reject(MoveReject::kStateMismatch, "the move answers another state of the game.");
  }
  const bool is_close = std::holds_alternative<Close>(move.action);
  const bool expired = has_expired(game, now_ms);
  if (facts.refuted && !is_close) {
    return reject(MoveReject::kGameOver, "the claim has fallen: the game can only be closed.");
  }
  if (is_close && !facts.refuted && !expired) {
    return reject(MoveReject::kClockRunning, "the side to move still has time.");
  }
  if (!is_close && expired) {
    return reject(MoveReject::kClockExpired, "the side to move has no time left.");
  }
  OTR_TRY_ASSIGN(Game next, Turn(game, move.side, facts).play(move.action));
  ++next.move_count;
  if (!is_close) {
    (*to_move(game) == Side::kWorker ? next.worker_left_ms : next.challenger_left_ms) -=
        elapsed_ms(game, now_ms);
  }
  next.moved_at_ms = std::max(game.moved_at_ms, now_ms);
  return next;
}

// SPEC GAME-8.
Hash digest_of(const Game& game) {
  Bytes bytes;
  append_le(bytes, game.parameters.worker_clock_ms);
  append_le(bytes, game.parameters.challenger_clock_ms);
  append_le(bytes, game.parameters.max_demands);
  append_le(bytes, static_cast<std::uint8_t>(game.phase));
  append_le(bytes, static_cast<std::uint8_t>(game.ending));
  append_le(bytes, game.verdict);
  append_le(bytes, game.demand_count);
  append_le(bytes, game.move_count);
  append_le(bytes, game.moved_at_ms);
  append_le(bytes, game.challenger_left_ms);
  append_le(bytes, game.worker_left_ms);
  append_le(bytes, static_cast<std::uint8_t>(game.leaf.has_value()));
  const referee::Leaf leaf = game.leaf.value_or(referee::Leaf{});
  append_le(bytes, leaf.t);
  referee::append(bytes, referee::tree_of(leaf.stream));
  append_le(bytes, leaf.tile);
  append_le(bytes, static_cast<std::uint8_t>(game.micro_root.has_value()));
  append(bytes, game.micro_root.value_or(Hash{}));
  append_le(bytes, static_cast<std::uint8_t>(game.demand.has_value()));
  referee::append(bytes, game.demand.value_or(referee::Demand{}));
  return crypto::sha256({as_bytes("OTR.game"), bytes});
}

}  // namespace otr::dispute

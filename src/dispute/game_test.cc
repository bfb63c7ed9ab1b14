// The rules of the game, move by move (SPEC GAME), and the encoding of moves.
#include "dispute/game.h"

#include <gtest/gtest.h>

#include "base/reject.h"
#include "dispute/test_players.h"
#include "dispute/worker.h"

namespace otr::dispute {
namespace {

constexpr Parameters kParameters{100'000, 200'000, 64};
constexpr referee::TreeId kTokens{referee::Place::kTokens, 0, 0};

// A game on an honest claim, whose moves are played by hand.
class GameTest : public ::testing::Test {
 protected:
  GameTest()
      : world_({}),
        run_(*work(world_)),
        claimed_(world_, run_),
        archive_(world_.artifact, claimed_.statement, world_.prompt, run_.trace),
        game_(*open(kParameters, now_)) {}

  Result<Game> tried(Side side, const Action& action) const {
    return apply(game_, {side, digest_of(game_), action}, now_, facts_);
  }
  void play(Side side, const Action& action) {
    const Result<Game> next = tried(side, action);
    ASSERT_TRUE(next) << next.error().message;
    game_ = *next;
  }
  std::string code(Side side, const Action& action) const {
    const Result<Game> next = tried(side, action);
    return next ? "taken" : next.error().code;
  }
  void answer() { play(Side::kWorker, respond(archive_, game_, facts_)); }

  const referee::Leaf residual_leaf_{1, {merkle::Kind::kResidual, 1, 0}, 0};
  const referee::Demand tokens_demand_{kTokens, 0, 0, 2};
  std::uint64_t now_ = 5'000;
  World world_;
  Pass run_;
  Claimed claimed_;
  Archive archive_;
  Facts facts_{.statement = claimed_.statement, .bound = {}};
  Game game_;
};

TEST_F(GameTest, ParametersHaveBounds) {
  EXPECT_TRUE(check(kParameters));
  for (const Parameters& bad :
       {Parameters{59'999, 200'000, 64}, Parameters{100'000, 604'800'001, 64},
        Parameters{604'800'001, 200'000, 64}, Parameters{100'000, 59'999, 64},
        Parameters{100'000, 200'000, 63}, Parameters{100'000, 200'000, 4097}, Parameters{}}) {
    EXPECT_EQ(check(bad).error().code, "PARAMETERS_INVALID");
    EXPECT_EQ(open(bad, 0).error().code, "PARAMETERS_INVALID");
  }
}

// Every move in every phase: who may play what.
TEST_F(GameTest, MovesHaveTheirTurn) {
  const std::vector<Action> worker_moves = {referee::Answer{}, referee::Opening{}};
  const std::vector<Action> challenger_moves = {Challenge{residual_leaf_}, tokens_demand_,
                                                referee::Proof{}};
  const auto none_of_the_other_side = [&] {
    const Side mover = *to_move(game_);
    const Side other = mover == Side::kWorker ? Side::kChallenger : Side::kWorker;
    for (const auto* moves : {&worker_moves, &challenger_moves}) {
      for (const Action& action : *moves) {
        EXPECT_EQ(code(other, action), "MOVE_OUT_OF_TURN");
        if ((moves == &worker_moves) != (mover == Side::kWorker)) {
          EXPECT_EQ(code(mover, action), "MOVE_OUT_OF_TURN");
        }
      }
    }
    EXPECT_EQ(code(other, Concede{}), "MOVE_OUT_OF_TURN");
    EXPECT_EQ(code(mover, Close{}), "CLOCK_RUNNING");
    EXPECT_EQ(code(other, Close{}), "CLOCK_RUNNING");
  };
  none_of_the_other_side();  // searching
  play(Side::kChallenger, tokens_demand_);
  EXPECT_EQ(game_.phase, Phase::kRevealing);
  none_of_the_other_side();
  EXPECT_EQ(code(Side::kWorker, referee::Answer{}), "MOVE_OUT_OF_TURN");
  answer();
  EXPECT_EQ(game_.phase, Phase::kSearching);
  play(Side::kChallenger, Challenge{residual_leaf_});
  EXPECT_EQ(game_.phase, Phase::kAnswering);
  none_of_the_other_side();
  EXPECT_EQ(code(Side::kWorker, referee::Opening{}), "MOVE_OUT_OF_TURN");
  answer();
  EXPECT_EQ(game_.phase, Phase::kProving);
  none_of_the_other_side();
  EXPECT_EQ(code(Side::kChallenger, Challenge{residual_leaf_}), "MOVE_OUT_OF_TURN");
  play(Side::kChallenger, referee::Demand{{referee::Place::kMicro, 9, 0}, 0, 0, 1});
  answer();
  EXPECT_EQ(game_.phase, Phase::kProving);
  EXPECT_EQ(game_.demand_count, 2u);
  EXPECT_EQ(game_.move_count, 6u);
}

TEST_F(GameTest, MovesAnswerOneState) {
  const Move early{Side::kChallenger, digest_of(game_), tokens_demand_};
  play(Side::kChallenger, tokens_demand_);
  answer();
  ASSERT_EQ(game_.phase, Phase::kSearching);
  EXPECT_EQ(apply(game_, early, now_, facts_).error().code, "STATE_MISMATCH");
}

TEST_F(GameTest, WhatTheClaimDoesNotHaveIsRefused) {
  EXPECT_EQ(code(Side::kChallenger, Challenge{{1, {}, 0}}), "STEP_UNKNOWN");  // of the prompt
  EXPECT_EQ(code(Side::kChallenger, Challenge{{99, {}, 0}}), "STEP_UNKNOWN");
  EXPECT_EQ(code(Side::kChallenger, Challenge{{1, {merkle::Kind::kResidual, 2, 0}, 0}}),
            "STEP_UNKNOWN");
  EXPECT_EQ(code(Side::kChallenger, Challenge{{1, {merkle::Kind::kResidual, 1, 0}, 1}}),
            "STEP_UNKNOWN");
  const auto last = static_cast<std::uint64_t>(run_.tokens.size() - 1);
  EXPECT_EQ(code(Side::kChallenger, Challenge{{last, {merkle::Kind::kKey, 0, 0}, 0}}),
            "STEP_UNKNOWN");
  using referee::Demand;
  using referee::Place;
  for (const Demand& bad :
       {Demand{kTokens, 0, 0, last + 2}, Demand{kTokens, 0, 3, 3}, Demand{kTokens, 1, 0, 2},
        Demand{kTokens, 4, 0, 1}, Demand{kTokens, 1, 4, 5}, Demand{{Place::kTokens, 1, 0}, 0, 0, 1},
        Demand{{Place::kModel, 1, 0}, 0, 0, 1}, Demand{{Place::kMicro, 9, 0}, 0, 0, 1},
        Demand{{Place::kKey, 2, 0}, 0, 0, 1}, Demand{{Place::kKey, 0, 1}, 0, 0, 1}}) {
    EXPECT_EQ(code(Side::kChallenger, bad), "DEMAND_INVALID") << bad.begin << " " << bad.level;
  }
  EXPECT_EQ(code(Side::kChallenger, referee::Proof{}), "STEP_UNKNOWN");  // before an answer
}

TEST_F(GameTest, DemandsAreCounted) {
  for (std::uint32_t i = 0; i < kParameters.max_demands; ++i) {
    play(Side::kChallenger, tokens_demand_);
    answer();
  }
  EXPECT_EQ(code(Side::kChallenger, tokens_demand_), "DEMAND_LIMIT");
  EXPECT_EQ(code(Side::kChallenger, Challenge{residual_leaf_}), "taken");
}

TEST_F(GameTest, TheFirstAnswerBindsAllGames) {
  play(Side::kChallenger, Challenge{residual_leaf_});
  EXPECT_EQ(code(Side::kWorker, referee::Answer{}), "ANSWER_MISMATCH");  // nothing is bound
  const Action whole = respond(archive_, game_, facts_);
  facts_.bound = Hash{7};
  EXPECT_EQ(code(Side::kWorker, whole), "ANSWER_BOUND");
  EXPECT_TRUE(std::get<referee::Answer>(respond(archive_, game_, facts_)).tensor_roots.empty());
  answer();
  EXPECT_EQ(game_.micro_root, facts_.bound);
  EXPECT_EQ(game_.phase, Phase::kProving);
  // A leaf that is bound before it is challenged goes straight to the proof.
  game_ = *open(kParameters, now_);
  play(Side::kChallenger, Challenge{residual_leaf_});
  EXPECT_EQ(game_.phase, Phase::kProving);
  EXPECT_EQ(game_.micro_root, facts_.bound);
}

// The side to move loses only its own time, and at the same millisecond whoever asks.
TEST_F(GameTest, ClocksRunForTheSideToMove) {
  now_ += 30'000;
  play(Side::kChallenger, tokens_demand_);
  EXPECT_EQ(game_.challenger_left_ms, 170'000u);
  EXPECT_EQ(game_.worker_left_ms, 100'000u);
  now_ += 60'000;
  answer();
  EXPECT_EQ(game_.challenger_left_ms, 170'000u);
  EXPECT_EQ(game_.worker_left_ms, 40'000u);
  play(Side::kChallenger, Challenge{residual_leaf_});
  EXPECT_EQ(expires_at_ms(game_), now_ + 40'001);
  const Action whole = respond(archive_, game_, facts_);
  now_ += 40'000;
  EXPECT_EQ(code(Side::kWorker, whole), "taken");
  EXPECT_EQ(code(Side::kChallenger, Close{}), "CLOCK_RUNNING");
  ++now_;
  EXPECT_TRUE(has_expired(game_, now_));
  EXPECT_EQ(code(Side::kWorker, whole), "CLOCK_EXPIRED");
  EXPECT_EQ(code(Side::kWorker, Concede{}), "CLOCK_EXPIRED");
  play(Side::kChallenger, Close{});
  EXPECT_EQ(game_.phase, Phase::kRefuted);
  EXPECT_EQ(game_.ending, Ending::kTime);
  EXPECT_EQ(game_.verdict, 0);
}

TEST_F(GameTest, AClockThatGoesBackCostsNobody) {
  now_ -= 4'000;
  play(Side::kChallenger, tokens_demand_);
  EXPECT_EQ(game_.challenger_left_ms, 200'000u);
  EXPECT_EQ(game_.moved_at_ms, 5'000u);
}

TEST_F(GameTest, AnIdleChallengerLosesByTime) {
  now_ = expires_at_ms(game_);
  EXPECT_EQ(now_, 5'000u + 200'001u);
  EXPECT_EQ(code(Side::kChallenger, tokens_demand_), "CLOCK_EXPIRED");
  play(Side::kWorker, Close{});
  EXPECT_EQ(game_.phase, Phase::kUpheld);
  EXPECT_EQ(game_.ending, Ending::kTime);
}

TEST_F(GameTest, TheEndsAbsorb) {
  const Game start = game_;
  std::vector<Game> ends;
  play(Side::kChallenger, Concede{});
  EXPECT_EQ(game_.ending, Ending::kWithdrawn);
  ends.push_back(game_);
  game_ = start;
  play(Side::kChallenger, Challenge{residual_leaf_});
  play(Side::kWorker, Concede{});
  EXPECT_EQ(game_.phase, Phase::kRefuted);
  EXPECT_EQ(game_.ending, Ending::kConceded);
  ends.push_back(game_);
  game_ = start;
  play(Side::kChallenger, Challenge{residual_leaf_});
  answer();
  play(Side::kChallenger, Concede{});
  EXPECT_EQ(game_.phase, Phase::kUpheld);
  EXPECT_EQ(game_.ending, Ending::kConceded);
  ends.push_back(game_);
  game_ = start;
  facts_.refuted = true;
  EXPECT_EQ(code(Side::kChallenger, tokens_demand_), "GAME_OVER");
  play(Side::kWorker, Close{});
  EXPECT_EQ(game_.phase, Phase::kMoot);
  EXPECT_EQ(game_.ending, Ending::kMoot);
  ends.push_back(game_);
  for (const Game& end : ends) {
    game_ = end;
    EXPECT_FALSE(to_move(game_));
    EXPECT_FALSE(has_expired(game_, UINT64_MAX));
    for (const bool refuted : {false, true}) {
      facts_.refuted = refuted;
      for (const Side side : {Side::kChallenger, Side::kWorker}) {
        for (const Action& action :
             std::vector<Action>{Challenge{residual_leaf_}, tokens_demand_, referee::Proof{},
                                 referee::Answer{}, referee::Opening{}, Concede{}, Close{}}) {
          EXPECT_EQ(code(side, action), "GAME_OVER");
        }
      }
    }
  }
}

TEST_F(GameTest, EveryFieldIsInTheDigest) {
  std::vector<Game> games(15, game_);
  ++games[1].parameters.worker_clock_ms;
  ++games[2].parameters.challenger_clock_ms;
  ++games[3].parameters.max_demands;
  games[4].phase = Phase::kProving;
  games[5].ending = Ending::kTime;
  ++games[6].verdict;
  ++games[7].demand_count;
  ++games[8].move_count;
  ++games[9].moved_at_ms;
  ++games[10].challenger_left_ms;
  ++games[11].worker_left_ms;
  games[12].leaf = referee::Leaf{};
  games[13].micro_root = Hash{};
  games[14].demand = referee::Demand{};
  for (std::size_t i = 0; i < games.size(); ++i) {
    for (std::size_t j = 0; j < i; ++j) EXPECT_NE(digest_of(games[i]), digest_of(games[j]));
  }
}

TEST_F(GameTest, MovesHaveOneEncoding) {
  play(Side::kChallenger, Challenge{residual_leaf_});
  const referee::Answer whole = std::get<referee::Answer>(respond(archive_, game_, facts_));
  const referee::Opening opening = archive_.open(kTokens, 0, 2);
  const referee::Proof step{.tensor = machine::Tensor::kKCut, .index = 3, .witness = {opening}};
  for (const Action& action : std::vector<Action>{
           Challenge{residual_leaf_}, Challenge{{4, {merkle::Kind::kKey, 1, 0}, 0}},
           Challenge{{4, {merkle::Kind::kValue, 1, 0}, 0}}, Challenge{{4, {}, 0}}, tokens_demand_,
           step, referee::Proof{.kind = referee::ProofKind::kPrompt, .t = 7}, whole, opening,
           Concede{}, Close{}}) {
    const Move move{Side::kWorker, digest_of(game_), action};
    const Bytes bytes = encode_move(move);
    const Result<Move> again = decode_move(bytes);
    ASSERT_TRUE(again) << again.error().message;
    EXPECT_EQ(*again, move);
    Bytes longer = bytes;
    longer.push_back(0);
    EXPECT_EQ(decode_move(longer).error().code, "MALFORMED");
    for (std::size_t size = 0; size < bytes.size(); ++size) {
      EXPECT_FALSE(decode_move(ByteView(bytes).first(size)));
    }
    // Whatever one changed byte makes of it is refused, or another move with that encoding.
    for (std::size_t i = 0; i < bytes.size(); i += 1 + i / 64) {
      Bytes changed = bytes;
      changed[i] ^= 0x41;
      const Result<Move> other = decode_move(changed);
      if (other) EXPECT_EQ(encode_move(*other), changed);
    }
  }
  EXPECT_EQ(decode_move(Bytes(kMaxMoveBytes + 1)).error().code, "LIMIT_EXCEEDED");
}

}  // namespace
}  // namespace otr::dispute

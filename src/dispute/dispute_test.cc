// Whole games: an honest challenger against workers that lie in every way of the list, and
// challengers without a case against an honest worker (SPEC GAME-4, GAME-9).
#include <gtest/gtest.h>

#include <set>

#include "base/reject.h"
#include "dispute/challenger.h"
#include "dispute/test_players.h"
#include "dispute/worker.h"
#include "machine/tables.h"

namespace otr::dispute {
namespace {

using machine::kHeadLayer;
using machine::Tensor;

std::int64_t& element(trace::MicroTensors& tensors, Tensor tensor, std::uint64_t i) {
  return tensors[static_cast<std::size_t>(tensor)][i];
}

// Replies from the committed execution; at `lied` with the tensors of the lie.
struct Committed {
  Committed(const World& world, const Claimed& claimed, const Pass& pass)
      : archive(world.artifact, claimed.statement, world.prompt, pass.trace) {}

  Action operator()(const Game& game, const Facts& facts) {
    if (!game.leaf || !lie) return respond(archive, game, facts);
    const referee::Position position = *referee::position_of(facts.statement, *game.leaf);
    if (position != lied) return respond(archive, game, facts);
    archive.take(position, *lie);
    if (game.phase == Phase::kAnswering) return archive.answer(*game.leaf);
    return archive.reveal(*game.demand);
  }

  Archive archive;
  referee::Position lied;
  std::optional<trace::MicroTensors> lie;
};

void expect_refuted(const Played& played, Ending ending, std::uint8_t verdict) {
  EXPECT_EQ(played.game.phase, Phase::kRefuted);
  EXPECT_EQ(played.game.ending, ending);
  EXPECT_EQ(int{played.game.verdict}, int{verdict});
}
void expect_proven(const Played& played, Reject code) {
  expect_refuted(played, Ending::kProven, static_cast<std::uint8_t>(code));
  EXPECT_EQ(played.rejected, 0);
}
void expect_withheld(const Played& played) { expect_refuted(played, Ending::kTime, 0); }

TEST(Dispute, AnHonestClaimHasNothingToChallenge) {
  const World world({});
  const auto run = work(world);
  ASSERT_TRUE(run);
  const Claimed claimed(world, *run);
  ASSERT_TRUE(referee::check_statement(claimed.statement));
  Committed worker(world, claimed, *run);
  EXPECT_EQ(worker.archive.trace_root(), claimed.claim.trace_root);
  const Pass mine = recompute(world, run->tokens);
  EXPECT_EQ(mine.choices, run->choices);
  const Played played = play(world, claimed, mine, std::ref(worker));
  EXPECT_EQ(played.game.phase, Phase::kUpheld);
  EXPECT_EQ(played.game.ending, Ending::kWithdrawn);
  EXPECT_EQ(played.moves, 1);
}

// The whole game for a worker that is wrong at one step and goes on from there as the program says.
// Returns whether the lie can be seen in the claim at all.
bool caught(const World& world, const Pass& honest, const machine::StepId& id) {
  const referee::Position position{id.t, id.layer};
  std::optional<trace::MicroTensors> lie;
  const auto run = work(
      world, [&](const Execution& execution, referee::Position at, trace::MicroTensors& tensors) {
        if (at != position) return;
        std::int64_t& value = element(tensors, id.tensor, id.index);
        value += value < machine::info(id.tensor).hi ? 1 : -1;
        if (id.tensor != Tensor::kToken) {
          const auto next = static_cast<Tensor>(static_cast<int>(id.tensor) + 1);
          tensors = compute_from(execution, at, next, std::move(tensors)).tensors;
        }
        lie = tensors;
      });
  EXPECT_TRUE(run && lie);
  const Claimed claimed(world, *run);
  if (claimed.claim.trace_root == Claimed(world, honest).claim.trace_root) return false;
  Committed worker(world, claimed, *run);
  worker.lied = position;
  worker.lie = lie;
  const Pass mine = recompute(world, run->tokens);
  const Played played = play(world, claimed, mine, std::ref(worker));
  EXPECT_EQ(played.game.phase, Phase::kRefuted);
  EXPECT_EQ(played.game.ending, Ending::kProven);
  EXPECT_EQ(played.rejected, 0);
  EXPECT_LT(played.game.demand_count, kMinDemands);
  return true;
}

// All elements of every tensor of a position's layers and head. A lie that rounding swallows leaves
// the claim true, and there is nothing to dispute.
TEST(Dispute, AWorkerWrongAtOneStepLosesTheWholeGame) {
  const World world({.seed = 4, .tied = false, .biases = true, .qk_norm = true, .exponent = 16},
                    {.inv_t = 90'000, .top_k = 9, .top_p = 60'000, .seed = {7}}, 3);
  const auto honest = work(world);
  ASSERT_TRUE(honest);
  int seen = 0;
  std::set<Tensor> tensors;
  for (const std::uint32_t layer : {0U, 1U, kHeadLayer}) {
    for (const Tensor tensor :
         trace::micro_tensors_of(world.facts.program, world.request.sampling, 3, layer)) {
      const std::uint64_t size =
          machine::shape_of(world.facts.program, world.request.sampling, 3, layer, tensor).size();
      for (std::uint64_t i = 0; i < size; ++i) {
        SCOPED_TRACE(std::string(machine::info(tensor).name) + "[" + std::to_string(i) +
                     "] of layer " + std::to_string(layer));
        if (!caught(world, *honest, {3, layer, tensor, i})) continue;
        ++seen;
        tensors.insert(tensor);
      }
    }
  }
  EXPECT_GT(seen, 50);
  EXPECT_GT(tensors.size(), 15u);
}

// Every output of a layer and the token, where nothing is swallowed.
TEST(Dispute, AFalseLeafIsAlwaysSeen) {
  const World world({.seed = 5});
  const auto honest = work(world);
  ASSERT_TRUE(honest);
  for (const Tensor tensor :
       {Tensor::kK, Tensor::kKExp, Tensor::kV, Tensor::kVExp, Tensor::kXOut}) {
    EXPECT_TRUE(caught(world, *honest, {2, 1, tensor, 0})) << machine::info(tensor).name;
  }
}

class Named : public ::testing::Test {
 protected:
  Named() : world_({.seed = 5}), honest_(*work(world_)) {}

  Played play_against(const Claimed& claimed, const Pass& pass, const Reply& worker) {
    return play(world_, claimed, recompute(world_, pass.tokens), worker);
  }

  World world_;
  Pass honest_;
};

TEST_F(Named, ARootWithoutPreimage) {
  Claimed claimed(world_, honest_);
  claimed.terms.trace_root = Hash{1, 2, 3};
  Committed worker(world_, claimed, honest_);
  const Played played = play_against(claimed, honest_, std::ref(worker));
  expect_withheld(played);
  EXPECT_EQ(played.rejected, 1);  // what it reveals leads to another root
}

// The leaf is false; the micro-trace that is answered is the true one.
TEST_F(Named, AnHonestMicroTraceUnderAFalseLeaf) {
  for (const auto& [tensor, place] : std::vector<std::pair<Tensor, std::uint32_t>>{
           {Tensor::kK, 1}, {Tensor::kVExp, 0}, {Tensor::kXOut, 1}, {Tensor::kToken, kHeadLayer}}) {
    const referee::Position position{2, place};
    const auto run = work(world_, [&](const Execution&, referee::Position at, auto& tensors) {
      if (at != position) return;
      std::int64_t& value = element(tensors, tensor, 0);
      value += value < 3 ? 1 : -1;
    });
    ASSERT_TRUE(run);
    const Claimed claimed(world_, *run);
    Committed worker(world_, claimed, *run);  // respond() computes the position as the program says
    const Played played = play_against(claimed, *run, std::ref(worker));
    expect_withheld(played);
    EXPECT_EQ(played.rejected, 1);
    EXPECT_TRUE(played.game.leaf && !played.game.micro_root);
  }
}

// The trace has one position more than the claim says.
TEST_F(Named, AWrongLength) {
  Claimed claimed(world_, honest_);
  --claimed.terms.out_count;
  const World shorter({.seed = 5}, {}, claimed.terms.out_count);
  const Pass pass = *work(shorter);
  Committed worker(world_, claimed, pass);
  expect_withheld(play_against(claimed, pass, std::ref(worker)));
}

TEST_F(Named, AWrongShapeOfAMicroTensor) {
  const auto run = work(world_, [&](const Execution&, referee::Position at, auto& tensors) {
    if (at == referee::Position{2, 0}) ++element(tensors, Tensor::kXOut, 3);
  });
  ASSERT_TRUE(run);
  const Claimed claimed(world_, *run);
  Committed worker(world_, claimed, *run);
  worker.lied = {2, 0};
  worker.lie = compute_position(worker.archive.execution(), {2, 0}).tensors;
  ++element(*worker.lie, Tensor::kXOut, 3);
  const Played played = play_against(claimed, *run, [&](const Game& game, const Facts& facts) {
    Action action = worker(game, facts);
    // The root of the norm's row is one of another shape.
    if (auto* answer = std::get_if<referee::Answer>(&action)) {
      answer->tensor_roots[9] = merkle::root(merkle::Kind::kMicroTensor, merkle::Type::kI16, 2, 5,
                                             answer->tensor_roots[8]);
      for (auto& opening : answer->outputs) {
        if (opening.tree.place != referee::Place::kMicro) continue;
        merkle::Tree list;
        list.append(std::span<const Hash>(answer->tensor_roots));
        const auto present = trace::micro_tensors_of(world_.facts.program, {}, 2, 0);
        const auto at = static_cast<std::uint64_t>(
            std::ranges::find(present, static_cast<Tensor>(opening.tree.a)) - present.begin());
        opening.list_path = list.open_range(at, at + 1);
      }
    }
    return action;
  });
  expect_withheld(played);
  EXPECT_TRUE(played.game.micro_root.has_value());
}

TEST_F(Named, AWrongFinishReason) {
  for (const std::uint8_t reason : std::vector<std::uint8_t>{1, 2, 3}) {
    if (reason == honest_.finish_reason) continue;
    Claimed claimed(world_, honest_);
    claimed.terms.finish_reason = reason;
    Committed worker(world_, claimed, honest_);
    expect_proven(play_against(claimed, honest_, std::ref(worker)), Reject::kFinishMismatch);
  }
  for (const std::uint8_t reason : std::vector<std::uint8_t>{0, 4, 255}) {
    Claimed claimed(world_, honest_);
    claimed.terms.finish_reason = reason;
    ASSERT_FALSE(referee::check_statement(claimed.statement));
    Facts facts{.statement = claimed.statement, .bound = {}};
    const Game game = *open({600'000, 600'000, 64}, 0);
    const auto next = apply(
        game,
        {Side::kChallenger, digest_of(game), referee::Proof{.kind = referee::ProofKind::kRequest}},
        1, facts);
    ASSERT_TRUE(next) << next.error().message;
    EXPECT_EQ(next->verdict, static_cast<std::uint8_t>(Reject::kFinishMismatch));
  }
}

// The answer was cut: it says "length" before its length.
TEST_F(Named, ATruncatedAnswer) {
  World wider({.seed = 5}, {}, 3);
  const Pass cut = *work(wider);
  wider.request.max_tokens = 9;
  const Claimed claimed(wider, cut);
  ASSERT_EQ(claimed.claim.finish_reason, 3);
  Committed worker(wider, claimed, cut);
  const Played played = play(wider, claimed, recompute(wider, cut.tokens), std::ref(worker));
  expect_proven(played, Reject::kFinishMismatch);
}

// The answer goes on behind a stop string, or behind the model's end of text.
TEST_F(Named, AnAnswerThatWentOn) {
  World world({.seed = 5}, {}, 4);
  const Pass longer = *work(world);
  ASSERT_GE(longer.tokens.size(), 6u);
  const auto letter = static_cast<char>('a' + longer.tokens[4]);
  world.request.stop = {std::string(1, letter)};
  const Claimed claimed(world, longer);
  Committed worker(world, claimed, longer);
  expect_proven(play(world, claimed, recompute(world, longer.tokens), std::ref(worker)),
                Reject::kFinishMismatch);
}

TEST_F(Named, AnotherHeader) {
  World other({.seed = 5});
  other.request.mode = 1;
  const Claimed claimed_there(other, honest_);
  Claimed claimed(world_, honest_);
  claimed.terms.trace_root = claimed_there.claim.trace_root;
  // It reveals the list as it is: with the other header in it.
  Committed worker(other, claimed_there, honest_);
  const Played played = play_against(claimed, honest_, [&](const Game& game, const Facts&) {
    return Action(worker.archive.reveal(*game.demand));
  });
  expect_proven(played, Reject::kTraceRootMismatch);
}

TEST_F(Named, AnotherPrompt) {
  World other({.seed = 5});
  other.prompt = {3, 2, 4};
  const Pass run = *work(other);
  const Claimed claimed(world_, run);
  Committed worker(world_, claimed, run);
  expect_proven(play_against(claimed, run, std::ref(worker)), Reject::kPromptRootMismatch);
}

// Whatever is demanded of one kind does not come. A wrong score makes all four kinds necessary: its
// tensor has several tiles, and its step reads a row of K.
TEST_F(Named, WithheldData) {
  static constexpr referee::Position kAt{2, 0};
  const auto wrong = [](const Execution& execution, trace::MicroTensors tensors) {
    element(tensors, Tensor::kZ, 1) += 4'000;
    return compute_from(execution, kAt, Tensor::kTileM, std::move(tensors)).tensors;
  };
  const auto run =
      work(world_, [&](const Execution& execution, referee::Position at, auto& tensors) {
        if (at == kAt) tensors = wrong(execution, tensors);
      });
  ASSERT_TRUE(run);
  const Claimed claimed(world_, *run);
  int withheld = 0;
  for (int kind = 0; kind < 5; ++kind) {
    Committed worker(world_, claimed, *run);
    const Execution execution = worker.archive.execution();
    worker.lied = kAt;
    worker.lie = wrong(execution, compute_position(execution, kAt).tensors);
    bool stopped = false;
    const Played played = play_against(claimed, *run, [&](const Game& game, const Facts& facts) {
      if (game.demand) {
        const bool is_micro = game.demand->tree.place == referee::Place::kMicro;
        const bool is_tile = game.demand->level == 0;
        stopped |= kind == (is_micro ? 2 : 0) + (is_tile ? 1 : 0);
      }
      return stopped ? Action(referee::Opening{}) : worker(game, facts);
    });
    if (stopped) {
      expect_withheld(played);
      ++withheld;
    } else {
      expect_proven(played, Reject::kStepMismatch);
    }
  }
  EXPECT_EQ(withheld, 4);
}

TEST_F(Named, AWithheldPromptOrSibling) {
  const Claimed claimed(world_, honest_);
  const Facts facts{.statement = claimed.statement, .bound = {}};
  Committed worker(world_, claimed, honest_);
  Game game = *open({60'000, 60'000, 64}, 0);
  const auto played = [&](Side side, const Action& action, std::uint64_t now) {
    return apply(game, {side, digest_of(game), action}, now, facts);
  };
  game = *played(Side::kChallenger, referee::Demand{{referee::Place::kPrompt, 0, 0}, 0, 0, 3}, 1);
  auto reveal = std::get<referee::Opening>(respond(worker.archive, game, facts));
  EXPECT_TRUE(played(Side::kWorker, reveal, 2));
  auto without = reveal;
  ASSERT_FALSE(without.path.empty());
  without.path.pop_back();
  EXPECT_EQ(played(Side::kWorker, without, 2).error().code, "PATH_INVALID");
  without = reveal;
  without.tiles.resize(8);
  EXPECT_EQ(played(Side::kWorker, without, 2).error().code, "PATH_INVALID");
  const auto end = played(Side::kChallenger, Close{}, expires_at_ms(game));
  ASSERT_TRUE(end);
  EXPECT_EQ(end->phase, Phase::kRefuted);
}

// A hash behind the end of a list changes the root and no leaf.
TEST_F(Named, NothingHidesBehindTheEnd) {
  Claimed claimed(world_, honest_);
  Archive archive(world_.artifact, claimed.statement, world_.prompt, honest_.trace);
  const referee::TreeId list{referee::Place::kTraceList, 0, 0};
  const std::uint64_t count = trace::trace_leaf_count(claimed.statement.shape());
  ASSERT_EQ(count, 8u);  // a full tree: nothing is behind its end
  const referee::TreeId tokens{referee::Place::kTokens, 0, 0};
  ASSERT_EQ(honest_.tokens.size(), 7u);
  // The eighth leaf of the token tree is absent.
  referee::Opening reveal = archive.reveal({tokens, 3, 0, 1});
  reveal.tiles.back() ^= 1;
  std::vector<Hash> row(8);
  std::memcpy(row.data(), reveal.tiles.data(), reveal.tiles.size());
  while (row.size() > 1) {
    for (std::size_t i = 0; i < row.size() / 2; ++i)
      row[i] = merkle::node(row[2 * i], row[2 * i + 1]);
    row.resize(row.size() / 2);
  }
  std::vector<Hash> roots;
  for (std::uint64_t i = 0; i < count; ++i) roots.push_back(archive.node(list, 0, i));
  roots[1] = merkle::root(merkle::Kind::kTokenIds, merkle::Type::kU32, 7, 1, row[0]);
  claimed.terms.trace_root = merkle::list_root(merkle::Kind::kTrace, roots);
  merkle::Tree tree;
  tree.append(std::span<const Hash>(roots));
  const Played played = play_against(claimed, honest_, [&](const Game& game, const Facts&) {
    referee::Opening opening = archive.reveal(*game.demand);
    if (game.demand->tree == tokens) {
      opening.list_path = tree.open_range(1, 2);
      if (game.demand->level > 0) {
        opening = reveal;
        opening.list_path = tree.open_range(1, 2);
      } else {
        // The path of all seven holds the hash behind the end.
        opening.path.back()[31] ^= 1;
      }
    } else {
      opening.tiles.clear();
      for (const Hash& root : roots) append(opening.tiles, root);
    }
    return Action(opening);
  });
  expect_withheld(played);
  EXPECT_EQ(played.rejected, 1);
}

// The program leaves its range, and the worker claims an answer all the same (SPEC ARITH-5).
TEST(Dispute, AnAnswerThatDoesNotExist) {
  for (const int exponent : {10, 14}) {
    const World world({.seed = 3, .exponent = exponent});
    if (work(world)) continue;
    const auto run = work(world, [](const Execution&, referee::Position, auto&) {});
    ASSERT_TRUE(run);
    const Claimed claimed(world, *run);
    const Pass mine = recompute(world, run->tokens);
    ASSERT_TRUE(mine.broken);
    Committed worker(world, claimed, *run);
    const Played played = play(world, claimed, mine, std::ref(worker));
    expect_proven(played, Reject::kOutOfRange);
    return;
  }
  FAIL() << "no exponent makes the pass leave its range";
}

// A token that is none of the model's.
TEST_F(Named, ATokenOfNoVocabulary) {
  for (const std::uint32_t t : {2U, 4U}) {
    const auto run = work(world_, [&](const Execution&, referee::Position at, auto& tensors) {
      if (at == referee::Position{t, kHeadLayer}) element(tensors, Tensor::kToken, 0) = 17;
    });
    ASSERT_TRUE(run);
    const Claimed claimed(world_, *run);
    Committed worker(world_, claimed, *run);
    const Played played = play_against(claimed, *run, std::ref(worker));
    EXPECT_EQ(played.game.phase, Phase::kRefuted);
  }
}

}  // namespace
}  // namespace otr::dispute

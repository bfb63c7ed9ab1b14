// Whole games: an honest challenger against workers that lie, and a liar against an honest worker.
#include <gtest/gtest.h>

#include "dispute/challenger.h"
#include "dispute/test_players.h"
#include "dispute/worker.h"

namespace otr::dispute {
namespace {

using machine::Tensor;

// An honest reply from the committed execution.
Reply reply_of(Archive& committed) {
  return [&committed](const Game& game, const Facts& facts) {
    return respond(committed, game, facts);
  };
}

TEST(Dispute, AnHonestClaimHasNothingToChallenge) {
  const World world({});
  const auto run = work(world);
  ASSERT_TRUE(run);
  const Claimed claimed(world, *run);
  ASSERT_TRUE(referee::check_statement(claimed.statement));
  Archive archive(world.artifact, claimed.statement, world.prompt, run->trace);
  EXPECT_EQ(archive.trace_root(), claimed.claim.trace_root);
  const Pass mine = recompute(world, run->tokens);
  EXPECT_EQ(mine.choices, run->choices);
  const Played played = play(world, claimed, mine, reply_of(archive));
  EXPECT_EQ(played.game.phase, Phase::kUpheld);
  EXPECT_EQ(played.game.ending, Ending::kWithdrawn);
  EXPECT_EQ(played.moves, 1);
}

}  // namespace
}  // namespace otr::dispute

// Any bytes as a move in a dispute about an honest claim: one encoding for each move, no crash in
// any phase, and no verdict against the claim. The first byte picks the phase and the side.
#include <array>
#include <cstddef>
#include <cstdint>

#include "base/check.h"
#include "dispute/archive.h"
#include "dispute/game.h"
#include "dispute/test_players.h"
#include "dispute/worker.h"

namespace {

using namespace otr;
using namespace otr::dispute;

// A claim, and a game on it in each of the phases in which somebody moves.
struct Board {
  Board()
      : world({.seed = 5}, {}, 2),
        pass(*work(world)),
        claimed(world, pass),
        archive(world.artifact, claimed.statement, world.prompt, pass.trace) {
    games[0] = *open({60'000, 60'000, 64}, 0);
    const referee::Demand demand{{referee::Place::kTokens, 0, 0}, 0, 0, 2};
    games[1] = played(games[0], Side::kChallenger, demand);
    games[2] =
        played(games[0], Side::kChallenger, Challenge{{1, {merkle::Kind::kResidual, 0, 0}, 0}});
    games[3] = played(games[2], Side::kWorker, respond(archive, games[2], facts));
  }
  [[nodiscard]] Game played(const Game& game, Side side, const Action& action) const {
    return *apply(game, {side, digest_of(game), action}, 1, facts);
  }

  World world;
  Pass pass;
  Claimed claimed;
  Archive archive;
  Facts facts{.statement = claimed.statement, .bound = {}};
  std::array<Game, 4> games;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const Board board;
  if (size == 0) return 0;
  const ByteView bytes(data + 1, size - 1);
  Result<Move> move = decode_move(bytes);
  if (!move) {
    OTR_CHECK(!move.error().code.empty());
    return 0;
  }
  const Bytes again = encode_move(*move);
  OTR_CHECK(std::ranges::equal(again, bytes));
  const Game& game = board.games[data[0] % 4];
  move->state = digest_of(game);
  const Result<Game> next = apply(game, *move, 2, board.facts);
  if (!next) {
    OTR_CHECK(!next.error().code.empty());
  } else if (next->phase == Phase::kRefuted) {
    OTR_CHECK(std::holds_alternative<Concede>(move->action) && move->side == Side::kWorker);
  }
  return 0;
}

// Executions for the tests of disputes: an honest worker's, one that lies at a position, and the
// challenger's computation of the same tokens.
#ifndef OTR_DISPUTE_TEST_PLAYERS_H_
#define OTR_DISPUTE_TEST_PLAYERS_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "dispute/archive.h"
#include "dispute/game.h"
#include "dispute/terms.h"
#include "model/artifact.h"
#include "model/random_artifact.h"
#include "protocol/claim.h"
#include "protocol/request.h"
#include "referee/statement.h"
#include "trace/trace.h"

namespace otr::dispute {

// One model and one request for it.
struct World {
  explicit World(const model::RandomArtifactOptions& options,
                 const machine::Sampling& sampling = {}, std::uint32_t max_tokens = 4);

  model::Artifact artifact;
  referee::ModelFacts facts;
  std::vector<std::uint32_t> prompt;
  protocol::Request request;
};

// Changes what a worker computed of a position; called for all of them in order. A worker that lies
// goes on where the arithmetic stops, with zeros.
using Alter = std::function<void(const Execution&, referee::Position, trace::MicroTensors&)>;

// An execution with everything that a side keeps of it.
struct Pass {
  explicit Pass(const World& world);

  trace::TraceBuilder trace;
  std::vector<std::uint32_t> tokens;   // prompt and output
  std::vector<std::uint32_t> choices;  // what the head said at each position that has one
  std::uint8_t finish_reason = 0;
  std::optional<referee::Position> broken;
};

// A worker's: it chooses its tokens. Nothing if it leaves its range.
std::optional<Pass> work(const World& world, const Alter& alter = {});
// The same for given tokens, as a challenger computes: layer after layer, to the first position
// that leaves its range; ids of no token count as 0.
Pass recompute(const World& world, const std::vector<std::uint32_t>& tokens);

// A claim with its words; keeps the terms that a Statement refers to.
struct Claimed {
  Claimed(const World& world, const Pass& run);

  protocol::Claim claim;
  referee::Terms terms;
  referee::Statement statement;
};

// Plays a whole game between the two and gives the last state; `answer` may replace what the worker
// would answer or reveal. Nobody waits: the clocks run 1 ms for each move.
using Reply = std::function<Action(const Game&, const Facts&)>;
struct Played {
  Game game;
  int moves = 0;
  int rejected = 0;  // moves that the game refused
};
Played play(const World& world, const Claimed& claimed, const Pass& mine, const Reply& worker);

}  // namespace otr::dispute

#endif  // OTR_DISPUTE_TEST_PLAYERS_H_

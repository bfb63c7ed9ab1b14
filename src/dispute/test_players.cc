#include "dispute/test_players.h"

#include <algorithm>

#include "base/check.h"
#include "dispute/challenger.h"
#include "dispute/recompute.h"
#include "dispute/worker.h"
#include "machine/tables.h"
#include "protocol/finish.h"

namespace otr::dispute {
namespace {

using machine::kHeadLayer;
using machine::Tensor;

model::Artifact make_artifact(const model::RandomArtifactOptions& options) {
  auto artifact = model::parse_artifact(*model::encode_artifact(model::random_artifact(options)));
  OTR_CHECK(artifact.has_value());
  return *std::move(artifact);
}

const std::vector<std::int64_t>& slot(const trace::MicroTensors& tensors, Tensor tensor) {
  return tensors[static_cast<std::size_t>(tensor)];
}

Execution execution_of(const World& world, const trace::TraceBuilder& trace) {
  return {world.artifact.view(), world.facts.program, world.request.sampling,
          world.request.prompt_count, trace};
}

}  // namespace

World::World(const model::RandomArtifactOptions& options, const machine::Sampling& sampling,
             std::uint32_t max_tokens)
    : artifact(make_artifact(options)),
      facts(referee::model_facts(artifact.root(), artifact.config(),
                                 artifact.view().token_bytes.size())),
      prompt({3, 1, 4}) {
  request.model_root = artifact.root();
  request.prompt_root = trace::token_root(prompt);
  request.prompt_count = static_cast<std::uint32_t>(prompt.size());
  request.max_tokens = max_tokens;
  request.sampling = sampling;
}

Pass::Pass(const World& world)
    : trace(world.artifact.view().shape, trace::TraceBuilder::Keep::kRows), tokens(world.prompt) {}

std::optional<Pass> work(const World& world, const Alter& alter) {
  Pass run(world);
  const machine::Shape& shape = world.facts.program.shape;
  const Execution execution = execution_of(world, run.trace);
  protocol::FinishDetector finish(world.artifact.view(), world.request);
  for (std::uint32_t t = 0;; ++t) {
    run.trace.append_token(run.tokens[t]);
    // The last token has no rows (SPEC TRACE-2).
    if (run.finish_reason != 0) return run;
    const bool has_head = t + 1 >= world.prompt.size();
    for (std::uint32_t l = 0; l < shape.layers + (has_head ? 1 : 0); ++l) {
      const referee::Position position{t, l < shape.layers ? l : kHeadLayer};
      Computed computed = compute_position(execution, position);
      if (computed.stop && !alter) return std::nullopt;
      if (alter) alter(execution, position, computed.tensors);
      if (l < shape.layers) {
        append_rows(run.trace, l, computed.tensors);
        continue;
      }
      const std::int64_t token = slot(computed.tensors, Tensor::kToken)[0];
      run.choices.push_back(static_cast<std::uint32_t>(token));
    }
    if (!has_head) continue;
    run.tokens.push_back(run.choices.back());
    if (run.choices.back() >= shape.vocabulary) {
      run.finish_reason = 3;  // the lie needs no more tokens
    } else if (const auto reason = finish.push(run.choices.back())) {
      run.finish_reason = static_cast<std::uint8_t>(*reason);
    }
  }
}

Pass recompute(const World& world, const std::vector<std::uint32_t>& tokens) {
  Recomputed made = recompute(world.artifact.view(), world.facts.program, world.request.sampling,
                              world.request.prompt_count, tokens);
  Pass run(world);
  run.trace = std::move(made.trace);
  run.tokens = tokens;
  run.choices = std::move(made.choices);
  run.broken = made.broken;
  return run;
}

Claimed::Claimed(const World& world, const Pass& run) : statement{world.facts, terms} {
  claim.prompt_count = world.request.prompt_count;
  claim.out_count = static_cast<std::uint32_t>(run.tokens.size() - world.prompt.size());
  claim.finish_reason = run.finish_reason;
  claim.trace_root =
      run.trace.root(protocol::trace_header(world.request, machine::kSpecHash, claim.out_count));
  terms = terms_of(world.request, claim, world.facts.program.shape);
}

Played play(const World& world, const Claimed& claimed, const Pass& mine, const Reply& worker) {
  constexpr Parameters kParameters{600'000, 600'000, 256};
  Archive archive(world.artifact, claimed.statement, world.prompt, mine.trace);
  Challenger challenger(archive, mine.choices, mine.broken);
  Facts facts{.statement = claimed.statement, .bound = {}};
  std::uint64_t now = 1000;
  Played played{.game = *open(kParameters, now)};
  Game& game = played.game;
  while (!is_over(game.phase) && played.moves < 1000) {
    const Side side = *to_move(game);
    Action action = Close{};
    if (side == Side::kWorker) {
      action = worker(game, facts);
    } else {
      Next next = challenger.next(game);
      if (auto* one = std::get_if<Action>(&next)) {
        action = std::move(*one);
      } else {
        action = Concede{};
      }
    }
    ++now;
    // As the ledger stores it.
    const Result<Move> move = decode_move(encode_move({side, digest_of(game), action}));
    OTR_CHECK(move.has_value());
    const Game before = game;
    const Result<Game> next = apply(game, *move, now, facts);
    if (!next) {
      ++played.rejected;
      // Whoever has nothing else to play loses by time.
      now = expires_at_ms(game);
      game = *apply(game, {side, digest_of(game), Close{}}, now, facts);
      continue;
    }
    ++played.moves;
    game = *next;
    const referee::MicroTrace micro{
        before.leaf ? *referee::position_of(claimed.statement, *before.leaf) : referee::Position{},
        before.micro_root.value_or(Hash{})};
    if (const auto* reveal = std::get_if<referee::Opening>(&move->action)) {
      const bool is_known =
          challenger.learn(before.micro_root ? &micro : nullptr, *before.demand, *reveal)
              .has_value();
      OTR_CHECK(is_known);  // the game has taken it
    } else if (const auto* answer = std::get_if<referee::Answer>(&move->action)) {
      challenger.learn(*answer);
    }
  }
  return played;
}

}  // namespace otr::dispute

#include "rollup/pass.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "dispute/recompute.h"
#include "dispute/terms.h"
#include "engine/forward.h"
#include "engine/generate.h"
#include "protocol/finish.h"
#include "trace/noise.h"

namespace otr::rollup {
namespace {

constexpr auto kNever = [] { return false; };

}  // namespace

Pass compute_pass(const Weights& weights, const machine::Sampling& sampling,
                  std::uint32_t prompt_count, std::span<const std::uint32_t> tokens) {
  const machine::Model& model = weights.artifact.view();
  const auto is_known = [&](std::uint32_t id) { return id < model.shape.vocabulary; };
  if (std::ranges::all_of(tokens, is_known)) {
    engine::Forward forward(weights.packed, weights.threads);
    Pass pass{
        .trace = {model.shape, trace::TraceBuilder::Keep::kRows}, .choices = {}, .broken = {}};
    auto done = engine::recompute(forward, model,
                                  {tokens.first(prompt_count), sampling, trace::noise_block},
                                  tokens.subspan(prompt_count), pass.trace, kNever);
    // Where the engine left its range it has looked for the first fault without a trace.
    const bool is_whole =
        done && done->chosen.size() == tokens.size() - prompt_count &&
        pass.trace.size({merkle::Kind::kResidual, model.shape.layers - 1, 0}) == tokens.size() - 1;
    if (is_whole) {
      pass.choices = std::move(done->chosen);
      return pass;
    }
  }
  const referee::ModelFacts facts = referee::model_facts(
      weights.artifact.root(), weights.artifact.config(), model.token_bytes.size());
  dispute::Recomputed made =
      dispute::recompute(model, facts.program, sampling, prompt_count, tokens);
  return {std::move(made.trace), std::move(made.choices), made.broken};
}

Result<std::vector<std::uint32_t>> answer(const Weights& weights, const protocol::Request& request,
                                          std::span<const std::uint32_t> prompt_ids) {
  const machine::Model& model = weights.artifact.view();
  engine::Forward forward(weights.packed, weights.threads);
  trace::TraceBuilder trace(model.shape, trace::TraceBuilder::Keep::kTops);
  protocol::FinishDetector finish(model, request);
  return engine::generate(
      forward, model, {prompt_ids, request.sampling, trace::noise_block}, trace,
      [&](std::uint32_t id) { return finish.push(id).has_value(); }, kNever);
}

Case::Case(const Weights& weights, const protocol::Request& request, const protocol::Claim& claim,
           std::span<const std::uint32_t> prompt_ids, Pass pass)
    : facts_(referee::model_facts(weights.artifact.root(), weights.artifact.config(),
                                  weights.artifact.view().token_bytes.size())),
      terms_(dispute::terms_of(request, claim, facts_.program.shape)),
      statement_{facts_, terms_},
      pass_(std::move(pass)),
      archive_(weights.artifact, statement_, prompt_ids, pass_.trace) {}

std::uint64_t Case::row_bytes() const {
  const machine::Shape& shape = statement_.shape();
  std::uint64_t bytes = 0;
  for (std::uint32_t layer = 0; layer < shape.layers; ++layer) {
    bytes += pass_.trace.rows({merkle::Kind::kResidual, layer, 0}).size();
    bytes += 2 * shape.kv_heads * pass_.trace.rows({merkle::Kind::kKey, layer, 0}).size();
  }
  return bytes;
}

}  // namespace otr::rollup

// The fast engine against the reference, at tolerance zero; and every step of the reference
// recorded, replayed and corrupted.
#include <gtest/gtest.h>

#include <random>

#include "base/hex.h"
#include "engine/forward.h"
#include "engine/reference.h"
#include "machine/replay.h"
#include "model/artifact.h"
#include "model/random_artifact.h"
#include "trace/noise.h"

namespace otr::engine {
namespace {

using machine::Sampling;
using machine::Tensor;

model::Artifact make_artifact(const model::RandomArtifactOptions& options) {
  auto bytes = model::encode_artifact(model::random_artifact(options));
  EXPECT_TRUE(bytes) << bytes.error().message;
  auto artifact = model::parse_artifact(*std::move(bytes));
  EXPECT_TRUE(artifact) << artifact.error().message;
  return *std::move(artifact);
}

std::vector<model::RandomArtifactOptions> variants() {
  return {{.seed = 1},
          {.seed = 2, .tied = false, .biases = true},
          {.seed = 3, .qk_norm = true, .hidden = 24},
          {.seed = 4, .tied = false, .biases = true, .qk_norm = true, .layers = 3}};
}

std::vector<std::uint32_t> tokens_for(const machine::Model& model, std::size_t count) {
  std::mt19937 random(7);
  std::vector<std::uint32_t> tokens(count);
  for (auto& token : tokens) token = random() % model.shape.vocabulary;
  return tokens;
}

// Everything a pass produced that later code can see.
struct Pass {
  std::vector<std::vector<std::int32_t>> residuals;  // [layer][t·d + j]
  std::vector<std::int32_t> logits;
  Hash trace_root{};

  bool operator==(const Pass&) const = default;
};

trace::TraceHeader header_for(const model::Artifact& artifact, std::size_t tokens) {
  return {.spec_hash = machine::kSpecHash,
          .model_root = artifact.root(),
          .prompt_count = static_cast<std::uint32_t>(tokens),
          .out_count = 1,
          .sampling = {}};
}

Pass run_fast(const model::Artifact& artifact, std::span<const std::uint32_t> tokens,
              std::size_t chunk, unsigned threads) {
  const machine::Model& model = artifact.view();
  Forward forward(model, threads);
  KvCache cache(model.shape);
  trace::TraceBuilder trace(model.shape, trace::TraceBuilder::Keep::kRows);
  for (std::size_t at = 0; at < tokens.size(); at += chunk) {
    const auto part = tokens.subspan(at, std::min(chunk, tokens.size() - at));
    const Status status = forward.run(cache, part, &trace);
    EXPECT_TRUE(status) << status.error().message;
    for (const std::uint32_t token : part) trace.append_token(token);
  }
  Pass pass;
  const auto logits = forward.logits((tokens.size() - 1) % chunk);
  EXPECT_TRUE(logits);
  pass.logits.assign(logits->begin(), logits->end());
  trace.append_token(0);
  for (std::uint32_t l = 0; l < model.shape.layers; ++l) {
    const ByteView bytes = trace.rows({merkle::Kind::kResidual, l, 0});
    const auto* begin = reinterpret_cast<const std::int32_t*>(bytes.data());
    pass.residuals.emplace_back(begin, begin + bytes.size() / 4);
  }
  pass.trace_root = trace.root(header_for(artifact, tokens.size()));
  return pass;
}

Pass run_reference(const model::Artifact& artifact, std::span<const std::uint32_t> tokens) {
  const machine::Model& model = artifact.view();
  const Sampling sampling;
  Reference reference(model, sampling, static_cast<std::uint32_t>(tokens.size()),
                      trace::noise_block);
  trace::TraceBuilder trace(model.shape, trace::TraceBuilder::Keep::kTops);
  for (const std::uint32_t token : tokens) {
    trace.append_token(token);
    const Status status = reference.advance(token);
    EXPECT_TRUE(status) << status.error().message;
  }
  EXPECT_TRUE(reference.choose());
  const MicroState& state = reference.state();
  Pass pass;
  const auto& logits = state.tensors[static_cast<int>(Tensor::kLogit)];
  pass.logits.assign(logits.begin(), logits.end());
  for (std::uint32_t l = 0; l < model.shape.layers; ++l) {
    pass.residuals.emplace_back();
    for (const auto& row : state.residuals[l]) {
      pass.residuals.back().insert(pass.residuals.back().end(), row.begin(), row.end());
      trace.append_residual(l, row);
    }
    for (std::uint32_t g = 0; g < model.shape.kv_heads; ++g) {
      for (std::size_t t = 0; t < tokens.size(); ++t) {
        const std::size_t d = model.shape.head_dim;
        const CachedRow& k = state.k_rows[l * model.shape.kv_heads + g][t];
        const CachedRow& v = state.v_rows[l * model.shape.kv_heads + g][t];
        const std::vector<std::int8_t> v_row(v.begin(), v.begin() + static_cast<long>(d));
        trace.append_kv(l, g, std::span(k).first(d), k[d], v_row, v[d]);
      }
    }
  }
  trace.append_token(0);
  pass.trace_root = trace.root(header_for(artifact, tokens.size()));
  return pass;
}

TEST(Forward, EqualsTheReferenceForEveryChunkingAndThreadCount) {
  for (const auto& options : variants()) {
    SCOPED_TRACE(options.seed);
    const model::Artifact artifact = make_artifact(options);
    const std::size_t count = std::min<std::size_t>(150, artifact.view().shape.context - 1);
    const auto tokens = tokens_for(artifact.view(), count);
    const Pass truth = run_reference(artifact, tokens);
    for (const std::size_t chunk : {1, 3, 64}) {
      for (const unsigned threads : {1u, 3u}) {
        EXPECT_EQ(run_fast(artifact, tokens, chunk, threads), truth)
            << "chunk " << chunk << ", threads " << threads;
      }
    }
  }
}

// Every step of a toy pass: its witness replays to the same value, a wrong address or a missing
// value is noticed, and no corrupted input makes the step undefined.
TEST(Step, EveryStepReplaysAndEveryCorruptionIsTotal) {
  for (const auto& options : variants()) {
    const model::Artifact artifact = make_artifact(options);
    Sampling sampling{.inv_t = 94548,
                      .top_k = 5,
                      .top_p = 60000,
                      .min_p = 100,
                      .presence = 1000,
                      .frequency = 500};
    Reference reference(artifact.view(), sampling, 2, trace::noise_block);
    std::mt19937_64 random(options.seed);
    std::uint64_t steps = 0, changed = 0;
    reference.observe([&](std::uint32_t t, std::uint32_t layer) {
      MicroState state = reference.state();
      for (int i = 0; i < machine::kTensorCount; ++i) {
        const auto tensor = static_cast<Tensor>(i);
        const auto size = machine::shape_of(reference.program(), sampling, t, layer, tensor).size();
        const std::vector<std::int64_t> values =
            size == 0 ? std::vector<std::int64_t>() : state.tensors[static_cast<std::size_t>(i)];
        for (std::uint64_t index = 0; index < size; ++index) {
          const machine::StepId id{t, layer, tensor, index};
          state.claim = values[index];
          machine::RecordingState recording(state);
          const auto direct = machine::step(reference.context(), recording, id);
          ASSERT_EQ(direct, (machine::StepResult{machine::StepOutcome::kValue, values[index]}));
          std::vector<machine::Access> witness = recording.witness();
          machine::ReplayingState replaying(witness);
          ASSERT_EQ(machine::step(reference.context(), replaying, id), direct);
          ASSERT_TRUE(replaying.complete());
          ++steps;
          if (witness.empty()) continue;
          machine::Access& hit = witness[random() % witness.size()];
          const std::int64_t lies[] = {hit.value + 1, hit.value ^ (1LL << (random() % 63)),
                                       static_cast<std::int64_t>(random()), INT64_MIN, INT64_MAX};
          const std::int64_t truth = hit.value;
          for (const std::int64_t lie : lies) {
            hit.value = lie;
            machine::ReplayingState corrupted(witness);
            const auto outcome = machine::step(reference.context(), corrupted, id);
            changed += !(outcome == direct);
          }
          hit.value = truth;
          witness.pop_back();
          machine::ReplayingState truncated(witness);
          (void)machine::step(reference.context(), truncated, id);
          ASSERT_FALSE(truncated.complete());
        }
      }
    });
    for (const std::uint32_t token : {1u, 2u, 3u, 2u}) ASSERT_TRUE(reference.advance(token));
    ASSERT_TRUE(reference.choose());
    EXPECT_GT(steps, 1000u);
    EXPECT_GT(changed, steps);  // of five lies each, most change the outcome
  }
}

TEST(Step, NamesOfStepsThatAreNotThere) {
  const model::Artifact artifact = make_artifact({.seed = 1});
  const machine::Program program = machine::lower(artifact.view());
  const Sampling sampling;
  const machine::StepContext context{program, sampling, 1};
  EXPECT_TRUE(machine::exists(context, {0, 0, Tensor::kXIn, 0}));
  EXPECT_FALSE(machine::exists(context, {0, 0, Tensor::kXIn, artifact.view().shape.hidden}));
  EXPECT_FALSE(machine::exists(context, {0, 1, Tensor::kXIn, 0}));
  EXPECT_FALSE(machine::exists(context, {0, 7, Tensor::kA, 0}));
  EXPECT_FALSE(machine::exists(context, {0, 0, Tensor::kLogit, 0}));
  EXPECT_FALSE(machine::exists(context, {0, machine::kHeadLayer, Tensor::kKCut, 0}));  // greedy
  EXPECT_FALSE(machine::exists(context, {0, 0, static_cast<Tensor>(200), 0}));
  EXPECT_FALSE(machine::exists(context, {artifact.view().shape.context, 0, Tensor::kA, 0}));
}

}  // namespace
}  // namespace otr::engine

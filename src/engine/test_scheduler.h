// What the scheduler's tests share: a toy model, jobs, and what becomes of each alone.
#ifndef OTR_ENGINE_TEST_SCHEDULER_H_
#define OTR_ENGINE_TEST_SCHEDULER_H_

#include <gtest/gtest.h>

#include <functional>
#include <optional>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "engine/scheduler.h"
#include "model/artifact.h"
#include "model/random_artifact.h"
#include "trace/noise.h"

namespace otr::engine {

using Ids = std::vector<std::uint32_t>;
using Keep = trace::TraceBuilder::Keep;
using Random = std::mt19937;

inline constexpr std::uint32_t kNoStop = 1000;

// A toy model and its engine. With seed 17 and 11 as the exponent of the second layer's wq, token 1
// leaves the range of SPEC OP-6 where it stands first, and behind some prompts too.
inline constexpr std::uint32_t kOutside = 1;
struct Toy {
  model::Artifact artifact;
  Forward forward;
  std::size_t page_bytes = KvPage::size_bytes(artifact.view().shape);

  explicit Toy(std::uint64_t seed, int wq_exponent = 22, std::uint32_t context = 300)
      : artifact(make(seed, wq_exponent, context)), forward(artifact.view(), 1) {}

  static model::Artifact make(std::uint64_t seed, int wq_exponent, std::uint32_t context) {
    model::ArtifactContents contents = model::random_artifact({.seed = seed});
    contents.config.exponents.at("layers.1.wq") = wq_exponent;
    contents.config.shape.context = context;
    auto bytes = model::encode_artifact(contents);
    EXPECT_TRUE(bytes) << bytes.error().message;
    auto artifact = model::parse_artifact(*std::move(bytes));
    EXPECT_TRUE(artifact) << artifact.error().message;
    return *std::move(artifact);
  }
  Hash root(const trace::TraceBuilder& trace, std::size_t prompt, std::size_t out,
            const machine::Sampling& sampling) const {
    return trace.root({.spec_hash = machine::kSpecHash,
                       .model_root = artifact.root(),
                       .prompt_count = static_cast<std::uint32_t>(prompt),
                       .out_count = static_cast<std::uint32_t>(out),
                       .sampling = sampling});
  }
};

// What a job is, and all that a client sees of it.
struct Spec {
  Ids prompt;
  machine::Sampling sampling = {};
  std::uint32_t max_tokens = 1;
  std::uint32_t stop = kNoStop;  // the token that ends the answer
  Keep keep = Keep::kTops;
  std::string scope = {};
};
struct Outcome {
  Ids told, output;
  std::optional<Hash> root;
  std::optional<ErrorKind> error;

  bool operator==(const Outcome&) const = default;
};

inline Outcome alone(Toy& toy, const Spec& spec, const OnLogits& on_logits = {}) {
  Outcome outcome;
  trace::TraceBuilder trace(toy.artifact.view().shape, spec.keep);
  const auto output = generate(
      toy.forward, toy.artifact.view(), {spec.prompt, spec.sampling, trace::noise_block}, trace,
      [&](std::uint32_t id) {
        outcome.told.push_back(id);
        return id == spec.stop || outcome.told.size() == spec.max_tokens ||
               spec.prompt.size() + outcome.told.size() == toy.artifact.view().shape.context;
      },
      [] { return false; }, on_logits);
  if (output) {
    outcome.output = *output;
    outcome.root = toy.root(trace, spec.prompt.size(), output->size(), spec.sampling);
  } else {
    outcome.error = output.error().kind;
  }
  return outcome;
}

// A job at the scheduler.
struct Client {
  Spec spec;
  Scheduler::Id id = 0;
  Outcome outcome;
  int done = 0;  // calls of on_done
};

// `in_token` is called in each on_token.
inline Status submit(Toy& toy, Scheduler& scheduler, Client& client,
                     std::function<void()> in_token = {}, OnLogits on_logits = {}) {
  const auto on_token = [&client, in_token](std::uint32_t id) {
    EXPECT_EQ(client.done, 0);
    client.outcome.told.push_back(id);
    if (in_token) in_token();
    return id == client.spec.stop;
  };
  const auto on_done = [&toy, &client](Result<Answer> answer) {
    ++client.done;
    if (answer) {
      if (client.spec.keep == Keep::kRows) {
        EXPECT_EQ(answer->trace.rows({}).size() / 4, answer->trace.token_count());
      }
      client.outcome.output = answer->output;
      client.outcome.root = toy.root(answer->trace, client.spec.prompt.size(),
                                     answer->output.size(), client.spec.sampling);
    } else {
      client.outcome.error = answer.error().kind;
    }
  };
  const Spec& spec = client.spec;
  OTR_TRY_ASSIGN(client.id,
                 scheduler.submit({spec.prompt, spec.sampling, trace::noise_block, spec.max_tokens,
                                   spec.keep, spec.scope, on_token, on_done, on_logits}));
  return {};
}

inline void expect_sane(const Scheduler& scheduler, const SchedulerOptions& options) {
  const Scheduler::Gauges gauges = scheduler.gauges();
  ASSERT_LE(gauges.pages_used + gauges.pages_cached, gauges.pages_budget);
  ASSERT_LE(gauges.running, options.max_sequences);
  if (gauges.running == 0) ASSERT_EQ(gauges.pages_used, 0u);
  if (!options.prefix_cache) ASSERT_EQ(gauges.pages_cached, 0u);
}

// Nothing is left when all have ended but what the cache holds, and that can be dropped.
inline void expect_empty(Scheduler& scheduler) {
  EXPECT_EQ(scheduler.gauges().running + scheduler.gauges().waiting, 0u);
  EXPECT_EQ(scheduler.gauges().pages_used, 0u);
  scheduler.clear_cache();
  EXPECT_EQ(scheduler.gauges().pages_cached, 0u);
}

inline Ids random_ids(Random& random, std::size_t count) {
  Ids ids(count);
  for (auto& id : ids) id = random() % 17;
  return ids;
}

}  // namespace otr::engine

#endif  // OTR_ENGINE_TEST_SCHEDULER_H_

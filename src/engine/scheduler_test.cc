// Every answer of the scheduler is the answer that generate() gives alone, whatever the company.
#include "engine/scheduler.h"

#include <gtest/gtest.h>

#include <new>
#include <random>

#include "model/artifact.h"
#include "model/random_artifact.h"
#include "trace/noise.h"

namespace otr::engine {
namespace {

using Ids = std::vector<std::uint32_t>;
using Keep = trace::TraceBuilder::Keep;
using Random = std::mt19937;

constexpr std::uint32_t kNoStop = 1000;

// A toy model and its engine. With seed 17 and 11 as the exponent of the second layer's wq, token 1
// leaves the range of SPEC OP-6 wherever it stands.
constexpr std::uint32_t kOutside = 1;
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

Outcome alone(Toy& toy, const Spec& spec) {
  Outcome outcome;
  trace::TraceBuilder trace(toy.artifact.view().shape, spec.keep);
  const auto output = generate(
      toy.forward, toy.artifact.view(), {spec.prompt, spec.sampling, trace::noise_block}, trace,
      [&](std::uint32_t id) {
        outcome.told.push_back(id);
        return id == spec.stop || outcome.told.size() == spec.max_tokens ||
               spec.prompt.size() + outcome.told.size() == toy.artifact.view().shape.context;
      },
      [] { return false; });
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
Status submit(Toy& toy, Scheduler& scheduler, Client& client, std::function<void()> in_token = {}) {
  const auto on_token = [&client, in_token](std::uint32_t id) {
    EXPECT_EQ(client.done, 0);
    client.outcome.told.push_back(id);
    if (in_token) in_token();
    return id == client.spec.stop;
  };
  const auto on_done = [&toy, &client](Result<Answer> answer) {
    ++client.done;
    if (answer) {
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
                                   spec.keep, spec.scope, on_token, on_done}));
  return {};
}

void expect_sane(const Scheduler& scheduler, const SchedulerOptions& options) {
  const Scheduler::Gauges gauges = scheduler.gauges();
  ASSERT_LE(gauges.pages_used + gauges.pages_cached, gauges.pages_budget);
  ASSERT_LE(gauges.running, options.max_sequences);
  if (gauges.running == 0) ASSERT_EQ(gauges.pages_used, 0u);
  if (!options.prefix_cache) ASSERT_EQ(gauges.pages_cached, 0u);
}

// Nothing is left when all have ended but what the cache holds, and that can be dropped.
void expect_empty(Scheduler& scheduler) {
  EXPECT_EQ(scheduler.gauges().running + scheduler.gauges().waiting, 0u);
  EXPECT_EQ(scheduler.gauges().pages_used, 0u);
  scheduler.clear_cache();
  EXPECT_EQ(scheduler.gauges().pages_cached, 0u);
}

Ids random_ids(Random& random, std::size_t count) {
  Ids ids(count);
  for (auto& id : ids) id = random() % 17;
  return ids;
}

// Runs the specs that are all there from the beginning; what became of each.
std::vector<Outcome> together(Toy& toy, const SchedulerOptions& options,
                              const std::vector<Spec>& specs, Scheduler::Gauges* gauges = nullptr) {
  Scheduler scheduler(toy.forward, options);
  std::vector<Client> clients(specs.size());
  for (std::size_t i = 0; i < specs.size(); ++i) {
    clients[i].spec = specs[i];
    const Status status = submit(toy, scheduler, clients[i]);
    EXPECT_TRUE(status) << status.error().message;
  }
  while (scheduler.step()) expect_sane(scheduler, options);
  std::vector<Outcome> outcomes;
  for (const Client& client : clients) {
    EXPECT_EQ(client.done, 1);
    outcomes.push_back(client.outcome);
  }
  if (gauges != nullptr) *gauges = scheduler.gauges();
  expect_empty(scheduler);
  return outcomes;
}

TEST(Scheduler, OneJobIsGenerate) {
  Toy toy(1);
  Random random(1);
  for (const bool cache : {false, true}) {
    for (const std::size_t prompt : {1, 2, 127, 128, 129, 256, 299}) {
      const Spec spec{.prompt = random_ids(random, prompt), .max_tokens = 20};
      const Outcome truth = alone(toy, spec);
      ASSERT_TRUE(truth.root);
      EXPECT_EQ(truth.output.size(), std::min<std::size_t>(20, 300 - prompt));
      const std::size_t positions = prompt + truth.output.size() - 1;
      for (const std::size_t rows : {1, 50, 128, 1000}) {
        const SchedulerOptions options{(positions + 127) / 128 * toy.page_bytes, 1, rows, cache};
        EXPECT_EQ(together(toy, options, {spec}).front(), truth)
            << prompt << " tokens, " << rows << " rows, cache " << cache;
      }
    }
  }
}

TEST(Scheduler, ALongPromptDoesNotHoldUpTheOthers) {
  Toy toy(1);
  Random random(2);
  const SchedulerOptions options{100 * toy.page_bytes, 4, 8, true};
  Scheduler scheduler(toy.forward, options);
  Client talker{.spec = {.prompt = {1, 2}, .max_tokens = 60}};
  Client reader{.spec = {.prompt = random_ids(random, 280), .max_tokens = 5}};
  ASSERT_TRUE(submit(toy, scheduler, talker));
  scheduler.step();
  ASSERT_TRUE(submit(toy, scheduler, reader));
  for (std::size_t steps = 2; steps <= 40; ++steps) {  // 280 / 7 passes
    EXPECT_EQ(reader.outcome.told.size(), 0u);
    scheduler.step();
    EXPECT_EQ(talker.outcome.told.size(), steps);  // one token each pass
  }
  while (scheduler.step()) continue;
  EXPECT_EQ(talker.outcome, alone(toy, talker.spec));
  EXPECT_EQ(reader.outcome, alone(toy, reader.spec));
}

TEST(Scheduler, APrefixIsComputedOnce) {
  Toy toy(1);
  Random random(3);
  const Ids shared = random_ids(random, 290);
  std::vector<Spec> specs;
  for (const std::size_t length : {290, 256, 257, 200, 128, 129, 100}) {
    specs.push_back(
        {.prompt = {shared.begin(), shared.begin() + static_cast<long>(length)}, .max_tokens = 3});
  }
  const SchedulerOptions options{100 * toy.page_bytes, 16, 128, true};
  Scheduler::Gauges gauges;
  const auto outcomes = together(toy, options, specs, &gauges);
  std::size_t hits = 0, rows = 0;
  for (std::size_t i = 0; i < specs.size(); ++i) {
    EXPECT_EQ(outcomes[i], alone(toy, specs[i])) << i;
    rows += specs[i].prompt.size() + outcomes[i].output.size() - 1;
    if (i > 0) hits += (specs[i].prompt.size() - 1) / 128 * 128;
  }
  EXPECT_EQ(gauges.hit_tokens, hits);
  EXPECT_EQ(gauges.rows, rows - hits);
  EXPECT_EQ(gauges.pages_cached, 2u);

  // Another scope, rows that are kept, or no cache: nothing is shared.
  for (std::size_t i = 1; i < specs.size(); ++i) {
    if (i % 2 == 0) specs[i].keep = Keep::kRows;
    specs[i].scope = std::to_string(i);
  }
  EXPECT_EQ(together(toy, options, specs, &gauges), outcomes);
  EXPECT_EQ(gauges.hit_tokens, 0u);
  EXPECT_EQ(gauges.rows, rows);
}

// The second turn of a conversation begins with the first one's prompt and answer.
TEST(Scheduler, AnAnswerIsAPrefixToo) {
  Toy toy(1);
  Random random(4);
  const SchedulerOptions options{100 * toy.page_bytes, 2, 128, true};
  Scheduler scheduler(toy.forward, options);
  Client first{.spec = {.prompt = random_ids(random, 100), .max_tokens = 60}};
  ASSERT_TRUE(submit(toy, scheduler, first));
  while (scheduler.step()) continue;
  Client second{.spec = {.prompt = first.spec.prompt, .max_tokens = 10}};
  auto& prompt = second.spec.prompt;
  prompt.insert(prompt.end(), first.outcome.output.begin(), first.outcome.output.end());
  ASSERT_TRUE(submit(toy, scheduler, second));
  while (scheduler.step()) continue;
  EXPECT_EQ(scheduler.gauges().hit_tokens, 128u);
  EXPECT_EQ(second.outcome, alone(toy, second.spec));
}

// Jobs that need three pages each, and four for all: the oldest goes on and the others give way.
TEST(Scheduler, TheYoungestGivesWayAndEndsWell) {
  Toy toy(1);
  Random random(5);
  std::vector<Spec> specs;
  for (int i = 0; i < 5; ++i) {
    specs.push_back({.prompt = random_ids(random, 120), .max_tokens = 180});
  }
  for (const bool cache : {false, true}) {
    const SchedulerOptions options{4 * toy.page_bytes, 8, 16, cache};
    Scheduler::Gauges gauges;
    const auto outcomes = together(toy, options, specs, &gauges);
    for (std::size_t i = 0; i < specs.size(); ++i) EXPECT_EQ(outcomes[i], alone(toy, specs[i]));
    EXPECT_GT(gauges.preemptions, 0u);
    if (cache) EXPECT_GT(gauges.evictions, 0u);
  }
}

TEST(Scheduler, JobsEndInTheOrderOfAgeWhenMemoryIsShort) {
  Toy toy(1);
  Random random(6);
  const SchedulerOptions options{3 * toy.page_bytes, 8, 16, true};
  Scheduler scheduler(toy.forward, options);
  std::vector<Client> clients(6);
  for (Client& client : clients) {
    client.spec = {.prompt = random_ids(random, 150), .max_tokens = 150};
    ASSERT_TRUE(submit(toy, scheduler, client));
  }
  // A small one that would fit at once does not overtake.
  Client small{.spec = {.prompt = {1}, .max_tokens = 1}};
  ASSERT_TRUE(submit(toy, scheduler, small));
  std::size_t oldest = 0;
  while (scheduler.step()) {
    while (oldest < clients.size() && clients[oldest].done == 1) ++oldest;
    for (std::size_t i = oldest; i < clients.size(); ++i) ASSERT_EQ(clients[i].done, 0);
    if (oldest + 1 < clients.size()) ASSERT_EQ(small.done, 0);
  }
  EXPECT_EQ(small.done, 1);
}

TEST(Scheduler, RefusesWhatCanNeverRun) {
  Toy toy(1);
  Scheduler scheduler(toy.forward, {2 * toy.page_bytes, 8, 16, true});
  const auto refused = [&](Spec spec) {
    Client client{.spec = std::move(spec)};
    const Status status = submit(toy, scheduler, client);
    EXPECT_EQ(client.done, 0);
    return !status && status.error().kind == ErrorKind::kUsage;
  };
  EXPECT_TRUE(refused({.prompt = {}, .max_tokens = 1}));
  EXPECT_TRUE(refused({.prompt = {1}, .max_tokens = 0}));
  EXPECT_TRUE(refused({.prompt = Ids(300, 1), .max_tokens = 1}));
  EXPECT_TRUE(refused({.prompt = {1, 17}, .max_tokens = 1}));
  EXPECT_TRUE(refused({.prompt = Ids(257, 1), .max_tokens = 1}));     // three pages
  EXPECT_TRUE(refused({.prompt = Ids(200, 1), .max_tokens = 58}));    // 257 positions
  EXPECT_TRUE(refused({.prompt = Ids(1, 1), .max_tokens = 100000}));  // ends with the context
  EXPECT_FALSE(scheduler.step());
  EXPECT_FALSE(scheduler.cancel(1));
  Client fits{.spec = {.prompt = Ids(200, 1), .max_tokens = 57}};
  ASSERT_TRUE(submit(toy, scheduler, fits));
  while (scheduler.step()) continue;
  EXPECT_EQ(fits.outcome, alone(toy, fits.spec));
}

TEST(Scheduler, CallbacksMayCancelAndSubmit) {
  Toy toy(1);
  const SchedulerOptions options{100 * toy.page_bytes, 8, 16, true};
  Scheduler scheduler(toy.forward, options);
  Client first{.spec = {.prompt = {1, 2}, .max_tokens = 50}};
  Client second{.spec = {.prompt = {3}, .max_tokens = 50}};
  Client third{.spec = {.prompt = {4}, .max_tokens = 50}};
  Client late{.spec = {.prompt = {5, 6}, .max_tokens = 4}};
  ASSERT_TRUE(submit(toy, scheduler, first, [&] {
    if (first.outcome.told.size() != 3) return;
    EXPECT_TRUE(scheduler.cancel(second.id));
    EXPECT_FALSE(scheduler.cancel(second.id));
    EXPECT_TRUE(submit(toy, scheduler, late));
  }));
  ASSERT_TRUE(submit(toy, scheduler, second));
  ASSERT_TRUE(submit(toy, scheduler, third, [&] {
    if (third.outcome.told.size() == 2) EXPECT_TRUE(scheduler.cancel(third.id));
  }));
  while (scheduler.step()) continue;
  EXPECT_EQ(first.outcome, alone(toy, first.spec));
  EXPECT_EQ(late.outcome, alone(toy, late.spec));
  EXPECT_EQ(second.outcome.error, ErrorKind::kCancelled);
  EXPECT_EQ(second.outcome.told.size(), 2u);
  EXPECT_EQ(third.outcome.error, ErrorKind::kCancelled);
  EXPECT_EQ(third.outcome.told.size(), 2u);
  expect_empty(scheduler);
}

// A pass that stops in the middle ends all jobs, and the scheduler with them.
TEST(Scheduler, AfterAnExceptionNothingIsTrusted) {
  Toy toy(1);
  Scheduler scheduler(toy.forward, {100 * toy.page_bytes, 2, 16, true});
  std::vector<Client> clients(3);
  for (Client& client : clients) {
    client.spec = {.prompt = {1, 2, 3}, .max_tokens = 50};
    ASSERT_TRUE(submit(toy, scheduler, client, [&] {
      if (client.outcome.told.size() == 2) throw std::bad_alloc();
    }));
  }
  while (scheduler.step()) continue;
  for (const Client& client : clients) {
    EXPECT_EQ(client.done, 1);
    EXPECT_EQ(client.outcome.error, ErrorKind::kIo);
  }
  const Status status = submit(toy, scheduler, clients[0]);
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().kind, ErrorKind::kIo);
  EXPECT_FALSE(scheduler.step());
}

// Random jobs, arrivals, budgets and cancellations.
class Mix {
 public:
  static constexpr std::uint32_t kContext = 600;

  struct Seen {
    std::uint64_t steps = 0, answers = 0, cancelled = 0;
    std::uint64_t outside = 0, outside_late = 0;  // of the range, and after an output token
    std::uint64_t hits = 0, preemptions = 0, evictions = 0;
  };

  Mix(Toy& toy, std::uint32_t seed) : toy_(toy), random_(seed) {
    for (auto& shared : shared_) shared = random_ids(random_, 400);
  }

  void run(Seen& seen) {
    const SchedulerOptions options = random_options();
    Scheduler scheduler(toy_.forward, options);
    std::vector<Client> clients(1 + below(12));
    std::vector<std::uint32_t> arrivals;
    for (Client& client : clients) client.spec = random_spec();
    for (std::size_t i = 0; i < clients.size(); ++i) arrivals.push_back(below(20));
    bool left = true;
    for (std::uint32_t step = 0; left || step <= 20; ++step) {
      for (std::size_t i = 0; i < clients.size(); ++i) {
        if (arrivals[i] != step) continue;
        const Status status = submit(toy_, scheduler, clients[i]);
        ASSERT_TRUE(status) << status.error().message;
      }
      if (below(150) == 0) scheduler.cancel(below(clients.size()) + 1);
      if (below(200) == 0) scheduler.clear_cache();
      left = scheduler.step();
      expect_sane(scheduler, options);
      ++seen.steps;
    }
    for (const Client& client : clients) expect_true(client, seen);
    const Scheduler::Gauges gauges = scheduler.gauges();
    seen.hits += gauges.hit_tokens;
    seen.preemptions += gauges.preemptions;
    seen.evictions += gauges.evictions;
    expect_empty(scheduler);
  }

 private:
  std::uint32_t below(std::size_t n) { return static_cast<std::uint32_t>(random_() % n); }

  SchedulerOptions random_options() {
    SchedulerOptions options;
    options.kv_budget_bytes = (5 + below(below(3) != 0 ? 3 : 30)) * toy_.page_bytes;
    options.max_sequences = 1 + below(12);
    options.max_rows = options.max_sequences + below(below(2) == 0 ? 20 : 200);
    options.prefix_cache = below(4) != 0;
    return options;
  }

  Spec random_spec() {
    Spec spec;
    const Ids& shared = shared_[below(shared_.size())];
    spec.prompt.assign(shared.begin(), shared.begin() + below(below(2) == 0 ? 400 : 100));
    const Ids own = random_ids(random_, 1 + below(20));
    spec.prompt.insert(spec.prompt.end(), own.begin(), own.end());
    if (below(8) != 0) std::ranges::replace(spec.prompt, kOutside, 0u);
    spec.max_tokens = 1 + below(below(4) != 0 ? 400 : 30);
    if (below(8) == 0) spec.stop = below(17);
    if (below(2) == 0) {
      spec.sampling = {.inv_t = 1 + below(200000),
                       .top_k = below(2) * below(17),
                       .top_p = 65536 - below(2) * 10000,
                       .min_p = below(2) * 500};
      spec.sampling.seed[0] = static_cast<std::uint8_t>(below(256));
    }
    if (below(2) == 0) {
      spec.sampling.presence = static_cast<std::int32_t>(below(200000));
      spec.sampling.frequency = static_cast<std::int32_t>(below(20000));
    }
    if (below(6) == 0) spec.keep = Keep::kRows;
    spec.scope = below(4) == 0 ? "other" : "";
    return spec;
  }

  void expect_true(const Client& client, Seen& seen) {
    ASSERT_EQ(client.done, 1);
    const Outcome truth = alone(toy_, client.spec);
    if (client.outcome.error == ErrorKind::kCancelled) {
      ++seen.cancelled;
      ASSERT_LE(client.outcome.told.size(), truth.told.size());
      ASSERT_TRUE(std::ranges::equal(client.outcome.told,
                                     std::span(truth.told).first(client.outcome.told.size())));
      return;
    }
    ++(truth.root ? seen.answers : seen.outside);
    if (!truth.root && !truth.told.empty()) ++seen.outside_late;
    ASSERT_EQ(client.outcome, truth);
  }

  Toy& toy_;
  Random random_;
  std::array<Ids, 2> shared_;
};

TEST(SchedulerProperty, AnyCompanyAnyOrderAnyBudget) {
  Mix::Seen seen;
  const std::pair<std::uint64_t, int> models[] = {{7, 22}, {17, 11}};
  for (const auto& [model, wq_exponent] : models) {
    Toy toy(model, wq_exponent, Mix::kContext);
    for (std::uint32_t seed = 0; seed < 20 && !HasFatalFailure(); ++seed) {
      SCOPED_TRACE("model " + std::to_string(model) + ", seed " + std::to_string(seed));
      Mix(toy, seed).run(seen);
    }
  }
  // Else the test shows little.
  EXPECT_GT(seen.steps, 3000u);
  EXPECT_GT(seen.answers, 80u);
  EXPECT_GT(seen.outside, 20u);
  EXPECT_GT(seen.outside_late, 10u);
  EXPECT_GT(seen.cancelled, 10u);
  EXPECT_GT(seen.hits, 3000u);
  EXPECT_GT(seen.preemptions, 10u);
  EXPECT_GT(seen.evictions, 20u);
}

}  // namespace
}  // namespace otr::engine

// Random jobs, arrivals, budgets and cancellations: every answer is the one that generate() gives
// alone, and the pages add up after each pass.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>

#include "engine/test_scheduler.h"

namespace otr::engine {
namespace {

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

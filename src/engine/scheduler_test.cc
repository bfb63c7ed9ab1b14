// Every answer of the scheduler is the answer that generate() gives alone, whatever the company.
#include "engine/scheduler.h"

#include <gtest/gtest.h>

#include <new>

#include "engine/test_scheduler.h"

namespace otr::engine {
namespace {

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
    if (i % 2 == 0) {
      specs[i].keep = Keep::kRows;
    } else {
      specs[i].scope = std::to_string(i);
    }
  }
  EXPECT_EQ(together(toy, options, specs, &gauges), outcomes);
  EXPECT_EQ(gauges.hit_tokens, 0u);
  EXPECT_EQ(gauges.rows, rows);
}

// Three pages each, of which two are the same: both fit into four.
TEST(Scheduler, WhatIsSharedIsCountedOnce) {
  Toy toy(1);
  Random random(8);
  const Ids prompt = random_ids(random, 257);
  Scheduler scheduler(toy.forward, {4 * toy.page_bytes, 8, 16, true});
  std::vector<Client> clients(3);
  for (Client& client : clients) {
    client.spec = {.prompt = prompt, .max_tokens = 30};
    ASSERT_TRUE(submit(toy, scheduler, client));
  }
  while (clients[0].outcome.told.empty()) scheduler.step();
  scheduler.step();
  EXPECT_EQ(scheduler.gauges().running, 2u);
  EXPECT_EQ(scheduler.gauges().pages_used, 4u);
  while (scheduler.step()) continue;
  for (const Client& client : clients) EXPECT_EQ(client.outcome, alone(toy, client.spec));
  EXPECT_EQ(scheduler.gauges().rows, 257u + 2 + 3 * 29);
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
  const SchedulerOptions options{4 * toy.page_bytes, 8, 16, true};
  Scheduler scheduler(toy.forward, options);
  std::vector<Client> clients(6);
  for (Client& client : clients) {
    client.spec = {.prompt = random_ids(random, 100), .max_tokens = 190};
    ASSERT_TRUE(submit(toy, scheduler, client));
  }
  // A small one that would fit at once does not overtake.
  Client small{.spec = {.prompt = {1}, .max_tokens = 1}};
  ASSERT_TRUE(submit(toy, scheduler, small));
  std::size_t oldest = 0;
  bool left = true, talking = false;
  while (left) {
    const std::size_t told = oldest < clients.size() ? clients[oldest].outcome.told.size() : 0;
    left = scheduler.step();
    // Nothing takes a pass from the oldest once it has gone on to its next token.
    const bool grows = oldest < clients.size() && clients[oldest].outcome.told.size() > told;
    if (talking) ASSERT_TRUE(grows);
    talking = grows && clients[oldest].done == 0;
    while (oldest < clients.size() && clients[oldest].done == 1) ++oldest;
    for (std::size_t i = oldest; i < clients.size(); ++i) ASSERT_EQ(clients[i].done, 0);
    if (oldest < 3) ASSERT_EQ(small.done, 0);  // no more than three have room beside it
  }
  EXPECT_EQ(small.done, 1);
  EXPECT_GT(scheduler.gauges().preemptions, 3u);
}

TEST(Scheduler, RefusesWhatCanNeverRun) {
  Toy toy(1);
  Scheduler scheduler(toy.forward, {2 * toy.page_bytes, 8, 16, true});
  const auto refused = [&](Spec spec) {
    Client client{.spec = std::move(spec)};
    const Status status = submit(toy, scheduler, client);
    EXPECT_EQ(scheduler.check(client.spec.prompt, client.spec.max_tokens).has_value(),
              status.has_value());
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

// Who looks at the logits sees the row each token comes from, once, whatever the company.
TEST(Scheduler, LogitsCanBeSeenAndChangeNothing) {
  Toy toy(1);
  Scheduler scheduler(toy.forward, {4 * toy.page_bytes, 8, 16, true});
  Random random(9);
  struct Looker {
    Client client;
    std::vector<std::vector<std::int32_t>> rows, expected;
  };
  std::vector<Looker> lookers(5);
  for (Looker& looker : lookers) {
    looker.client.spec = {.prompt = random_ids(random, 120), .max_tokens = 30};
    looker.client.spec.sampling.inv_t = 65536;
    ASSERT_TRUE(submit(toy, scheduler, looker.client, {}, [&](auto logits) {
      EXPECT_EQ(looker.rows.size(), looker.client.outcome.told.size());
      looker.rows.emplace_back(logits.begin(), logits.end());
    }));
  }
  while (scheduler.step()) continue;
  EXPECT_GT(scheduler.gauges().preemptions, 0u);
  for (Looker& looker : lookers) {
    EXPECT_EQ(looker.client.outcome, alone(toy, looker.client.spec, [&](auto logits) {
                looker.expected.emplace_back(logits.begin(), logits.end());
              }));
    EXPECT_EQ(looker.rows, looker.expected);
  }
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

TEST(Scheduler, ACancelledJobCostsNoMore) {
  Toy toy(1);
  Scheduler scheduler(toy.forward, {100 * toy.page_bytes, 8, 16, true});
  Client client{.spec = {.prompt = {1, 2}, .max_tokens = 50}};
  Client waiting{.spec = {.prompt = {1, 2}, .max_tokens = 50}};
  ASSERT_TRUE(submit(toy, scheduler, client));
  EXPECT_TRUE(scheduler.step());
  ASSERT_TRUE(submit(toy, scheduler, waiting));
  EXPECT_TRUE(scheduler.cancel(waiting.id));
  EXPECT_TRUE(scheduler.cancel(client.id));
  EXPECT_EQ(client.done + waiting.done, 0);
  EXPECT_FALSE(scheduler.step());
  EXPECT_EQ(client.outcome.error, ErrorKind::kCancelled);
  EXPECT_EQ(waiting.outcome.error, ErrorKind::kCancelled);
  EXPECT_EQ(scheduler.gauges().rows, 2u);
  EXPECT_FALSE(scheduler.cancel(client.id));

  // Even the last token does not make a cancelled job an answer.
  Client last{.spec = {.prompt = {3}, .max_tokens = 2}};
  ASSERT_TRUE(submit(toy, scheduler, last, [&] {
    if (last.outcome.told.size() == 2) EXPECT_TRUE(scheduler.cancel(last.id));
  }));
  while (scheduler.step()) continue;
  EXPECT_EQ(last.outcome.error, ErrorKind::kCancelled);
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

}  // namespace
}  // namespace otr::engine

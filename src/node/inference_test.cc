// Every claim of the service is the claim of a worker that answers alone, and one request has one.
#include "node/inference.h"

#include <gtest/gtest.h>

#include <map>
#include <random>

#include "node/test_inference.h"
#include "protocol/verify.h"

namespace otr::node {
namespace {

Ids random_ids(std::mt19937& random, std::size_t count) {
  Ids ids(count);
  for (auto& id : ids) id = random() % 17;
  return ids;
}

TEST(Inference, ManyAtATimeFromManyThreadsAreTheWorkersReceipts) {
  InferenceOptions options = options_of(8);
  options.scheduler.max_rows = 16;
  Toy toy(options);
  options.scheduler.kv_budget_bytes = 6 * toy.page_bytes();
  toy.service = *InferenceService::start(toy.model, toy.packed, {.key = key_of(8)}, options);
  std::mt19937 random(1);
  const Ids shared = random_ids(random, 140);
  std::vector<Ask> asks(32);
  for (std::size_t i = 0; i < asks.size(); ++i) {
    asks[i].prompt = i % 2 == 0 ? shared : random_ids(random, 1 + random() % 120);
    asks[i].prompt.push_back(static_cast<std::uint32_t>(i % 17));
    asks[i].sampling = i % 5 == 0 ? greedy() : sampled(static_cast<std::uint8_t>(i));
    asks[i].max_tokens = i % 3 == 0 ? 5 : 100 + random() % 55;
    asks[i].sampling.logit_bias = {{2, -1 << 18}, {16, -1 << 18}};  // few stop tokens
    if (i % 7 == 0) asks[i].stop = {"a"};
  }
  std::vector<Heard> heard(asks.size());
  Gate gate;  // the engine stands in it until all are there: otherwise they might come one by one
  const auto hold = [&](const TokenInfo&) { gate.pass(); };
  std::vector<std::thread> threads;
  for (std::size_t t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (std::size_t i = t; i < asks.size(); i += 4) toy.submit(asks[i], heard[i], hold);
    });
  }
  for (std::thread& thread : threads) thread.join();
  gate.open();
  for (std::size_t i = 0; i < asks.size(); ++i) {
    const Result<Finished> finished = heard[i].wait();
    ASSERT_TRUE(finished) << finished.error().message;
    EXPECT_EQ(heard[i].ids(), finished->output_ids);
    const auto alone = toy.alone(asks[i]);
    ASSERT_TRUE(alone);
    EXPECT_EQ(toy.receipt(asks[i], *finished), *protocol::encode_receipt(*alone)) << i;
  }
  toy.service->stop(true);
  const InferenceService::Gauges gauges = toy.service->gauges();
  EXPECT_EQ(gauges.finished, 32u);
  EXPECT_EQ(gauges.running + gauges.waiting + gauges.failed + gauges.abandoned, 0u);
  EXPECT_GT(gauges.prefix_hit_tokens, 0u);
  EXPECT_GT(gauges.preemptions, 0u);
  EXPECT_GE(gauges.rows, gauges.output_tokens);
}

TEST(Inference, TheClaimNamesItsSessionAndLedger) {
  Toy toy;
  ClaimSigner signer{.key = key_of(8), .session = {1, 2, 3}, .ledger = {4, 5}};
  InferenceOptions options = options_of();
  options.scheduler.kv_budget_bytes = 10 * toy.page_bytes();
  toy.service = *InferenceService::start(toy.model, toy.packed, std::move(signer), options);
  Heard heard;
  Job job = toy.job_of({}, heard);
  EXPECT_EQ(toy.service->submit(job).error().code, "REQUEST_SIGNATURE");  // of another ledger
  job.request.signature = key_of(7).sign(protocol::digest_of(job.request.request, Hash{4, 5}));
  ASSERT_TRUE(toy.service->submit(job));
  const auto finished = heard.wait();
  ASSERT_TRUE(finished);
  EXPECT_EQ(finished->claim.session, (Hash{1, 2, 3}));
  EXPECT_EQ(finished->claim.request_hash, protocol::digest_of(job.request.request, Hash{4, 5}));
  EXPECT_EQ(finished->claim.checkpoint, 0u);
  EXPECT_EQ(finished->claim.checkpoint_hash, Hash{});
  EXPECT_EQ(finished->signer, key_of(8).address());
  EXPECT_TRUE(protocol::check_signer(protocol::digest_of(finished->claim, Hash{4, 5}),
                                     finished->claim_signature, finished->signer, "X"));
}

std::shared_ptr<const ClaimSigner> signer_of(std::uint8_t key) {
  return std::make_shared<const ClaimSigner>(ClaimSigner{.key = key_of(key), .session = {key}});
}

// SPEC GATE-12: an answer ends under the session that it began under, beside those of the next.
TEST(Inference, EachAnswerIsSignedUnderItsOwnSession) {
  Toy toy;
  InferenceOptions options = options_of();
  options.scheduler.kv_budget_bytes = 1000 * toy.page_bytes();
  toy.service = *InferenceService::start(toy.model, toy.packed, options);
  Heard nobodys;
  EXPECT_EQ(toy.service->submit(toy.job_of({}, nobodys)).error().kind, ErrorKind::kUsage);

  Gate gate;
  Heard under_old, under_new;
  auto old_signer = signer_of(20);
  const std::weak_ptr<const ClaimSigner> old_key = old_signer;
  Job job = toy.job_of(long_ask(1), under_old, [&](const TokenInfo&) { gate.pass(); });
  job.signer = std::move(old_signer);
  ASSERT_TRUE(toy.service->submit(std::move(job)));
  gate.wait_until_somebody_stands_there();
  job = toy.job_of(long_ask(2), under_new);
  job.signer = signer_of(21);
  ASSERT_TRUE(toy.service->submit(std::move(job)));
  EXPECT_FALSE(old_key.expired());
  gate.open();
  const auto of_old = under_old.wait(), of_new = under_new.wait();
  ASSERT_TRUE(of_old && of_new);
  EXPECT_EQ(of_old->signer, key_of(20).address());
  EXPECT_EQ(of_old->claim.session, (Hash{20}));
  EXPECT_EQ(of_new->signer, key_of(21).address());
  EXPECT_EQ(of_new->claim.session, (Hash{21}));
  EXPECT_TRUE(old_key.expired()) << "the key of a session outlived its last answer";
}

// SPEC GATE-4: nobody gets a second claim by asking for another session, nor by other logprobs.
TEST(Inference, ARequestHasItsClaimUnderOneSession) {
  Toy toy;
  Heard first, again, second;
  Job job = toy.job_of({}, first);
  job.signer = signer_of(20);
  job.logprobs = 2;
  ASSERT_TRUE(toy.service->submit(std::move(job)));
  ASSERT_TRUE(first.wait());
  for (const std::optional<unsigned> logprobs : {std::optional<unsigned>(), {2u}, {3u}}) {
    job = toy.job_of({}, second);
    job.signer = signer_of(21);
    job.logprobs = logprobs;
    const auto refused = toy.service->submit(std::move(job));
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, "other_session");
  }
  job = toy.job_of({}, again);
  job.signer = signer_of(20);
  ASSERT_TRUE(toy.service->submit(std::move(job)));
  const auto repeated = again.wait();
  ASSERT_TRUE(repeated);
  EXPECT_EQ(repeated->claim_signature, first.wait()->claim_signature);
}

// Logprobs are those of the rows that a worker alone sees, as otr ask shows them.
TEST(Inference, LogprobsAreThoseOfTheRawLogits) {
  Toy toy;
  const Ask ask{.sampling = sampled(3)};
  std::vector<std::vector<std::int32_t>> rows;
  Worker worker(toy.model, toy.packed, key_of(8), key_of(9), 1);
  const auto alone = worker.serve(
      request_of(ask), ask.prompt, [](std::uint32_t) {}, [] { return false; },
      [&](auto logits) { rows.emplace_back(logits.begin(), logits.end()); });
  ASSERT_TRUE(alone);
  for (const std::optional<unsigned> likeliest : {std::optional<unsigned>(), {0u}, {5u}, {20u}}) {
    // In company of another that wants other ones.
    Heard heard, other;
    Ask other_ask = long_ask();
    Job job = toy.job_of(other_ask, other);
    job.logprobs = 1;
    ASSERT_TRUE(toy.service->submit(job));
    job = toy.job_of(ask, heard);
    job.logprobs = likeliest;
    ASSERT_TRUE(toy.service->submit(job));
    const auto finished = heard.wait();
    ASSERT_TRUE(finished);
    // What was computed beside another that wanted other logprobs has the same claim.
    EXPECT_EQ(toy.receipt(ask, *finished), *protocol::encode_receipt(*alone));
    const auto tokens = heard.tokens();
    ASSERT_EQ(tokens.size(), rows.size());
    for (std::size_t i = 0; i < tokens.size(); ++i) {
      EXPECT_EQ(tokens[i].logprobs.has_value(), likeliest.has_value());
      if (!likeliest) continue;
      EXPECT_EQ(tokens[i].logprobs, logprobs_of(rows[i], tokens[i].id, *likeliest));
      EXPECT_EQ(tokens[i].logprobs->likeliest.size(), std::min(*likeliest, 17u));
    }
    EXPECT_TRUE(other.wait());
  }
  Heard heard;
  Job job = toy.job_of(ask, heard);
  job.logprobs = 21;
  EXPECT_EQ(toy.service->submit(job).error().kind, ErrorKind::kUsage);
}

TEST(Inference, TheSameRequestJoinsAndHearsAllFromTheBeginning) {
  InferenceOptions options = options_of();
  options.threads = 2;
  Toy toy(options);
  Gate gate;
  Heard first, second, third;
  const Ask ask = long_ask();
  toy.submit(ask, first, [&](const TokenInfo&) {
    if (first.tokens().size() == 5) gate.pass();
  });
  gate.wait_until_somebody_stands_there();
  toy.submit(ask, second);
  toy.submit(ask, third);
  gate.open();
  const auto finished = first.wait();
  ASSERT_TRUE(finished);
  for (Heard* heard : {&second, &third}) {
    const auto joined = heard->wait();
    ASSERT_TRUE(joined);
    EXPECT_EQ(heard->ids(), finished->output_ids);
    EXPECT_EQ(toy.receipt(ask, *joined), toy.receipt(ask, *finished));
  }
  toy.service->stop(true);
  const auto gauges = toy.service->gauges();
  EXPECT_EQ(gauges.joined, 2u);
  EXPECT_EQ(gauges.finished, 1u);
  EXPECT_EQ(gauges.output_tokens, 200u);
}

TEST(Inference, WhatHasBeenAnsweredIsRepeatedAndNotComputed) {
  Toy toy;
  const Ask ask = long_ask();
  Heard first, second, third;
  toy.submit(ask, first);
  const auto finished = first.wait();
  ASSERT_TRUE(finished);
  toy.submit(ask, second);
  const auto repeated = second.wait();
  ASSERT_TRUE(repeated);
  EXPECT_EQ(second.ids(), finished->output_ids);
  EXPECT_EQ(toy.receipt(ask, *repeated), toy.receipt(ask, *finished));
  // Its signature is looked at all the same.
  Job forged = toy.job_of(ask, third);
  forged.request.signature[9] ^= 1;
  EXPECT_EQ(toy.service->submit(forged).error().code, "REQUEST_SIGNATURE");
  toy.service->stop(true);
  const auto gauges = toy.service->gauges();
  EXPECT_EQ(gauges.repeated, 1u);
  EXPECT_EQ(gauges.finished, 1u);
  EXPECT_EQ(gauges.output_tokens, 200u);
  EXPECT_EQ(gauges.stored_answers, 1u);
}

// Out of the store, the answer is computed again to the same bytes.
TEST(Inference, TheStoreIsBoundedAndForgettingChangesNoClaim) {
  InferenceOptions by_count = options_of(), by_size = options_of();
  by_count.stored_answers = 2;
  by_size.stored_bytes = 40000;  // two of some 17 kB
  for (const InferenceOptions& options : {by_count, by_size}) {
    Toy toy(options);
    std::map<std::uint8_t, std::string> receipts;
    std::uint64_t computed = 0;
    const auto ask_again = [&](std::uint8_t seed, bool stored) {
      Heard heard;
      toy.submit(long_ask(seed), heard);
      const auto finished = heard.wait();
      ASSERT_TRUE(finished);
      const std::string receipt = toy.receipt(long_ask(seed), *finished);
      EXPECT_EQ(receipts.emplace(seed, receipt).first->second, receipt);
      computed += stored ? 0 : 1;
      const auto gauges = toy.service->gauges();
      EXPECT_EQ(gauges.finished, computed) << int{seed};
      EXPECT_LE(gauges.stored_answers, 2u);
      EXPECT_LE(gauges.stored_bytes, options.stored_bytes);
    };
    ask_again(1, false);
    ask_again(2, false);
    ask_again(1, true);
    ask_again(3, false);  // for 1, the oldest answer
    ask_again(2, true);
    ask_again(1, false);
    ask_again(3, true);
    ask_again(2, false);
    EXPECT_EQ(toy.service->gauges().stored_answers, 2u);
  }
}

TEST(Inference, NothingIsStoredWhereNothingMayBe) {
  InferenceOptions options = options_of();
  options.stored_answers = 0;
  Toy toy(options);
  for (int i = 0; i < 2; ++i) {
    Heard heard;
    toy.submit(long_ask(), heard);
    EXPECT_TRUE(heard.wait());
  }
  EXPECT_EQ(toy.service->gauges().finished, 2u);
  EXPECT_EQ(toy.service->gauges().stored_bytes, 0u);
}

TEST(Inference, OnlyTheSameScopeSharesPrefixes) {
  std::mt19937 random(1);
  const Ids prompt = random_ids(random, 140);
  for (const bool same : {true, false}) {
    Toy toy;
    for (std::uint8_t i = 0; i < 3; ++i) {
      Heard heard;
      Job job = toy.job_of({.prompt = prompt, .sampling = sampled(i)}, heard);
      job.cache_scope = same ? "one" : std::to_string(i);
      ASSERT_TRUE(toy.service->submit(job));
      ASSERT_TRUE(heard.wait());
    }
    toy.service->stop(true);
    EXPECT_EQ(toy.service->gauges().prefix_hit_tokens, same ? 256u : 0u);
  }
}

TEST(Inference, WhatIsRefusedIsRefusedAtOnce) {
  Toy toy;
  InferenceOptions options = options_of();
  options.scheduler.kv_budget_bytes = toy.page_bytes();
  toy.service = *InferenceService::start(toy.model, toy.packed, {.key = key_of(8)}, options);
  Heard heard;
  const auto refusal = [&](const Job& job) {
    const auto id = toy.service->submit(job);
    EXPECT_FALSE(id);
    return id ? Error{} : id.error();
  };
  Job job = toy.job_of({}, heard);
  job.request.signature[5] ^= 1;
  EXPECT_EQ(refusal(job).code, "REQUEST_SIGNATURE");
  job = toy.job_of({}, heard);
  job.prompt_ids[0] ^= 1;
  EXPECT_EQ(refusal(job).code, "PROMPT_ROOT_MISMATCH");
  job.prompt_ids.clear();
  EXPECT_EQ(refusal(job).code, "REQUEST_INVALID");
  EXPECT_EQ(refusal(toy.job_of({.prompt = {99}}, heard)).code, "REQUEST_INVALID");
  EXPECT_EQ(refusal(toy.job_of({.prompt = Ids(300, 3)}, heard)).code, "REQUEST_INVALID");
  EXPECT_EQ(refusal(toy.job_of({.max_tokens = 301}, heard)).code, "REQUEST_INVALID");
  job = toy.job_of({}, heard);
  job.request = request_of({}, artifact(2));
  EXPECT_EQ(refusal(job).code, "MODEL_ROOT_MISMATCH");
  EXPECT_EQ(refusal(toy.job_of({.max_tokens = 125}, heard)).kind, ErrorKind::kUsage);  // two pages
  toy.service->stop(true);
  EXPECT_FALSE(heard.ended());
  const auto gauges = toy.service->gauges();
  EXPECT_EQ(gauges.finished + gauges.failed + gauges.abandoned, 0u);
}

TEST(Inference, ADeadlineThatHasPassedIsRefused) {
  std::atomic<std::int64_t> now = 1000;
  InferenceOptions options = options_of();
  options.unix_seconds = [&] { return now.load(); };
  Toy toy(options);
  const auto job_until = [&](std::uint64_t deadline, Heard& heard) {
    Job job = toy.job_of({}, heard);
    job.request.request.deadline = deadline;
    sign_request(job.request);
    return job;
  };
  Heard late, in_time, again;
  for (const std::uint64_t deadline : {0, 1, 999}) {
    const auto id = toy.service->submit(job_until(deadline, late));
    ASSERT_FALSE(id);
    EXPECT_EQ(id.error().kind, ErrorKind::kUsage);
    EXPECT_NE(id.error().message.find("deadline"), std::string::npos);
  }
  ASSERT_TRUE(toy.service->submit(job_until(1000, in_time)));
  ASSERT_TRUE(in_time.wait());
  // What has been claimed in time may be asked for again.
  now = 1001;
  ASSERT_TRUE(toy.service->submit(job_until(1000, again)));
  ASSERT_TRUE(again.wait());
  ASSERT_TRUE(toy.service->submit(job_until(~0ull, late)));
  ASSERT_TRUE(late.wait());
}

TEST(Inference, StartRefusesOptionsThatCannotBe) {
  const engine::PackedModel packed(artifact().view());
  const auto refused = [&](auto change) {
    InferenceOptions options = options_of();
    options.scheduler.kv_budget_bytes = std::size_t{1} << 30;
    change(options.scheduler);
    const auto started =
        InferenceService::start(artifact(), packed, {.key = key_of(8)}, std::move(options));
    return !started && started.error().kind == ErrorKind::kUsage;
  };
  EXPECT_FALSE(refused([](auto&) {}));
  EXPECT_TRUE(refused([](auto& options) { options.kv_budget_bytes = 100; }));
  EXPECT_TRUE(refused([](auto& options) { options.max_sequences = 0; }));
  EXPECT_TRUE(refused([](auto& options) { options.max_sequences = 257; }));
  EXPECT_TRUE(refused([](auto& options) { options.max_rows = 1025; }));
}

}  // namespace
}  // namespace otr::node

// One answer for a request that is sent again (SPEC GATE-9).
#include "service/idempotency.h"

#include <gmock/gmock.h>

#include <thread>

#include "service/test_front.h"

namespace otr::service {
namespace {

using State = FakeExchange::State;

const Json kStream = {{"stream", true}};
const net::Headers kKey = {{"Idempotency-Key", "k-1"}};
const net::Headers kRetry = {{"x-stainless-retry-count", "1"}};

void expect_same(const FakeExchange& a, const FakeExchange& b) {
  EXPECT_EQ(a.status(), b.status());
  EXPECT_EQ(a.text(), b.text());
  EXPECT_EQ(a.state(), b.state());
  for (const char* name : {"x-receipt-id", "x-request-id", "content-type"}) {
    EXPECT_EQ(a.header(name), b.header(name));
  }
}

TEST(IdempotencyTest, TheSameKeyGivesTheSameAnswerAgain) {
  for (const Json& more : {Json::object(), kStream}) {
    FrontWorld world;
    const auto first = world.chat(more, kKey);
    first->wait();
    const auto again = world.chat(more, kKey);
    again->wait();
    EXPECT_EQ(first->status(), 200u);
    expect_same(*first, *again);
    EXPECT_EQ(world.upstream.calls(), 1u);
    // Another key, and none, are other requests.
    world.chat(more, {{"idempotency-key", "k-2"}})->wait();
    world.chat(more)->wait();
    EXPECT_EQ(world.upstream.calls(), 3u);
  }
}

TEST(IdempotencyTest, APendingKeyIsJoinedFromTheBeginning) {
  for (const Json& more : {Json::object(), kStream}) {
    FrontWorld world;
    world.upstream.holds = true;
    const auto first = world.chat(more, kKey);
    const auto call = world.upstream.call(0);
    call->give(2);
    if (more == kStream) first->wait_for("content\":\"");
    const auto second = world.chat(more, kKey);
    if (more == kStream) second->wait_for("content\":\"");
    call->end();
    first->wait();
    second->wait();
    expect_same(*first, *second);
    EXPECT_EQ(world.upstream.calls(), 1u);
    EXPECT_EQ(world.receipts().size(), 1u);
  }
}

TEST(IdempotencyTest, AKeyUsedWithAnotherBodyIsRefused) {
  FrontWorld world;
  world.upstream.holds = true;
  const auto first = world.chat(Json::object(), kKey);
  const auto call = world.upstream.call(0);
  for (int round = 0; round < 2; ++round) {  // pending, then ended
    const auto other = world.chat({{"seed", 8}}, kKey);
    EXPECT_EQ(other->wait(), State::kResponded);
    EXPECT_EQ(other->status(), 409u);
    EXPECT_EQ(other->json()["error"]["code"], "idempotency_key_reuse");
    EXPECT_EQ(other->json()["error"]["type"], "invalid_request_error");
    EXPECT_EQ(other->header("x-should-retry"), "false");
    call->end();
    first->wait();
  }
  EXPECT_EQ(first->status(), 200u);
  const auto path = world.ask("POST", "/v1/completions", toy_chat().dump(), kKey);
  EXPECT_EQ(path->status(), 409u);
  EXPECT_EQ(world.chat(Json::object(), {{"idempotency-key", std::string(256, 'k')}})->wait(),
            State::kResponded);
  EXPECT_EQ(world.upstream.calls(), 1u);
}

TEST(IdempotencyTest, KeysOfTwoClientsAreTwoKeys) {
  FrontWorld world;
  world.keys = *ApiKeys::parse("first-key\nsecond-key\n", "test");
  for (const char* key : {"first-key", "second-key"}) {
    const auto chat = world.chat(Json::object(), {{"Idempotency-Key", "k"}, {"x-api-key", key}});
    chat->wait();
    EXPECT_EQ(chat->status(), 200u);
  }
  EXPECT_EQ(world.upstream.calls(), 2u);
}

TEST(IdempotencyTest, ARetryWithoutAKeyJoinsTheOnePendingBody) {
  FrontWorld world;
  world.upstream.holds = true;
  const auto a = world.chat({{"seed", 1}});
  const auto b = world.chat({{"seed", 2}});
  const auto call_a = world.upstream.call(0), call_b = world.upstream.call(1);
  // Two retries at once, each to its own body.
  const auto again_b = world.chat({{"seed", 2}}, kRetry);
  const auto again_a = world.chat({{"seed", 1}}, kRetry);
  call_a->end();
  call_b->end();
  for (const auto& one : {a, b, again_a, again_b}) one->wait();
  expect_same(*a, *again_a);
  expect_same(*b, *again_b);
  EXPECT_NE(a->header("x-receipt-id"), b->header("x-receipt-id"));
  EXPECT_EQ(world.upstream.calls(), 2u);
}

TEST(IdempotencyTest, WithoutAKeyOnlyARetryOfSomethingPendingJoins) {
  FrontWorld world;
  world.upstream.holds = true;
  const auto first = world.chat();
  static_cast<void>(world.upstream.call(0));
  const auto twin = world.chat();  // no retry
  const auto zero = world.chat(Json::object(), {{"x-stainless-retry-count", "0"}});
  static_cast<void>(world.upstream.call(2));
  const auto ambiguous = world.chat(Json::object(), kRetry);
  static_cast<void>(world.upstream.call(3));
  for (std::size_t i = 0; i < 4; ++i) world.upstream.call(i)->end();
  for (const auto& one : {first, twin, zero, ambiguous}) one->wait();
  const auto late = world.chat(Json::object(), kRetry);
  world.upstream.call(4)->end();
  late->wait();
  EXPECT_EQ(world.upstream.calls(), 5u);
}

TEST(IdempotencyTest, ARetryOfAnotherClientDoesNotJoin) {
  FrontWorld world;
  world.keys = *ApiKeys::parse("first-key\nsecond-key\n", "test");
  world.upstream.holds = true;
  const auto first = world.chat(Json::object(), {{"x-api-key", "first-key"}});
  static_cast<void>(world.upstream.call(0));
  const auto other =
      world.chat(Json::object(), {{"x-api-key", "second-key"}, {"x-stainless-retry-count", "2"}});
  world.upstream.call(1)->end();
  world.upstream.call(0)->end();
  first->wait();
  other->wait();
  EXPECT_NE(first->header("x-receipt-id"), other->header("x-receipt-id"));
}

TEST(IdempotencyTest, AClientThatComesBackInTimeFindsItsAnswer) {
  for (const bool ends_meanwhile : {false, true}) {
    FrontWorld world;
    world.options.idempotency.retry_grace_ms = 60'000;
    world.upstream.holds = true;
    const auto lost = world.chat();
    const auto call = world.upstream.call(0);
    lost->disconnect();
    if (ends_meanwhile) {
      call->end();
      while (world.front().running() > 0) std::this_thread::yield();
    }
    const auto back = world.chat(Json::object(), kRetry);
    call->end();
    EXPECT_EQ(back->wait(), State::kResponded);
    EXPECT_EQ(back->status(), 200u);
    EXPECT_FALSE(call->is_cancelled());
    EXPECT_EQ(world.upstream.calls(), 1u);
  }
}

TEST(IdempotencyTest, OneThatComesTooLateIsANewRequest) {
  FrontWorld world;
  world.options.idempotency.retry_grace_ms = 1;
  world.upstream.holds = true;
  const auto lost = world.chat(kStream, kKey);
  const auto call = world.upstream.call(0);
  call->give(1);
  lost->disconnect();
  for (int i = 0; i < 3000 && !call->is_cancelled(); ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  EXPECT_TRUE(call->is_cancelled());
  world.upstream.holds = false;
  const auto back = world.chat(kStream, kKey);
  EXPECT_EQ(back->wait(), State::kEnded);
  EXPECT_EQ(world.upstream.calls(), 2u);
}

TEST(IdempotencyTest, AKeyedStreamIsKeptWhileItsClientIsAway) {
  FrontWorld world;
  world.options.idempotency.retry_grace_ms = 60'000;
  world.upstream.holds = true;
  const auto lost = world.chat(kStream, kKey);
  const auto call = world.upstream.call(0);
  call->give(1);
  lost->wait_for("content\":\"");
  lost->disconnect();
  call->end();
  while (world.front().running() > 0) std::this_thread::yield();
  const auto back = world.chat(kStream, kKey);
  EXPECT_EQ(back->wait(), State::kEnded);
  EXPECT_TRUE(back->text().starts_with(lost->text()));
  EXPECT_EQ(world.upstream.calls(), 1u);
}

TEST(IdempotencyTest, WhatFailedBeforeAClaimIsTriedAgainAndAfterOneNever) {
  FrontWorld world;
  world.upstream.bend = [](Script& script) {
    script.tokens.clear();
    script.end = std::unexpected(UpstreamError{503, "unavailable_error", "gone", "gone"});
  };
  world.chat(Json::object(), kKey)->wait();
  world.chat({{"n", 99}}, kKey)->wait();  // a bad body leaves nothing either
  world.upstream.bend = [](Script& script) { script.tokens[0].id ^= 1; };
  const auto bad = world.chat(Json::object(), kKey);
  bad->wait();
  EXPECT_EQ(bad->json()["error"]["type"], "verification_error") << bad->text();
  world.upstream.bend = [](Script&) {};
  const auto again = world.chat(Json::object(), kKey);
  again->wait();
  expect_same(*bad, *again);
  EXPECT_EQ(world.upstream.calls(), 2u);
}

// The classes alone, with streams of any size.
class RecordingTest : public testing::Test {
 protected:
  // As a front does it: a task may hold the last reference to the queue.
  ~RecordingTest() override { queue->stop(); }

  std::shared_ptr<FakeExchange> exchange(net::Headers headers = kKey) {
    return std::make_shared<FakeExchange>(
        net::Request{.method = "POST", .path = "/x", .headers = std::move(headers), .body = "b"});
  }
  std::shared_ptr<Recording> admit(const std::shared_ptr<FakeExchange>& from) {
    auto admitted = idempotency().admit(from, Hash{});
    EXPECT_TRUE(admitted);
    return admitted ? *admitted : nullptr;
  }
  Idempotency& idempotency() {
    if (!made_) made_.emplace(queue, options);
    return *made_;
  }

  std::shared_ptr<WorkQueue> queue = std::make_shared<WorkQueue>(2);
  IdempotencyOptions options;

 private:
  std::optional<Idempotency> made_;
};

TEST_F(RecordingTest, ALongReplayIsFedAsFastAsItIsRead) {
  const auto first = exchange();
  const auto recording = admit(first);
  recording->begin_stream(200, {});
  std::string all;
  for (int i = 0; i < 40; ++i) {
    all += std::string(50'000, static_cast<char>('a' + i % 26));
    recording->write(all.substr(all.size() - 50'000));
  }
  const auto slow = exchange();
  slow->stall(true);
  EXPECT_EQ(admit(slow), nullptr);
  recording->end();
  std::this_thread::sleep_for(std::chrono::milliseconds(50));
  EXPECT_EQ(slow->text(), "");
  EXPECT_EQ(first->state(), State::kEnded);
  slow->stall(false);
  EXPECT_EQ(slow->wait(), State::kEnded);
  EXPECT_EQ(slow->text(), all);
  EXPECT_EQ(first->text(), all);
}

TEST_F(RecordingTest, WhatIsTooLongToKeepIsRefusedUnderItsKeyAndItsReaderGetsAll) {
  options.max_recorded_bytes = 1000;
  const auto first = exchange();
  const auto recording = admit(first);
  recording->begin_stream(200, {});
  std::string all;
  for (int i = 0; i < 50; ++i) {
    all += std::string(100, 'x');
    EXPECT_TRUE(recording->write(std::string(100, 'x')));
  }
  recording->end();
  EXPECT_EQ(first->text(), all);
  EXPECT_EQ(first->state(), State::kEnded);
  const auto refused = idempotency().admit(exchange(), Hash{});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, "idempotency_answer_gone");
}

TEST_F(RecordingTest, AReaderTooSlowForTheMemoryIsCutAndTheOtherIsNot) {
  options.max_recorded_bytes = 1000;
  const auto slow = exchange();
  const auto fast = exchange();
  slow->stall(true);
  const auto recording = admit(slow);
  EXPECT_EQ(admit(fast), nullptr);
  recording->begin_stream(200, {});
  for (int i = 0; i < 50; ++i) recording->write(std::string(100, 'x'));
  recording->end();
  EXPECT_EQ(slow->state(), State::kAborted);
  EXPECT_EQ(fast->state(), State::kEnded);
  EXPECT_EQ(fast->text().size(), 5000u);
}

TEST_F(RecordingTest, KeepsAFewOfTheNewestForAWhile) {
  options.max_kept = 2;
  options.keep_ms = 60'000;
  const auto run = [&](const std::string& key) {
    const auto one = exchange({{"idempotency-key", key}});
    const auto recording = admit(one);
    if (recording == nullptr) return false;
    return recording->respond({200, {}, "answer"});
  };
  for (const char* key : {"1", "2", "3"}) EXPECT_TRUE(run(key));
  EXPECT_FALSE(run("2"));
  EXPECT_FALSE(run("3"));
  EXPECT_TRUE(run("1"));
}

TEST_F(RecordingTest, ForgetsAfterItsTime) {
  options.keep_ms = 1;
  const auto first = exchange();
  admit(first)->respond({200, {}, "answer"});
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  EXPECT_NE(admit(exchange()), nullptr);
}

TEST_F(RecordingTest, WhoeverLetsGoOfItLeavesNoTrace) {
  const auto first = exchange();
  admit(first).reset();
  EXPECT_EQ(first.use_count(), 1);  // a true one answers 500 when it is let go of
  EXPECT_NE(admit(exchange()), nullptr);
}

TEST_F(RecordingTest, ManyThreadsJoinAndLeave) {
  options.retry_grace_ms = 1;
  for (int round = 0; round < 20; ++round) {
    const auto first = exchange();
    const auto recording = admit(first);
    if (recording == nullptr) continue;
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; ++t) {
      threads.emplace_back([&, t] {
        const auto other = exchange();
        const auto mine = idempotency().admit(other, Hash{});
        if (t % 2 == 0) other->disconnect();
        if (mine && *mine) (*mine)->respond({200, {}, "late"});
      });
    }
    recording->begin_stream(200, {});
    for (int i = 0; i < 20; ++i) recording->write("part");
    if (round % 2 == 0) first->disconnect();
    recording->end();
    for (std::thread& thread : threads) thread.join();
    queue->post([] {});
  }
  queue->stop();
}

}  // namespace
}  // namespace otr::service

// The small parts of a service: metrics, log, API keys, work queue, prompts, signer, errors.
#include <gmock/gmock.h>
#include <unistd.h>

#include <thread>

#include "base/hex.h"
#include "service/error_answer.h"
#include "service/local_request.h"
#include "service/prompt.h"
#include "service/test_front.h"

namespace otr::service {
namespace {

using testing::HasSubstr;
using testing::Not;

TEST(MetricsTest, IsWhatPrometheusReads) {
  Metrics metrics;
  metrics.add("otr_requests_total", 2, {{"route", "/x"}, {"code", "200"}});
  metrics.add("otr_requests_total", 1, {{"route", "a\"\\\nb"}, {"code", "500"}});
  metrics.set("otr_kv_cache_usage_ratio", 250'000);
  metrics.move("otr_requests_waiting", 3);
  metrics.move("otr_requests_waiting", -1);
  metrics.observe("otr_ttft_seconds", 1'000);
  metrics.observe("otr_ttft_seconds", 1'001);
  metrics.observe("otr_ttft_seconds", 900'000'000);
  const std::string text = metrics.text();
  for (const char* line :
       {"# TYPE otr_requests_total counter\n", "# TYPE otr_ttft_seconds histogram\n",
        "otr_requests_total{route=\"/x\",code=\"200\"} 2\n",
        "otr_requests_total{route=\"a\\\"\\\\ b\",code=\"500\"} 1\n",
        "otr_kv_cache_usage_ratio 0.25\n", "otr_requests_waiting 2\n",
        "otr_ttft_seconds_bucket{le=\"0.001\"} 1\n", "otr_ttft_seconds_bucket{le=\"0.005\"} 2\n",
        "otr_ttft_seconds_bucket{le=\"600\"} 2\n", "otr_ttft_seconds_bucket{le=\"+Inf\"} 3\n",
        "otr_ttft_seconds_sum 900.002001\n", "otr_ttft_seconds_count 3\n",
        "otr_receipts_issued_total 0\n"}) {
    EXPECT_THAT(text, HasSubstr(line));
  }
}

std::string logged(const std::function<void(const Log&)>& write) {
  int ends[2];
  EXPECT_EQ(::pipe(ends), 0);
  write(Log(ends[1]));
  ::close(ends[1]);
  std::string text(8192, '\0');
  const auto size = ::read(ends[0], text.data(), text.size());
  ::close(ends[0]);
  text.resize(size > 0 ? static_cast<std::size_t>(size) : 0);
  return text;
}

TEST(LogTest, WritesOneSafeLine) {
  const std::string line = logged([](const Log& log) {
    log.write(LogLevel::kDebug, "x", "not shown");
    log.write(LogLevel::kInfo, "front", "answered",
              {{"request_id", "a\n{\"level\":\"error\"}\x1B[31m\xC2\x9B\xFF"},
               {"long", std::string(5000, 'x')},
               {"count", 3}});
  });
  EXPECT_EQ(std::ranges::count(line, '\n'), 1);
  EXPECT_TRUE(
      std::ranges::all_of(line, [](char c) { return c == '\n' || (c >= ' ' && c <= '~'); }));
  const Json json = Json::parse(line);
  EXPECT_EQ(json["level"], "info");
  EXPECT_EQ(json["component"], "front");
  EXPECT_EQ(json["event"], "answered");
  EXPECT_EQ(json["count"], 3);
  EXPECT_LT(json["long"].get<std::string>().size(), 600u);
  EXPECT_THAT(json["ts"].get<std::string>(), testing::MatchesRegex("20..-..-..T..:..:..\\....Z"));
}

TEST(ApiKeysTest, ReadsAFileOfKeysAndNothingElse) {
  for (const char* bad : {"", "# only words\n", "short\n", "good-key\nwith blank\n",
                          "good-key\ngood-key\n", "schl\xC3\xBCssel\n"}) {
    const auto keys = ApiKeys::parse(bad, "keys.txt");
    ASSERT_FALSE(keys) << bad;
    EXPECT_EQ(keys.error().kind, ErrorKind::kUsage);
    EXPECT_THAT(keys.error().message, HasSubstr("keys.txt"));
    EXPECT_THAT(keys.error().message, Not(HasSubstr("good-key")));
  }
  const auto keys = ApiKeys::parse("\n  one-key-1 \r\n#c\n\ntwo-key-2", "keys.txt");
  ASSERT_TRUE(keys);
  const auto check = [&](net::Headers headers) {
    return keys->check(net::Request{.headers = std::move(headers)});
  };
  EXPECT_TRUE(check({{"authorization", "bearer one-key-1"}}));
  EXPECT_TRUE(check({{"X-API-Key", "two-key-2"}}));
  EXPECT_NE(check({{"x-api-key", "one-key-1"}}), check({{"x-api-key", "two-key-2"}}));
  EXPECT_FALSE(check({}));
  EXPECT_FALSE(check({{"x-api-key", "one-key-"}}));
  // Of two the first counts.
  EXPECT_FALSE(check({{"authorization", "Bearer wrong-key"}, {"x-api-key", "one-key-1"}}));
  EXPECT_EQ(ApiKeys().check(net::Request{}), Hash{});
  EXPECT_FALSE(ApiKeys::load("/nowhere/keys"));
}

TEST(WorkQueueTest, RunsInOrderOfTimeAndDropsAtTheEnd) {
  WorkQueue queue(1);
  std::mutex mutex;
  std::string order;
  const auto note = [&](char c) {
    return [&, c] {
      const std::lock_guard lock(mutex);
      order += c;
    };
  };
  queue.post_after(60, note('c'));
  queue.post_after(20, note('b'));
  queue.post(note('a'));
  queue.post_after(600'000, note('d'));
  for (bool done = false; !done; std::this_thread::yield()) {
    const std::lock_guard lock(mutex);
    done = order.size() == 3;
  }
  queue.stop();
  queue.post(note('e'));
  EXPECT_EQ(order, "abc");
}

TEST(LocalRequestTest, ComesFromThisMachinesOwnPrograms) {
  const auto local = [](const char* host, const char* origin) {
    net::Request request{.headers = {{"host", host}}};
    if (origin != nullptr) request.headers.push_back({"origin", origin});
    return is_local(request);
  };
  for (const char* host : {"127.0.0.1:8080", "127.0.0.1", "127.8.9.1:1", "localhost:8089",
                           "localhost", "[::1]:8080", "[::1]"}) {
    EXPECT_TRUE(local(host, nullptr)) << host;
    EXPECT_TRUE(local(host, "http://localhost:3000")) << host;
    EXPECT_FALSE(local(host, "https://evil.example")) << host;
    EXPECT_FALSE(local(host, "null")) << host;
  }
  for (const char* host : {"", "evil.example", "evil.example:8080", "127.0.0.1.evil.example:8080",
                           "localhost.evil.example", "10.0.0.1", "[::2]", "[::1", "0.0.0.0"}) {
    EXPECT_FALSE(local(host, nullptr)) << host;
  }
  EXPECT_FALSE(is_local({}));
}

TEST(RequestSignerTest, SignsWithCountersThatAreNeverUsedTwice) {
  const TestFolder folder;
  const node::Home home = *node::Home::open(folder / "home");
  protocol::Request request;
  request.max_tokens = 1;
  std::vector<std::uint64_t> counters;
  Hash blind{};
  for (int run = 0; run < 2; ++run) {
    const auto signer = *RequestSigner::open(home);
    for (std::uint32_t i = 0; i < RequestSigner::kCounterBlock + 1; ++i) {
      const auto made = signer->sign(request, Hash{});
      ASSERT_TRUE(made);
      counters.push_back(made->request.counter);
      if (i > 0) continue;
      EXPECT_TRUE(protocol::check_signature(*made, Hash{}));
      EXPECT_TRUE(protocol::check_task_id(made->request));
      EXPECT_EQ(made->request.client, signer->address());
    }
    const Hash seed = signer->blind_seed(Hash{1});
    EXPECT_NE(seed, signer->blind_seed(Hash{2}));
    if (run == 1) EXPECT_EQ(seed, blind);
    blind = seed;
  }
  // The command line, which shares the folder, comes after all of them.
  counters.push_back(*home.next_counter());
  EXPECT_TRUE(std::ranges::is_sorted(counters));
  EXPECT_EQ(std::ranges::adjacent_find(counters), counters.end());
  EXPECT_EQ(counters[0], 1u);
  EXPECT_EQ(counters[RequestSigner::kCounterBlock], RequestSigner::kCounterBlock + 1u);
  EXPECT_EQ(counters.back(), 4u * RequestSigner::kCounterBlock + 1);
}

TEST(PromptTest, ConversationsGoThroughTheTemplateAndTextsDoNot) {
  const auto artifact = toy_chat_artifact();
  const auto tokenizer = *text::Tokenizer::parse(artifact->tokenizer());
  const std::vector<chat::ChatMessage> messages = {{"system", "b"}, {"user", "c"}};
  EXPECT_EQ(*encode_chat(*artifact, tokenizer, messages), (std::vector<std::uint32_t>{1, 2, 0}));
  EXPECT_EQ(*encode_chat(*artifact, tokenizer, messages, {.add_generation_prompt = false}),
            (std::vector<std::uint32_t>{1, 2}));
  EXPECT_EQ(*encode_text(tokenizer, "bc"), (std::vector<std::uint32_t>{1, 2}));
  for (const auto& ids :
       {encode_text(tokenizer, ""), encode_text(tokenizer, "\xFF"), encode_text(tokenizer, "Z"),
        encode_chat(*artifact, tokenizer, {}, {.add_generation_prompt = false})}) {
    EXPECT_FALSE(ids);
  }
}

TEST(ErrorAnswerTest, SaysWhetherToTryAgain) {
  for (const auto& [status, retry] :
       {std::pair(400, "false"), std::pair(401, "false"), std::pair(409, "false"),
        std::pair(429, "true"), std::pair(500, "false"), std::pair(502, "true"),
        std::pair(503, "true")}) {
    const net::Response answer = error_answer({.status = status, .message = "m\xFF"});
    EXPECT_EQ(answer.status, static_cast<unsigned>(status));
    EXPECT_EQ(net::find_header(answer.headers, "x-should-retry"), retry);
    EXPECT_EQ(net::find_header(answer.headers, "retry-after").has_value(),
              std::string_view(retry) == "true");
    EXPECT_TRUE(Json::parse(answer.body)["error"].is_object());
  }
  EXPECT_EQ(to_api_error({.status = 302}).status, 502);
  EXPECT_EQ(to_api_error({.status = 99999}).status, 502);
  EXPECT_EQ(to_api_error({.status = 451, .message = "m"}).status, 451);
}

}  // namespace
}  // namespace otr::service

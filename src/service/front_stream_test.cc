// What a stream shows and when, and that nothing false ever looks finished (SPEC GATE-10, GATE-11).
#include <gmock/gmock.h>
#include <sqlite3.h>

#include <thread>

#include "base/hex.h"
#include "service/test_front.h"

namespace otr::service {
namespace {

using State = FakeExchange::State;
using testing::HasSubstr;
using testing::Not;

const Json kStream = {{"stream", true}};

struct Stream {
  std::vector<Json> chunks;  // without [DONE]
  bool is_done = false;
  std::string text;  // of choice 0
};

Stream read(const FakeExchange& exchange) {
  Stream stream;
  for (const std::string& event : events_of(exchange.text())) {
    EXPECT_FALSE(stream.is_done) << "after [DONE]: " << event;
    stream.is_done = event == "[DONE]";
    if (!stream.is_done) stream.chunks.push_back(Json::parse(event));
  }
  for (const Json& chunk : stream.chunks) {
    for (const Json& choice : chunk.value("choices", Json::array())) {
      const Json content = choice.value("delta", Json::object()).value("content", Json());
      if (choice["index"] == 0 && content.is_string()) stream.text += content.get<std::string>();
    }
  }
  return stream;
}

bool is_finish(const Json& chunk) {
  return chunk.contains("choices") && !chunk["choices"].empty() &&
         !chunk["choices"][0]["finish_reason"].is_null();
}

bool has_finish(const Stream& stream) {
  for (const Json& chunk : stream.chunks) {
    if (is_finish(chunk)) return true;
  }
  return false;
}

// A stream that was cut with an error of this code, and nothing that looks like an end.
void expect_failed(const FakeExchange& exchange, const std::string& code) {
  EXPECT_EQ(exchange.state(), State::kAborted);
  const Stream stream = read(exchange);
  EXPECT_FALSE(stream.is_done);
  EXPECT_FALSE(has_finish(stream));
  ASSERT_FALSE(stream.chunks.empty());
  const Json& last = stream.chunks.back();
  ASSERT_TRUE(last.contains("error")) << exchange.text();
  EXPECT_EQ(last["error"]["code"], code) << last;
}

TEST(FrontStreamTest, RoleThenTextThenFinishThenUsageThenDone) {
  FrontWorld world;
  const auto chat = world.chat({{"stream", true}, {"stream_options", {{"include_usage", true}}}});
  EXPECT_EQ(chat->wait(), State::kEnded);
  EXPECT_EQ(chat->status(), 200u);
  EXPECT_EQ(chat->header("content-type"), "text/event-stream");
  EXPECT_EQ(chat->header("cache-control"), "no-store");
  const Stream stream = read(*chat);
  EXPECT_TRUE(stream.is_done);
  ASSERT_GE(stream.chunks.size(), 4u);
  const Json& first = stream.chunks.front();
  EXPECT_EQ(first["choices"][0]["delta"]["role"], "assistant");
  for (const Json& chunk : stream.chunks) {
    for (const char* name : {"id", "created", "model", "system_fingerprint", "object"}) {
      EXPECT_EQ(chunk[name], first[name]);
    }
  }
  const Json& finish = stream.chunks[stream.chunks.size() - 2];
  EXPECT_TRUE(is_finish(finish));
  EXPECT_EQ(finish["choices"][0]["delta"], Json::object());
  EXPECT_EQ(finish["otr"]["receipt_id"], chat->header("x-receipt-id"));
  const Json& usage = stream.chunks.back();
  EXPECT_EQ(usage["choices"], Json::array());
  EXPECT_EQ(usage["usage"]["prompt_tokens"], 4);
  EXPECT_EQ(usage["otr"]["verified"], true);
  EXPECT_EQ(usage["otr"]["receipt_id"], chat->header("x-receipt-id"));
  // Once, in the last chunk.
  EXPECT_GT(usage["timings"]["predicted_n"], 0);
  EXPECT_FALSE(finish.contains("timings"));
  const Stream without = read(*[&] {
    const auto again = world.chat({{"stream", true}});
    again->wait();
    return again;
  }());
  EXPECT_GT(without.chunks.back()["timings"]["predicted_n"], 0);

  const auto whole = world.chat();
  whole->wait();
  EXPECT_EQ(Json(stream.text), whole->json()["choices"][0]["message"]["content"]);
  EXPECT_EQ(finish["choices"][0]["finish_reason"], whole->json()["choices"][0]["finish_reason"]);
}

TEST(FrontStreamTest, TextComesWhileItIsMadeAndTheFinishOnlyWhenVerified) {
  FrontWorld world;
  world.upstream.holds = true;
  const auto chat = world.chat(kStream);
  const auto call = world.upstream.call(0);
  chat->wait_for_head();  // without a token: admitted
  EXPECT_FALSE(chat->header("x-receipt-id").empty());
  call->give(2);
  chat->wait_for("\"content\":\"");
  EXPECT_FALSE(read(*chat).text.empty());
  EXPECT_FALSE(has_finish(read(*chat)));
  EXPECT_TRUE(world.receipts().empty());
  call->end();
  EXPECT_EQ(chat->wait(), State::kEnded);
  EXPECT_TRUE(read(*chat).is_done);
  EXPECT_EQ(world.receipts().size(), 1u);
}

TEST(FrontStreamTest, SeveralAnswersInterleaveAndEachFinishesOnce) {
  FrontWorld world;
  world.upstream.holds = true;
  const auto chat = world.chat({{"stream", true}, {"n", 3}});
  for (const std::size_t i : {1u, 2u, 0u}) world.upstream.call(i)->give(1);
  for (const std::size_t i : {2u, 0u, 1u}) world.upstream.call(i)->end();
  EXPECT_EQ(chat->wait(), State::kEnded);
  const Stream stream = read(*chat);
  EXPECT_TRUE(stream.is_done);
  int finished[3] = {};
  for (const Json& chunk : stream.chunks) {
    if (!is_finish(chunk)) continue;
    const std::size_t index = chunk["choices"][0]["index"];
    ++finished[index];
    EXPECT_EQ(
        chunk["otr"]["receipt_id"],
        to_hex(protocol::digest_of(world.upstream.submissions()[index].request.request, Hash{})));
  }
  for (const int count : finished) EXPECT_EQ(count, 1);
}

TEST(FrontStreamTest, LogprobsComeWithEachToken) {
  FrontWorld world;
  const auto chat = world.chat({{"stream", true}, {"logprobs", true}, {"top_logprobs", 2}});
  chat->wait();
  std::size_t tokens = 0;
  for (const Json& chunk : read(*chat).chunks) {
    if (chunk["choices"].empty() || chunk["choices"][0]["logprobs"].is_null()) continue;
    for (const Json& token : chunk["choices"][0]["logprobs"]["content"]) {
      ++tokens;
      EXPECT_EQ(token["logprob"], -1.0);
      EXPECT_EQ(token["top_logprobs"].size(), 2u);
    }
  }
  EXPECT_EQ(tokens, world.upstream.call(0)->token_count());
}

struct Bend {
  const char* name;
  std::function<void(Script&)> bend;
  const char* code;
};

const std::vector<Bend>& bends() {
  static const std::vector<Bend> all = {
      {"another token", [](Script& s) { s.tokens[1].id ^= 1; }, "TOKEN_PATH_MISMATCH"},
      {"a token beyond the vocabulary", [](Script& s) { s.tokens[1].id = 17; }, "COUNT_MISMATCH"},
      {"a token too few", [](Script& s) { s.tokens.pop_back(); }, "COUNT_MISMATCH"},
      {"tokens without end", [](Script& s) { s.tokens.insert(s.tokens.end(), 100, s.tokens[0]); },
       "COUNT_MISMATCH"},
      {"a claim of another session",
       [](Script& s) {
         s.end->claim.claim.session.fill(9);
         sign_claim(*s.end);
       },
       "SESSION_MISMATCH"},
      {"a claim that another key signed", [](Script& s) { sign_claim(*s.end, 7); },
       "SESSION_MISMATCH"},
      {"a claim whose signature is another's",
       [](Script& s) {
         const auto signer = s.end->claim.signer;
         sign_claim(*s.end, 7);
         s.end->claim.signer = signer;
       },
       "CLAIM_SIGNATURE"},
      {"no countersignature", [](Script& s) { s.end->claim.operator_address.reset(); },
       "COUNTERSIGNATURE"},
      {"another's countersignature", [](Script& s) { s.end->claim.countersignature[3] ^= 1; },
       "COUNTERSIGNATURE"},
      {"a claim on another request",
       [](Script& s) {
         s.end->claim.claim.request_hash[0] ^= 1;
         sign_claim(*s.end);
       },
       "REQUEST_HASH_MISMATCH"},
      {"another finish",
       [](Script& s) {
         s.end->claim.claim.finish_reason ^= 3;
         sign_claim(*s.end);
       },
       "FINISH_MISMATCH"},
      {"another trace",
       [](Script& s) {
         s.end->claim.claim.trace_root[0] ^= 1;
         sign_claim(*s.end);
       },
       "TOKEN_PATH_MISMATCH"},
      {"a path cut off", [](Script& s) { s.end->trace_path.clear(); }, "TOKEN_PATH_MISMATCH"},
  };
  return all;
}

TEST(FrontStreamTest, WhatIsNotVerifiedNeverLooksFinished) {
  FrontWorld world;
  for (const Bend& bend : bends()) {
    SCOPED_TRACE(bend.name);
    world.upstream.bend = bend.bend;
    const auto stream = world.chat(kStream);
    stream->wait();
    expect_failed(*stream, bend.code);
    EXPECT_EQ(read(*stream).chunks.back()["error"]["type"], "verification_error");
    const auto whole = world.chat();
    EXPECT_EQ(whole->wait(), State::kResponded);
    EXPECT_EQ(whole->status(), 502u);
    EXPECT_EQ(whole->json()["error"]["code"], bend.code);
    EXPECT_EQ(whole->header("x-should-retry"), "false");
    const auto receipt = world.ask("GET", "/v1/otr/receipts/" + stream->header("x-receipt-id"));
    EXPECT_EQ(receipt->status(), 404u);
  }
  EXPECT_TRUE(world.receipts().empty());
}

TEST(FrontStreamTest, BufferedNothingIsShownBeforeItIsVerified) {
  FrontWorld world;
  world.options.buffer = true;
  world.upstream.holds = true;
  const auto good = world.chat({{"stream", true}, {"logprobs", true}});
  const auto call = world.upstream.call(0);
  good->wait_for_head();
  call->give(3);
  EXPECT_EQ(read(*good).text, "");
  call->end();
  EXPECT_EQ(good->wait(), State::kEnded);
  EXPECT_FALSE(read(*good).text.empty());
  EXPECT_TRUE(read(*good).is_done);

  world.upstream.holds = false;
  for (const Bend& bend : bends()) {
    SCOPED_TRACE(bend.name);
    world.upstream.bend = bend.bend;
    const auto bad = world.chat(kStream);
    bad->wait();
    if (bad->state() == State::kAborted) {
      expect_failed(*bad, bend.code);
      EXPECT_EQ(read(*bad).text, "");
    } else {
      EXPECT_EQ(bad->status(), 502u);
    }
    EXPECT_THAT(bad->text(), Not(HasSubstr("\"content\":\"")));
  }
}

TEST(FrontStreamTest, OneBadAnswerOfSeveralEndsAll) {
  FrontWorld world;
  world.upstream.holds = true;
  int count = 0;
  world.upstream.bend = [&](Script& script) {
    if (count++ == 1) script.tokens[0].id ^= 1;
  };
  const auto chat = world.chat({{"stream", true}, {"n", 3}});
  const auto last = world.upstream.call(2);
  world.upstream.call(1)->end();
  EXPECT_EQ(chat->wait(), State::kAborted);
  EXPECT_FALSE(read(*chat).is_done);
  world.front().stop();
  EXPECT_TRUE(last->is_cancelled());
}

TEST(FrontStreamTest, AnUpstreamsRefusalIsAnHttpError) {
  FrontWorld world;
  world.options.admission_wait_ms = 60'000;
  world.upstream.bend = [](Script& script) {
    script.tokens.clear();
    script.end = std::unexpected(UpstreamError{429, "rate_limit_error", "busy", "all taken"});
  };
  for (const Json& more : {Json::object(), kStream}) {
    const auto chat = world.chat(more);
    EXPECT_EQ(chat->wait(), State::kResponded);
    EXPECT_EQ(chat->status(), 429u);
    EXPECT_EQ(chat->json()["error"]["code"], "busy");
    EXPECT_EQ(chat->header("x-should-retry"), "true");
    EXPECT_FALSE(chat->header("retry-after").empty());
  }
  world.upstream.bend = [](Script& script) {
    script.tokens.clear();
    script.end = std::unexpected(UpstreamError{200, "", "", ""});
  };
  const auto senseless = world.chat();
  senseless->wait();
  EXPECT_EQ(senseless->status(), 502u);
}

TEST(FrontStreamTest, AStreamThatTheUpstreamCutsIsCut) {
  FrontWorld world;
  world.upstream.bend = [](Script& script) {
    script.end = std::unexpected(UpstreamError{502, "server_error", "stream_cut", "cut"});
  };
  const auto chat = world.chat(kStream);
  chat->wait();
  expect_failed(*chat, "stream_cut");
  EXPECT_THAT(world.metrics.text(), HasSubstr("otr_stream_aborts_total{cause=\"upstream\"} 1\n"));
}

TEST(FrontStreamTest, PingsWhileNothingComes) {
  FrontWorld world;
  world.options.ping_ms = 5;
  world.upstream.holds = true;
  const auto chat = world.chat(kStream);
  chat->wait_for(":\n\n:\n\n");
  EXPECT_EQ(read(*chat).chunks.size(), 1u);  // comments are no events
  world.upstream.call(0)->end();
  EXPECT_EQ(chat->wait(), State::kEnded);
}

TEST(FrontStreamTest, AnAnswerThatNeverEndsIsGivenUp) {
  FrontWorld world;
  world.options.ping_ms = 20;
  world.options.answer_seconds = 1;
  world.upstream.holds = true;
  const auto chat = world.chat(kStream);
  const auto call = world.upstream.call(0);
  call->give(1);
  chat->wait();
  expect_failed(*chat, "timeout");
  world.front().stop();
  EXPECT_TRUE(call->is_cancelled());
}

TEST(FrontStreamTest, ADisconnectCancelsAtEveryStage) {
  FrontWorld world;
  world.options.idempotency.retry_grace_ms = 30;
  world.upstream.holds = true;
  const auto gone = [&](const std::shared_ptr<FakeCall>& call) {
    for (int i = 0; i < 3000 && !call->is_cancelled(); ++i) {
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    EXPECT_TRUE(call->is_cancelled());
  };
  const auto before_head = world.chat();
  const auto first = world.upstream.call(0);
  before_head->disconnect();
  gone(first);
  const auto after_head = world.chat(kStream);
  const auto second = world.upstream.call(1);
  after_head->wait_for_head();
  after_head->disconnect();
  gone(second);
  const auto in_text = world.chat(kStream);
  const auto third = world.upstream.call(2);
  third->give(2);
  in_text->wait_for("content\":\"");
  in_text->disconnect();
  gone(third);
  // Before it is even submitted, and after the end: nothing to cancel, nothing breaks.
  world.upstream.holds = false;
  world.chat(kStream)->disconnect();
  const auto ended = world.chat(kStream);
  ended->wait();
  ended->disconnect();
  EXPECT_THAT(world.metrics.text(), HasSubstr("otr_stream_aborts_total{cause=\"client\"} "));
}

// Holds the store's file as another process would.
class HeldStore {
 public:
  explicit HeldStore(const std::filesystem::path& file) {
    EXPECT_EQ(sqlite3_open(file.c_str(), &database_), SQLITE_OK);
    EXPECT_EQ(sqlite3_exec(database_, "BEGIN IMMEDIATE", nullptr, nullptr, nullptr), SQLITE_OK);
  }
  ~HeldStore() { let_go(); }
  void let_go() { sqlite3_close(std::exchange(database_, nullptr)); }

 private:
  sqlite3* database_ = nullptr;
};

TEST(FrontStreamTest, ASlowDiskDelaysTheEndAlone) {
  FrontWorld world;
  HeldStore held(world.folder / "receipts.sqlite");
  const auto chat = world.chat(kStream);
  chat->wait_for("content\":\"");
  std::this_thread::sleep_for(std::chrono::milliseconds(100));
  EXPECT_EQ(chat->state(), State::kStreaming);
  EXPECT_FALSE(read(*chat).text.empty());
  EXPECT_FALSE(has_finish(read(*chat)));
  EXPECT_EQ(world.ask("GET", "/v1/models")->status(), 200u);
  held.let_go();
  EXPECT_EQ(chat->wait(), State::kEnded);
  EXPECT_EQ(world.receipts().size(), 1u);
}

TEST(FrontStreamTest, AReceiptThatIsNotKeptIsNotAnnounced) {
  FrontWorld world;
  world.store.reset();
  world.store = *ReceiptStore::open(world.folder / "receipts.sqlite", 10);
  const HeldStore held(world.folder / "receipts.sqlite");
  const auto stream = world.chat(kStream);
  stream->wait();
  expect_failed(*stream, "receipt_not_stored");
  const auto whole = world.chat();
  whole->wait();
  EXPECT_EQ(whole->status(), 500u);
  EXPECT_EQ(whole->json()["error"]["code"], "receipt_not_stored");
  EXPECT_EQ(whole->header("x-should-retry"), "false");
}

}  // namespace
}  // namespace otr::service

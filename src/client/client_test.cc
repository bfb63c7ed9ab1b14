// The client library through its public header, against a service on a socket.
#include "client/client.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <fstream>
#include <limits>
#include <set>
#include <stdexcept>
#include <thread>

#include "client/connection.h"
#include "client/request.h"
#include "client/test_service.h"
#include "node/keys.h"

namespace otr::client {
namespace {

using service::Script;

class ClientTest : public testing::Test {
 protected:
  // The answer to the question, in which a test may lie.
  Result<Answer> ask() { return client.ask(TestService::question(), hear()); }
  OnToken hear() {
    return [this](const Token& token) {
      ids.push_back(token.id);
      text += token.text;
    };
  }

  TestService service;
  Client client = service.connect();
  std::vector<std::uint32_t> ids;
  std::string text;
};

TEST_F(ClientTest, AnAnswerIsWhatWasStreamedAndItsReceiptVerifies) {
  const auto session = client.session();
  ASSERT_TRUE(session);
  EXPECT_FALSE(session->hardware);
  EXPECT_EQ(session->id.size(), 66U);

  const auto answer = ask();
  ASSERT_TRUE(answer) << answer.error().message;
  EXPECT_EQ(answer->token_ids, ids);
  EXPECT_EQ(answer->text, text);
  EXPECT_EQ(ids.size(), 8U);
  EXPECT_EQ(answer->prompt_tokens, 4U);  // "bcd", and the "a" of the template
  EXPECT_EQ(answer->finish_reason, "length");
  EXPECT_FALSE(answer->hardware);
  EXPECT_TRUE(answer->attested_as.contains("SIMULATED")) << answer->attested_as;
  ASSERT_EQ(answer->ladder.size(), 8U);
  for (std::size_t i = 0; i < 4; ++i) EXPECT_EQ(answer->ladder[i].state, Rung::kPass) << i;
  for (std::size_t i = 4; i < 8; ++i) EXPECT_EQ(answer->ladder[i].state, Rung::kNotYet) << i;
  EXPECT_TRUE(to_text(answer->ladder).contains("PASS     session attested"));
  EXPECT_TRUE(answer->checks.contains("PASS")) << answer->checks;

  const auto verified = verify_receipt(answer->receipt, service.model(),
                                       {.policy = service.policy(), .recompute = true});
  ASSERT_TRUE(verified);
  EXPECT_EQ(verified->verdict, Verdict::kVerified);
  EXPECT_TRUE(verified->recomputed && verified->attested);
}

TEST_F(ClientTest, ASeedIsAnAnswer) {
  const auto one = ask(), two = ask();
  ASSERT_TRUE(one && two);
  EXPECT_EQ(one->text, two->text);
  EXPECT_NE(one->receipt, two->receipt) << "a request is signed once";
  Question other = TestService::question();
  other.sampling.seed.reset();
  std::set<std::string> texts;
  for (int i = 0; i < 4; ++i) texts.insert(client.ask(other)->text);
  EXPECT_GT(texts.size(), 1U);
}

TEST_F(ClientTest, AStopStringEndsTheText) {
  const auto whole = ask();
  ASSERT_TRUE(whole);
  Question question = TestService::question();
  question.stop = {whole->text.substr(2, 2)};
  const auto answer = client.ask(question);
  ASSERT_TRUE(answer) << answer.error().message;
  EXPECT_EQ(answer->text, whole->text.substr(0, whole->text.find(question.stop[0])));
  EXPECT_EQ(answer->finish_reason, "stop");

  // What might have become a stop string is part of the text once the answer has ended.
  question.stop = {whole->text.substr(6) + "\n"};
  text.clear();
  const auto held = client.ask(question, hear());
  ASSERT_TRUE(held) << held.error().message;
  EXPECT_EQ(held->text, whole->text);
  EXPECT_EQ(text, whole->text.substr(0, 6));
}

TEST_F(ClientTest, ManyThreadsAskOneClient) {
  std::vector<std::jthread> threads;
  std::atomic<int> good = 0;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      if (client.ask(TestService::question())) ++good;
    });
  }
  threads.clear();
  EXPECT_EQ(good, 4);
}

TEST_F(ClientTest, WhatThePolicyDoesNotNameIsNotAsked) {
  const auto refusal = [&](const Options& options, std::uint64_t seed = 1) {
    const auto connected = Client::connect(options, service.model(seed));
    return connected ? Error{} : connected.error();
  };
  Options options = service.options();
  options.policy = "genuine";
  EXPECT_EQ(refusal(options).kind, ErrorKind::kRefused);
  options.policy = service.policy(true);
  EXPECT_EQ(refusal(options).kind, ErrorKind::kRefused);
  EXPECT_EQ(refusal(options).code, "no_session");
  EXPECT_TRUE(refusal(options).message.contains("refused")) << refusal(options).message;
  EXPECT_EQ(refusal(service.options(), 2).kind, ErrorKind::kRefused);
  EXPECT_EQ(refusal(service.options(), 2).code, "model_not_found");
  for (const char* policy :
       {"", "genuin", "policies/mine.toml", "x = 1", "[simulated]\nroots = 1"}) {
    options.policy = policy;
    EXPECT_EQ(refusal(options).kind, ErrorKind::kUsage) << policy;
  }
  EXPECT_EQ(service.requests(), 0U);
}

TEST_F(ClientTest, AServiceThatIsNone) {
  Options options = service.options();
  const auto kind = [&] {
    const auto connected = Client::connect(options, service.model());
    return connected ? ErrorKind::kSystem : connected.error().kind;
  };
  service.answer_sessions_with({200, {}, "<html>"});
  EXPECT_EQ(kind(), ErrorKind::kBadInput);
  service.answer_sessions_with({200, {}, R"({"sessions":[]})"});
  EXPECT_EQ(kind(), ErrorKind::kRefused);
  service.answer_sessions_with({200, {}, R"({"sessions":[{}]})"});
  EXPECT_EQ(kind(), ErrorKind::kRefused);
  service.answer_sessions_with({401, {}, ""});
  EXPECT_EQ(kind(), ErrorKind::kNetwork);
  options.url = "http://127.0.0.1:1";
  EXPECT_EQ(kind(), ErrorKind::kNetwork);
  options.url = "not a url";
  EXPECT_EQ(kind(), ErrorKind::kUsage);
  options = service.options();
  options.ca_file = service.folder / "missing.pem";
  EXPECT_EQ(kind(), ErrorKind::kUsage);
}

TEST_F(ClientTest, AQuestionThatCannotBeAskedIsNotSent) {
  std::vector<std::function<void(Question&)>> mistakes = {
      [](Question& q) { q.prompt = "both"; },
      [](Question& q) { q.messages.clear(); },
      [](Question& q) { q.messages[0].content = std::string(400, 'a'); },
      [](Question& q) { q.messages[0].content = "\xff"; },
      [](Question& q) { q.messages[0].content = "z"; },  // not in the vocabulary
      [](Question& q) { q.max_tokens = 0; },
      [](Question& q) { q.stop = {""}; },
      [](Question& q) { q.stop = {"\xff"}; },
      [](Question& q) { q.stop = {std::string(65, 'a')}; },
      [](Question& q) { q.stop = {"a", "b", "c", "d", "e"}; },
      [](Question& q) { q.sampling.temperature = -1; },
      [](Question& q) { q.sampling.temperature = std::numeric_limits<double>::quiet_NaN(); },
      [](Question& q) { q.sampling.top_p = 2; },
      [](Question& q) { q.sampling.logit_bias = {{99, 1}}; },
  };
  for (std::size_t i = 0; i < mistakes.size(); ++i) {
    Question question = TestService::question();
    mistakes[i](question);
    const auto answer = client.ask(question);
    ASSERT_FALSE(answer) << i;
    EXPECT_EQ(answer.error().kind, ErrorKind::kUsage) << i << answer.error().message;
    EXPECT_FALSE(answer.error().message.empty()) << i;
  }
  EXPECT_EQ(service.requests(), 0U);
  Question plain = TestService::question();
  plain.messages.clear();
  plain.prompt = "abc";
  EXPECT_TRUE(client.ask(plain));
}

TEST_F(ClientTest, ALieIsNoAnswer) {
  const std::vector<std::pair<std::string, std::function<void(Script&)>>> lies = {
      {"wrong_answer", [](Script& s) { s.tokens[3].id = 17; }},
      {"wrong_answer", [](Script& s) { s.tokens[0].id = UINT32_MAX; }},
      {"wrong_answer", [](Script& s) { s.tokens.resize(9); }},
      {"COUNT_MISMATCH", [](Script& s) { s.tokens.pop_back(); }},
      {"TOKEN_PATH_MISMATCH", [](Script& s) { s.tokens[2].id = (s.tokens[2].id + 1) % 16; }},
      {"CLAIM_SIGNATURE", [](Script& s) { s.end->claim.claim.trace_root[0] ^= 1; }},
      {"", [](Script& s) { service::sign_claim(*s.end, 7); }},
      {"", [](Script& s) { s.end->trace_path.clear(); }},
  };
  for (const auto& [code, lie] : lies) {
    ids.clear();
    service.upstream.bend = lie;
    const auto answer = ask();
    ASSERT_FALSE(answer) << code;
    EXPECT_EQ(answer.error().kind, ErrorKind::kRefused) << code << answer.error().message;
    if (!code.empty()) EXPECT_EQ(answer.error().code, code);
    for (const std::uint32_t id : ids) EXPECT_LT(id, 17U);
    EXPECT_LE(ids.size(), 8U);
  }
  service.upstream.bend = [](Script&) {};
  EXPECT_TRUE(ask());
}

// They are nobody's claim, so they are no reason to refuse the answer either.
TEST(ConnectionTest, SenselessLogprobsReachNobody) {
  const TestService service;
  service::FakeUpstream upstream(service.artifact);
  upstream.bend = [](Script& s) {
    s.tokens[0].logprobs = {{3, -1}, {4, -2}};
    s.tokens[1].logprobs = {{3, -1}, {17, -2}};
    s.tokens[2].logprobs = {{UINT32_MAX, -1}};
  };
  const auto signer = *service::RequestSigner::open(*node::Home::open(service.folder / "home"));
  const auto request = make_request(
      {.prompt_ids = {1, 2}, .max_tokens = 3, .sampling = {.logit_bias = {{16, -100 * 65536}}}},
      *service.artifact, Hash{}, *signer);
  ASSERT_TRUE(request) << request.error().message;
  std::vector<std::size_t> counts;
  bool is_verified = false;
  static_cast<void>(
      submit(upstream, upstream.session_given,
             {.session = upstream.session_given->id, .request = *request, .prompt_ids = {1, 2}},
             *service.artifact,
             {.on_token = [&](const auto& token) { counts.push_back(token.logprobs.size()); },
              .on_done = [&](const auto& receipt) { is_verified = receipt.has_value(); }}));
  EXPECT_EQ(counts, (std::vector<std::size_t>{2, 0, 0}));
  EXPECT_TRUE(is_verified);
}

TEST_F(ClientTest, AnErrorOfTheServiceIsTyped) {
  const auto kind = [&](unsigned status) {
    service.answer_requests_with(net::error_response(status, "t", "its_code", "its words"));
    const auto answer = ask();
    EXPECT_EQ(answer.error().code, "its_code");
    EXPECT_EQ(answer.error().message, "its words");
    return answer.error().kind;
  };
  EXPECT_EQ(kind(400), ErrorKind::kUsage);
  EXPECT_EQ(kind(429), ErrorKind::kNetwork);
  EXPECT_EQ(kind(500), ErrorKind::kNetwork);
  service.answer_requests_with(std::nullopt);
  service.upstream.bend = [](Script& s) {
    s.end = std::unexpected(service::UpstreamError{500, "server_error", "worker_failed", "broke"});
  };
  const auto answer = ask();
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().kind, ErrorKind::kNetwork);
  EXPECT_EQ(answer.error().code, "worker_failed");
}

TEST_F(ClientTest, ASessionThatIsGoneIsAskedForAnewOnce) {
  ASSERT_TRUE(ask());
  const std::string before = client.session()->id;
  service.restart();
  const auto answer = ask();
  ASSERT_TRUE(answer) << answer.error().message;
  EXPECT_NE(client.session()->id, before);
  EXPECT_EQ(service.requests(), 3U);
  service.answer_requests_with(net::error_response(503, "t", "session_unknown", "unknown"));
  EXPECT_EQ(ask().error().kind, ErrorKind::kNetwork);
  EXPECT_EQ(service.requests(), 5U);

  // What has begun to answer is not asked a second time.
  service.answer_requests_with(std::nullopt);
  service.upstream.bend = [](Script& s) {
    s.end = std::unexpected(service::UpstreamError{503, "t", "session_unknown", "unknown"});
  };
  EXPECT_EQ(ask().error().code, "session_unknown");
  EXPECT_EQ(service.requests(), 6U);
}

TEST_F(ClientTest, ItEndsWhenToldTo) {
  std::stop_source stop;
  const Question question = TestService::question();
  const auto within =
      client.ask(question, [&](const Token&) { stop.request_stop(); }, stop.get_token());
  ASSERT_FALSE(within);
  EXPECT_EQ(within.error().kind, ErrorKind::kCancelled);
  const unsigned asked = service.requests();
  EXPECT_EQ(client.ask(question, {}, stop.get_token()).error().kind, ErrorKind::kCancelled);
  EXPECT_EQ(service.requests(), asked);

  // A service that says nothing.
  service.upstream.holds = true;
  std::stop_source other;
  std::jthread stopper([&] {
    service.upstream.call(1)->give(2);
    other.request_stop();
  });
  const auto begin = std::chrono::steady_clock::now();
  EXPECT_EQ(client.ask(question, {}, other.get_token()).error().kind, ErrorKind::kCancelled);
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(60))
      << "ended by a time limit of the network";
}

TEST_F(ClientTest, WhatACallbackThrowsIsTheCallers) {
  EXPECT_THROW(
      static_cast<void>(client.ask(TestService::question(),
                                   [](const Token&) { throw std::runtime_error("mine"); })),
      std::runtime_error);
  EXPECT_TRUE(ask());
}

TEST(ModelTest, AFileThatIsNoModelIsAnError) {
  const TestService service;
  EXPECT_EQ(Model::load(service.folder / "none").error().kind, ErrorKind::kSystem);
  std::ofstream(service.folder / "junk") << "junk";
  const auto junk = Model::load(service.folder / "junk");
  ASSERT_FALSE(junk);
  EXPECT_EQ(junk.error().kind, ErrorKind::kBadInput);
  const Model model = service.model();
  EXPECT_EQ(model.context(), 300U);
  EXPECT_TRUE(model.has_chat_template());
  EXPECT_EQ(model.root().size(), 66U);
}

class VerifyTest : public ClientTest {
 protected:
  Verification verify(std::string_view text, const VerifyOptions& options = {}) {
    auto result = verify_receipt(text, service.model(), options);
    EXPECT_TRUE(result) << result.error().message;
    return *std::move(result);
  }
  const std::string receipt = ask()->receipt;
};

TEST_F(VerifyTest, SaysWhatWasChecked) {
  const Verification looked = verify(receipt);
  EXPECT_EQ(looked.verdict, Verdict::kInconclusive);
  EXPECT_FALSE(looked.attested || looked.recomputed || looked.hardware);
  const Verification attested = verify(receipt, {.policy = service.policy()});
  EXPECT_EQ(attested.verdict, Verdict::kVerified);
  EXPECT_TRUE(attested.attested);
  EXPECT_FALSE(attested.hardware || attested.recomputed);
  EXPECT_TRUE(attested.summary.starts_with("ATTESTED")) << attested.summary;
  const Verification recomputed = verify(receipt, {.recompute = true, .threads = 0});
  EXPECT_EQ(recomputed.verdict, Verdict::kVerified);
  EXPECT_TRUE(recomputed.recomputed && !recomputed.attested);
  EXPECT_TRUE(recomputed.summary.starts_with("VERIFIED")) << recomputed.summary;
  std::stop_source stop;
  stop.request_stop();
  EXPECT_EQ(verify(receipt, {.recompute = true, .stop = stop.get_token()}).verdict,
            Verdict::kInconclusive);
}

TEST_F(VerifyTest, RefusesAnotherTeeAnotherTimeAndAnotherModel) {
  EXPECT_EQ(verify(receipt, {.policy = service.policy(true)}).code, "EVIDENCE_REFUSED");
  EXPECT_EQ(verify(receipt, {.policy = "genuine"}).code, "EVIDENCE_REFUSED");
  for (const std::int64_t at : {std::int64_t{0}, INT64_MIN, INT64_MAX}) {
    EXPECT_EQ(verify(receipt, {.policy = service.policy(), .at = at}).code, "SESSION_EXPIRED");
  }
  const auto other = verify_receipt(receipt, service.model(2));
  ASSERT_TRUE(other);
  EXPECT_EQ(other->verdict, Verdict::kFailed);
  EXPECT_EQ(other->code, "MODEL_ROOT_MISMATCH");
  const auto policy = verify_receipt(receipt, service.model(), {.policy = ""});
  ASSERT_FALSE(policy) << "an empty policy is none, not one that is not asked";
  EXPECT_EQ(policy.error().kind, ErrorKind::kUsage);
}

TEST_F(VerifyTest, AnyChangedByteFails) {
  const Model model = service.model();
  for (std::size_t i = 0; i < receipt.size(); i += 7) {
    std::string changed = receipt;
    changed[i] = static_cast<char>(changed[i] ^ 1);
    const auto result = verify_receipt(changed, model, {.policy = service.policy()});
    ASSERT_TRUE(result);
    EXPECT_EQ(result->verdict, Verdict::kFailed) << i;
    EXPECT_FALSE(result->code.empty()) << i;
  }
  for (const std::string& junk :
       {std::string(), std::string("{}"), std::string(100'000, '['), receipt.substr(0, 500)}) {
    EXPECT_EQ(verify(junk).verdict, Verdict::kFailed);
  }
}

}  // namespace
}  // namespace otr::client

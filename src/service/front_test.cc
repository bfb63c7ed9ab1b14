// Every endpoint of the front, good and bad.
#include "service/front.h"

#include <gmock/gmock.h>

#include <algorithm>

#include "base/hex.h"
#include "machine/tables.h"
#include "protocol/verify.h"
#include "service/test_front.h"

namespace otr::service {
namespace {

using State = FakeExchange::State;

std::string code_of(const FakeExchange& exchange) {
  const Json body = exchange.json();
  EXPECT_TRUE(body["error"]["message"].is_string()) << body;
  return body["error"]["code"].is_string() ? body["error"]["code"].get<std::string>() : "";
}

TEST(FrontTest, AnswersAChatWholeAndVerified) {
  FrontWorld world;
  const auto answer = world.chat();
  EXPECT_EQ(answer->wait(), State::kResponded);
  ASSERT_EQ(answer->status(), 200u) << answer->text();
  const Json body = answer->json();
  const auto submissions = world.upstream.submissions();
  ASSERT_EQ(submissions.size(), 1u);
  // "bcd" and what the template adds.
  EXPECT_EQ(submissions[0].prompt_ids, (std::vector<std::uint32_t>{1, 2, 3, 0}));
  EXPECT_EQ(body["usage"]["prompt_tokens"], 4);
  EXPECT_EQ(body["model"], "toy");
  EXPECT_EQ(body["otr"]["verified"], true);
  EXPECT_EQ(body["otr"]["verified_by"], "front");
  EXPECT_EQ(body["otr"]["hardware"], false);
  EXPECT_EQ(body["otr"]["session"], to_hex(world.upstream.session_given->id));
  EXPECT_EQ(body["otr"]["receipt_id"], answer->header("x-receipt-id"));

  // The receipt is the one that was told, and says what the body says.
  const auto receipt = world.ask("GET", "/v1/otr/receipts/" + answer->header("x-receipt-id"));
  ASSERT_EQ(receipt->status(), 200u);
  const auto opened = protocol::open_receipt(receipt->text(), machine::kSpecHash);
  ASSERT_EQ(opened.report.failure(), nullptr);
  EXPECT_EQ(body["otr"]["receipt_id"],
            to_hex(protocol::digest_of(opened.receipt->request.request, Hash{})));
  EXPECT_EQ(body["otr"]["claim_id"], to_hex(protocol::digest_of(opened.receipt->claim, Hash{})));
  EXPECT_EQ(body["otr"]["trace_root"], to_hex(opened.receipt->claim.trace_root));
  EXPECT_EQ(body["choices"][0]["message"]["content"], opened.receipt->output_text);
  EXPECT_EQ(body["usage"]["completion_tokens"], opened.receipt->output_ids.size());
}

TEST(FrontTest, TheSameSeedGivesTheSameAnswerAndNoSeedAnother) {
  FrontWorld world;
  const auto text = [&](const Json& more) {
    const auto answer = world.chat(more);
    answer->wait();
    return answer->json()["choices"][0]["message"]["content"].get<std::string>();
  };
  EXPECT_EQ(text({{"max_tokens", 40}}), text({{"max_tokens", 40}}));
  EXPECT_NE(text({{"max_tokens", 40}, {"seed", nullptr}}),
            text({{"max_tokens", 40}, {"seed", nullptr}}));
}

TEST(FrontTest, SeveralAnswersRunAtOnceUnderSeedsOfTheirOwn) {
  FrontWorld world;
  world.upstream.holds = true;
  const auto answer = world.chat({{"n", 3}, {"max_tokens", 12}});
  for (const std::size_t i : {2u, 0u, 1u}) world.upstream.call(i)->end();
  EXPECT_EQ(answer->wait(), State::kResponded);
  const Json body = answer->json();
  ASSERT_EQ(body["choices"].size(), 3u);
  const auto submissions = world.upstream.submissions();
  for (std::uint32_t i = 0; i < 3; ++i) {
    EXPECT_EQ(body["choices"][i]["index"], i);
    EXPECT_EQ(submissions[i].request.request.sampling.seed,
              protocol::seed_of_answer(submissions[0].request.request.sampling.seed, i));
    EXPECT_EQ(body["choices"][i]["otr"]["receipt_id"],
              to_hex(protocol::digest_of(submissions[i].request.request, Hash{})));
  }
  EXPECT_EQ(body["usage"]["prompt_tokens"], 4);
  EXPECT_EQ(world.receipts().size(), 3u);
}

TEST(FrontTest, CompletionsTakeTextsAndIds) {
  FrontWorld world;
  const auto answer = world.ask(
      "POST", "/v1/completions",
      R"({"prompt":["ab","cde"],"n":2,"max_tokens":5,"logprobs":2,"seed":1,"stop":["f"]})");
  ASSERT_EQ(answer->status(), 200u) << answer->text();
  const Json body = answer->json();
  ASSERT_EQ(body["choices"].size(), 4u);
  EXPECT_EQ(body["usage"]["prompt_tokens"], 5);
  for (const Json& choice : body["choices"]) {
    EXPECT_FALSE(choice["text"].get<std::string>().contains('f'));
    EXPECT_TRUE(choice["logprobs"]["tokens"].is_array());
  }
  const auto submissions = world.upstream.submissions();
  EXPECT_EQ(submissions[0].prompt_ids, (std::vector<std::uint32_t>{0, 1}));
  EXPECT_EQ(submissions[3].prompt_ids, (std::vector<std::uint32_t>{2, 3, 4}));
  EXPECT_EQ(submissions[0].request.request.sampling.seed,
            submissions[2].request.request.sampling.seed);
  const auto ids = world.ask("POST", "/v1/completions", R"({"prompt":[3,1,4],"max_tokens":2})");
  EXPECT_EQ(ids->status(), 200u) << ids->text();
}

TEST(FrontTest, RefusesBadBodiesWithoutAskingUpstream) {
  FrontWorld world;
  const struct {
    std::string body, code;
  } cases[] = {
      {"", ""},
      {"{", ""},
      {R"({"messages":[{"role":"user","content":"a"}],"messages":[]})", ""},
      {"{\"messages\":[{\"role\":\"user\",\"content\":\"\xFF\"}]}", ""},
      {toy_chat({{"model", "no-such"}}).dump(), "model_not_found"},
      {toy_chat({{"n", 17}}).dump(), "out_of_range"},
      {toy_chat({{"tools", {{{"type", "function"}}}}}).dump(), "unsupported_parameter"},
      {toy_chat({{"max_tokens", 297}}).dump(), "context_length_exceeded"},
      {toy_chat({{"messages", {{{"role", "user"}, {"content", std::string(400, 'a')}}}}}).dump(),
       "context_length_exceeded"},
      {toy_chat({{"logit_bias", {{"17", 1}}}}).dump(), "out_of_range"},
  };
  for (const auto& one : cases) {
    const auto answer = world.ask("POST", "/v1/chat/completions", one.body);
    EXPECT_TRUE(answer->status() == 400u || answer->status() == 404u) << one.body;
    EXPECT_EQ(answer->header("x-should-retry"), "false");
    const std::string code = code_of(*answer);
    if (!one.code.empty()) EXPECT_EQ(code, one.code) << answer->text();
  }
  const auto both =
      world.ask("POST", "/v1/chat/completions", toy_chat({{"max_tokens", 297}}).dump());
  EXPECT_THAT(both->text(), testing::AllOf(testing::HasSubstr("300"), testing::HasSubstr("4 ")));
  EXPECT_EQ(world.upstream.calls(), 0u);
}

TEST(FrontTest, SmallRoutes) {
  FrontWorld world;
  EXPECT_EQ(world.ask("GET", "/v1/models")->json()["data"][0]["id"], "toy");
  EXPECT_EQ(world.ask("GET", "/v1/models/toy")->json()["max_model_len"], 300);
  EXPECT_EQ(world.ask("GET", "/v1/models/other%2Dname")->json()["id"], "toy");
  EXPECT_EQ(world.ask("GET", "/v1/models/none")->status(), 404u);
  EXPECT_EQ(world.ask("POST", "/tokenize", R"({"content":"abp"})")->json()["tokens"],
            Json({0, 1, 15}));
  EXPECT_EQ(world.ask("POST", "/tokenize", R"({"messages":[{"role":"user","content":"b"}]})")
                ->json()["tokens"],
            Json({1, 0}));
  EXPECT_EQ(world.ask("POST", "/tokenize", R"({"content":"XYZ"})")->status(), 400u);
  EXPECT_EQ(world.ask("POST", "/detokenize", R"({"tokens":[0,1,16]})")->json()["content"], "ab");
  EXPECT_EQ(world.ask("POST", "/detokenize", R"({"tokens":[17]})")->status(), 400u);
  EXPECT_EQ(
      world.ask("POST", "/apply-template", R"({"messages":[{"role":"user","content":"hi"}]})")
          ->json()["prompt"],
      "hia");
  EXPECT_EQ(world.ask("POST", "/apply-template", R"({"content":"hi"})")->status(), 400u);
  for (const char* path :
       {"/health", "/v1/health", "/readyz", "/livez", "/version", "/openapi.json"}) {
    const auto answer = world.ask("GET", path);
    EXPECT_EQ(answer->status(), 200u) << path;
    EXPECT_TRUE(answer->json().is_object());
    EXPECT_TRUE(answer->header("x-request-id").starts_with("req_"));
  }
  EXPECT_EQ(world.ask("HEAD", "/health")->status(), 200u);
}

// Clients whose base URL lacks /v1.
TEST(FrontTest, ThePathsOfOpenAiWorkWithoutTheVersion) {
  FrontWorld world;
  EXPECT_EQ(world.ask("GET", "/models")->text(), world.ask("GET", "/v1/models")->text());
  EXPECT_EQ(world.ask("POST", "/chat/completions", toy_chat().dump())->status(), 200u);
  const auto completion = world.ask("POST", "/completions", R"({"prompt":"a","max_tokens":2})");
  EXPECT_EQ(completion->status(), 200u);
  EXPECT_EQ(completion->json()["object"], "text_completion");
  EXPECT_NE(world.metrics.text().find("route=\"/v1/completions\""), std::string::npos);
  EXPECT_EQ(canonical_path("/models/x"), "/models/x");
}

TEST(FrontTest, UnknownPathsAndMethods) {
  FrontWorld world;
  for (const char* path : {"/", "/v1", "/v1/models/", "/v1/otr/receipts/", "/v1/embeddings"}) {
    const auto answer = world.ask("GET", path);
    EXPECT_EQ(answer->status(), 404u) << path;
    EXPECT_EQ(code_of(*answer), "not_found");
  }
  const auto wrong = world.ask("GET", "/v1/chat/completions");
  EXPECT_EQ(wrong->status(), 405u);
  EXPECT_EQ(wrong->header("allow"), "POST");
  EXPECT_EQ(world.ask("POST", "/v1/models", "{}")->status(), 405u);
  EXPECT_EQ(world.ask("OPTIONS", "/v1/models")->status(), 405u);
}

TEST(FrontTest, NamesRequestsAndNeverRepeatsWhatIsNoName) {
  FrontWorld world;
  EXPECT_EQ(world.ask("GET", "/livez", "", {{"X-Request-Id", "my-id.1"}})->header("x-request-id"),
            "my-id.1");
  for (const std::string& id : {std::string("a b"), std::string(129, 'x'), std::string("\"")}) {
    EXPECT_TRUE(world.ask("GET", "/livez", "", {{"x-request-id", id}})
                    ->header("x-request-id")
                    .starts_with("req_"));
  }
  const auto chat = world.chat(Json::object(), {{"x-request-id", "mine"}});
  chat->wait();
  EXPECT_EQ(chat->header("x-request-id"), "mine");
}

TEST(FrontTest, HealthSaysWhyNoSessionIsAccepted) {
  FrontWorld world;
  world.upstream.session_error =
      UpstreamError{503, "unavailable_error", "no_session", "DEBUG is on"};
  const auto health = world.ask("GET", "/readyz");
  EXPECT_EQ(health->status(), 503u);
  EXPECT_TRUE(health->text().contains("DEBUG is on"));
  EXPECT_EQ(world.ask("GET", "/livez")->status(), 200u);
  const auto chat = world.chat({{"stream", true}});
  EXPECT_EQ(chat->wait(), State::kResponded);
  EXPECT_EQ(chat->status(), 503u);
  EXPECT_EQ(code_of(*chat), "no_session");
  EXPECT_EQ(chat->header("x-should-retry"), "true");
  EXPECT_FALSE(chat->header("retry-after").empty());
}

TEST(FrontTest, ApiKeys) {
  FrontWorld world;
  world.keys = *ApiKeys::parse("# two\nfirst-key\nsecond-key\n", "test");
  const net::Headers first = {{"Authorization", "Bearer first-key"}};
  const net::Headers second = {{"x-api-key", "second-key"}};
  for (const net::Headers& headers :
       {net::Headers{}, net::Headers{{"Authorization", "Bearer first-ke"}},
        net::Headers{{"Authorization", "Basic first-key"}}, net::Headers{{"x-api-key", ""}}}) {
    for (const char* path : {"/v1/models", "/metrics", "/nowhere", "/v1/otr/receipts"}) {
      const auto answer = world.ask("GET", path, "", headers);
      EXPECT_EQ(answer->status(), 401u);
      EXPECT_EQ(code_of(*answer), "invalid_api_key");
      EXPECT_EQ(answer->header("x-should-retry"), "false");
    }
  }
  EXPECT_EQ(world.ask("GET", "/health")->status(), 200u);
  EXPECT_EQ(world.ask("GET", "/v1/models", "", second)->status(), 200u);
  EXPECT_EQ(world.chat()->wait(), State::kResponded);
  EXPECT_EQ(world.upstream.calls(), 0u);

  const auto chat = world.chat(Json::object(), first);
  chat->wait();
  const std::string path = "/v1/otr/receipts/" + chat->header("x-receipt-id");
  EXPECT_EQ(world.ask("GET", path, "", first)->status(), 200u);
  EXPECT_EQ(world.ask("GET", path, "", second)->status(), 404u);
  EXPECT_EQ(world.ask("GET", "/v1/otr/receipts", "", first)->json()["data"].size(), 1u);
  EXPECT_EQ(world.ask("GET", "/v1/otr/receipts", "", second)->json()["data"].size(), 0u);
}

TEST(FrontTest, ListsReceiptsNewestFirst) {
  FrontWorld world;
  std::vector<std::string> ids;
  for (int i = 0; i < 3; ++i) {
    const auto chat = world.chat();
    chat->wait();
    ids.push_back(chat->header("x-receipt-id"));
  }
  const Json data = world.ask("GET", "/v1/otr/receipts?limit=2")->json()["data"];
  ASSERT_EQ(data.size(), 2u);
  EXPECT_EQ(data[0]["receipt_id"], ids[2]);
  EXPECT_EQ(data[1]["receipt_id"], ids[1]);
  for (const char* query : {"limit=0", "limit=1001", "limit=x", "limit=1&limit=2", "limit=%"}) {
    EXPECT_EQ(world.ask("GET", std::string("/v1/otr/receipts?") + query)->status(), 400u) << query;
  }
  EXPECT_EQ(world.ask("GET", "/v1/otr/receipts/0x12")->status(), 400u);
  EXPECT_EQ(world.ask("GET", "/v1/otr/receipts/" + to_hex(Hash{}))->status(), 404u);
}

TEST(FrontTest, TooManyRequestsAreRefusedAndPlacesComeFree) {
  FrontWorld world;
  world.options.max_requests = 1;
  world.upstream.holds = true;
  const auto first = world.chat();
  const auto call = world.upstream.call(0);
  const auto second = world.chat();
  EXPECT_EQ(second->wait(), State::kResponded);
  EXPECT_EQ(second->status(), 429u);
  EXPECT_EQ(second->header("x-should-retry"), "true");
  EXPECT_FALSE(second->header("retry-after").empty());
  EXPECT_EQ(world.front().running(), 1u);
  call->end();
  first->wait();
  EXPECT_EQ(world.front().running(), 0u);
  const auto third = world.chat();
  world.upstream.call(1)->end();
  third->wait();
  EXPECT_EQ(third->status(), 200u);
}

TEST(FrontTest, StopEndsWhatRunsAndDrainRefusesWhatIsNew) {
  FrontWorld world;
  world.upstream.holds = true;
  const auto running = world.chat({{"stream", true}});
  const auto call = world.upstream.call(0);
  running->wait_for_head();
  world.front().drain();
  const auto refused = world.chat();
  refused->wait();
  EXPECT_EQ(refused->status(), 503u);
  EXPECT_EQ(world.ask("GET", "/readyz")->status(), 503u);
  EXPECT_EQ(running->state(), State::kStreaming);
  world.front().stop();
  EXPECT_EQ(running->wait(), State::kAborted);
  EXPECT_FALSE(running->text().contains("[DONE]"));
  EXPECT_TRUE(call->is_cancelled());
}

TEST(FrontTest, MetricsCountWhatHappened) {
  FrontWorld world;
  world.chat()->wait();
  world.ask("GET", "/nowhere");
  const std::string text = world.ask("GET", "/metrics")->text();
  for (const char* line :
       {"otr_requests_total{route=\"/v1/chat/completions\",code=\"200\"} 1\n",
        "otr_requests_total{route=\"other\",code=\"404\"} 1\n", "otr_receipts_issued_total 1\n",
        "otr_prompt_tokens_total 4\n", "otr_ttft_seconds_count 1\n", "otr_requests_running 0\n"}) {
    EXPECT_TRUE(text.contains(line)) << line << text;
  }
}

TEST(FrontTest, BrowsersOfOneOriginMayAskWhereItIsAllowed) {
  FrontWorld world;
  world.options.allow_origin = "https://app.example";
  const auto preflight = world.ask("OPTIONS", "/v1/chat/completions", "",
                                   {{"access-control-request-headers", "authorization"}});
  EXPECT_EQ(preflight->status(), 204u);
  EXPECT_EQ(preflight->header("access-control-allow-origin"), "https://app.example");
  EXPECT_EQ(preflight->header("access-control-allow-headers"), "authorization");
  const auto chat = world.chat();
  chat->wait();
  EXPECT_EQ(chat->header("access-control-allow-origin"), "https://app.example");
}

TEST(FrontTest, SealedModeBlindsTheSeed) {
  FrontWorld world;
  world.options.mode = 1;
  for (const Json& seed : {Json(7), Json(7), Json(8), Json(nullptr), Json(nullptr)}) {
    world.chat({{"seed", seed}, {"temperature", seed.is_null() ? 0 : 1}})->wait();
  }
  std::vector<Hash> seeds;
  for (const auto& one : world.upstream.submissions()) {
    EXPECT_EQ(one.request.request.mode, 1);
    seeds.push_back(one.request.request.sampling.seed);
  }
  ASSERT_EQ(seeds.size(), 5u);
  EXPECT_EQ(seeds[0], seeds[1]);
  EXPECT_NE(seeds[0], seeds[2]);
  EXPECT_NE(seeds[3], seeds[4]);
  Hash plain{};
  plain[0] = 7;
  EXPECT_NE(seeds[0], plain);
  EXPECT_NE(seeds[3], Hash{});
}

}  // namespace
}  // namespace otr::service

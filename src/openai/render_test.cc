// What a client reads: the forms that OpenAI's own client, llama-server's tests and LiteLLM rely
// on, and the members of ours beside them.
#include "openai/render.h"

#include <gtest/gtest.h>

#include <set>

#include "openai/openapi.h"

namespace otr::openai {
namespace {

constexpr auto kStopToken = protocol::FinishReason::kStopToken;
constexpr auto kStopString = protocol::FinishReason::kStopString;
constexpr auto kLength = protocol::FinishReason::kLength;

Head head_of(Kind kind) {
  Hash unique{};
  unique[0] = 0xab;
  return {kind, response_id(kind, unique), 1700000000, "m", system_fingerprint(4, unique)};
}

// The value of an event, which has exactly the framing that a client expects.
Json value_of(const std::string& event) {
  EXPECT_TRUE(event.starts_with("data: {")) << event;
  EXPECT_TRUE(event.ends_with("}\n\n")) << event;
  EXPECT_EQ(event.find('\n'), event.size() - 2) << "one line of data: " << event;
  return Json::parse(event.substr(6));
}

const std::vector<TokenLogprobs> kTokens = {
    {{"hi", -250000}, {{"hi", -250000}, {"\xf0\x9f", -1500000}}},
    {{"\xc3", -20000000000}, {}},
};

TEST(Render, NamesAreWhatClientsLookFor) {
  EXPECT_EQ(head_of(Kind::kChat).id, "chatcmpl-ab" + std::string(30, '0'));
  EXPECT_EQ(head_of(Kind::kCompletion).id, "cmpl-ab" + std::string(30, '0'));
  EXPECT_EQ(head_of(Kind::kChat).fingerprint, "b4-ab000000");
  EXPECT_EQ(finish_reason(kStopToken), "stop");
  EXPECT_EQ(finish_reason(kStopString), "stop");
  EXPECT_EQ(finish_reason(kLength), "length");
}

TEST(Render, ABodyOfAChat) {
  const std::vector<Answer> answers = {{"Hello", kStopToken, {}, ClaimFacts{"r", "0xc", "0xt"}}};
  const Json body = render_body(head_of(Kind::kChat), answers, {5, 2}, Timings{5, 2000, 2, 4000});
  EXPECT_EQ(body, Json::parse(R"({"id":"chatcmpl-ab000000000000000000000000000000",
    "object":"chat.completion","created":1700000000,"model":"m","system_fingerprint":"b4-ab000000",
    "choices":[{"index":0,"finish_reason":"stop","logprobs":null,
      "message":{"role":"assistant","content":"Hello","refusal":null}}],
    "usage":{"prompt_tokens":5,"completion_tokens":2,"total_tokens":7},
    "timings":{"prompt_n":5,"prompt_ms":2.0,"prompt_per_second":2500.0,"predicted_n":2,
      "predicted_ms":4.0,"predicted_per_second":500.0},
    "otr":{"receipt_id":"r","claim_id":"0xc","trace_root":"0xt"}})"));
}

TEST(Render, ABodyOfSeveralCompletions) {
  const std::vector<Answer> answers = {{"a", kLength, {}, ClaimFacts{"r1", "c1", "t1"}},
                                       {"b\xff", kStopString, {}, ClaimFacts{"r2", "c2", "t2"}}};
  const Json body = render_body(head_of(Kind::kCompletion), answers, {5, 2});
  EXPECT_EQ(body["object"], "text_completion");
  EXPECT_EQ(body["choices"][0]["text"], "a");
  EXPECT_EQ(body["choices"][0]["finish_reason"], "length");
  EXPECT_EQ(body["choices"][1]["index"], 1);
  EXPECT_EQ(body["choices"][1]["text"], "b\xEF\xBF\xBD");
  EXPECT_EQ(body["choices"][1]["otr"]["receipt_id"], "r2");
  EXPECT_EQ(body["otr"]["receipt_id"], "r1");
  EXPECT_FALSE(body.contains("timings"));
}

TEST(Render, AStreamOfAChat) {
  const StreamRenderer stream(head_of(Kind::kChat), true);
  const std::vector<Json> chunks = {value_of(stream.begin(0)), value_of(stream.text(0, "He\nllo")),
                                    value_of(stream.end(0, kLength, ClaimFacts{"r", "c", "t"})),
                                    value_of(stream.usage({5, 2}))};
  for (const char* const same : {"id", "object", "created", "model", "system_fingerprint"}) {
    std::set<std::string> values;
    for (const Json& chunk : chunks) values.insert(chunk.at(same).dump());
    EXPECT_EQ(values.size(), 1u) << same;
  }
  EXPECT_EQ(chunks[0]["object"], "chat.completion.chunk");
  EXPECT_EQ(chunks[0]["choices"],
            Json::parse(R"([{"index":0,"delta":{"role":"assistant","content":null},
                             "logprobs":null,"finish_reason":null}])"));
  EXPECT_EQ(chunks[1]["choices"], Json::parse(R"([{"index":0,"delta":{"content":"He\nllo"},
                                                   "logprobs":null,"finish_reason":null}])"));
  EXPECT_EQ(chunks[2]["choices"], Json::parse(R"([{"index":0,"delta":{},"logprobs":null,
                                                   "finish_reason":"length"}])"));
  EXPECT_EQ(chunks[2]["otr"], Json::parse(R"({"receipt_id":"r","claim_id":"c","trace_root":"t"})"));
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(chunks[i].at("usage").is_null());
  EXPECT_EQ(chunks[3]["choices"], Json::array());
  EXPECT_EQ(chunks[3]["usage"]["total_tokens"], 7);
  EXPECT_EQ(kStreamDone, "data: [DONE]\n\n");
}

TEST(Render, AStreamOfACompletionHasNoRoles) {
  const StreamRenderer stream(head_of(Kind::kCompletion), false);
  EXPECT_EQ(stream.begin(0), "");
  EXPECT_EQ(stream.usage({1, 1}), "");
  const Json text = value_of(stream.text(1, "x"));
  EXPECT_EQ(text["object"], "text_completion");
  EXPECT_EQ(text["choices"],
            Json::parse(R"([{"index":1,"text":"x","logprobs":null,"finish_reason":null}])"));
  EXPECT_FALSE(text.contains("usage"));
  const Json end = value_of(stream.end(1, kStopString));
  EXPECT_EQ(end["choices"],
            Json::parse(R"([{"index":1,"text":"","logprobs":null,"finish_reason":"stop"}])"));
  EXPECT_FALSE(end.contains("otr"));
}

TEST(Render, LogprobsOfAChat) {
  const StreamRenderer stream(head_of(Kind::kChat), false);
  const Json content =
      value_of(stream.text(0, "hi", kTokens))["choices"][0]["logprobs"].at("content");
  EXPECT_EQ(content, Json::parse(R"([
    {"token":"hi","logprob":-0.25,"bytes":[104,105],"top_logprobs":[
      {"token":"hi","logprob":-0.25,"bytes":[104,105]},
      {"token":"\ufffd","logprob":-1.5,"bytes":[240,159]}]},
    {"token":"\ufffd","logprob":-9999.0,"bytes":[195],"top_logprobs":[]}])"));
  const std::vector<Answer> answers = {{"hi", kLength, kTokens, {}}};
  EXPECT_EQ(render_body(head_of(Kind::kChat), answers, {})["choices"][0]["logprobs"]["content"],
            content);
}

TEST(Render, LogprobsOfACompletion) {
  const StreamRenderer stream(head_of(Kind::kCompletion), false);
  EXPECT_EQ(value_of(stream.text(0, "hi", kTokens, 10))["choices"][0]["logprobs"],
            Json::parse(R"({"tokens":["hi","\ufffd"],"token_logprobs":[-0.25,-9999.0],
                            "top_logprobs":[{"hi":-0.25,"\ufffd":-1.5},{}],
                            "text_offset":[10,12]})"));
  const std::vector<TokenLogprobs> twice = {
      {{"\xc3\xa9", -1}, {{"\xc3", -1000000}, {"\xe2", -2000000}}}, {{"b", -1}, {}}};
  const Json legacy = value_of(stream.text(0,
                                           "\xc3\xa9"
                                           "b",
                                           twice))["choices"][0]["logprobs"];
  EXPECT_EQ(legacy["top_logprobs"], Json::parse(R"([{"\ufffd":-1.0},{}])"));
  EXPECT_EQ(legacy["text_offset"], Json::parse("[0,1]")) << "characters, not bytes";
}

TEST(Render, ModelsTellTheirContext) {
  const ModelCard card{"m", 5, Hash{}, 2048, 32000, 15000000, 16000000};
  const Json list = render_models(std::span(&card, 1));
  EXPECT_EQ(list["object"], "list");
  EXPECT_EQ(list["data"][0], render_model(card));
  EXPECT_EQ(list["data"][0]["object"], "model");
  EXPECT_EQ(list["data"][0]["max_model_len"], 2048);
  EXPECT_EQ(list["data"][0]["meta"]["n_vocab"], 32000);
}

TEST(Render, TokensAndTexts) {
  const std::vector<std::uint32_t> ids = {1, 2};
  EXPECT_EQ(render_tokens(ids, {}, 100),
            Json::parse(R"({"tokens":[1,2],"count":2,"max_model_len":100})"));
  const std::vector<std::string> pieces = {"a", "\xc3"};
  EXPECT_EQ(render_tokens(ids, pieces, 100)["tokens"],
            Json::parse(R"([{"id":1,"piece":"a"},{"id":2,"piece":[195]}])"));
  EXPECT_EQ(render_text("a\xff"), Json::parse(R"({"content":"a\ufffd","prompt":"a\ufffd"})"));
}

TEST(Render, ErrorsHaveOpenAisForm) {
  EXPECT_EQ(to_json(invalid_request("n", "why", "c")),
            Json::parse(R"({"error":{"message":"why","type":"invalid_request_error","code":"c",
                                     "param":"n"}})"));
  EXPECT_EQ(to_json(unavailable("why")),
            Json::parse(R"({"error":{"message":"why","type":"unavailable_error",
                                     "code":"unavailable","param":null}})"));
  EXPECT_EQ(unauthorized().status, 401);
  EXPECT_EQ(too_many().status, 429);
  EXPECT_EQ(bad_gateway("x").status, 502);
  EXPECT_EQ(internal_error("x").status, 500);
  EXPECT_EQ(not_found("x").status, 404);
  EXPECT_EQ(method_not_allowed("PUT", "/x").status, 405);
  EXPECT_EQ(from_error({ErrorKind::kUsage, "x"}, "messages").status, 400);
  EXPECT_EQ(from_error({ErrorKind::kUsage, "x"}, "messages").param, "messages");
  EXPECT_EQ(from_error({ErrorKind::kNetwork, "x"}, "p").status, 502);
  EXPECT_EQ(from_error({ErrorKind::kIo, "x"}, "p").status, 500);
  EXPECT_EQ(value_of(sse_event(to_json(bad_gateway("gone"))))["error"]["code"], "worker_failed");
}

// Every reference leads somewhere, and every route of the service is there.
TEST(OpenApi, IsWhole) {
  const Json document = Json::parse(openapi_document(), nullptr, false);
  ASSERT_TRUE(document.is_object());
  EXPECT_EQ(document["openapi"], "3.1.0");
  const std::string text = document.dump();
  std::size_t references = 0;
  const std::string mark = "\"$ref\":\"#";
  for (std::size_t at = text.find(mark); at != std::string::npos; at = text.find(mark, at + 1)) {
    const std::size_t begin = at + mark.size();
    const std::string pointer = text.substr(begin, text.find('"', begin) - begin);
    EXPECT_TRUE(document.contains(Json::json_pointer(pointer))) << pointer;
    ++references;
  }
  EXPECT_GT(references, 50u);
  for (const char* const path : {"/v1/models",
                                 "/v1/models/{model}",
                                 "/v1/chat/completions",
                                 "/v1/completions",
                                 "/tokenize",
                                 "/detokenize",
                                 "/apply-template",
                                 "/v1/otr/sessions",
                                 "/v1/otr/requests",
                                 "/v1/otr/receipts",
                                 "/v1/otr/receipts/{id}",
                                 "/health",
                                 "/livez",
                                 "/readyz",
                                 "/metrics",
                                 "/version",
                                 "/openapi.json",
                                 "/v1/aci/attestation",
                                 "/v1/aci/receipts/{id}",
                                 "/v1/aci/sessions",
                                 "/v1/aci/sessions/{id}"}) {
    EXPECT_TRUE(document["paths"].contains(path)) << path;
  }
  std::set<std::string> operations;
  for (const auto& [path, methods] : document["paths"].items()) {
    for (const auto& [method, operation] : methods.items()) {
      EXPECT_TRUE(operations.insert(operation.at("operationId")).second) << path;
      EXPECT_TRUE(operation.at("responses").contains("200")) << path;
    }
  }
}

}  // namespace
}  // namespace otr::openai

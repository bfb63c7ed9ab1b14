// Bodies as clients send them: what each member means, and what is refused because its meaning is
// known and not served.
#include "openai/parse.h"

#include <gtest/gtest.h>

#include "base/hex.h"
#include "openai/fields.h"
#include "openai/openapi.h"
#include "openai/sampling.h"
#include "protocol/request.h"

namespace otr::openai {
namespace {

// The error, or an empty one where there is none.
template <class T, class E>
E error_of(const std::expected<T, E>& result) {
  return result ? E{} : result.error();
}

using Biases = std::vector<machine::LogitBias>;

// A chat of one message with more members.
std::string chat(const std::string& members) {
  return R"({"messages":[{"role":"user","content":"hi"}])" +
         std::string(members.empty() ? "" : ",") + members + "}";
}
std::string completion(const std::string& members) {
  return R"({"prompt":"Once")" + std::string(members.empty() ? "" : ",") + members + "}";
}
std::string messages(const std::string& array) { return "{\"messages\":" + array + "}"; }

void expect_refused(const ApiError& error, std::string_view param, std::string_view code = {}) {
  EXPECT_EQ(error.status, 400);
  EXPECT_EQ(error.type, "invalid_request_error");
  EXPECT_EQ(error.param, param) << error.message;
  EXPECT_FALSE(error.message.empty());
  if (!code.empty()) EXPECT_EQ(error.code, code) << error.message;
}

TEST(ParseChat, TheLeastBodyHasOpenAisDefaults) {
  const auto request = parse_chat(chat(""));
  ASSERT_TRUE(request) << request.error().message;
  const Generation& generation = request->generation;
  EXPECT_EQ(generation.model, "");
  EXPECT_EQ(generation.sampling.inv_t, 94548u);  // temperature 1
  EXPECT_EQ(generation.sampling.top_p, 65536u);
  EXPECT_EQ(generation.sampling.top_k, 0u);
  EXPECT_EQ(generation.sampling.seed, Hash{});
  EXPECT_FALSE(generation.has_seed);
  EXPECT_FALSE(generation.max_tokens);
  EXPECT_TRUE(generation.stop.empty());
  EXPECT_EQ(generation.n, 1u);
  EXPECT_FALSE(generation.stream);
  EXPECT_FALSE(generation.include_usage);
  EXPECT_FALSE(generation.logprobs);
  EXPECT_TRUE(generation.unknown.empty());
  EXPECT_TRUE(request->add_generation_prompt);
  ASSERT_EQ(request->messages.size(), 1u);
  EXPECT_EQ(request->messages[0].role, "user");
  EXPECT_EQ(request->messages[0].content, "hi");
}

TEST(ParseChat, EveryMemberArrives) {
  const auto request = parse_chat(chat(R"(
    "model":"m", "temperature":0.5, "top_p":0.25, "min_p":0.5, "top_k":40, "presence_penalty":-1.5,
    "frequency_penalty":2, "logit_bias":{"10":-100,"7":1.5,"8":0}, "seed":258, "max_tokens":9,
    "stop":["b","a","b"], "n":3, "stream":true, "stream_options":{"include_usage":true},
    "logprobs":true, "top_logprobs":5, "add_generation_prompt":false,
    "chat_template_kwargs":{"enable_thinking":false})"));
  ASSERT_TRUE(request) << request.error().message;
  const Generation& generation = request->generation;
  EXPECT_EQ(generation.model, "m");
  EXPECT_EQ(generation.sampling.inv_t, 189097u);
  EXPECT_EQ(generation.sampling.top_p, 16384u);
  EXPECT_EQ(generation.sampling.min_p, 32768u);
  EXPECT_EQ(generation.sampling.top_k, 40u);
  EXPECT_EQ(generation.sampling.presence, -98304);
  EXPECT_EQ(generation.sampling.frequency, 131072);
  EXPECT_EQ(generation.sampling.logit_bias, (Biases{{7, 98304}, {10, -100 * 65536}}));
  EXPECT_TRUE(generation.has_seed);
  EXPECT_EQ(generation.sampling.seed, seed_of_number(258));
  EXPECT_EQ(generation.max_tokens, 9u);
  EXPECT_EQ(generation.stop, (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(generation.n, 3u);
  EXPECT_TRUE(generation.stream);
  EXPECT_TRUE(generation.include_usage);
  EXPECT_EQ(generation.logprobs, 5u);
  EXPECT_FALSE(request->add_generation_prompt);
  EXPECT_EQ(request->template_flags, (std::map<std::string, bool>{{"enable_thinking", false}}));
}

TEST(ParseChat, WhatIsParsedIsAValidRequest) {
  const auto parsed = parse_chat(chat(R"("stop":["x","a","x"],"temperature":100,"top_p":0,"n":128,
    "logit_bias":{"5":100,"4":-100},"presence_penalty":16,"frequency_penalty":-16,
    "max_tokens":1)"));
  ASSERT_TRUE(parsed) << parsed.error().message;
  const protocol::Request request{.prompt_count = 1,
                                  .max_tokens = 1,
                                  .sampling = parsed->generation.sampling,
                                  .stop = parsed->generation.stop};
  EXPECT_TRUE(protocol::check_ranges(request));
}

TEST(ParseChat, NullIsAbsent) {
  const auto request = parse_chat(chat(R"("model":null,"temperature":null,"top_p":null,"stop":null,
    "seed":null,"n":null,"max_tokens":null,"stream":null,"stream_options":null,"logprobs":null,
    "top_logprobs":null,"logit_bias":null,"tools":null,"response_format":null,"top_k":null)"));
  ASSERT_TRUE(request) << request.error().message;
  EXPECT_EQ(request->generation.sampling.inv_t, 94548u);
  EXPECT_EQ(request->generation.n, 1u);
}

TEST(ParseChat, RolesAndPartsBecomeTexts) {
  const auto request = parse_chat(messages(R"([
    {"role":"developer","content":"be brief"},
    {"role":"user","name":"ann","content":[{"type":"text","text":"one"},
                                           {"type":"text","text":"two"}]},
    {"role":"assistant","content":"","tool_calls":[]}, {"role":"user","content":[]},
    {"role":"system","content":"\u0000\ud83d\ude00"}])"));
  ASSERT_TRUE(request) << request.error().message;
  ASSERT_EQ(request->messages.size(), 5u);
  EXPECT_EQ(request->messages[0].role, "system");
  EXPECT_EQ(request->messages[1].content, "one\ntwo");
  EXPECT_EQ(request->messages[2].content, "");
  EXPECT_EQ(request->messages[3].content, "");
  EXPECT_EQ(request->messages[4].content, std::string("\0\xF0\x9F\x98\x80", 5));
}

TEST(ParseChat, WrongMessagesAreNamed) {
  const auto refused = [](const char* array, const char* param, const char* code) {
    const auto request = parse_chat(messages(array));
    ASSERT_FALSE(request) << array;
    expect_refused(request.error(), param, code);
  };
  refused("[]", "messages", "invalid_value");
  refused("{}", "messages", "invalid_type");
  refused("null", "messages", "invalid_type");
  refused("\"hi\"", "messages", "invalid_type");
  refused("[1]", "messages[0]", "invalid_type");
  refused(R"([{"content":"x"}])", "messages[0].role", "invalid_value");
  refused(R"([{"role":"user"}])", "messages[0].content", "invalid_type");
  refused(R"([{"role":"user","content":"x"},{"role":"robot","content":"x"}])", "messages[1].role",
          "invalid_value");
  refused(R"([{"role":7,"content":"x"}])", "messages[0].role", "invalid_type");
  refused(R"([{"role":"tool","content":"x"}])", "messages[0].role", "unsupported_parameter");
  refused(R"([{"role":"user","content":{}}])", "messages[0].content", "invalid_type");
  refused(R"([{"role":"user","content":[7]}])", "messages[0].content[0]", "invalid_type");
  refused(R"([{"role":"user","content":[{"type":"text","text":"a"},{"type":"image_url"}]}])",
          "messages[0].content[1].type", "unsupported_parameter");
  refused(R"([{"role":"user","content":[{"type":"text"}]}])", "messages[0].content[0].text",
          "invalid_type");
  refused(R"([{"role":"user","content":[{"text":"x"}]}])", "messages[0].content[0].type",
          "unsupported_parameter");
  refused(R"([{"role":"assistant","content":"x","tool_calls":[{}]}])", "messages[0].tool_calls",
          "unsupported_parameter");
  refused(R"([{"role":"user","content":"x"}, {"role":"assistant","content":"x"},
             {"role":"assistant","content":"y"}])",
          "messages", "invalid_value");
}

// What would change the answer is not passed over.
TEST(ParseChat, WhatIsNotServedIsRefusedByName) {
  for (const char* const member : {R"("tools":[{"type":"function"}])",
                                   R"("tool_choice":"required")",
                                   R"("functions":[{"name":"f"}])",
                                   R"("response_format":{"type":"json_object"})",
                                   R"("modalities":["text","audio"])",
                                   R"("audio":{"voice":"x"})",
                                   R"("repetition_penalty":1.1)",
                                   R"("repeat_penalty":1.2)",
                                   R"("typical_p":0.5)",
                                   R"("mirostat":2)",
                                   R"("grammar":"root ::= x")",
                                   R"("json_schema":{"type":"object"})",
                                   R"("guided_json":{})",
                                   R"("best_of":2)",
                                   R"("echo":true)",
                                   R"("suffix":"end")",
                                   R"("stop_token_ids":[5])",
                                   R"("ignore_eos":true)",
                                   R"("min_tokens":3)",
                                   R"("use_beam_search":true)",
                                   R"("web_search_options":{})",
                                   R"("dry_multiplier":0.8)"}) {
    const std::string name = std::string(member).substr(1, std::string(member).find('"', 1) - 1);
    for (const auto& error :
         {error_of(parse_chat(chat(member))), error_of(parse_completion(completion(member)))}) {
      expect_refused(error, name, "unsupported_parameter");
    }
  }
}

TEST(ParseChat, WhatAsksForNothingIsAccepted) {
  const auto request = parse_chat(chat(R"("tools":[],"tool_choice":"auto","functions":[],
    "response_format":{"type":"text"},"modalities":["text"],"repetition_penalty":1.0,"best_of":1,
    "typical_p":1,"mirostat":0,"grammar":"","json_schema":{},"echo":false,"suffix":"",
    "stop_token_ids":[],"user":"u","metadata":{"a":"b"},"store":true,"service_tier":"flex",
    "parallel_tool_calls":true,"reasoning_effort":"low","xtc_probability":0.0)"));
  ASSERT_TRUE(request) << request.error().message;
  EXPECT_TRUE(request->generation.unknown.empty());
}

TEST(ParseChat, UnknownMembersAreNamedAndPassedOver) {
  const auto request = parse_chat(chat(R"("cache_prompt":true,"id_slot":-1,"zebra":{"a":[1,2]})"));
  ASSERT_TRUE(request) << request.error().message;
  EXPECT_EQ(request->generation.unknown,
            (std::vector<std::string>{"cache_prompt", "id_slot", "zebra"}));
  std::string many;
  for (int i = 0; i < 100; ++i) {
    many += std::string(many.empty() ? "" : ",") + "\"" + std::string(200, 'a') +
            std::to_string(i) + "\":1";
  }
  const auto crowded = parse_chat(chat(many));
  ASSERT_TRUE(crowded);
  EXPECT_EQ(crowded->generation.unknown.size(), 32u);
  EXPECT_EQ(crowded->generation.unknown[0].size(), 64u);
}

TEST(ParseChat, SeedsAreIntegersOrThoseOfReceipts) {
  const std::string digits(64, 'a');
  EXPECT_EQ(to_hex(parse_chat(chat("\"seed\":\"0x" + digits + "\""))->generation.sampling.seed),
            "0x" + digits);
  EXPECT_EQ(parse_chat(chat("\"seed\":18446744073709551615"))->generation.sampling.seed,
            seed_of_number(UINT64_MAX));
  EXPECT_EQ(parse_chat(chat("\"seed\":-2"))->generation.sampling.seed,
            seed_of_number(UINT64_MAX - 1));
  EXPECT_FALSE(parse_chat(chat("\"seed\":-1"))->generation.has_seed);
  const auto greedy = parse_chat(chat(R"("seed":5,"temperature":0)"));
  EXPECT_TRUE(greedy->generation.sampling.greedy());
  for (const char* const bad : {"1.5", "\"7\"", "\"0x12\"", "[]", "true", "1e30",
                                "18446744073709551616", "-9223372036854775809"}) {
    const auto request = parse_chat(chat("\"seed\":" + std::string(bad)));
    ASSERT_FALSE(request) << bad;
    expect_refused(request.error(), "seed");
  }
}

TEST(ParseChat, TwoNamesOfMaxTokensMustAgree) {
  EXPECT_EQ(parse_chat(chat("\"max_completion_tokens\":7"))->generation.max_tokens, 7u);
  EXPECT_EQ(parse_chat(chat(R"("max_tokens":7,"max_completion_tokens":7)"))->generation.max_tokens,
            7u);
  expect_refused(error_of(parse_chat(chat(R"("max_tokens":7,"max_completion_tokens":8)"))),
                 "max_tokens");
}

TEST(ParseChat, OptionsThatNeedAnotherAreRefusedAlone) {
  expect_refused(error_of(parse_chat(chat(R"("stream_options":{"include_usage":true})"))),
                 "stream_options");
  expect_refused(error_of(parse_chat(chat(R"("stream":false,"stream_options":{})"))),
                 "stream_options");
  expect_refused(error_of(parse_chat(chat(R"("top_logprobs":2)"))), "top_logprobs");
  EXPECT_EQ(parse_chat(chat(R"("logprobs":true)"))->generation.logprobs, 0u);
  EXPECT_TRUE(parse_chat(chat(R"("top_logprobs":0)")));
}

TEST(ParseCompletion, PromptsAreTextsOrIds) {
  EXPECT_EQ(parse_completion(completion(""))->prompts[0].text, "Once");
  const auto texts = parse_completion(R"({"prompt":["a","b"],"n":64})");
  ASSERT_TRUE(texts);
  EXPECT_EQ(texts->prompts.size(), 2u);
  const auto ids = parse_completion(R"({"prompt":[1,2,3],"logprobs":3})");
  ASSERT_TRUE(ids);
  EXPECT_EQ(ids->prompts[0].ids, (std::vector<std::uint32_t>{1, 2, 3}));
  EXPECT_EQ(ids->generation.logprobs, 3u);
  EXPECT_EQ(parse_completion(R"({"prompt":[[1],[2,3]]})")->prompts[1].ids->size(), 2u);
  for (const char* const bad :
       {R"({})", R"({"prompt":""})", R"({"prompt":[]})", R"({"prompt":[""]})", R"({"prompt":[[]]})",
        R"({"prompt":7})", R"({"prompt":{}})", R"({"prompt":["a","b"],"n":65})"}) {
    const auto request = parse_completion(bad);
    ASSERT_FALSE(request) << bad;
    expect_refused(request.error(), "prompt");
  }
  expect_refused(error_of(parse_completion(R"({"prompt":[1,"a"]})")), "prompt");
  expect_refused(error_of(parse_completion(R"({"prompt":["a",1]})")), "prompt[1]");
  expect_refused(error_of(parse_completion(R"({"prompt":[1.5]})")), "prompt");
  expect_refused(error_of(parse_completion(R"({"prompt":[-1]})")), "prompt");
  expect_refused(error_of(parse_completion(R"({"prompt":[4294967296]})")), "prompt");
}

class Fit : public testing::Test {
 protected:
  Parsed<std::uint32_t> fit(std::size_t prompt, std::optional<std::uint32_t> max_tokens = {}) {
    generation_.max_tokens = max_tokens;
    return fit_to_model(generation_, std::vector<std::uint32_t>(prompt, 5), shape_, "messages");
  }
  machine::Shape shape_{.vocabulary = 10, .context = 100};
  Generation generation_;
};

TEST_F(Fit, TheRestOfTheContextIsTheDefault) {
  EXPECT_EQ(fit(60), 40u);
  EXPECT_EQ(fit(60, 7), 7u);
  EXPECT_EQ(fit(60, 40), 40u);
  EXPECT_EQ(fit(99), 1u);
}

TEST_F(Fit, NothingIsEverCut) {
  for (const std::size_t prompt : {100, 101, 5000}) {
    const auto refused = fit(prompt);
    ASSERT_FALSE(refused);
    expect_refused(refused.error(), "messages", "context_length_exceeded");
    EXPECT_NE(refused.error().message.find(std::to_string(prompt)), std::string::npos);
  }
  expect_refused(error_of(fit(60, 41)), "max_tokens", "context_length_exceeded");
  expect_refused(error_of(fit(0)), "messages", "invalid_value");
}

TEST_F(Fit, IdsBeyondTheVocabularyAreRefused) {
  expect_refused(error_of(fit_to_model(generation_, {9, 10}, shape_, "prompt")), "prompt");
  EXPECT_TRUE(fit_to_model(generation_, {9}, shape_, "prompt"));
  generation_.sampling.logit_bias = {{9, 1}};
  EXPECT_TRUE(fit(1));
  generation_.sampling.logit_bias = {{9, 1}, {10, 1}};
  expect_refused(error_of(fit(1)), "logit_bias");
}

TEST_F(Fit, ATopKOfEverythingIsNone) {
  generation_.sampling.top_k = 9;
  EXPECT_TRUE(fit(1));
  EXPECT_EQ(generation_.sampling.top_k, 9u);
  generation_.sampling.top_k = 4'000'000'000;
  EXPECT_TRUE(fit(1));
  EXPECT_EQ(generation_.sampling.top_k, 0u);
}

TEST(ParseTokenize, BothDialectsAreUnderstood) {
  const auto llama = parse_tokenize(R"({"content":"x","add_special":true,"with_pieces":true})");
  ASSERT_TRUE(llama);
  EXPECT_EQ(llama->text, "x");
  EXPECT_TRUE(llama->add_special);
  EXPECT_TRUE(llama->with_pieces);
  EXPECT_FALSE(parse_tokenize(R"({"content":"x"})")->add_special);
  EXPECT_TRUE(parse_tokenize(R"({"prompt":"x"})")->add_special);
  EXPECT_FALSE(parse_tokenize(R"({"prompt":"x","add_special_tokens":false})")->add_special);
  const auto chat = parse_tokenize(R"({"messages":[{"role":"user","content":"hi"}]})");
  ASSERT_TRUE(chat);
  EXPECT_EQ(chat->messages.size(), 1u);
  EXPECT_EQ(parse_tokenize(R"({"content":""})")->text, "");
  expect_refused(error_of(parse_tokenize("{}")), "content");
  expect_refused(error_of(parse_tokenize(R"({"content":"x","prompt":"y"})")), "content");
  expect_refused(error_of(parse_tokenize(R"({"content":7})")), "content");
}

TEST(ParseDetokenize, TakesIds) {
  EXPECT_EQ(parse_detokenize(R"({"tokens":[1,0,4294967295]})")->ids,
            (std::vector<std::uint32_t>{1, 0, UINT32_MAX}));
  EXPECT_TRUE(parse_detokenize(R"({"tokens":[]})")->ids.empty());
  for (const char* const bad : {"{}", R"({"tokens":"1"})", R"({"tokens":[-1]})",
                                R"({"tokens":[1.0]})", R"({"tokens":[4294967296]})"}) {
    expect_refused(error_of(parse_detokenize(bad)), "tokens");
  }
}

// The document names the members that the parser knows, and no others.
TEST(OpenApi, DescribesWhatIsParsed) {
  const Json document = Json::parse(openapi_document());
  const auto body_of = [&](const char* schema, Json body) {
    for (const auto& [name, value] :
         document.at("components").at("schemas").at(schema).at("properties").items()) {
      if (!body.contains(name)) body[name] = nullptr;
    }
    return body.dump();
  };
  const auto chat =
      parse_chat(body_of("ChatRequest", {{"messages", {{{"role", "user"}, {"content", "hi"}}}}}));
  ASSERT_TRUE(chat) << chat.error().message;
  EXPECT_EQ(chat->generation.unknown, std::vector<std::string>());
  const auto completion = parse_completion(body_of("CompletionRequest", {{"prompt", "x"}}));
  ASSERT_TRUE(completion) << completion.error().message;
  EXPECT_EQ(completion->generation.unknown, std::vector<std::string>());
  EXPECT_TRUE(parse_tokenize(body_of("TokenizeRequest", {{"content", "x"}})));
}

}  // namespace
}  // namespace otr::openai

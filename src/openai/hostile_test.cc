// Bodies from somebody who wishes us ill: each is refused in OpenAI's form, by the name of what is
// wrong, and none does harm.
#include <gtest/gtest.h>

#include <array>

#include "openai/fields.h"
#include "openai/parse.h"
#include "openai/sampling.h"

namespace otr::openai {
namespace {

// The error, or an empty one where there is none.
template <class T, class E>
E error_of(const std::expected<T, E>& result) {
  return result ? E{} : result.error();
}

const std::string kMessages = R"("messages":[{"role":"user","content":"hi"}])";

std::string chat(const std::string& members) { return "{" + kMessages + "," + members + "}"; }

// Refused as no JSON at all, by all four parsers.
void expect_no_json(const std::string& body) {
  const std::array errors = {error_of(parse_chat(body)), error_of(parse_completion(body)),
                             error_of(parse_tokenize(body)), error_of(parse_detokenize(body))};
  for (const ApiError& error : errors) {
    EXPECT_EQ(error.status, 400) << body.substr(0, 80);
    EXPECT_EQ(error.param, "");
    EXPECT_NE(error.message.find("The body"), std::string::npos) << error.message;
    EXPECT_LT(error.message.size(), 300u);
    EXPECT_NO_THROW(static_cast<void>(to_json(error).dump()));
  }
}

TEST(Hostile, WhatIsNoJsonIsRefused) {
  for (const char* const body : {"",
                                 " ",
                                 "{",
                                 "}",
                                 "[",
                                 "nul",
                                 "null",
                                 "7",
                                 "\"x\"",
                                 "[]",
                                 "{\"a\":}",
                                 "{'a':1}",
                                 "{\"a\":1,}",
                                 "{\"a\":01}",
                                 "{\"a\":+1}",
                                 "{\"a\":.5}",
                                 "{\"a\":1.}",
                                 "{\"a\":NaN}",
                                 "{\"a\":Infinity}",
                                 "{\"a\":-Infinity}",
                                 "{\"a\":0x10}",
                                 "{\"a\":1}{",
                                 "{\"a\":1} x",
                                 "// c\n{}",
                                 "{\"a\":\"\t\"}",
                                 "{\"a\":\"\\x41\"}",
                                 "{\"a\":\"\\ud800\"}",
                                 "{\"a\":\"\\udc00\\ud800\"}",
                                 "{\"a\":\"\xff\"}",
                                 "{\"a\":\"\xc0\x80\"}",
                                 "{\"a\":\"\xed\xa0\x80\"}",
                                 "{\"a\":\"\xf4\x90\x80\x80\"}",
                                 "{\"a\":\"\xe2\x82\"}",
                                 "{\"\xff\":1}",
                                 "{\"a\":1e400}",
                                 "{\"a\":-1e400}"}) {
    expect_no_json(body);
  }
}

// A reader that takes a zero byte for the end would see another body than its neighbour.
TEST(Hostile, ZeroBytesAreNoEnd) {
  std::string body = "{" + kMessages + "}";
  EXPECT_TRUE(parse_chat(body));
  expect_no_json(body + '\0');
  expect_no_json(body + '\0' + "garbage");
  expect_no_json(std::string("\0", 1) + body);
  expect_no_json(body.insert(1, 1, '\0'));
}

TEST(Hostile, KeysTwiceAreRefusedAtAnyDepth) {
  for (const std::string& body : {"{" + kMessages + "," + kMessages + "}", chat(R"("n":1,"n":2)"),
                                  chat(R"("x":{"a":1,"a":1})"), chat(R"("x":[[{"b":{},"b":{}}]])"),
                                  chat(R"("n":1,"\u006e":2)")}) {
    const auto request = parse_chat(body);
    ASSERT_FALSE(request) << body;
    EXPECT_EQ(request.error().status, 400);
    EXPECT_EQ(request.error().code, "invalid_json");
    EXPECT_NE(request.error().message.find("twice"), std::string::npos);
  }
}

TEST(Hostile, DepthIsBounded) {
  for (const std::size_t depth : {100, 1000, 100'000}) {
    expect_no_json("{\"a\":" + std::string(depth, '[') + std::string(depth, ']') + "}");
    expect_no_json("{\"a\":" + std::string(depth, '['));
    std::string objects;
    for (std::size_t i = 0; i < depth; ++i) objects += "{\"a\":";
    expect_no_json(objects);
  }
}

TEST(Hostile, SizeIsBounded) {
  const std::string longest = chat("\"user\":\"" + std::string(kMaxBodyBytes, 'a') + "\"");
  const auto request = parse_chat(longest);
  ASSERT_FALSE(request);
  EXPECT_EQ(request.error().status, 413);
  std::string values = "{\"tokens\":[0";
  for (int i = 0; i < 1'100'000; ++i) values += ",0";
  const auto many = parse_detokenize(values + "]}");
  ASSERT_FALSE(many);
  EXPECT_EQ(many.error().status, 400);
}

// One wrong value of each kind of JSON that the member does not take.
struct Member {
  const char* name;
  std::vector<std::string> wrong;
};
const std::vector<std::string> kNoNumber = {"\"1\"", "true", "[]", "{}", "[1]"};
const std::vector<std::string> kNoFlag = {"0", "1", "\"true\"", "[]", "{}", "0.5"};

std::vector<std::string> numbers_and(std::vector<std::string> more) {
  more.insert(more.end(), kNoNumber.begin(), kNoNumber.end());
  return more;
}

TEST(Hostile, EveryMemberOfAWrongTypeOrRangeIsNamed) {
  const std::vector<Member> members = {
      {"model", {"1", "true", "[]", "{}", "\"" + std::string(257, 'm') + "\""}},
      {"temperature", numbers_and({"-0.1", "100.1", "0.001", "1e308", "-1e308", "1e-300"})},
      {"top_p", numbers_and({"-0.1", "1.1", "1e308"})},
      {"min_p", numbers_and({"-0.1", "1.1"})},
      {"top_k", numbers_and({"-2", "1.5", "4294967296", "1e30", "18446744073709551615"})},
      {"presence_penalty", numbers_and({"-16.1", "16.1", "1e308"})},
      {"frequency_penalty", numbers_and({"-16.1", "16.1"})},
      {"logit_bias",
       {"1", "\"x\"", "true", "[1]", "[[1,2]]", R"({"x":1})", R"({"":1})", R"({"-1":1})",
        R"({"1 ":1})", R"({"4294967296":1})", R"({"1":101})", R"({"1":-100.5})",
        R"({"1":1,"01":2})"}},
      {"max_tokens", numbers_and({"0", "-1", "1.5", "4294967296", "1e30"})},
      {"max_completion_tokens", numbers_and({"0", "-1", "0.5"})},
      {"stop",
       {"1", "true", "{}", "\"\"", "[\"\"]", "[1]", "[null]", R"(["a","b","c","d","e"])", "[[]]",
        "\"" + std::string(65, 's') + "\""}},
      {"n", numbers_and({"0", "129", "-1", "1.5", "1e30"})},
      {"stream", kNoFlag},
      {"logprobs", kNoFlag},
      {"add_generation_prompt", kNoFlag},
      {"chat_template_kwargs", {"1", "\"x\"", "[]", R"({"a":1})", R"({"a":"x"})", R"({"a":null})"}},
      {"top_logprobs", numbers_and({"-1", "21", "1.5"})},
      {"stream_options", {"1", "\"x\"", "[]", "true"}},
  };
  for (const Member& member : members) {
    for (const std::string& wrong : member.wrong) {
      const auto request = parse_chat(chat("\"" + std::string(member.name) + "\":" + wrong));
      ASSERT_FALSE(request) << member.name << " " << wrong;
      const ApiError& error = request.error();
      EXPECT_EQ(error.status, 400);
      EXPECT_EQ(error.type, "invalid_request_error");
      EXPECT_EQ(error.param, member.name) << wrong << ": " << error.message;
      EXPECT_NE(error.message.find(member.name), std::string::npos) << error.message;
    }
  }
}

TEST(Hostile, WrongMembersInsideMembersAreNamedByTheirPath) {
  const auto param_of = [](const std::string& members) {
    return error_of(parse_chat(chat(members))).param;
  };
  EXPECT_EQ(param_of(R"("stream":true,"stream_options":{"include_usage":1})"),
            "stream_options.include_usage");
  EXPECT_EQ(param_of(R"("logit_bias":{"7":"1"})"), "logit_bias.7");
  EXPECT_EQ(param_of(R"("logit_bias":{"7":null})"), "logit_bias.7");
}

TEST(Hostile, TooManyBiasesAreRefused) {
  std::string biases;
  for (int id = 0; id < 301; ++id) biases += (id ? ",\"" : "\"") + std::to_string(id) + "\":1";
  const auto request = parse_chat(chat("\"logit_bias\":{" + biases + "}"));
  ASSERT_FALSE(request);
  EXPECT_EQ(request.error().param, "logit_bias");
}

// No body is so strange that its error is not an object that a client can read.
TEST(Hostile, ErrorsAreAlwaysUtf8AndShort) {
  const ApiError error = model_not_found("\xff\xfe" + std::string(10'000, 'x'));
  const std::string text = to_json(error).dump();
  EXPECT_LT(text.size(), 500u);
  EXPECT_EQ(error.status, 404);
  EXPECT_NO_THROW(static_cast<void>(to_json(invalid_request("\xff", "\xff", "x")).dump()));
  const std::string name(100'000, 'k');
  const auto twice = parse_chat("{\"" + name + "\":1,\"" + name + "\":1}");
  ASSERT_FALSE(twice);
  EXPECT_LT(twice.error().message.size(), 300u);
}

TEST(Hostile, ABodyCutAnywhereIsRefused) {
  const std::string whole = chat(R"("n":2,"stop":["a"],"stream":true,"logit_bias":{"1":0.5})");
  ASSERT_TRUE(parse_chat(whole));
  for (std::size_t size = 0; size < whole.size(); ++size) {
    EXPECT_FALSE(parse_chat(std::string_view(whole).substr(0, size))) << size;
  }
}

TEST(Sampling, NumbersThatAreNoneAreRefused) {
  const double none = std::numeric_limits<double>::quiet_NaN();
  const double infinite = std::numeric_limits<double>::infinity();
  for (const double bad : {none, infinite, -infinite}) {
    EXPECT_EQ(error_of(to_sampling({.temperature = bad})).field, "temperature");
    EXPECT_EQ(error_of(to_sampling({.top_p = bad})).field, "top_p");
    EXPECT_EQ(error_of(to_sampling({.min_p = bad})).field, "min_p");
    EXPECT_EQ(error_of(to_sampling({.presence_penalty = bad})).field, "presence_penalty");
    EXPECT_EQ(error_of(to_sampling({.frequency_penalty = bad})).field, "frequency_penalty");
    EXPECT_EQ(error_of(to_sampling({.logit_bias = {{1, bad}}})).field, "logit_bias");
  }
}

}  // namespace
}  // namespace otr::openai

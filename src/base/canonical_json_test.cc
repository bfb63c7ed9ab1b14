#include "base/canonical_json.h"

#include <gtest/gtest.h>

namespace otr {
namespace {

std::string code_of(std::string_view text, const JsonBounds& bounds = {}) {
  const Result<Json> value = parse_canonical_json(text, "test", bounds);
  return value ? "" : value.error().code;
}

std::string nested(std::size_t depth) { return std::string(depth, '[') + std::string(depth, ']'); }

TEST(CanonicalJson, AcceptsTheOneSpelling) {
  using namespace std::string_literals;
  for (const std::string& text :
       {"null"s, "true"s, "0"s, "-1"s, "18446744073709551615"s, "-9223372036854775808"s, "\"\""s,
        "[]"s, "{}"s, R"({"":1,"A":2,"a":[1,"\"\\\b\f\n\r\t\u0001\u001f/"],"b":{}})"s,
        "\"\x7f\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\""s, "{\"\x7f\":1,\"\xc2\x80\":2}"s,
        nested(64)}) {
    EXPECT_EQ(code_of(text), "") << text;
  }
}

TEST(CanonicalJson, RefusesEveryOtherSpelling) {
  for (const std::string_view text : {" 1",
                                      "1 ",
                                      "1\n",
                                      "[1, 2]",
                                      R"({"b":1,"a":2})",
                                      R"({"a":1,"a":2})",
                                      R"({"a":1,"a":1})",
                                      "1 1",
                                      "-0",
                                      "01",
                                      "+1",
                                      "-",
                                      R"("\ud800")",
                                      "1.0",
                                      "1e2",
                                      "0.5",
                                      "18446744073709551616",
                                      "-9223372036854775809",
                                      "1e999",
                                      R"("\/")",
                                      R"("\u0041")",
                                      R"("\u001F")",
                                      R"("\u0008")",
                                      R"("\u00e9")",
                                      R"("\ud83d\ude00")",
                                      "\xef\xbb\xbf{}"}) {
    EXPECT_EQ(code_of(text), "NOT_CANONICAL") << text;
  }
  EXPECT_EQ(code_of(nested(65)), "NOT_CANONICAL");
}

TEST(CanonicalJson, RefusesWhatIsNoJson) {
  for (const std::string_view text :
       {"", "1,1", "[1,]", "{\"a\"}", "[1}", "{}x", "'a'", "NaN", "\"\x01\"", "\"\xc3\"",
        "\"\xed\xa0\x80\"", "\"\xff\"", R"("\q")", R"("\u00")", "[", "tru"}) {
    EXPECT_EQ(code_of(text), "MALFORMED") << text;
  }
  EXPECT_EQ(code_of(std::string_view("{}\0", 3)), "MALFORMED");
  EXPECT_EQ(code_of(std::string(100000, '[')), "NOT_CANONICAL");
}

TEST(CanonicalJson, RefusesWhatIsTooLarge) {
  EXPECT_EQ(code_of("[1,2,3]", {.max_bytes = 6}), "LIMIT_EXCEEDED");
  EXPECT_EQ(code_of("[1,2,3]", {.max_values = 3}), "LIMIT_EXCEEDED");
  EXPECT_EQ(code_of("[1,2,3]", {.max_bytes = 7, .max_values = 4}), "");
}

TEST(CanonicalJson, NamesSourceAndOffset) {
  const Result<Json> value = parse_canonical_json(R"({"a": 1})", "the header");
  ASSERT_FALSE(value);
  EXPECT_NE(value.error().message.find("the header"), std::string::npos);
  EXPECT_NE(value.error().message.find("byte 5"), std::string::npos) << value.error().message;
}

TEST(CanonicalJson, DumpsWhatItCanAndRefusesTheRest) {
  EXPECT_EQ(dump_canonical_json(Json{{"b", 1}, {"a", {1, "x\n"}}}, "test"),
            R"({"a":[1,"x\n"],"b":1})");
  EXPECT_FALSE(dump_canonical_json(Json(0.5), "test"));
  EXPECT_FALSE(dump_canonical_json(Json("\xff"), "test"));
  Json deep = 1;
  for (int level = 0; level < 65; ++level) deep = Json::array({deep});
  EXPECT_FALSE(dump_canonical_json(deep, "test"));
}

}  // namespace
}  // namespace otr

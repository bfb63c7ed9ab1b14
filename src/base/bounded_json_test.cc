#include "base/bounded_json.h"

#include <gtest/gtest.h>

#include <string>

namespace otr {
namespace {

constexpr JsonBounds kBounds = {.max_bytes = std::size_t{1} << 20, .max_values = 200'000};

std::string why(std::string_view source) {
  const auto parsed = parse_bounded_json(source, "It", kBounds);
  return parsed ? "good" : parsed.error().message;
}

std::string repeated(std::string_view part, std::size_t count) {
  std::string text;
  for (std::size_t i = 0; i < count; ++i) text += part;
  return text;
}

TEST(BoundedJson, TakesWhatOthersWrite) {
  const auto parsed = parse_bounded_json(
      " {\"a\": [1, -2.5, \"\\u00e9\", null, true, {}], \"b\": {}} ", "It", kBounds);
  ASSERT_TRUE(parsed) << parsed.error().message;
  EXPECT_EQ((*parsed)["a"].size(), 6u);
  EXPECT_EQ((*parsed)["a"][2], "é");
  EXPECT_EQ(why("[{\"a\":1},{\"a\":2}]"), "good");  // one key in two objects
}

TEST(BoundedJson, SaysWhereItEnds) {
  EXPECT_EQ(why("{\"a\":}"), "It is not well-formed JSON at byte 6");
  EXPECT_EQ(why("[1] 2"), "It is not well-formed JSON at byte 5");
  EXPECT_EQ(why(""), "It is not well-formed JSON at byte 1");
  EXPECT_EQ(why(std::string("[1]\0", 4)), "It is not well-formed JSON at byte 4");
  EXPECT_EQ(why("[\"\xff\"]"), "It is not well-formed JSON at byte 3");
  EXPECT_EQ(why("[1e999]"), "It holds a number that is too large");
}

TEST(BoundedJson, RefusesAKeyTwice) {
  EXPECT_EQ(why("[{\"a\":1,\"b\":{},\"a\":2}]"), "It has the key 'a' twice in one object");
  EXPECT_EQ(why("{\"\":1,\"\":2}"), "It has the key '(empty)' twice in one object");
  // Shown up to 80 bytes, and no character in part.
  const std::string key = repeated("a", 79) + "é" + repeated("b", 9);
  EXPECT_EQ(why("{\"" + key + "\":1,\"" + key + "\":2}"),
            "It has the key '" + key.substr(0, 79) + "' twice in one object");
}

TEST(BoundedJson, KeepsItsBounds) {
  const std::string too_deep = "It nests deeper than 64",
                    too_much = "It holds more than 200000 values";
  EXPECT_EQ(why(repeated("[", 64) + repeated("]", 64)), "good");
  EXPECT_EQ(why(repeated("[", 65) + repeated("]", 65)), too_deep);
  EXPECT_EQ(why(repeated("[", 1 << 20)), too_deep);
  EXPECT_EQ(why("[" + repeated("0,", 199'998) + "0]"), "good");
  EXPECT_EQ(why("[" + repeated("0,", 199'999) + "0]"), too_much);
  EXPECT_EQ(why(repeated(" ", (1 << 20) + 1)), "It is larger than 1 MiB");
}

// With a pass over the whole array for each object in it this takes minutes.
TEST(BoundedJson, ManyObjectsCostNoMoreThanOthers) {
  EXPECT_EQ(why("[" + repeated("{},", 199'998) + "{}]"), "good");
}

}  // namespace
}  // namespace otr

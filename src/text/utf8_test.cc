#include "text/utf8.h"

#include <gtest/gtest.h>

namespace otr::text {
namespace {

TEST(Utf8, FindsTheFirstBadByte) {
  EXPECT_EQ(utf8_error("plain, \xC3\xA9, \xE2\x82\xAC and \xF0\x9F\xA6\x99"), std::nullopt);
  EXPECT_EQ(utf8_error(""), std::nullopt);
  EXPECT_EQ(utf8_error("ab\xFF"), 2u);
  EXPECT_EQ(utf8_error("a\xC0\x80"), 1u) << "an over-long NUL";
  EXPECT_EQ(utf8_error("\xE0\x80\x80"), 0u) << "over-long";
  EXPECT_EQ(utf8_error("\xED\xA0\x80"), 0u) << "a surrogate";
  EXPECT_EQ(utf8_error("\xF4\x90\x80\x80"), 0u) << "above U+10FFFF";
  EXPECT_EQ(utf8_error("a\xE2\x82"), 1u) << "cut off";
  EXPECT_EQ(utf8_error("\xF4\x8F\xBF\xBF\xEF\xBF\xBF"), std::nullopt);
}

// The examples of the Unicode standard, section 3.9, tables 3-8 to 3-11.
TEST(Utf8, ReplacesMaximalSubparts) {
  const std::string r = "\xEF\xBF\xBD";
  EXPECT_EQ(utf8_lossy("\xC0\xAF\xE0\x80\xBF\xF0\x81\x82\x41"),
            r + r + r + r + r + r + r + r + "A");
  EXPECT_EQ(utf8_lossy("\xED\xA0\x80\xED\xBF\xBF\xED\xAF\x41"),
            r + r + r + r + r + r + r + r + "A");
  EXPECT_EQ(utf8_lossy("\xF4\x91\x92\x93\xFF\x41\x80\xBF\x42"),
            r + r + r + r + r + "A" + r + r + "B");
  EXPECT_EQ(utf8_lossy("\xE1\x80\xE2\xF0\x91\x92\xF1\xBF\x41"), r + r + r + r + "A");
}

TEST(Utf8, EncodesWhatItDecodes) {
  for (const char32_t c : {0x0u, 0x7Fu, 0x80u, 0x7FFu, 0x800u, 0xFFFFu, 0x10000u, 0x10FFFFu}) {
    std::string text;
    append_utf8(text, c);
    EXPECT_EQ(utf8_error(text), std::nullopt);
    EXPECT_EQ(first_code_point(text).value, c);
    EXPECT_EQ(first_code_point(text).size_bytes, text.size());
  }
}

TEST(Utf8, StreamHoldsBackOnlyWhatMayBecomeACharacter) {
  Utf8Stream stream;
  EXPECT_EQ(stream.push("a\xF0\x9F"), "a");
  EXPECT_EQ(stream.push("\xA6"), "");
  EXPECT_EQ(stream.push("\x99"
                        "b"),
            "\xF0\x9F\xA6\x99"
            "b");
  EXPECT_EQ(stream.push("\xE2"), "");
  EXPECT_EQ(stream.push("c"),
            "\xEF\xBF\xBD"
            "c");
  EXPECT_EQ(stream.push("\xE2\x82"), "");
  EXPECT_EQ(stream.finish(), "\xEF\xBF\xBD");
  EXPECT_EQ(stream.finish(), "");
}

// However a stream is cut, the same is printed.
TEST(Utf8, StreamAgreesWithTheWhole) {
  const std::string bytes =
      "x\xE1\x80\xE2\xF0\x91\x92\xF1\xBF\x41\xF0\x9F\xA6\x99\xC3\xA9\xED\xA0\x80\xE2\x82";
  for (std::size_t a = 0; a <= bytes.size(); ++a) {
    for (std::size_t b = a; b <= bytes.size(); ++b) {
      Utf8Stream stream;
      std::string text = stream.push(bytes.substr(0, a));
      text += stream.push(bytes.substr(a, b - a));
      text += stream.push(bytes.substr(b));
      text += stream.finish();
      ASSERT_EQ(text, utf8_lossy(bytes)) << a << " " << b;
    }
  }
}

}  // namespace
}  // namespace otr::text

#include "attest/encoding.h"

#include <gtest/gtest.h>

namespace otr::attest {
namespace {

TEST(EncodingTest, VectorsOfRfc4648) {
  const std::pair<std::string_view, std::string_view> cases[] = {{"", ""},
                                                                 {"f", "Zg=="},
                                                                 {"fo", "Zm8="},
                                                                 {"foo", "Zm9v"},
                                                                 {"foob", "Zm9vYg=="},
                                                                 {"fooba", "Zm9vYmE="},
                                                                 {"foobar", "Zm9vYmFy"}};
  for (const auto& [bytes, text] : cases) {
    EXPECT_EQ(to_base64(as_bytes(bytes)), text);
    const auto back = from_base64(text);
    ASSERT_TRUE(back) << text;
    EXPECT_EQ(as_text(*back), bytes);
    const std::string_view unpadded = text.substr(0, text.find('='));
    EXPECT_EQ(to_base64url(as_bytes(bytes)), unpadded);
    ASSERT_TRUE(from_base64url(unpadded));
    EXPECT_EQ(as_text(*from_base64url(unpadded)), bytes);
  }
}

TEST(EncodingTest, EveryByteGoesThereAndBack) {
  Bytes bytes;
  for (unsigned i = 0; i < 256; ++i) bytes.push_back(static_cast<std::uint8_t>(255 - i));
  EXPECT_EQ(from_base64(to_base64(bytes)), bytes);
  EXPECT_EQ(from_base64url(to_base64url(bytes)), bytes);
  EXPECT_EQ(from_plain_hex(to_plain_hex(bytes)), bytes);
  EXPECT_EQ(from_plain_hex("fFAa"), (Bytes{0xFF, 0xAA}));
}

TEST(EncodingTest, OtherSpellingsAreRefused) {
  for (const std::string_view text : {"Zg", "Zg=", "Zh==", "Zm9=", "Zm9v\n", "Zm 9v", "Z===",
                                      "====", "Zg==Zg==", "Zm-_", "Zm9v====", "=", "Zm\xffv"}) {
    EXPECT_FALSE(from_base64(text)) << text;
  }
  for (const std::string_view text : {"Zg==", "Zh", "Z", "Zm+/", "Zm9vZ", "Zm9"}) {
    EXPECT_FALSE(from_base64url(text)) << text;
  }
  for (const std::string_view text : {"0", "0x00", "0g", " 00", "00 "}) {
    EXPECT_FALSE(from_plain_hex(text)) << text;
  }
  EXPECT_EQ(without_space(" Zm\r\n9\tv "), "Zm9v");
}

TEST(EncodingTest, OneLineIsPrintable) {
  EXPECT_EQ(one_line("gpu 1, \xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80~"),
            "gpu 1, \xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80~");
  EXPECT_EQ(one_line(std::string_view("a\n\r\t\0\x1b\x7f"
                                      "b",
                                      8)),
            "a??????b");
  for (const std::string_view odd :
       {"\xC2\x85", "\xC2\x9B", "\xE2\x80\xA8", "\xE2\x80\xA9", "\xE2\x80\xAE", "\xE2\x81\xA6",
        "\xE2\x80\x8F", "\xD8\x9C", "\xFF", "\x80"}) {
    EXPECT_EQ(one_line(odd), "?") << to_plain_hex(as_bytes(odd));
  }
  // Cut, overlong, a surrogate, too large: byte by byte, or as the one character it spells.
  EXPECT_EQ(one_line("\xE2\x82"), "??");
  EXPECT_EQ(one_line("\xC0\x8A"), "??");
  EXPECT_EQ(one_line("\xE0\x80\x8A"), "???");
  EXPECT_EQ(one_line("\xED\xA0\x80"), "?");
  EXPECT_EQ(one_line("\xF4\x90\x80\x80"), "?");
}

}  // namespace
}  // namespace otr::attest

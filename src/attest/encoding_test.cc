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

}  // namespace
}  // namespace otr::attest

#include <gtest/gtest.h>

#include "base/check.h"
#include "base/hex.h"

namespace otr {
namespace {

TEST(Hex, RoundTrip) {
  const Bytes bytes = {0x00, 0x7f, 0xab, 0xff};
  EXPECT_EQ(to_hex(bytes), "0x007fabff");
  EXPECT_EQ(from_hex("0x007fabff", 4, "key").value(), bytes);
}

TEST(Hex, RefusesWhatIsNotCanonical) {
  for (const char* text : {"", "0x", "007fabff00", "0x007FABFF", "0x007fabf", "0x007fabff0",
                           "0X007fabff", "0x007fabfg", " 0x07fabff"}) {
    const auto bytes = from_hex(text, 4, "key");
    ASSERT_FALSE(bytes) << text;
    EXPECT_EQ(bytes.error().message, "key must be 0x and 8 lower-case hexadecimal digits");
  }
}

TEST(CheckDeathTest, ExitsWithTheCodeForBugs) {
  EXPECT_EXIT(OTR_CHECK(1 + 1 == 3), testing::ExitedWithCode(70), "check failed: 1 \\+ 1 == 3");
}

}  // namespace
}  // namespace otr

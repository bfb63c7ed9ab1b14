#include "crypto/keccak256.h"

#include <gtest/gtest.h>
#include <openssl/evp.h>

#include "base/hex.h"

namespace otr::crypto {
namespace {

TEST(Keccak256, PublishedValues) {
  EXPECT_EQ(to_hex(keccak256({})),
            "0xc5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470");
  EXPECT_EQ(to_hex(keccak256(as_bytes("abc"))),
            "0x4e03657aea45a94fc7d47ba826c8d667c0d1e6e33a64a036ec44f58fa12d6c45");
}

// Lengths around one and two blocks of 136 bytes, where the padding is one byte or a whole block.
TEST(Keccak256, SpongeWithTheOtherPaddingIsSha3) {
  for (std::size_t size = 0; size <= 410; ++size) {
    Bytes bytes(size);
    for (std::size_t i = 0; i < size; ++i) bytes[i] = static_cast<std::uint8_t>(i * 31 + size);
    Hash expected;
    ASSERT_EQ(
        EVP_Digest(bytes.data(), bytes.size(), expected.data(), nullptr, EVP_sha3_256(), nullptr),
        1);
    EXPECT_EQ(keccak_sponge_256(bytes, 0x06), expected) << size;
    EXPECT_NE(keccak256(bytes), expected) << size;
  }
}

}  // namespace
}  // namespace otr::crypto

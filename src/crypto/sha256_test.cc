#include "crypto/sha256.h"

#include <gtest/gtest.h>
#include <openssl/evp.h>

#include "base/hex.h"

namespace otr::crypto {
namespace {

Bytes pattern(std::size_t size_bytes) {
  Bytes bytes(size_bytes);
  for (std::size_t i = 0; i < size_bytes; ++i) bytes[i] = static_cast<std::uint8_t>(i * 167 + 13);
  return bytes;
}

TEST(Sha256, PublishedValues) {
  EXPECT_EQ(to_hex(sha256(ByteView{})),
            "0xe3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(to_hex(sha256(as_bytes("abc"))),
            "0xba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(to_hex(sha256(Bytes(1'000'000, 'a'))),
            "0xcdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

TEST(Sha256, AgreesWithEvpAtEveryLengthAroundTheBlocks) {
  for (std::size_t size = 0; size <= 200; ++size) {
    const Bytes bytes = pattern(size);
    Hash expected;
    ASSERT_EQ(
        EVP_Digest(bytes.data(), bytes.size(), expected.data(), nullptr, EVP_sha256(), nullptr), 1);
    EXPECT_EQ(sha256(bytes), expected) << size;
  }
}

TEST(Sha256, PartsAndPiecesEqualTheWhole) {
  const Bytes bytes = pattern(300);
  const ByteView all = bytes;
  for (std::size_t cut = 0; cut <= bytes.size(); ++cut) {
    EXPECT_EQ(sha256({all.first(cut), ByteView{}, all.subspan(cut)}), sha256(all)) << cut;
    Sha256 hasher;
    hasher.update(all.first(cut));
    hasher.update(all.subspan(cut));
    EXPECT_EQ(hasher.finish(), sha256(all)) << cut;
  }
}

TEST(Sha256, StartsAgainAfterFinishAndForks) {
  Sha256 hasher;
  hasher.update(as_bytes("ab"));
  Sha256 fork = hasher;
  fork.update(as_bytes("c"));
  EXPECT_EQ(fork.finish(), sha256(as_bytes("abc")));
  EXPECT_EQ(hasher.finish(), sha256(as_bytes("ab")));
  EXPECT_EQ(hasher.finish(), sha256(ByteView{}));
}

}  // namespace
}  // namespace otr::crypto

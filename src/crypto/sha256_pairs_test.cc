// Pairs of messages against OpenSSL, at every size around the ends of blocks.
#include "crypto/sha256_pairs.h"

#include <gtest/gtest.h>

#include <vector>

#include "crypto/sha256.h"

namespace otr::crypto {
namespace {

constexpr std::string_view kTag = "OTR.leaf";

// Bytes that are not the same anywhere near each other.
Bytes some_bytes(std::size_t size) {
  Bytes bytes(size);
  std::uint64_t state = 1;
  for (std::uint8_t& byte : bytes) {
    state = state * 6364136223846793005 + 1442695040888963407;
    byte = static_cast<std::uint8_t>(state >> 56);
  }
  return bytes;
}

TEST(Sha256Each, EverySizeCountAndStride) {
  const Bytes bytes = some_bytes(5 * 2100);
  for (std::size_t size = 0; size < 2100; size += size < 330 ? 1 : 59) {
    for (const std::size_t count : {0, 1, 2, 3, 5}) {
      const std::size_t stride = size;  // exactly the messages' bytes: a byte more is not there
      const Bytes messages(bytes.begin(), bytes.begin() + static_cast<long>(count * stride));
      std::vector<Hash> hashes(count);
      sha256_each(kTag, messages.data(), size, stride, hashes);
      for (std::size_t i = 0; i < count; ++i) {
        const ByteView message = ByteView(messages).subspan(i * stride, size);
        ASSERT_EQ(hashes[i], sha256({as_bytes(kTag), message})) << size << " " << count << " " << i;
      }
    }
  }
  std::vector<Hash> apart(4);
  sha256_each(kTag, bytes.data(), 100, 333, apart);
  for (std::size_t i = 0; i < apart.size(); ++i) {
    EXPECT_EQ(apart[i], sha256({as_bytes(kTag), ByteView(bytes).subspan(i * 333, 100)}));
  }
}

}  // namespace
}  // namespace otr::crypto

#include "crypto/ed25519.h"

#include <openssl/evp.h>

#include <memory>

#include "base/check.h"

namespace otr::crypto {
namespace {

struct FreeKey {
  void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
};
struct FreeContext {
  void operator()(EVP_MD_CTX* context) const { EVP_MD_CTX_free(context); }
};
using Key = std::unique_ptr<EVP_PKEY, FreeKey>;
using Context = std::unique_ptr<EVP_MD_CTX, FreeContext>;

Key private_key(ByteView seed) {
  Key key(EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, nullptr, seed.data(), seed.size()));
  OTR_CHECK(key != nullptr);
  return key;
}

// y of the points of order 1, 2, 4 and 8, little-endian and without the sign bit; the two of order
// 8 come with either sign.
constexpr std::array<Ed25519Public, 5> kSmallOrder = {{
    {0x01},
    {0xec, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
     0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
     0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f},
    {0x00},
    {0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4,
     0x89, 0xf2, 0xef, 0x98, 0xf0, 0xd5, 0xdf, 0xac, 0x05, 0xd3, 0xc6,
     0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53, 0xfc, 0x05},
    {0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b,
     0x76, 0x0d, 0x10, 0x67, 0x0f, 0x2a, 0x20, 0x53, 0xfa, 0x2c, 0x39,
     0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac, 0x03, 0x7a},
}};

bool is_acceptable(ByteView public_key) {
  Ed25519Public y;
  if (public_key.size() != y.size()) return false;
  std::copy(public_key.begin(), public_key.end(), y.begin());
  y.back() &= 0x7f;
  for (const Ed25519Public& small : kSmallOrder) {
    if (y == small) return false;
  }
  // p = 2^255 - 19: every y from p up has a second encoding below.
  const bool all_ones = y.back() == 0x7f && std::all_of(y.begin() + 1, y.end() - 1,
                                                        [](std::uint8_t b) { return b == 0xff; });
  return !(all_ones && y[0] >= 0xed);
}

}  // namespace

Result<Ed25519Key> Ed25519Key::from_bytes(ByteView bytes) {
  if (bytes.size() != 32) {
    return fail(ErrorKind::kBadInput,
                "Ed25519 key: expected 32 bytes, got " + std::to_string(bytes.size()) + ".");
  }
  return Ed25519Key(bytes);
}

Ed25519Public Ed25519Key::public_key() const {
  Ed25519Public made;
  std::size_t size = made.size();
  OTR_CHECK(EVP_PKEY_get_raw_public_key(private_key(seed_.bytes()).get(), made.data(), &size) == 1);
  return made;
}

Ed25519Signature Ed25519Key::sign(ByteView message) const {
  const Key key = private_key(seed_.bytes());
  const Context context(EVP_MD_CTX_new());
  OTR_CHECK(context != nullptr);
  OTR_CHECK(EVP_DigestSignInit(context.get(), nullptr, nullptr, nullptr, key.get()) == 1);
  Ed25519Signature signature;
  std::size_t size = signature.size();
  OTR_CHECK(
      EVP_DigestSign(context.get(), signature.data(), &size, message.data(), message.size()) == 1);
  OTR_CHECK(size == signature.size());
  return signature;
}

bool verify_ed25519(ByteView public_key, ByteView message, ByteView signature) {
  if (!is_acceptable(public_key) || signature.size() != 64) return false;
  const Key key(
      EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, nullptr, public_key.data(), public_key.size()));
  const Context context(EVP_MD_CTX_new());
  OTR_CHECK(key != nullptr && context != nullptr);
  OTR_CHECK(EVP_DigestVerifyInit(context.get(), nullptr, nullptr, nullptr, key.get()) == 1);
  return EVP_DigestVerify(context.get(), signature.data(), signature.size(), message.data(),
                          message.size()) == 1;
}

}  // namespace otr::crypto

// The published vectors of the suite, and every way to change a proof.
#include "crypto/ecvrf.h"

#include <gtest/gtest.h>
#include <sodium.h>

#include <vector>

#include "base/hex.h"

namespace otr::crypto {
namespace {

Bytes hex(std::string_view digits) {
  return from_hex("0x" + std::string(digits), digits.size() / 2, "test").value();
}
std::string digits(ByteView bytes) { return to_hex(bytes).substr(2); }
VrfKey key_of(std::string_view seed) {
  Hash bytes;
  const Bytes from = hex(seed);
  std::copy(from.begin(), from.end(), bytes.begin());
  return VrfKey::from_seed(bytes);
}

// RFC 9381, appendix B.3: examples 16, 17 and 18.
struct Vector {
  std::string_view seed, public_key, alpha, proof, hash;
};
constexpr Vector kVectors[] = {
    {"9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
     "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a", "",
     "8657106690b5526245a92b003bb079ccd1a92130477671f6fc01ad16f26f723f"
     "26f8a57ccaed74ee1b190bed1f479d97"
     "27d2d0f9b005a6e456a35d4fb0daab1268a1b0db10836d9826a528ca76567805",
     "90cf1df3b703cce59e2a35b925d411164068269d7b2d29f3301c03dd757876ff"
     "66b71dda49d2de59d03450451af026798e8f81cd2e333de5cdf4f3e140fdd8ae"},
    {"4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
     "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c", "72",
     "f3141cd382dc42909d19ec5110469e4feae18300e94f304590abdced48aed593"
     "3bf0864a62558b3ed7f2fea45c92a465"
     "301b3bbf5e3e54ddf2d935be3b67926da3ef39226bbc355bdc9850112c8f4b02",
     "eb4440665d3891d668e7e0fcaf587f1b4bd7fbfe99d0eb2211ccec90496310eb"
     "5e33821bc613efb94db5e5b54c70a848a0bef4553a41befc57663b56373a5031"},
    {"c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
     "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025", "af82",
     "9bc0f79119cc5604bf02d23b4caede71393cedfbb191434dd016d30177ccbf80"
     "96bb474e53895c362d8628ee9f9ea3c0"
     "e52c7a5c691b6c18c9979866568add7a2d41b00b05081ed0f58ee5e31b3a970e",
     "645427e5d00c62a23fb703732fa5d892940935942101e456ecca7bb217c61c45"
     "2118fec1219202a0edcf038bb6373241578be7217ba85a2687f7a0310b2df19f"},
};

TEST(Ecvrf, ProvesAsPublished) {
  for (const Vector& vector : kVectors) {
    const VrfKey key = key_of(vector.seed);
    EXPECT_EQ(digits(key.public_key()), vector.public_key);
    const VrfProof proof = key.prove(hex(vector.alpha));
    EXPECT_EQ(digits(proof), vector.proof);
    EXPECT_EQ(digits(key.hash(proof)), vector.hash);
    const auto hash = vrf_verify(hex(vector.public_key), hex(vector.alpha), hex(vector.proof));
    ASSERT_TRUE(hash) << hash.error().message;
    EXPECT_EQ(digits(*hash), vector.hash);
  }
}

TEST(Ecvrf, WhatIsProvenVerifiesForItsInputAlone) {
  const VrfKey key = key_of(kVectors[0].seed);
  const VrfPublic own = key.public_key();
  for (std::uint32_t i = 0; i < 40; ++i) {
    const Bytes alpha(i, static_cast<std::uint8_t>(i));
    const VrfProof proof = key.prove(alpha);
    const auto hash = vrf_verify(own, alpha, proof);
    ASSERT_TRUE(hash) << i;
    EXPECT_EQ(*hash, key.hash(proof));
    EXPECT_FALSE(vrf_verify(own, Bytes(i + 1, static_cast<std::uint8_t>(i)), proof)) << i;
    EXPECT_FALSE(vrf_verify(hex(kVectors[1].public_key), alpha, proof)) << i;
  }
}

TEST(Ecvrf, EveryChangedBitIsRefused) {
  const Vector& vector = kVectors[1];
  for (std::size_t bit = 0; bit < 80 * 8; ++bit) {
    Bytes proof = hex(vector.proof);
    proof[bit / 8] ^= static_cast<std::uint8_t>(1 << bit % 8);
    EXPECT_FALSE(vrf_verify(hex(vector.public_key), hex(vector.alpha), proof)) << bit;
  }
  for (std::size_t bit = 0; bit < 32 * 8; ++bit) {
    Bytes key = hex(vector.public_key);
    key[bit / 8] ^= static_cast<std::uint8_t>(1 << bit % 8);
    EXPECT_FALSE(vrf_verify(key, hex(vector.alpha), hex(vector.proof))) << bit;
  }
  for (const std::size_t size : {0U, 79U, 81U}) {
    Bytes proof = hex(vector.proof);
    proof.resize(size);
    EXPECT_FALSE(vrf_verify(hex(vector.public_key), hex(vector.alpha), proof)) << size;
  }
  EXPECT_FALSE(vrf_verify({}, hex(vector.alpha), hex(vector.proof)));
}

// s + order is the same scalar; only the smaller one is a proof.
TEST(Ecvrf, ASecondFormOfAScalarIsRefused) {
  const Bytes order = hex("edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010");
  Bytes proof = hex(kVectors[0].proof);
  unsigned carry = 0;
  for (std::size_t i = 0; i < 32; ++i) {
    carry += proof[48 + i] + order[i];
    proof[48 + i] = static_cast<std::uint8_t>(carry);
    carry >>= 8;
  }
  const auto refused = vrf_verify(hex(kVectors[0].public_key), {}, proof);
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().message.find("not below the order"), std::string::npos);
}

// Points of order 1, 2, 4 and 8, in every encoding that somebody might take for them, and sums with
// one: as key and as gamma.
TEST(Ecvrf, SmallPointsAreRefused) {
  const std::vector<std::string> small = {
      "0100000000000000000000000000000000000000000000000000000000000000",
      "0100000000000000000000000000000000000000000000000000000000000080",
      "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
      "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
      "0000000000000000000000000000000000000000000000000000000000000000",
      "0000000000000000000000000000000000000000000000000000000000000080",
      "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
      "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
      "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
      "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
      "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff"};
  const Vector& vector = kVectors[0];
  for (const std::string& point : small) {
    EXPECT_FALSE(vrf_verify(hex(point), {}, hex(vector.proof))) << point;
    const Bytes proof = hex(point + std::string(vector.proof.substr(64)));
    EXPECT_FALSE(vrf_verify(hex(vector.public_key), {}, proof)) << point;
  }
  Bytes proof = hex(vector.proof);
  const Bytes eighth = hex(small[6]);
  ASSERT_EQ(crypto_core_ed25519_add(proof.data(), proof.data(), eighth.data()), 0);
  const auto refused = vrf_verify(hex(vector.public_key), {}, proof);
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().message.find("gamma"), std::string::npos);
}

}  // namespace
}  // namespace otr::crypto

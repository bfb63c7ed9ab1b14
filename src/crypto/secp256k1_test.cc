#include "crypto/secp256k1.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "base/hex.h"
#include "crypto/keccak256.h"
#include "crypto/sha256.h"

namespace otr::crypto {
namespace {

constexpr std::string_view kOrderHex =
    "0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141";
constexpr std::string_view kHalfOrderHex =
    "0x7fffffffffffffffffffffffffffffff5d576e7357a4501ddfe92f46681b20a0";

Hash word(std::string_view hex) { return hash_from_hex(hex, "word").value(); }

PrivateKey key_from(std::string_view hex) { return PrivateKey::from_bytes(word(hex)).value(); }

PrivateKey key_from(std::uint8_t small_number) {
  Hash bytes{};
  bytes.back() = small_number;
  return PrivateKey::from_bytes(bytes).value();
}

Signature join(const Hash& r, const Hash& s, std::uint8_t v) {
  Signature signature;
  std::copy(r.begin(), r.end(), signature.begin());
  std::copy(s.begin(), s.end(), signature.begin() + 32);
  signature[64] = v;
  return signature;
}

Hash part(const Signature& signature, std::size_t from) {
  Hash bytes;
  std::copy_n(signature.begin() + from, bytes.size(), bytes.begin());
  return bytes;
}

// n - number, for 0 < number < n.
Hash negate(const Hash& number) {
  Hash result = word(kOrderHex);
  int borrow = 0;
  for (int i = 31; i >= 0; --i) {
    const int digit = result[i] - number[i] - borrow;
    borrow = digit < 0;
    result[i] = static_cast<std::uint8_t>(digit & 0xff);
  }
  return result;
}

void expect_refused(const Hash& digest, const Signature& signature, std::string_view why) {
  const auto signer = recover(digest, signature);
  ASSERT_FALSE(signer.has_value()) << why;
  EXPECT_EQ(signer.error().kind, ErrorKind::kReject);
  EXPECT_NE(signer.error().message.find(why), std::string::npos) << signer.error().message;
}

TEST(PrivateKey, PublishedAddresses) {
  EXPECT_EQ(to_hex(key_from(1).address()), "0x7e5f4552091a69125d5dfcb7b8c2659029395bdf");
  EXPECT_EQ(to_hex(key_from(2).address()), "0x2b5ad5c4795c026514f8317c7a215e218dccd6cf");
}

TEST(PrivateKey, RangeAndSizeAreChecked) {
  EXPECT_FALSE(PrivateKey::from_bytes({}).has_value());
  EXPECT_FALSE(PrivateKey::from_bytes(Bytes(31, 1)).has_value());
  EXPECT_FALSE(PrivateKey::from_bytes(Bytes(33, 1)).has_value());
  EXPECT_FALSE(PrivateKey::from_bytes(Hash{}).has_value());
  EXPECT_FALSE(PrivateKey::from_bytes(word(kOrderHex)).has_value());
  EXPECT_FALSE(PrivateKey::from_bytes(Bytes(32, 0xff)).has_value());
  Hash largest = word(kOrderHex);
  largest.back() -= 1;
  EXPECT_TRUE(PrivateKey::from_bytes(largest).has_value());
}

TEST(PrivateKey, MovingTakesTheKeyAlong) {
  PrivateKey first = key_from(1);
  const Address address = first.address();
  PrivateKey second = std::move(first);
  EXPECT_EQ(second.address(), address);
  EXPECT_DEATH(static_cast<void>(first.address()), "");
  second = key_from(2);
  EXPECT_NE(second.address(), address);
}

TEST(Sign, PublishedRfc6979Value) {
  const Hash digest = sha256(as_bytes("Satoshi Nakamoto"));
  const Signature signature = key_from(1).sign(digest);
  EXPECT_EQ(to_hex(part(signature, 0)),
            "0x934b1ea10a4b3c1757e2b0c017d0b6143ce3c9a7e6a4a49860d7a6ab210ee3d8");
  EXPECT_EQ(to_hex(part(signature, 32)),
            "0x2442ce9d2b916064108014783e923ec36b49743e2ffa1c4496f01a512aafd9e5");
}

// The worked example in the text of EIP-155; r and s stand there in decimal.
TEST(Sign, Eip155Example) {
  const PrivateKey key =
      key_from("0x4646464646464646464646464646464646464646464646464646464646464646");
  const Hash digest = word("0xdaf5a779ae972f972197303d7b574746c7ef83eadac0f2791ad23db92e4c8e53");
  const Signature expected =
      join(word("0x28ef61340bd939bc2195fe537567866003e1a15d3c71ff63e1590620aa636276"),
           word("0x67cbe9d8997f761aecb703304b3800ccf555c9f3dc64214b297fb1966a3b6d83"), 27);
  EXPECT_EQ(key.sign(digest), expected);
  EXPECT_EQ(recover(digest, expected).value(), key.address());
}

// The worked example of EIP-712: the key is the hash of "cow", v is 28.
TEST(Sign, Eip712Example) {
  const PrivateKey key = PrivateKey::from_bytes(keccak256(as_bytes("cow"))).value();
  EXPECT_EQ(to_hex(key.address()), "0xcd2a3d9f938e13cd947ec05abc7fe734df8dd826");
  const Hash digest = word("0xbe609aee343fb3c4b28e1df9e632fca64fcfaede20f02e86244efddf30957bd2");
  const Signature expected =
      join(word("0x4355c47d63924e8a72e509b65029052eb6c299d53a04e167c5775fd466751c9d"),
           word("0x07299936d304c153f6443dfa05f40ff007d72911b6f72307f996231605b91562"), 28);
  EXPECT_EQ(key.sign(digest), expected);
  EXPECT_EQ(recover(digest, expected).value(), key.address());
}

TEST(Sign, IsDeterministicLowAndRecoverable) {
  bool seen_27 = false;
  bool seen_28 = false;
  for (std::uint8_t i = 1; i < 64; ++i) {
    const PrivateKey key = key_from(i);
    const Hash digest = sha256(Bytes{i});
    const Signature signature = key.sign(digest);
    EXPECT_EQ(key.sign(digest), signature);
    EXPECT_LE(part(signature, 32), word(kHalfOrderHex));
    EXPECT_EQ(recover(digest, signature).value(), key.address());
    seen_27 |= signature[64] == 27;
    seen_28 |= signature[64] == 28;
  }
  EXPECT_TRUE(seen_27 && seen_28);
}

TEST(Recover, AnyChangedBitNamesAnotherSignerOrNone) {
  const PrivateKey key = key_from(7);
  const Hash digest = sha256(as_bytes("claim"));
  const Signature signature = key.sign(digest);
  for (std::size_t bit = 0; bit < 65 * 8; ++bit) {
    Signature changed = signature;
    changed[bit / 8] ^= static_cast<std::uint8_t>(1 << bit % 8);
    const auto signer = recover(digest, changed);
    EXPECT_TRUE(!signer || *signer != key.address()) << bit;
  }
  for (std::size_t bit = 0; bit < 32 * 8; ++bit) {
    Hash changed = digest;
    changed[bit / 8] ^= static_cast<std::uint8_t>(1 << bit % 8);
    const auto signer = recover(changed, signature);
    EXPECT_TRUE(!signer || *signer != key.address()) << bit;
  }
}

// (r, n - s) with the other v is the same signature to plain ECDSA; here it must not exist.
TEST(Recover, RefusesTheMirroredSignature) {
  const Hash digest = sha256(as_bytes("claim"));
  const Signature signature = key_from(7).sign(digest);
  const std::uint8_t other_v = signature[64] == 27 ? 28 : 27;
  expect_refused(digest, join(part(signature, 0), negate(part(signature, 32)), other_v),
                 "upper half");
}

TEST(Recover, EdgesOfTheRanges) {
  const Hash digest = sha256(as_bytes("claim"));
  const Signature good = key_from(7).sign(digest);
  const Hash r = part(good, 0);
  const Hash s = part(good, 32);
  Hash above_half = word(kHalfOrderHex);
  above_half.back() += 1;
  expect_refused(digest, join(Hash{}, s, 27), "r is zero");
  expect_refused(digest, join(word(kOrderHex), s, 27), "r is zero or not below");
  expect_refused(digest, join(r, Hash{}, 27), "s is zero");
  expect_refused(digest, join(r, word(kOrderHex), 27), "s is zero or not below");
  expect_refused(digest, join(r, above_half, 27), "upper half");
  EXPECT_TRUE(recover(digest, join(r, word(kHalfOrderHex), 27)).has_value());
  for (int v = 0; v < 256; ++v) {
    if (v != 27 && v != 28)
      expect_refused(digest, join(r, s, static_cast<std::uint8_t>(v)), "v is");
  }
  Hash five{};
  five.back() = 5;  // 5^3 + 7 is not a square: no point of the curve has x = 5
  expect_refused(digest, join(five, s, 27), "no public key");
}

TEST(Recover, OutsideBytesOfAnotherLengthAreRefused) {
  const Hash digest = sha256(as_bytes("claim"));
  const Signature good = key_from(7).sign(digest);
  EXPECT_EQ(recover(digest, ByteView(good)).value(), key_from(7).address());
  for (const std::size_t size : {0, 64, 66}) {
    Bytes bytes(good.begin(), good.end());
    bytes.resize(size);
    EXPECT_EQ(recover(digest, ByteView(bytes)).error().kind, ErrorKind::kReject);
  }
}

}  // namespace
}  // namespace otr::crypto

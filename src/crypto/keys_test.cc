// Keys and their uses against the published vectors of their RFCs, and against what a stranger
// could send instead.
#include <gtest/gtest.h>

#include "base/hex.h"
#include "crypto/aead.h"
#include "crypto/ed25519.h"
#include "crypto/hkdf.h"
#include "crypto/x25519.h"

namespace otr::crypto {
namespace {

Bytes hex(std::string_view digits) {
  return from_hex("0x" + std::string(digits), digits.size() / 2, "test").value();
}
template <std::size_t kSize>
std::array<std::uint8_t, kSize> array_of(std::string_view digits) {
  std::array<std::uint8_t, kSize> bytes;
  const Bytes from = hex(digits);
  std::copy_n(from.begin(), kSize, bytes.begin());
  return bytes;
}
std::string digits(ByteView bytes) { return to_hex(bytes).substr(2); }

// RFC 8032, section 7.1, test 2.
constexpr std::string_view kSeed =
    "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb";
constexpr std::string_view kPublic =
    "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c";
constexpr std::string_view kSignature =
    "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
    "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00";

TEST(Ed25519, SignsAsPublished) {
  const auto key = Ed25519Key::from_bytes(hex(kSeed));
  ASSERT_TRUE(key);
  EXPECT_EQ(digits(key->public_key()), kPublic);
  EXPECT_EQ(digits(key->sign(hex("72"))), kSignature);
  EXPECT_TRUE(verify_ed25519(hex(kPublic), hex("72"), hex(kSignature)));
  // Test 1: the empty message.
  EXPECT_TRUE(verify_ed25519(
      hex("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"), {},
      hex("e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e3970"
          "1cf9b46bd25bf5f0595bbe24655141438e7a100b")));
}

TEST(Ed25519, EveryChangedBitIsRefused) {
  const Bytes message = hex("72");
  for (std::size_t bit = 0; bit < 64 * 8; ++bit) {
    Bytes signature = hex(kSignature);
    signature[bit / 8] ^= static_cast<std::uint8_t>(1 << bit % 8);
    EXPECT_FALSE(verify_ed25519(hex(kPublic), message, signature)) << bit;
  }
  for (std::size_t bit = 0; bit < 32 * 8; ++bit) {
    Bytes key = hex(kPublic);
    key[bit / 8] ^= static_cast<std::uint8_t>(1 << bit % 8);
    EXPECT_FALSE(verify_ed25519(key, message, hex(kSignature))) << bit;
  }
  EXPECT_FALSE(verify_ed25519(hex(kPublic), hex("73"), hex(kSignature)));
}

TEST(Ed25519, OtherLengthsAreRefused) {
  for (const std::size_t size : {0, 1, 63, 65, 128}) {
    Bytes signature = hex(kSignature);
    signature.resize(size);
    EXPECT_FALSE(verify_ed25519(hex(kPublic), hex("72"), signature)) << size;
  }
  for (const std::size_t size : {0, 31, 33, 64}) {
    Bytes key = hex(kPublic);
    key.resize(size);
    EXPECT_FALSE(verify_ed25519(key, hex("72"), hex(kSignature))) << size;
    EXPECT_FALSE(Ed25519Key::from_bytes(key));
  }
}

// S and S + L satisfy the same equation; RFC 8032 takes only the one below L.
TEST(Ed25519, ASecondFormOfASignatureIsRefused) {
  const Bytes order = hex("edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010");
  Bytes signature = hex(kSignature);
  int carry = 0;
  for (std::size_t i = 0; i < 32; ++i) {
    const int sum = signature[32 + i] + order[i] + carry;
    signature[32 + i] = static_cast<std::uint8_t>(sum);
    carry = sum >> 8;
  }
  EXPECT_FALSE(verify_ed25519(hex(kPublic), hex("72"), signature));
}

// With R the neutral point and S = 0 the equation asks only that h·A vanish, which it does for a
// key of small order and one message in at most eight.
TEST(Ed25519, KeysOfSmallOrderSignNothing) {
  Bytes signature(64);
  signature[0] = 1;
  for (const std::string_view y :
       {"0100000000000000000000000000000000000000000000000000000000000000",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "0000000000000000000000000000000000000000000000000000000000000000",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"}) {
    for (int sign = 0; sign < 2; ++sign) {
      Bytes key = hex(y);
      key.back() |= static_cast<std::uint8_t>(sign << 7);
      for (std::uint8_t message = 0; message < 100; ++message) {
        EXPECT_FALSE(verify_ed25519(key, ByteView(&message, 1), signature)) << y;
      }
    }
  }
}

// RFC 7748, section 6.1.
constexpr std::string_view kAlice =
    "77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a";
constexpr std::string_view kBob =
    "5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb";

TEST(X25519, AgreesAsPublished) {
  const auto alice = X25519Key::from_bytes(hex(kAlice));
  const auto bob = X25519Key::from_bytes(hex(kBob));
  ASSERT_TRUE(alice && bob);
  EXPECT_EQ(digits(alice->public_key()),
            "8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a");
  const auto secret = alice->shared_secret(bob->public_key());
  ASSERT_TRUE(secret);
  EXPECT_EQ(digits(secret->bytes()),
            "4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742");
  EXPECT_EQ(digits(bob->shared_secret(alice->public_key())->bytes()), digits(secret->bytes()));
}

TEST(X25519, KeysOfSmallOrderAreRefused) {
  const auto key = X25519Key::from_bytes(hex(kAlice));
  for (const std::string_view u :
       {"0000000000000000000000000000000000000000000000000000000000000000",
        "0100000000000000000000000000000000000000000000000000000000000000",
        "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
        "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"}) {
    const auto secret = key->shared_secret(array_of<32>(u));
    ASSERT_FALSE(secret) << u;
    EXPECT_EQ(secret.error().kind, ErrorKind::kReject);
  }
  EXPECT_FALSE(X25519Key::from_bytes(Bytes(31)));
  EXPECT_FALSE(X25519Key::from_bytes(Bytes(33)));
}

TEST(Secret, IsWipedWhenMovedFrom) {
  Secret<32> first(hex(kSeed));
  const Secret<32> second(std::move(first));
  EXPECT_EQ(digits(second.bytes()), kSeed);
  EXPECT_EQ(digits(first.bytes()), std::string(64, '0'));  // NOLINT: what a moved-from one holds
}

// RFC 5869, appendix A, cases 1 and 3.
TEST(Hkdf, DerivesAsPublished) {
  const Secret<32> first = hkdf_extract(hex("000102030405060708090a0b0c"), Bytes(22, 0x0b));
  EXPECT_EQ(digits(first.bytes()),
            "077709362c2e32df0ddc3f0dc47bba6390b6c73bb50f9c3122ec844ad7c2b3e5");
  Bytes keys(42);
  hkdf_expand(first.bytes(), hex("f0f1f2f3f4f5f6f7f8f9"), keys);
  EXPECT_EQ(digits(keys),
            "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865");
  const Secret<32> third = hkdf_extract({}, Bytes(22, 0x0b));
  EXPECT_EQ(digits(third.bytes()),
            "19ef24a32c717b167f33a91d6f648bdf96596776afdb6377ac434c1c293ccb04");
  hkdf_expand(third.bytes(), {}, keys);
  EXPECT_EQ(digits(keys),
            "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8");
}

TEST(Hkdf, FillsUpToItsLimit) {
  Bytes longest(kMaxHkdfBytes);
  hkdf_expand(Bytes(32, 1), {}, longest);
  Bytes shorter(100);
  hkdf_expand(Bytes(32, 1), {}, shorter);
  EXPECT_TRUE(std::equal(shorter.begin(), shorter.end(), longest.begin()));
  EXPECT_NE(Bytes(longest.end() - 32, longest.end()), Bytes(32));
}

constexpr std::string_view kSunscreen =
    "Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the future, "
    "sunscreen would be it.";

// RFC 8439, section 2.8.2.
struct Sealed {
  Bytes key = hex("808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f");
  AeadNonce nonce = array_of<12>("070000004041424344454647");
  Bytes associated = hex("50515253c0c1c2c3c4c5c6c7");
  AeadKey key_view() const { return AeadKey(key); }
};

TEST(Aead, SealsAsPublished) {
  const Sealed with;
  const auto sealed = aead_seal(with.key_view(), with.nonce, with.associated, as_bytes(kSunscreen));
  ASSERT_TRUE(sealed);
  ASSERT_EQ(sealed->size(), kSunscreen.size() + kAeadTagBytes);
  EXPECT_EQ(digits(ByteView(*sealed).first(16)), "d31a8d34648e60db7b86afbc53ef7ec2");
  EXPECT_EQ(digits(ByteView(*sealed).last(16)), "1ae10b594f09e26a7e902ecbd0600691");
  const auto opened = aead_open(with.key_view(), with.nonce, with.associated, *sealed);
  ASSERT_TRUE(opened);
  EXPECT_EQ(as_text(*opened), kSunscreen);
}

TEST(Aead, EveryChangeIsRefused) {
  const Sealed with;
  const Bytes sealed =
      aead_seal(with.key_view(), with.nonce, with.associated, as_bytes("short")).value();
  for (std::size_t bit = 0; bit < sealed.size() * 8; ++bit) {
    Bytes changed = sealed;
    changed[bit / 8] ^= static_cast<std::uint8_t>(1 << bit % 8);
    const auto opened = aead_open(with.key_view(), with.nonce, with.associated, changed);
    ASSERT_FALSE(opened);
    EXPECT_EQ(opened.error().kind, ErrorKind::kReject);
  }
  for (std::size_t size = 0; size < sealed.size(); ++size) {
    EXPECT_FALSE(
        aead_open(with.key_view(), with.nonce, with.associated, ByteView(sealed).first(size)));
  }
  EXPECT_FALSE(aead_open(with.key_view(), with.nonce, {}, sealed));
  EXPECT_FALSE(aead_open(with.key_view(), numbered_nonce(with.nonce, 1), with.associated, sealed));
  EXPECT_FALSE(aead_open(AeadKey(Bytes(32)), with.nonce, with.associated, sealed));
}

TEST(Aead, NothingCanBeSealedToo) {
  const Sealed with;
  const Bytes sealed = aead_seal(with.key_view(), with.nonce, {}, {}).value();
  EXPECT_EQ(sealed.size(), kAeadTagBytes);
  EXPECT_EQ(aead_open(with.key_view(), with.nonce, {}, sealed).value(), Bytes());
  EXPECT_FALSE(aead_open(with.key_view(), with.nonce, as_bytes("x"), sealed));
}

TEST(Aead, NumbersGoIntoTheEndOfTheNonce) {
  const AeadNonce base = array_of<12>("5c4d98150661b848853b547f");
  EXPECT_EQ(digits(numbered_nonce(base, 0)), "5c4d98150661b848853b547f");
  EXPECT_EQ(digits(numbered_nonce(base, 256)), "5c4d98150661b848853b557f");
  EXPECT_EQ(digits(numbered_nonce(base, UINT64_MAX)), "5c4d9815f99e47b77ac4ab80");
}

}  // namespace
}  // namespace otr::crypto

#include "attest/certificate.h"

#include <gtest/gtest.h>

#include "attest/der.h"
#include "attest/pem.h"
#include "attest/test_certificates.h"
#include "base/hex.h"

namespace otr::attest {
namespace {

using test::Authority;
using test::KeyKind;
using test::kTestEnd;
using test::kTestNow;
using test::kTestStart;

TEST(Der, ReadsWhatIsMinimalAlone) {
  const Bytes good = test::sequence({test::integer(300), test::oid("1.2.840.113741.1.13.1")});
  DerReader reader(good);
  const auto sequence = reader.next(kDerSequence);
  ASSERT_TRUE(sequence);
  EXPECT_TRUE(reader.empty());
  DerReader inner(sequence->content);
  EXPECT_EQ(der_unsigned(inner.next(kDerInteger)->content), 300);
  EXPECT_EQ(der_oid(inner.next(kDerOid)->content), "1.2.840.113741.1.13.1");
  EXPECT_FALSE(inner.next());
  for (const Bytes& bad : std::initializer_list<Bytes>{{},
                                                       {0x02},
                                                       {0x02, 0x01},
                                                       {0x02, 0x81, 0x01, 0x00},
                                                       {0x02, 0x82, 0x00, 0x01, 0x00},
                                                       {0x30, 0x80, 0x00, 0x00},
                                                       {0x1f, 0x01, 0x00},
                                                       {0x02, 0x85, 0, 0, 0, 0, 1, 0},
                                                       {0x02, 0xff}}) {
    EXPECT_FALSE(DerReader(bad).next()) << to_hex(bad);
  }
}

TEST(Der, RefusesNumbersInOtherSpellings) {
  EXPECT_EQ(der_unsigned(Bytes{0}), 0);
  EXPECT_EQ(der_unsigned(Bytes{0, 0x80}), 128);
  EXPECT_EQ(der_unsigned(Bytes(8, 0x7f)), 0x7f7f7f7f7f7f7f7f);
  for (const Bytes& bad : std::initializer_list<Bytes>{
           {}, {0x80}, {0, 1}, {1, 0, 0, 0, 0, 0, 0, 0, 0}, {0, 0x80, 0, 0, 0, 0, 0, 0, 0, 0}}) {
    EXPECT_FALSE(der_unsigned(bad)) << to_hex(bad);
  }
  for (const Bytes& bad : std::initializer_list<Bytes>{
           {}, {0x80, 0x01}, {0x2a, 0x86}, Bytes(65, 0x01), Bytes(20, 0xff)}) {
    EXPECT_FALSE(der_oid(bad)) << to_hex(bad);
  }
  EXPECT_EQ(der_oid(Bytes{0x55, 0x1d, 0x13}), "2.5.29.19");
  EXPECT_EQ(der_oid(Bytes{0x88, 0x37, 0x01}), "2.999.1");
}

TEST(Certificate, NamesOfStrangersAreShownWithoutControlCharacters) {
  const Authority root = Authority::root("R\x1b[2J\n\x7f\xc2\x9b\xc3\xa9", KeyKind::kP256);
  EXPECT_EQ(root.certificate.subject_common_name(), "R?[2J????\xc3\xa9");
  for (const char c : root.certificate.subject()) EXPECT_GE(c, ' ');
}

class ChainTest : public testing::TestWithParam<KeyKind> {
 protected:
  Authority root = Authority::root("Root", GetParam());
  Authority middle = root.issue({.subject = "Middle", .serial = {7}, .ca = true}, KeyKind::kP384);
  Authority leaf = middle.issue(
      {.subject = "Leaf", .serial = {0x80, 1}, .extensions = {{"1.2.3.4", {9, 9}, false}}},
      KeyKind::kP256);

  std::optional<Code> check(std::vector<Certificate> chain, Time at = kTestNow) {
    Verdict verdict;
    Checks checks(verdict, Stage::kVerify);
    const bool good = check_chain(checks, "PCK", chain, {&root.certificate, 1}, at);
    EXPECT_EQ(verdict.checks.size(), 3);
    EXPECT_EQ(good, verdict.failure() == nullptr);
    return verdict.failure() == nullptr ? std::nullopt : verdict.failure()->code;
  }
};

TEST_P(ChainTest, IsGoodWithAndWithoutItsRoot) {
  EXPECT_FALSE(check({leaf.certificate, middle.certificate, root.certificate}));
  EXPECT_FALSE(check({leaf.certificate, middle.certificate}));
  EXPECT_EQ(leaf.certificate.subject(), "CN=Leaf");
  EXPECT_EQ(leaf.certificate.issuer_common_name(), "Middle");
  EXPECT_EQ(leaf.certificate.serial_decimal(), "32769");
  EXPECT_EQ(leaf.certificate.extension("1.2.3.4"), (Bytes{9, 9}));
  EXPECT_FALSE(leaf.certificate.extension("1.2.3.5"));
  EXPECT_EQ(leaf.certificate.not_before(), kTestStart);
  EXPECT_EQ(leaf.certificate.not_after(), kTestEnd);
}

TEST_P(ChainTest, FailsForItsOwnReasons) {
  EXPECT_EQ(check({}), Code::kChainInvalid);
  EXPECT_EQ(check({leaf.certificate, root.certificate}), Code::kChainInvalid);
  EXPECT_EQ(check({middle.certificate, leaf.certificate}), Code::kChainInvalid);
  EXPECT_EQ(check({leaf.certificate}), Code::kAnchorUnknown);
  EXPECT_EQ(check({leaf.certificate, middle.certificate}, kTestStart - 1), Code::kTimeInvalid);
  EXPECT_EQ(check({leaf.certificate, middle.certificate}, kTestEnd + 1), Code::kTimeInvalid);
  EXPECT_FALSE(check({leaf.certificate, middle.certificate}, kTestEnd));
  const Authority stranger = Authority::root("Root", GetParam());
  const Authority forged = stranger.issue({.subject = "Middle", .ca = true}, middle.key);
  EXPECT_EQ(check({leaf.certificate, forged.certificate, stranger.certificate}),
            Code::kAnchorUnknown);
  EXPECT_EQ(check({leaf.certificate, forged.certificate}), Code::kAnchorUnknown);
  EXPECT_EQ(check({leaf.certificate, forged.certificate, root.certificate}), Code::kChainInvalid);
}

TEST_P(ChainTest, LetsAuthoritiesAloneIssue) {
  for (const auto& [ca, usage] : {std::pair{false, true}, std::pair{true, false}}) {
    const Authority half =
        root.issue({.subject = "Middle", .ca = ca, .usage_of_authority = usage}, middle.key);
    EXPECT_EQ(check({leaf.certificate, half.certificate}), Code::kChainInvalid);
    EXPECT_TRUE(leaf.certificate.is_issued_by(half.certificate));
  }
  const Authority renamed = root.issue({.subject = "Midway", .ca = true}, middle.key);
  EXPECT_FALSE(leaf.certificate.is_issued_by(renamed.certificate));
  EXPECT_EQ(check({leaf.certificate, renamed.certificate}), Code::kChainInvalid);
  const Authority narrow =
      root.issue({.subject = "Narrow", .ca = true, .path_length = 0}, KeyKind::kP256);
  const Authority below = narrow.issue({.subject = "Below"}, KeyKind::kP256);
  EXPECT_FALSE(check({below.certificate, narrow.certificate, root.certificate}));
  const Authority too_deep = narrow.issue({.subject = "Deep", .ca = true}, KeyKind::kP256);
  const Authority bottom = too_deep.issue({.subject = "Bottom"}, KeyKind::kP256);
  EXPECT_EQ(check({bottom.certificate, too_deep.certificate, narrow.certificate}),
            Code::kChainInvalid);
  const Authority critical = middle.issue(
      {.subject = "Critical", .extensions = {{"1.2.3", {5, 0}, true}}}, KeyKind::kP256);
  EXPECT_EQ(check({critical.certificate, middle.certificate}), Code::kChainInvalid);
}

TEST_P(ChainTest, RevocationListsSayWhatIsRevoked) {
  const auto check = [&](const RevocationList& list, const Authority& issuer,
                         Time at = kTestNow) -> std::optional<Code> {
    Verdict verdict;
    Checks checks(verdict, Stage::kVerify);
    const bool good =
        check_not_revoked(checks, "PCK", leaf.certificate, list, issuer.certificate, at);
    EXPECT_EQ(good, verdict.failure() == nullptr);
    return good ? std::nullopt : verdict.failure()->code;
  };
  EXPECT_FALSE(check(middle.list({}), middle));
  EXPECT_FALSE(check(middle.list({.revoked = {{1}, {0x80, 2}}}), middle));
  EXPECT_EQ(check(middle.list({.revoked = {{1}, {0x80, 1}}}), middle), Code::kRevoked);
  EXPECT_EQ(check(root.list({}), middle), Code::kCollateralInvalid);
  EXPECT_EQ(check(middle.list({}), middle, kTestNow - 86401), Code::kTimeInvalid);
  EXPECT_EQ(check(middle.list({}), middle, kTestNow + 86400 * 30 + 1), Code::kTimeInvalid);
  const Authority no_lists =
      root.issue({.subject = "Middle", .ca = true, .usage_of_authority = false}, middle.key);
  EXPECT_EQ(check(no_lists.list({}), no_lists), Code::kCollateralInvalid);
  const Authority same_name = root.issue({.subject = "Middle", .ca = true}, KeyKind::kP256);
  EXPECT_EQ(check(same_name.list({}), middle), Code::kCollateralInvalid);
}

INSTANTIATE_TEST_SUITE_P(Roots, ChainTest,
                         testing::Values(KeyKind::kP256, KeyKind::kP384, KeyKind::kRsa2048,
                                         KeyKind::kRsaPkcs1));

class BitTest : public testing::TestWithParam<KeyKind> {};

TEST_P(BitTest, NoneOfACertificateMayChange) {
  const Authority root = Authority::root("Root", GetParam());
  const Authority leaf = root.issue({.subject = "Leaf"}, KeyKind::kP256);
  const ByteView der = leaf.certificate.der();
  ASSERT_TRUE(leaf.certificate.is_issued_by(root.certificate));
  for (std::size_t bit = 0; bit < 8 * der.size(); ++bit) {
    Bytes bad(der.begin(), der.end());
    bad[bit / 8] ^= static_cast<std::uint8_t>(1 << (bit % 8));
    const auto read = Certificate::from_der(bad);
    EXPECT_FALSE(read && read->is_issued_by(root.certificate)) << bit;
  }
  for (std::size_t size = 0; size < der.size(); ++size) {
    EXPECT_FALSE(Certificate::from_der(der.first(size))) << size;
  }
  Bytes longer(der.begin(), der.end());
  longer.push_back(0);
  EXPECT_FALSE(Certificate::from_der(longer));
}

INSTANTIATE_TEST_SUITE_P(Roots, BitTest, testing::Values(KeyKind::kP256, KeyKind::kRsaPkcs1));

TEST(RevocationList, SurvivesNoChangeOfABit) {
  const Authority root = Authority::root("Root", KeyKind::kP256);
  const Bytes der = root.list_der({.revoked = {{1, 2, 3}, {4}}});
  ASSERT_TRUE(RevocationList::from_der(der)->is_issued_by(root.certificate));
  for (std::size_t bit = 0; bit < 8 * der.size(); ++bit) {
    Bytes bad = der;
    bad[bit / 8] ^= static_cast<std::uint8_t>(1 << (bit % 8));
    const auto read = RevocationList::from_der(bad);
    EXPECT_FALSE(read && read->is_issued_by(root.certificate)) << bit;
  }
  for (std::size_t size = 0; size < der.size(); ++size) {
    EXPECT_FALSE(RevocationList::from_der(ByteView(der).first(size))) << size;
  }
}

TEST(PublicKey, VerifiesRawSignaturesOfItsOwnSizeAlone) {
  for (const KeyKind kind : {KeyKind::kP256, KeyKind::kP384}) {
    const auto key = test::SigningKey::make(kind);
    const auto other = test::SigningKey::make(kind);
    const auto read = PublicKey::from_point(key.point());
    ASSERT_TRUE(read);
    EXPECT_EQ(*read, key.public_key());
    EXPECT_FALSE(*read == other.public_key());
    const Bytes message = {1, 2, 3};
    const Bytes good = key.sign(Digest::kSha384, message);
    EXPECT_TRUE(read->verify_ecdsa(Digest::kSha384, message, good));
    EXPECT_FALSE(read->verify_ecdsa(Digest::kSha256, message, good));
    EXPECT_FALSE(read->verify_ecdsa(Digest::kSha384, Bytes{1, 2}, good));
    EXPECT_FALSE(other.public_key().verify_ecdsa(Digest::kSha384, message, good));
    EXPECT_FALSE(read->verify_rsa_pss(Digest::kSha384, message, good));
    for (std::size_t i = 0; i < good.size(); ++i) {
      Bytes bad = good;
      bad[i] ^= 1;
      EXPECT_FALSE(read->verify_ecdsa(Digest::kSha384, message, bad)) << i;
    }
    Bytes longer = good;
    longer.push_back(0);
    EXPECT_FALSE(read->verify_ecdsa(Digest::kSha384, message, longer));
    EXPECT_FALSE(read->verify_ecdsa(Digest::kSha384, message, {}));
    for (const auto fill :
         {std::uint8_t{0}, std::uint8_t{0xff}}) {  // r or s zero, or not below the order
      Bytes bad = good;
      std::fill_n(bad.begin(), bad.size() / 2, fill);
      EXPECT_FALSE(read->verify_ecdsa(Digest::kSha384, message, bad));
      bad = good;
      std::fill_n(bad.begin() + static_cast<std::ptrdiff_t>(bad.size() / 2), bad.size() / 2, fill);
      EXPECT_FALSE(read->verify_ecdsa(Digest::kSha384, message, bad));
    }
  }
}

TEST(PublicKey, RefusesPointsThatAreNotOnTheCurve) {
  Bytes point = test::SigningKey::make(KeyKind::kP256).point();
  point[63] ^= 1;
  EXPECT_FALSE(PublicKey::from_point(point));
  EXPECT_FALSE(PublicKey::from_point(Bytes(64, 0)));
  EXPECT_FALSE(PublicKey::from_point(Bytes(64, 0xff)));
  EXPECT_FALSE(PublicKey::from_point(Bytes(65, 1)));
  EXPECT_FALSE(PublicKey::from_der({}));
}

TEST(Pem, IsReadStrictly) {
  const Authority root = Authority::root("Root", KeyKind::kP256);
  const std::string one = test::to_pem(root.certificate.der());
  ASSERT_TRUE(Certificate::from_pem(one));
  EXPECT_EQ(Certificate::from_pem(one + "\r\n \n" + one)->size(), 2);
  EXPECT_TRUE(Certificate::from_pem(one + std::string(3, '\0')));
  EXPECT_FALSE(Certificate::from_pem(one + "x"));
  EXPECT_FALSE(Certificate::from_pem("x" + one));
  EXPECT_FALSE(Certificate::from_pem(std::string(1, '\0') + one));
  EXPECT_FALSE(Certificate::from_pem(""));
  EXPECT_FALSE(Certificate::from_pem(one.substr(0, one.size() - 10)));
  EXPECT_FALSE(RevocationList::from_pem(one));
  std::string many;
  for (int i = 0; i < 17; ++i) many += one;
  EXPECT_FALSE(Certificate::from_pem(many));
  const std::string list = test::to_pem(root.list_der({}), "X509 CRL");
  EXPECT_TRUE(RevocationList::from_pem(list));
  EXPECT_FALSE(RevocationList::from_pem(list + list));
}

}  // namespace
}  // namespace otr::attest

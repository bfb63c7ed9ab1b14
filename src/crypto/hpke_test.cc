// HPKE against the vectors of RFC 9180 (spec/vectors/hpke.json) and against a network that changes,
// repeats and reorders.
#include "crypto/hpke.h"

#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "base/hex.h"

namespace otr::crypto {
namespace {

using Json = nlohmann::json;

Json hex_of(ByteView bytes) { return to_hex(bytes); }

class Rfc9180 : public testing::Test {
 protected:
  void SetUp() override {
    std::ifstream file(OTR_SOURCE_DIR "/spec/vectors/hpke.json");
    vectors_ = Json::parse(file, nullptr, false);
    ASSERT_TRUE(vectors_.is_object()) << "cannot read spec/vectors/hpke.json";
    recipient_ = X25519Key::from_bytes(bytes("recipient_private")).value();
    ephemeral_ = X25519Key::from_bytes(bytes("ephemeral_private")).value();
  }
  static Bytes from(const Json& value) {
    const auto& text = value.get_ref<const std::string&>();
    return from_hex(text, (text.size() - 2) / 2, "vector").value();
  }
  Bytes bytes(const char* name) const { return from(vectors_.at(name)); }
  HpkeEncapsulated encapsulate() const {
    return hpke_encapsulate(recipient_->public_key(), bytes("info"), *ephemeral_).value();
  }
  HpkeKeys decapsulate() const {
    return hpke_decapsulate(encapsulate().encapsulated, *recipient_, bytes("info")).value();
  }

  Json vectors_;
  std::optional<X25519Key> recipient_, ephemeral_;
};

TEST_F(Rfc9180, BothSidesDeriveThePublishedKeys) {
  const HpkeEncapsulated made = encapsulate();
  EXPECT_EQ(hex_of(recipient_->public_key()), vectors_.at("recipient_public"));
  EXPECT_EQ(hex_of(made.encapsulated), vectors_.at("encapsulated"));
  const HpkeKeys received = decapsulate();
  for (const HpkeKeys* keys : {&made.keys, &received}) {
    EXPECT_EQ(hex_of(keys->key.bytes()), vectors_.at("key"));
    EXPECT_EQ(hex_of(keys->base_nonce), vectors_.at("base_nonce"));
    EXPECT_EQ(hex_of(keys->exporter.bytes()), vectors_.at("exporter"));
  }
}

TEST_F(Rfc9180, SealsAndOpensThePublishedMessages) {
  HpkeSender sender(encapsulate().keys);
  HpkeReceiver receiver(decapsulate());
  std::size_t next = 0;
  for (std::uint64_t number = 0; number <= 256; ++number) {
    const Bytes associated = [&] {
      const std::string text = "Count-" + std::to_string(number);
      return Bytes(text.begin(), text.end());
    }();
    const auto sealed = sender.seal(associated, bytes("plaintext"));
    ASSERT_TRUE(sealed);
    EXPECT_EQ(receiver.open(associated, *sealed).value(), bytes("plaintext")) << number;
    const Json& published = vectors_.at("encryptions").at(next);
    if (published.at("number") != number) continue;
    EXPECT_EQ(hex_of(associated), published.at("associated"));
    EXPECT_EQ(hex_of(*sealed), published.at("sealed")) << number;
    ++next;
  }
  EXPECT_EQ(next, 6u);
}

TEST_F(Rfc9180, ExportsThePublishedSecrets) {
  const HpkeKeys keys = decapsulate();
  for (const Json& one : vectors_.at("exports")) {
    EXPECT_EQ(hex_of(keys.export_secret(from(one.at("context")), 32).bytes()), one.at("secret"));
  }
  EXPECT_EQ(vectors_.at("exports").size(), 3u);
}

// Made once by another implementation: the HPKE of Python's cryptography 48, which puts the
// encapsulated key in front.
TEST_F(Rfc9180, OpensWhatAnotherImplementationSealed) {
  const Bytes made = from(
      "0x93e551a49121a9fee46d3860be8202ea9b1662111e4478d7ed8d23a1ef870d55eb93cf8292a61539b169e783b0"
      "0886466d267049202b6344b3");
  X25519Public encapsulated;
  std::copy_n(made.begin(), encapsulated.size(), encapsulated.begin());
  HpkeReceiver receiver(hpke_decapsulate(encapsulated, *recipient_, as_bytes("info")).value());
  const auto opened = receiver.open({}, ByteView(made).subspan(encapsulated.size()));
  ASSERT_TRUE(opened);
  EXPECT_EQ(as_text(*opened), "hello otr");
}

TEST_F(Rfc9180, OtherInfoOrRecipientGivesOtherKeys) {
  const X25519Public encapsulated = encapsulate().encapsulated;
  const auto other_info = hpke_decapsulate(encapsulated, *recipient_, as_bytes("other"));
  const auto other_key = hpke_decapsulate(encapsulated, *ephemeral_, bytes("info"));
  ASSERT_TRUE(other_info && other_key);
  EXPECT_NE(hex_of(other_info->key.bytes()), vectors_.at("key"));
  EXPECT_NE(hex_of(other_key->key.bytes()), vectors_.at("key"));
}

// The ciphertext ends with its first failure only for what was changed: the right next message
// still opens (RFC 9180, section 5.2: the number goes up with success alone).
TEST_F(Rfc9180, ChangedRepeatedAndReorderedMessagesAreRefused) {
  HpkeSender sender(encapsulate().keys);
  HpkeReceiver receiver(decapsulate());
  const Bytes first = sender.seal({}, as_bytes("first")).value();
  const Bytes second = sender.seal({}, as_bytes("second")).value();
  EXPECT_FALSE(receiver.open({}, second));
  Bytes changed = first;
  changed[2] ^= 1;
  EXPECT_FALSE(receiver.open({}, changed));
  EXPECT_FALSE(receiver.open(as_bytes("x"), first));
  EXPECT_TRUE(receiver.open({}, first));
  EXPECT_FALSE(receiver.open({}, first));
  EXPECT_TRUE(receiver.open({}, second));
}

TEST_F(Rfc9180, NumbersEndBeforeTheyRepeat) {
  HpkeSender sender(encapsulate().keys, UINT64_MAX - 1);
  HpkeReceiver receiver(decapsulate(), UINT64_MAX - 1);
  const auto last = sender.seal({}, as_bytes("last"));
  ASSERT_TRUE(last);
  EXPECT_TRUE(receiver.open({}, *last));
  EXPECT_FALSE(sender.seal({}, as_bytes("one more")));
  EXPECT_FALSE(sender.seal({}, as_bytes("one more")));
  EXPECT_FALSE(receiver.open({}, *last));
}

TEST_F(Rfc9180, KeysOfSmallOrderAreRefused) {
  const X25519Public zero{};
  const auto sent = hpke_encapsulate(zero, {}, *ephemeral_);
  ASSERT_FALSE(sent);
  EXPECT_EQ(sent.error().kind, ErrorKind::kReject);
  EXPECT_FALSE(hpke_decapsulate(zero, *recipient_, {}));
}

}  // namespace
}  // namespace otr::crypto

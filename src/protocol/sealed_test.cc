// A sealed exchange against the gateway between its ends: it may drop and delay, and nothing else
// may stay unseen.
#include "protocol/sealed.h"

#include <gtest/gtest.h>

#include <set>

namespace otr::protocol {
namespace {

crypto::X25519Key key_of(std::uint8_t fill) {
  return crypto::X25519Key::from_bytes(Bytes(32, fill)).value();
}
Hash nonce_of(std::uint8_t fill) {
  Hash nonce;
  nonce.fill(fill);
  return nonce;
}

class Sealed : public testing::Test {
 protected:
  Sealed()
      : enclave_(key_of(1)),
        request_(seal_request(enclave_.public_key(), as_bytes("session"), key_of(2),
                              as_bytes("a question"))
                     .value()),
        opened_(open_request(enclave_, as_bytes("session"), request_.wire).value()) {}

  AnswerSealer sealer(std::uint8_t nonce = 7) const {
    return AnswerSealer(opened_.exchange, nonce_of(nonce));
  }
  AnswerOpener opener(std::uint8_t nonce = 7) const {
    return AnswerOpener(request_.exchange, nonce_of(nonce));
  }
  // "one", "two", "" and "end", the last one final.
  std::vector<Bytes> answer(std::uint8_t nonce = 7) const {
    AnswerSealer sealed = sealer(nonce);
    std::vector<Bytes> chunks;
    for (const std::string_view text : {"one", "two", ""}) {
      chunks.push_back(sealed.seal(as_bytes(text), false).value());
    }
    chunks.push_back(sealed.seal(as_bytes("end"), true).value());
    return chunks;
  }
  static void expect_refused(AnswerOpener& opener, ByteView chunk, std::string_view why) {
    const auto opened = opener.open(chunk);
    ASSERT_FALSE(opened) << why;
    EXPECT_EQ(opened.error().kind, ErrorKind::kReject);
    EXPECT_NE(opened.error().message.find(why), std::string::npos) << opened.error().message;
    EXPECT_FALSE(opener.finish());
  }

  crypto::X25519Key enclave_;
  SealedRequest request_;
  OpenedRequest opened_;
};

TEST_F(Sealed, AQuestionArrivesAndItsAnswerComesBack) {
  EXPECT_EQ(as_text(opened_.plaintext), "a question");
  AnswerOpener reader = opener();
  std::string text;
  bool final = false;
  for (const Bytes& chunk : answer()) {
    EXPECT_FALSE(final);
    const auto opened = reader.open(chunk);
    ASSERT_TRUE(opened) << opened.error().message;
    text += as_text(opened->plaintext);
    final = opened->final;
  }
  EXPECT_EQ(text, "onetwoend");
  EXPECT_TRUE(final);
  EXPECT_TRUE(reader.finish());
}

TEST_F(Sealed, LengthsTellOnlyBlocks) {
  std::set<std::size_t> sizes;
  AnswerSealer sealed = sealer();
  for (std::size_t size = 0; size <= 252; ++size) {
    sizes.insert(sealed.seal(Bytes(size, 'x'), false)->size());
  }
  EXPECT_EQ(sizes, std::set<std::size_t>{9 + 256 + 16});
  EXPECT_EQ(sealed.seal(Bytes(253, 'x'), true)->size(), 9u + 512 + 16);
  EXPECT_EQ(request_.wire.size(), 32u + 256 + 16);
}

TEST_F(Sealed, TheTextIsNowhereInClear) {
  EXPECT_EQ(as_text(request_.wire).find("question"), std::string_view::npos);
  for (const Bytes& chunk : answer()) EXPECT_EQ(as_text(chunk).find("one"), std::string_view::npos);
}

TEST_F(Sealed, EveryChangedBitOfARequestIsRefused) {
  for (std::size_t bit = 0; bit < request_.wire.size() * 8; bit += bit < 256 ? 1 : 7) {
    if (bit == 255) continue;  // X25519 ignores it in a key; the derived keys do not: see below
    Bytes changed = request_.wire;
    changed[bit / 8] ^= static_cast<std::uint8_t>(1 << bit % 8);
    EXPECT_FALSE(open_request(enclave_, as_bytes("session"), changed)) << bit;
  }
  Bytes high_bit = request_.wire;
  high_bit[31] ^= 0x80;
  EXPECT_FALSE(open_request(enclave_, as_bytes("session"), high_bit));
}

TEST_F(Sealed, ARequestForAnotherEnclaveOrSessionIsRefused) {
  EXPECT_FALSE(open_request(key_of(3), as_bytes("session"), request_.wire));
  EXPECT_FALSE(open_request(enclave_, as_bytes("session2"), request_.wire));
  for (const std::size_t size : {0, 31, 32, 47, 48, 303}) {
    const auto opened =
        open_request(enclave_, as_bytes("session"), ByteView(request_.wire).first(size));
    ASSERT_FALSE(opened) << size;
    EXPECT_EQ(opened.error().kind, ErrorKind::kReject);
  }
}

TEST_F(Sealed, OversizedMessagesAreRefusedBeforeTheyAreCopied) {
  EXPECT_FALSE(
      seal_request(enclave_.public_key(), {}, key_of(2), Bytes(kMaxSealedRequestBytes + 1)));
  EXPECT_FALSE(open_request(enclave_, as_bytes("session"), Bytes(kMaxSealedRequestBytes + 305)));
  AnswerSealer sealed = sealer();
  EXPECT_FALSE(sealed.seal(Bytes(kMaxSealedChunkBytes + 1), false));
  const auto longest = sealed.seal(Bytes(kMaxSealedChunkBytes), true);
  ASSERT_TRUE(longest);
  EXPECT_LE(longest->size(), kMaxSealedChunkWireBytes);
  EXPECT_TRUE(opener().open(*longest));
  AnswerOpener reader = opener();
  expect_refused(reader, Bytes(kMaxSealedChunkWireBytes + 1), "longer than any");
}

TEST_F(Sealed, EveryChangedBitOfAChunkIsRefusedForGood) {
  const std::vector<Bytes> chunks = answer();
  for (std::size_t bit = 0; bit < chunks[0].size() * 8; bit += bit < 72 ? 1 : 5) {
    AnswerOpener reader = opener();
    Bytes changed = chunks[0];
    changed[bit / 8] ^= static_cast<std::uint8_t>(1 << bit % 8);
    EXPECT_FALSE(reader.open(changed)) << bit;
    EXPECT_FALSE(reader.open(chunks[0])) << "a refusal is for good";
    EXPECT_FALSE(reader.finish());
  }
}

TEST_F(Sealed, AMissingChunkShows) {
  const std::vector<Bytes> chunks = answer();
  AnswerOpener reader = opener();
  ASSERT_TRUE(reader.open(chunks[0]));
  expect_refused(reader, chunks[2], "chunk 1: missing; number 2");
  expect_refused(reader, chunks[1], "chunk 1: missing; number 2");
}

TEST_F(Sealed, ARepeatedChunkShows) {
  const std::vector<Bytes> chunks = answer();
  AnswerOpener reader = opener();
  ASSERT_TRUE(reader.open(chunks[0]));
  expect_refused(reader, chunks[0], "number 0 came a second time");
}

// With the number rewritten to the one that is due, the seal no longer fits.
TEST_F(Sealed, ARenumberedChunkShows) {
  std::vector<Bytes> chunks = answer();
  AnswerOpener reader = opener();
  ASSERT_TRUE(reader.open(chunks[0]));
  store_le(chunks[2].data(), std::uint64_t{1});
  expect_refused(reader, chunks[2], "altered");
}

TEST_F(Sealed, AnAnswerCutAnywhereIsTold) {
  const std::vector<Bytes> chunks = answer();
  for (std::size_t count = 0; count < chunks.size(); ++count) {
    AnswerOpener reader = opener();
    for (std::size_t i = 0; i < count; ++i) ASSERT_TRUE(reader.open(chunks[i]));
    const Status status = reader.finish();
    ASSERT_FALSE(status);
    EXPECT_EQ(status.error().kind, ErrorKind::kReject);
    EXPECT_NE(status.error().message.find("cut off after chunk " + std::to_string(count)),
              std::string::npos);
  }
}

TEST_F(Sealed, AForgedEndShows) {
  std::vector<Bytes> chunks = answer();
  AnswerOpener reader = opener();
  ASSERT_TRUE(reader.open(chunks[0]));
  chunks[1][8] = 1;
  expect_refused(reader, chunks[1], "altered");
}

TEST_F(Sealed, TheEndCannotBeHidden) {
  std::vector<Bytes> chunks = answer();
  AnswerOpener reader = opener();
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(reader.open(chunks[i]));
  chunks[3][8] = 0;
  expect_refused(reader, chunks[3], "altered");
}

TEST_F(Sealed, NothingComesBehindTheEnd) {
  AnswerSealer sealed = sealer();
  AnswerOpener reader = opener();
  ASSERT_TRUE(reader.open(sealed.seal(as_bytes("all"), true).value()));
  EXPECT_TRUE(reader.finish());
  const auto more = sealed.seal(as_bytes("more"), true);
  ASSERT_FALSE(more);
  EXPECT_EQ(more.error().kind, ErrorKind::kUsage);
  expect_refused(reader, answer()[1], "behind the final one");
}

// The same request, played to the enclave twice, is answered under another key.
TEST_F(Sealed, AnswersDoNotMix) {
  AnswerOpener reader = opener(7);
  expect_refused(reader, answer(8)[0], "altered");
  const std::vector<Bytes> one = answer(7);
  const std::vector<Bytes> two = answer(8);
  EXPECT_NE(one[0], two[0]);
  const auto other =
      seal_request(enclave_.public_key(), as_bytes("session"), key_of(4), as_bytes("a question"));
  AnswerOpener stranger(other->exchange, nonce_of(7));
  expect_refused(stranger, one[0], "altered");
}

TEST_F(Sealed, ShortChunksAndOtherMarksAreRefused) {
  const Bytes chunk = answer()[0];
  for (const std::size_t size : {0, 1, 8}) {
    AnswerOpener reader = opener();
    expect_refused(reader, ByteView(chunk).first(size), "shorter than its head");
  }
  for (const std::size_t size : {9, 24, 25, 280}) {
    AnswerOpener reader = opener();
    EXPECT_FALSE(reader.open(ByteView(chunk).first(size))) << size;
  }
  Bytes marked = chunk;
  marked[8] = 2;
  AnswerOpener reader = opener();
  expect_refused(reader, marked, "neither 0 nor 1");
}

TEST(Padding, HasOneForm) {
  for (const std::size_t size : {0, 1, 251, 252, 253, 508, 509}) {
    const Bytes text(size, 'x');
    const Bytes padded = pad(text);
    EXPECT_EQ(padded.size() % kSealedBlockBytes, 0u);
    EXPECT_EQ(unpad(padded).value(), text);
    Bytes more = padded;
    more.resize(padded.size() + kSealedBlockBytes);
    EXPECT_FALSE(unpad(more)) << size;
    EXPECT_FALSE(unpad(ByteView(padded).first(padded.size() - 1)));
  }
  EXPECT_FALSE(unpad({}));
  Bytes lies = pad(as_bytes("four"));
  lies[100] = 1;
  EXPECT_FALSE(unpad(lies)) << "padding that is not zero";
  lies = pad(as_bytes("four"));
  for (const std::uint32_t length : {253u, 256u, 0xffffffffu}) {
    store_le(lies.data(), length);
    EXPECT_FALSE(unpad(lies)) << length;
  }
}

}  // namespace
}  // namespace otr::protocol

#include "protocol/sealed.h"

#include <algorithm>

#include "base/check.h"
#include "crypto/hkdf.h"

namespace otr::protocol {
namespace {

constexpr std::string_view kAnswerLabel = "otr response";
constexpr std::size_t kLengthBytes = 4;

std::unexpected<Error> refuse(std::string why) { return fail(ErrorKind::kReject, std::move(why)); }

struct AnswerKeys {
  crypto::Secret<32> key;
  crypto::AeadNonce base{};
};

// As RFC 9458, section 4.4, derives the keys of a response.
AnswerKeys answer_keys(const SealedExchange& exchange, const Hash& nonce) {
  const crypto::SecretBuffer exported = exchange.keys.export_secret(as_bytes(kAnswerLabel), 32);
  const crypto::SecretBuffer salt({exchange.encapsulated, nonce});
  const crypto::Secret<32> secret = crypto::hkdf_extract(salt.bytes(), exported.bytes());
  AnswerKeys keys;
  crypto::hkdf_expand(secret.bytes(), as_bytes("key"), keys.key.writable());
  crypto::hkdf_expand(secret.bytes(), as_bytes("nonce"), keys.base);
  return keys;
}

// What stands in clear before a chunk, and is sealed with it.
std::array<std::uint8_t, kSealedChunkHeadBytes> head_of(std::uint64_t number, bool final) {
  std::array<std::uint8_t, kSealedChunkHeadBytes> head{};
  store_le(head.data(), number);
  head[8] = final ? 1 : 0;
  return head;
}

}  // namespace

Bytes pad(ByteView bytes) {
  Bytes padded;
  OTR_CHECK(bytes.size() < UINT32_MAX - kSealedBlockBytes - kLengthBytes);
  const std::size_t blocks =
      (bytes.size() + kLengthBytes + kSealedBlockBytes - 1) / kSealedBlockBytes;
  padded.reserve(blocks * kSealedBlockBytes);
  append_le(padded, static_cast<std::uint32_t>(bytes.size()));
  append(padded, bytes);
  padded.resize(blocks * kSealedBlockBytes);
  return padded;
}

Result<Bytes> unpad(ByteView padded) {
  if (padded.empty() || padded.size() % kSealedBlockBytes != 0) {
    return refuse("sealed message: its padding does not fill blocks of 256 bytes.");
  }
  const std::size_t size = load_le<std::uint32_t>(padded.data());
  const std::size_t room = padded.size() - kLengthBytes;
  if (size > room || room - size >= kSealedBlockBytes) {
    return refuse("sealed message: its length does not fit its padding.");
  }
  const ByteView rest = padded.subspan(kLengthBytes);
  if (std::ranges::any_of(rest.subspan(size), [](std::uint8_t byte) { return byte != 0; })) {
    return refuse("sealed message: its padding is not zero.");
  }
  return Bytes(rest.begin(), rest.begin() + static_cast<std::ptrdiff_t>(size));
}

Result<SealedRequest> seal_request(const crypto::X25519Public& enclave, ByteView context,
                                   const crypto::X25519Key& ephemeral, ByteView plaintext) {
  if (plaintext.size() > kMaxSealedRequestBytes) {
    return fail(ErrorKind::kUsage, "the request has " + std::to_string(plaintext.size()) +
                                       " bytes; at most " + std::to_string(kMaxSealedRequestBytes) +
                                       " can be sealed: shorten it");
  }
  OTR_TRY_ASSIGN(crypto::HpkeEncapsulated made,
                 crypto::hpke_encapsulate(enclave, context, ephemeral));
  crypto::HpkeSender sender(std::move(made.keys));
  OTR_TRY_ASSIGN(const Bytes sealed, sender.seal({}, pad(plaintext)));
  SealedRequest request;
  append(request.wire, made.encapsulated);
  append(request.wire, sealed);
  request.exchange = {made.encapsulated, std::move(sender).take_keys()};
  return request;
}

Result<OpenedRequest> open_request(const crypto::X25519Key& enclave, ByteView context,
                                   ByteView wire) {
  OpenedRequest request;
  crypto::X25519Public& encapsulated = request.exchange.encapsulated;
  if (wire.size() < encapsulated.size()) return refuse("sealed request: shorter than a key.");
  if (wire.size() > kMaxSealedRequestBytes + kSealedBlockBytes + crypto::kAeadTagBytes + 32) {
    return refuse("sealed request: longer than " + std::to_string(kMaxSealedRequestBytes) +
                  " bytes.");
  }
  std::copy_n(wire.begin(), encapsulated.size(), encapsulated.begin());
  OTR_TRY_ASSIGN(crypto::HpkeKeys keys, crypto::hpke_decapsulate(encapsulated, enclave, context));
  crypto::HpkeReceiver receiver(std::move(keys));
  OTR_TRY_ASSIGN(const Bytes padded, receiver.open({}, wire.subspan(encapsulated.size())));
  OTR_TRY_ASSIGN(request.plaintext, unpad(padded));
  request.exchange.keys = std::move(receiver).take_keys();
  return request;
}

AnswerSealer::AnswerSealer(const SealedExchange& exchange, const Hash& nonce) {
  AnswerKeys keys = answer_keys(exchange, nonce);
  key_ = std::move(keys.key);
  base_ = keys.base;
}

Result<Bytes> AnswerSealer::seal(ByteView plaintext, bool final) {
  if (ended_) return fail(ErrorKind::kUsage, "the sealed answer has ended: nothing may follow.");
  if (plaintext.size() > kMaxSealedChunkBytes) {
    return fail(ErrorKind::kUsage, "a chunk of a sealed answer has at most " +
                                       std::to_string(kMaxSealedChunkBytes) +
                                       " bytes: send it in parts.");
  }
  const auto head = head_of(number_, final);
  OTR_TRY_ASSIGN(const Bytes sealed,
                 crypto::aead_seal(key_.bytes().first<32>(), crypto::numbered_nonce(base_, number_),
                                   head, pad(plaintext)));
  Bytes wire(head.begin(), head.end());
  append(wire, sealed);
  ++number_;  // 2^64 chunks take longer than any key lives
  ended_ = final;
  return wire;
}

AnswerOpener::AnswerOpener(const SealedExchange& exchange, const Hash& nonce) {
  AnswerKeys keys = answer_keys(exchange, nonce);
  key_ = std::move(keys.key);
  base_ = keys.base;
}

Result<AnswerOpener::Opened> AnswerOpener::open(ByteView chunk) {
  if (!failure_.empty()) return refuse(failure_);
  Result<Opened> opened = open_next(chunk);
  if (!opened) failure_ = opened.error().message;
  return opened;
}

Result<AnswerOpener::Opened> AnswerOpener::open_next(ByteView chunk) {
  const std::string name = "sealed answer, chunk " + std::to_string(number_) + ": ";
  if (ended_) return refuse(name + "it comes behind the final one.");
  if (chunk.size() < kSealedChunkHeadBytes) return refuse(name + "shorter than its head.");
  if (chunk.size() > kMaxSealedChunkWireBytes) return refuse(name + "longer than any chunk.");
  const auto number = load_le<std::uint64_t>(chunk.data());
  if (number < number_) {
    return refuse(name + "number " + std::to_string(number) + " came a second time.");
  }
  if (number > number_) {
    return refuse(name + "missing; number " + std::to_string(number) + " came instead.");
  }
  const std::uint8_t mark = chunk[8];
  if (mark > 1) return refuse(name + "its mark is neither 0 nor 1.");
  OTR_TRY_ASSIGN(
      const Bytes padded,
      crypto::aead_open(key_.bytes().first<32>(), crypto::numbered_nonce(base_, number_),
                        head_of(number_, mark == 1), chunk.subspan(kSealedChunkHeadBytes)));
  Opened opened{.final = mark == 1};
  OTR_TRY_ASSIGN(opened.plaintext, unpad(padded));
  ++number_;
  ended_ = opened.final;
  return opened;
}

Status AnswerOpener::finish() {
  if (!failure_.empty()) return refuse(failure_);
  if (!ended_) {
    failure_ = "sealed answer: it was cut off after chunk " + std::to_string(number_) +
               ": the final chunk did not come.";
    return refuse(failure_);
  }
  return {};
}

}  // namespace otr::protocol

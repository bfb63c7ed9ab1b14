// A sealed exchange: a request that only one enclave can read and an answer that only its sender
// can, through a gateway that sees ciphertext (HPKE, RFC 9180, in crypto/hpke.h; SPEC SEAL-1).
//
//   request   encapsulated key (32) || sealed request
//   answer    answer nonce (32), then chunks: u64 number || u8 final || sealed text
//
// Request and chunks are padded to multiples of 256 bytes before they are sealed. Numbers are
// little-endian. The keys of the answer are derived from the exporter of the request, from its
// encapsulated key and from a nonce that the answering side draws anew: who plays one request to
// the enclave twice gets two answers under two keys, never two texts under one.
//
// A gateway can drop, delay and cut, and sees how many blocks of 256 bytes pass and when. It cannot
// read, change, reorder, repeat or invent, and that it cut an answer shows: the last chunk is
// marked, and the mark is sealed with it.
#ifndef OTR_PROTOCOL_SEALED_H_
#define OTR_PROTOCOL_SEALED_H_

#include <string_view>

#include "base/bytes.h"
#include "base/result.h"
#include "crypto/hpke.h"

namespace otr::protocol {

inline constexpr std::size_t kSealedBlockBytes = 256;
inline constexpr std::size_t kMaxSealedRequestBytes = std::size_t{16} << 20;  // of plaintext
inline constexpr std::size_t kMaxSealedChunkBytes = std::size_t{1} << 20;     // of plaintext
inline constexpr std::size_t kSealedChunkHeadBytes = 9;
// No valid chunk is longer on the wire: what a reader must be ready to hold.
inline constexpr std::size_t kMaxSealedChunkWireBytes =
    kSealedChunkHeadBytes + kMaxSealedChunkBytes + kSealedBlockBytes + crypto::kAeadTagBytes;

// What both sides keep of a request until its answer has passed.
struct SealedExchange {
  crypto::X25519Public encapsulated{};
  crypto::HpkeKeys keys;
};

struct SealedRequest {
  Bytes wire;
  SealedExchange exchange;
};
// `context` is the info of HPKE (SPEC SEAL-2): what the request is for, the same on both sides.
// `ephemeral` is new for each request. kUsage for a plaintext longer than kMaxSealedRequestBytes,
// kReject for a key of small order.
[[nodiscard]] Result<SealedRequest> seal_request(const crypto::X25519Public& enclave,
                                                 ByteView context,
                                                 const crypto::X25519Key& ephemeral,
                                                 ByteView plaintext);

struct OpenedRequest {
  Bytes plaintext;
  SealedExchange exchange;
};
// kReject for whatever seal_request did not make for this key and context.
[[nodiscard]] Result<OpenedRequest> open_request(const crypto::X25519Key& enclave, ByteView context,
                                                 ByteView wire);

// The enclave's end of an answer.
class AnswerSealer {
 public:
  // `nonce` is 32 random bytes, new for every answer; it is sent in front of the chunks.
  AnswerSealer(const SealedExchange& exchange, const Hash& nonce);

  // The next chunk as it travels. Empty plaintext is allowed. kUsage for more than
  // kMaxSealedChunkBytes and behind the final chunk.
  [[nodiscard]] Result<Bytes> seal(ByteView plaintext, bool final);

 private:
  crypto::Secret<32> key_;
  crypto::AeadNonce base_{};
  std::uint64_t number_ = 0;
  bool ended_ = false;
};

// The client's end. Every refusal is for good: all calls after it are refused with its error.
class AnswerOpener {
 public:
  AnswerOpener(const SealedExchange& exchange, const Hash& nonce);

  struct Opened {
    Bytes plaintext;
    bool final = false;
  };
  // kReject for anything but the next chunk: altered, missing, repeated, out of order, oversized,
  // from another answer, or behind the final one.
  [[nodiscard]] Result<Opened> open(ByteView chunk);
  // Once the stream has ended: kReject unless its last chunk was the final one.
  [[nodiscard]] Status finish();

 private:
  [[nodiscard]] Result<Opened> open_next(ByteView chunk);

  crypto::Secret<32> key_;
  crypto::AeadNonce base_{};
  std::uint64_t number_ = 0;
  bool ended_ = false;
  std::string failure_;  // of the first refusal
};

// The padding by itself: u32 length || bytes || zeros, to a multiple of kSealedBlockBytes. Undoing
// it accepts the one padding of a text alone. Requires a length below 2^32 - 260.
[[nodiscard]] Bytes pad(ByteView bytes);
[[nodiscard]] Result<Bytes> unpad(ByteView padded);

}  // namespace otr::protocol

#endif  // OTR_PROTOCOL_SEALED_H_

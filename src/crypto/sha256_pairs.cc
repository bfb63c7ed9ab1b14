#include "crypto/sha256_pairs.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>

#include "base/check.h"
#include "crypto/sha256.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace otr::crypto {
namespace {

constexpr std::size_t kTagSize = 8;
constexpr std::size_t kBlock = 64;

#if defined(__x86_64__)

// FIPS 180-4, section 4.2.2.
alignas(16) constexpr std::array<std::uint32_t, 64> kRounds = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

// The state in the order of the instructions: words a b e f and c d g h, the first highest.
struct State {
  __m128i abef, cdgh;
};
struct Pair {
  std::array<State, 2> lane;
};

__attribute__((target("sha,sse4.1"))) void compress(Pair& pair,
                                                    std::array<const std::uint8_t*, 2> data,
                                                    std::size_t blocks) {
  const __m128i big_endian = _mm_set_epi64x(0x0c0d0e0f08090a0b, 0x0405060700010203);
  for (; blocks != 0; --blocks) {
    __m128i w[2][4];
    State s[2];
    for (std::size_t l = 0; l < 2; ++l) {
      s[l] = pair.lane[l];
      for (std::size_t i = 0; i < 4; ++i) {
        w[l][i] = _mm_shuffle_epi8(
            _mm_loadu_si128(reinterpret_cast<const __m128i*>(data[l] + 16 * i)), big_endian);
      }
      data[l] += kBlock;
    }
#pragma unroll
    for (std::size_t i = 0; i < 16; ++i) {  // four rounds each
      const __m128i k = _mm_load_si128(reinterpret_cast<const __m128i*>(kRounds.data() + 4 * i));
#pragma unroll
      for (std::size_t l = 0; l < 2; ++l) {
        __m128i& now = w[l][i % 4];
        const __m128i sum = _mm_add_epi32(now, k);
        s[l].cdgh = _mm_sha256rnds2_epu32(s[l].cdgh, s[l].abef, sum);
        s[l].abef = _mm_sha256rnds2_epu32(s[l].abef, s[l].cdgh, _mm_shuffle_epi32(sum, 0x0e));
        if (i >= 12) continue;
        const __m128i last = w[l][(i + 3) % 4];
        now = _mm_sha256msg2_epu32(_mm_add_epi32(_mm_sha256msg1_epu32(now, w[l][(i + 1) % 4]),
                                                 _mm_alignr_epi8(last, w[l][(i + 2) % 4], 4)),
                                   last);
      }
    }
    for (std::size_t l = 0; l < 2; ++l) {
      pair.lane[l].abef = _mm_add_epi32(pair.lane[l].abef, s[l].abef);
      pair.lane[l].cdgh = _mm_add_epi32(pair.lane[l].cdgh, s[l].cdgh);
    }
  }
}

Hash digest(const State& state) {
  std::array<std::uint32_t, 4> abef, cdgh;  // the last word first
  std::memcpy(abef.data(), &state.abef, 16);
  std::memcpy(cdgh.data(), &state.cdgh, 16);
  const std::array<std::uint32_t, 8> words = {abef[3], abef[2], cdgh[3], cdgh[2],
                                              abef[1], abef[0], cdgh[1], cdgh[0]};
  Hash hash;
  for (std::size_t i = 0; i < words.size(); ++i) {
    const std::uint32_t big = std::byteswap(words[i]);
    std::memcpy(hash.data() + 4 * i, &big, 4);
  }
  return hash;
}

// The blocks that hold the last bytes of a message, its end mark and its length.
struct Tail {
  std::array<std::uint8_t, 2 * kBlock> bytes{};
  std::size_t blocks = 0;
};
Tail tail_of(const std::uint8_t* rest, std::size_t rest_size, std::size_t total_size) {
  Tail tail;
  tail.blocks = rest_size + 9 <= kBlock ? 1 : 2;
  std::copy_n(rest, rest_size, tail.bytes.begin());
  tail.bytes[rest_size] = 0x80;
  const std::uint64_t bits = std::byteswap(std::uint64_t{8} * total_size);
  std::memcpy(tail.bytes.data() + tail.blocks * kBlock - 8, &bits, 8);
  return tail;
}

void hash_pair(std::string_view tag, std::array<const std::uint8_t*, 2> message, std::size_t size,
               Hash* hashes) {
  Pair pair;
  for (State& s : pair.lane) {
    s = {_mm_set_epi32(0x6a09e667, static_cast<int>(0xbb67ae85), 0x510e527f,
                       static_cast<int>(0x9b05688c)),
         _mm_set_epi32(0x3c6ef372, static_cast<int>(0xa54ff53a), 0x1f83d9ab, 0x5be0cd19)};
  }
  // The first block: the tag and what of the message has room behind it.
  std::array<std::array<std::uint8_t, kBlock>, 2> first;
  const std::size_t head = std::min(size, kBlock - kTagSize);
  for (std::size_t l = 0; l < 2; ++l) {
    std::memcpy(first[l].data(), tag.data(), kTagSize);
    std::copy_n(message[l], head, first[l].data() + kTagSize);
  }
  std::array<Tail, 2> tail;
  if (head < kBlock - kTagSize) {
    for (std::size_t l = 0; l < 2; ++l) {
      tail[l] = tail_of(first[l].data(), kTagSize + head, kTagSize + size);
    }
  } else {
    compress(pair, {first[0].data(), first[1].data()}, 1);
    const std::size_t whole = (size - head) / kBlock;
    compress(pair, {message[0] + head, message[1] + head}, whole);
    const std::size_t at = head + whole * kBlock;
    for (std::size_t l = 0; l < 2; ++l) {
      tail[l] = tail_of(message[l] + at, size - at, kTagSize + size);
    }
  }
  compress(pair, {tail[0].bytes.data(), tail[1].bytes.data()}, tail[0].blocks);
  for (std::size_t l = 0; l < 2; ++l) hashes[l] = digest(pair.lane[l]);
}

bool has_sha() {
  static const bool has =
      __builtin_cpu_supports("sha") != 0 && __builtin_cpu_supports("sse4.1") != 0;
  return has;
}

#else

void hash_pair(std::string_view, std::array<const std::uint8_t*, 2>, std::size_t, Hash*) {}
bool has_sha() { return false; }

#endif

}  // namespace

void sha256_each(std::string_view tag, const std::uint8_t* messages, std::size_t size,
                 std::size_t stride, std::span<Hash> hashes) {
  OTR_CHECK(tag.size() == kTagSize);
  std::size_t i = 0;
  if (has_sha()) {
    for (; i + 2 <= hashes.size(); i += 2) {
      const std::uint8_t* const first = messages + i * stride;
      hash_pair(tag, {first, first + stride}, size, &hashes[i]);
    }
  }
  for (; i < hashes.size(); ++i) {
    hashes[i] = sha256({as_bytes(tag), ByteView(messages + i * stride, size)});
  }
}

}  // namespace otr::crypto

#include "convert/gguf_blocks.h"

#include <array>
#include <bit>

#include "base/check.h"
#include "convert/safetensors.h"

namespace otr::convert {
namespace {

// Without branches, so that a row of halves is vectorised: a subnormal half is a normal float times
// 2^-112 as every other is, and infinities and what is no number keep their fraction.
float half_at(const std::uint8_t* at) { return half_to_float(load_le<std::uint16_t>(at)); }

void widen_f32(const std::uint8_t* block, float* to) { std::memcpy(to, block, 4); }

void widen_f16(const std::uint8_t* block, float* to) { *to = half_at(block); }

void widen_bf16(const std::uint8_t* block, float* to) {
  *to = std::bit_cast<float>(std::uint32_t{load_le<std::uint16_t>(block)} << 16);
}

// Q8_0: f16 d; i8 q[32]. d·q.
void widen_q8_0(const std::uint8_t* block, float* to) {
  const float d = half_at(block);
  for (int i = 0; i < 32; ++i) {
    to[i] = d * static_cast<float>(static_cast<std::int8_t>(block[2 + i]));
  }
}

// The four low bits of 32 elements: the first 16 in the lower halves of the bytes, then the upper.
int nibble(const std::uint8_t* bytes, int i) { return i < 16 ? bytes[i] & 15 : bytes[i - 16] >> 4; }

// Q4_0: f16 d; 16 bytes of nibbles. d·(q - 8).
void widen_q4_0(const std::uint8_t* block, float* to) {
  const float d = half_at(block);
  for (int i = 0; i < 32; ++i) to[i] = d * static_cast<float>(nibble(block + 2, i) - 8);
}

// Q4_1: f16 d, m; nibbles. d·q + m.
void widen_q4_1(const std::uint8_t* block, float* to) {
  const float d = half_at(block);
  const float m = half_at(block + 2);
  for (int i = 0; i < 32; ++i) to[i] = d * static_cast<float>(nibble(block + 4, i)) + m;
}

// Five bits: the fifth of element i is bit i of the u32 before the nibbles.
int five_bits(const std::uint8_t* bytes, int i) {
  const auto fifth = load_le<std::uint32_t>(bytes);
  return nibble(bytes + 4, i) | static_cast<int>((fifth >> i) & 1) << 4;
}

// Q5_0: f16 d; u32 fifth bits; nibbles. d·(q - 16).
void widen_q5_0(const std::uint8_t* block, float* to) {
  const float d = half_at(block);
  for (int i = 0; i < 32; ++i) to[i] = d * static_cast<float>(five_bits(block + 2, i) - 16);
}

// Q5_1: f16 d, m; u32 fifth bits; nibbles. d·q + m.
void widen_q5_1(const std::uint8_t* block, float* to) {
  const float d = half_at(block);
  const float m = half_at(block + 2);
  for (int i = 0; i < 32; ++i) to[i] = d * static_cast<float>(five_bits(block + 4, i)) + m;
}

// A run of elements that share a scale: bits of element l lie in byte l, from `shift` up.
struct Run {
  const std::uint8_t* bytes;
  int shift;

  int at(int l, int mask) const { return bytes[l] >> shift & mask; }
};

// Two bits of 256 elements: within each half of 128, byte i % 32 holds those of four elements that
// lie 32 apart. The run of the 16 elements from 16·g on.
Run two_bits(const std::uint8_t* bytes, int g) {
  return {bytes + g / 8 * 32 + g % 2 * 16, g % 8 / 2 * 2};
}

// Q2_K: 16 bytes with a 4-bit scale and, above it, a 4-bit minimum for 16 elements each; 64 bytes
// of two bits; f16 d, dmin. d·scale·q - dmin·minimum.
void widen_q2_k(const std::uint8_t* block, float* to) {
  const float d = half_at(block + 80);
  const float dmin = half_at(block + 82);
  for (int g = 0; g < 16; ++g) {
    const float scale = d * static_cast<float>(block[g] & 15);
    const float minimum = dmin * static_cast<float>(block[g] >> 4);
    const Run low = two_bits(block + 16, g);
    for (int l = 0; l < 16; ++l) {
      to[16 * g + l] = scale * static_cast<float>(low.at(l, 3)) - minimum;
    }
  }
}

// Q3_K: 32 bytes of third bits (element i has bit i / 32 of byte i % 32); 64 bytes of two bits; 12
// bytes of 16 six-bit scales, of which the low four bits come first, then the high two; f16 d.
// d·(scale - 32)·(q - 4).
void widen_q3_k(const std::uint8_t* block, float* to) {
  const float d = half_at(block + 108);
  const std::uint8_t* packed = block + 96;
  for (int g = 0; g < 16; ++g) {
    const int four = g < 8 ? packed[g] & 15 : packed[g - 8] >> 4;
    const int two = packed[8 + g % 4] >> (g / 4 * 2) & 3;
    const float scale = d * static_cast<float>((four | two << 4) - 32);
    const Run low = two_bits(block + 32, g);
    const Run high = {block + g % 2 * 16, g / 2};
    for (int l = 0; l < 16; ++l) {
      to[16 * g + l] = scale * static_cast<float>((low.at(l, 3) | high.at(l, 1) << 2) - 4);
    }
  }
}

struct ScaleAndMinimum {
  int scale;
  int minimum;
};

// The j-th of eight pairs of six bits in 12 bytes: the first four pairs lie in the low bits of
// bytes 0-3 and 4-7; of the others, bytes 8-11 hold the low four bits and the spare upper bits of
// the first eight the high two.
ScaleAndMinimum six_bits(const std::uint8_t* packed, int j) {
  if (j < 4) return {packed[j] & 63, packed[j + 4] & 63};
  return {(packed[j + 4] & 15) | packed[j - 4] >> 6 << 4, packed[j + 4] >> 4 | packed[j] >> 6 << 4};
}

// The four low bits of 256 elements: 32 bytes hold 64 elements, the first 32 in the lower halves.
// The run of the 32 elements from 32·g on.
Run wide_nibbles(const std::uint8_t* bytes, int g) { return {bytes + g / 2 * 32, g % 2 * 4}; }

// Q4_K: f16 d, dmin; 12 bytes of scales and minima for 32 elements each; 128 bytes of nibbles.
// d·scale·q - dmin·minimum.
void widen_q4_k(const std::uint8_t* block, float* to) {
  const float d = half_at(block);
  const float dmin = half_at(block + 2);
  for (int g = 0; g < 8; ++g) {
    const auto [six, least] = six_bits(block + 4, g);
    const float scale = d * static_cast<float>(six);
    const float minimum = dmin * static_cast<float>(least);
    const Run low = wide_nibbles(block + 16, g);
    for (int l = 0; l < 32; ++l) {
      to[32 * g + l] = scale * static_cast<float>(low.at(l, 15)) - minimum;
    }
  }
}

// Q5_K: as Q4_K, with 32 bytes of fifth bits before the nibbles (element i has bit i / 32 of byte
// i % 32).
void widen_q5_k(const std::uint8_t* block, float* to) {
  const float d = half_at(block);
  const float dmin = half_at(block + 2);
  for (int g = 0; g < 8; ++g) {
    const auto [six, least] = six_bits(block + 4, g);
    const float scale = d * static_cast<float>(six);
    const float minimum = dmin * static_cast<float>(least);
    const Run low = wide_nibbles(block + 48, g);
    const Run fifth = {block + 16, g};
    for (int l = 0; l < 32; ++l) {
      const int q = low.at(l, 15) | fifth.at(l, 1) << 4;
      to[32 * g + l] = scale * static_cast<float>(q) - minimum;
    }
  }
}

// Q6_K: 128 bytes of low nibbles (within each half of 128 elements, 64 bytes hold the first 64 in
// their lower halves); 64 bytes of two high bits; 16 signed scales; f16 d. d·scale·(q - 32).
void widen_q6_k(const std::uint8_t* block, float* to) {
  const float d = half_at(block + 208);
  for (int g = 0; g < 16; ++g) {
    const float scale = d * static_cast<float>(static_cast<std::int8_t>(block[192 + g]));
    const Run low = {block + g / 8 * 64 + g % 4 * 16, g % 8 / 4 * 4};
    const Run high = two_bits(block + 128, g);
    for (int l = 0; l < 16; ++l) {
      to[16 * g + l] = scale * static_cast<float>((low.at(l, 15) | high.at(l, 3) << 4) - 32);
    }
  }
}

// Whole blocks, one after another.
template <void (*kWiden)(const std::uint8_t*, float*), std::size_t kBytes, std::size_t kElements>
void widen_all(const std::uint8_t* raw, std::size_t blocks, float* to) {
  for (std::size_t b = 0; b < blocks; ++b) kWiden(raw + b * kBytes, to + b * kElements);
}

template <std::uint32_t kElements, std::uint32_t kBytes,
          void (*kWiden)(const std::uint8_t*, float*)>
constexpr GgufType readable(std::uint32_t id, const char* name) {
  return {id, name, kElements, kBytes, widen_all<kWiden, kBytes, kElements>};
}

constexpr std::array<GgufType, 35> kTypes = {{
    readable<1, 4, widen_f32>(0, "F32"),
    readable<1, 2, widen_f16>(1, "F16"),
    readable<32, 18, widen_q4_0>(2, "Q4_0"),
    readable<32, 20, widen_q4_1>(3, "Q4_1"),
    readable<32, 22, widen_q5_0>(6, "Q5_0"),
    readable<32, 24, widen_q5_1>(7, "Q5_1"),
    readable<32, 34, widen_q8_0>(8, "Q8_0"),
    {9, "Q8_1", 32, 36, nullptr},
    readable<256, 84, widen_q2_k>(10, "Q2_K"),
    readable<256, 110, widen_q3_k>(11, "Q3_K"),
    readable<256, 144, widen_q4_k>(12, "Q4_K"),
    readable<256, 176, widen_q5_k>(13, "Q5_K"),
    readable<256, 210, widen_q6_k>(14, "Q6_K"),
    {15, "Q8_K", 256, 292, nullptr},
    {16, "IQ2_XXS", 256, 66, nullptr},
    {17, "IQ2_XS", 256, 74, nullptr},
    {18, "IQ3_XXS", 256, 98, nullptr},
    {19, "IQ1_S", 256, 50, nullptr},
    {20, "IQ4_NL", 32, 18, nullptr},
    {21, "IQ3_S", 256, 110, nullptr},
    {22, "IQ2_S", 256, 82, nullptr},
    {23, "IQ4_XS", 256, 136, nullptr},
    {24, "I8", 1, 1, nullptr},
    {25, "I16", 1, 2, nullptr},
    {26, "I32", 1, 4, nullptr},
    {27, "I64", 1, 8, nullptr},
    {28, "F64", 1, 8, nullptr},
    {29, "IQ1_M", 256, 56, nullptr},
    readable<1, 2, widen_bf16>(30, "BF16"),
    {34, "TQ1_0", 256, 54, nullptr},
    {35, "TQ2_0", 256, 66, nullptr},
    {39, "MXFP4", 32, 17, nullptr},
    {40, "NVFP4", 64, 36, nullptr},
    {41, "Q1_0", 128, 18, nullptr},
    {42, "Q2_0", 64, 18, nullptr},
}};
static_assert(kTypes.back().id == 42, "the table has no empty entries");

}  // namespace

const GgufType* gguf_type(std::uint32_t id) {
  for (const GgufType& type : kTypes) {
    if (type.id == id) return &type;
  }
  return nullptr;
}

std::string readable_gguf_types() {
  std::string names;
  for (const GgufType& type : kTypes) {
    if (type.widen != nullptr) names += (names.empty() ? "" : ", ") + std::string(type.name);
  }
  return names;
}

void widen_blocks(const GgufType& type, ByteView raw, std::span<float> to) {
  const std::size_t blocks = to.size() / type.elements;
  OTR_CHECK(to.size() % type.elements == 0 && raw.size() == blocks * type.size_bytes);
  type.widen(raw.data(), blocks, to.data());
}

}  // namespace otr::convert

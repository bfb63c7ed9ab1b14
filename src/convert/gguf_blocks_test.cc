// Blocks made by hand from the descriptions in gguf_blocks.cc; tests/oracle/ggml_blocks.py compares
// all of them with ggml's own floats.
#include "convert/gguf_blocks.h"

#include <gtest/gtest.h>

#include <cmath>

namespace otr::convert {
namespace {

constexpr std::uint16_t kOne = 0x3c00, kTwo = 0x4000, kHalf = 0x3800;

std::vector<float> widened(std::uint32_t id, const Bytes& raw) {
  const GgufType& type = *gguf_type(id);
  EXPECT_EQ(raw.size() % type.size_bytes, 0U);
  std::vector<float> out(raw.size() / type.size_bytes * type.elements);
  widen_blocks(type, raw, out);
  return out;
}

void put_half(Bytes& block, std::size_t at, std::uint16_t half) { store_le(&block[at], half); }

TEST(GgufBlocks, Floats) {
  Bytes f32(8);
  store_le(f32.data(), std::bit_cast<std::uint32_t>(1.5F));
  store_le(f32.data() + 4, std::bit_cast<std::uint32_t>(-0.25F));
  EXPECT_EQ(widened(0, f32), (std::vector<float>{1.5F, -0.25F}));
  Bytes f16(12);
  for (const auto& [at, half] : {std::pair<int, int>{0, 0x3c00},
                                 {2, 0xc000},
                                 {4, 0x0001},  // the least subnormal
                                 {6, 0x03ff},  // the greatest
                                 {8, 0x7bff},
                                 {10, 0x8000}}) {
    put_half(f16, static_cast<std::size_t>(at), static_cast<std::uint16_t>(half));
  }
  EXPECT_EQ(widened(1, f16), (std::vector<float>{1, -2, 0x1p-24F, 0x3ffp-24F, 65504, -0.0F}));
  EXPECT_EQ(widened(30, {0x80, 0x3f, 0x40, 0xc0}), (std::vector<float>{1, -3}));
  EXPECT_TRUE(widened(0, {}).empty());
}

TEST(GgufBlocks, OneScale) {
  Bytes q8(34);
  put_half(q8, 0, kHalf);
  q8[2] = 0x80;
  q8[33] = 127;
  EXPECT_EQ(widened(8, q8)[0], -64);
  EXPECT_EQ(widened(8, q8)[31], 63.5F);
  Bytes q4(18);
  put_half(q4, 0, kTwo);
  q4[2] = 0xf1;
  EXPECT_EQ(widened(2, q4)[0], -14);
  EXPECT_EQ(widened(2, q4)[16], 14);
  EXPECT_EQ(widened(2, q4)[1], -16);
  Bytes q5(22);
  put_half(q5, 0, kOne);
  store_le(&q5[2], 0x80000001U);
  q5[6] = 0x03;
  q5[21] = 0x50;
  EXPECT_EQ(widened(6, q5)[0], 3);
  EXPECT_EQ(widened(6, q5)[31], 5);
  EXPECT_EQ(widened(6, q5)[16], -16);
}

TEST(GgufBlocks, ScaleAndMinimum) {
  Bytes q4(20);
  put_half(q4, 0, kTwo);
  put_half(q4, 2, kHalf);
  q4[4] = 0x21;
  EXPECT_EQ(widened(3, q4)[0], 2.5F);
  EXPECT_EQ(widened(3, q4)[16], 4.5F);
  EXPECT_EQ(widened(3, q4)[5], 0.5F);
  Bytes q5(24);
  put_half(q5, 0, kOne);
  put_half(q5, 2, 0xbc00);
  store_le(&q5[4], 0x00010002U);
  q5[8] = 0x40;
  EXPECT_EQ(widened(7, q5)[1], 15);
  EXPECT_EQ(widened(7, q5)[16], 19);
}

TEST(GgufBlocks, TwoAndThreeBits) {
  Bytes q2(84);
  put_half(q2, 80, kTwo);
  put_half(q2, 82, kOne);
  q2[0] = 0x53;   // elements 0-15: scale 3, minimum 5
  q2[15] = 0x01;  // elements 240-255
  q2[16] = 0x02;
  q2[16 + 63] = 0xc0;
  EXPECT_EQ(widened(10, q2)[0], 2 * 3 * 2 - 5);
  EXPECT_EQ(widened(10, q2)[1], -5);
  EXPECT_EQ(widened(10, q2)[255], 2 * 3);
  Bytes q3(110);
  put_half(q3, 108, kOne);
  q3[96] = 0x01;       // scale 0: low bits 1
  q3[96 + 8] = 0x02;   // and high bits 2: 33 - 32
  q3[96 + 7] = 0xf0;   // scale 15: low bits 15
  q3[96 + 11] = 0xc0;  // and high bits 3: 63 - 32
  q3[32] = 0x03;
  q3[0] = 0x01;
  q3[31] = 0x80;
  q3[32 + 63] = 0x40;
  EXPECT_EQ(widened(11, q3)[0], 3);
  EXPECT_EQ(widened(11, q3)[1], -4);
  EXPECT_EQ(widened(11, q3)[255], 31);
  EXPECT_EQ(widened(11, q3)[254], -4 * 31);
}

TEST(GgufBlocks, FourFiveAndSixBits) {
  Bytes q4(144);
  put_half(q4, 0, kOne);
  put_half(q4, 2, kTwo);
  q4[4] = 0xc5;      // pair 0: scale 5; pair 4: high bits 3
  q4[4 + 4] = 0x41;  // pair 0: minimum 1; pair 4: high bits 1
  q4[4 + 8] = 0x32;  // pair 4: low bits 2 and 3
  q4[16] = 0x07;
  q4[16 + 64] = 0x01;
  EXPECT_EQ(widened(12, q4)[0], 5 * 7 - 2);
  EXPECT_EQ(widened(12, q4)[31], -2);
  EXPECT_EQ(widened(12, q4)[128], 50 - 2 * 19);
  Bytes q5(176);
  put_half(q5, 0, kOne);
  q5[4 + 1] = 2;  // pair 1
  q5[16 + 3] = 0x02;
  q5[48 + 3] = 0x90;
  EXPECT_EQ(widened(13, q5)[32 + 3], 2 * 25);
  Bytes q6(210);
  put_half(q6, 208, kHalf);
  q6[192] = 0xfe;  // -2
  q6[192 + 15] = 100;
  q6[0] = 0x0f;
  q6[128] = 0x01;
  q6[127] = 0xf0;
  q6[128 + 63] = 0xc0;
  EXPECT_EQ(widened(14, q6)[0], 0.5F * -2 * (31 - 32));
  EXPECT_EQ(widened(14, q6)[255], 0.5F * 100 * 31);
  EXPECT_EQ(widened(14, q6)[1], 0.5F * -2 * -32);
}

TEST(GgufBlocks, ScalesThatAreNotFiniteShow) {
  for (const auto& [id, at] : {std::pair<std::uint32_t, std::size_t>{2, 0},
                               {3, 0},
                               {3, 2},
                               {6, 0},
                               {7, 0},
                               {7, 2},
                               {8, 0},
                               {10, 80},
                               {10, 82},
                               {11, 108},
                               {12, 0},
                               {12, 2},
                               {13, 0},
                               {13, 2},
                               {14, 208}}) {
    for (const std::uint16_t half : std::initializer_list<std::uint16_t>{0x7c00, 0xfc00, 0x7e00}) {
      Bytes block(gguf_type(id)->size_bytes);  // all integers are 0
      put_half(block, at, half);
      for (const float value : widened(id, block)) EXPECT_FALSE(std::isfinite(value)) << id;
    }
  }
}

TEST(GgufBlocks, Types) {
  EXPECT_EQ(gguf_type(4), nullptr);
  EXPECT_EQ(gguf_type(31), nullptr);
  EXPECT_EQ(gguf_type(43), nullptr);
  EXPECT_EQ(gguf_type(23)->widen, nullptr);
  EXPECT_EQ(readable_gguf_types(),
            "F32, F16, Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, Q2_K, Q3_K, Q4_K, Q5_K, Q6_K, BF16");
}

}  // namespace
}  // namespace otr::convert

#include "convert/quantise.h"

#include <gtest/gtest.h>

#include <cmath>

namespace otr::convert {
namespace {

TEST(Quantise, ScalesUseTheirTwelveBits) {
  const FloatMatrix matrix{3, 4, {1, -0.5F, 0.25F, 0, 0, 0, 0, 0, 1e-3F, -1e-3F, 5e-4F, 0}, {}};
  const auto out = quantise_matrix(matrix, 33, "w");
  ASSERT_TRUE(out);
  EXPECT_EQ(out->exponent, 18);  // 2^18 / 127 = 2064.1 fits 4095, twice that does not
  EXPECT_LE(out->scale[0], 2065);
  EXPECT_EQ(out->scale[1], 1);
  for (std::size_t i = 0; i < matrix.weight.size(); ++i) {
    const double scale = std::ldexp(out->scale[i / 4], -out->exponent);
    EXPECT_NEAR(out->weight[i] * scale, matrix.weight[i], scale);
  }
  EXPECT_LT(out->error, 0.005);
}

TEST(Quantise, ExtremesOfTheExponent) {
  EXPECT_EQ(quantise_matrix({1, 1, {0}, {}}, 33, "w")->exponent, 33);
  EXPECT_EQ(quantise_matrix({1, 1, {0}, {}}, 31, "w")->exponent, 31);
  EXPECT_EQ(quantise_matrix({1, 1, {1e-30F}, {}}, 33, "w")->weight[0], 0);
  EXPECT_EQ(quantise_matrix({1, 1, {127 * 4095}, {}}, 33, "w")->exponent, 0);
  const auto large = quantise_matrix({1, 1, {127 * 4096}, {}}, 33, "layers.3.wq");
  ASSERT_FALSE(large);
  EXPECT_NE(large.error().message.find("layers.3.wq"), std::string::npos);
}

TEST(Quantise, GainsTakeTwentyThreeBits) {
  const std::vector<float> gain = {1, -0.125F, 0};
  const auto out = quantise_gain(gain, 8, 40, "g");
  ASSERT_TRUE(out);
  EXPECT_EQ(out->exponent, 19);  // 8·2^20 would be 2^23
  EXPECT_EQ(out->gain, (std::vector<std::int32_t>{8 << 19, -(1 << 19), 0}));
  EXPECT_EQ(quantise_gain(std::vector<float>{(1 << 23) - 1}, 1, 40, "g")->exponent, 0);
  EXPECT_FALSE(quantise_gain(std::vector<float>{1 << 23}, 1, 40, "g"));
}

TEST(Quantise, BiasesAreRoundedAndBounded) {
  const std::vector<double> bias = {0.5, -1.0 / 3};
  EXPECT_EQ(*quantise_bias(bias, 8, 200, "b"), (std::vector<std::int32_t>{128, -85}));
  EXPECT_FALSE(quantise_bias(bias, 8, 127, "b"));
  EXPECT_FALSE(quantise_bias(std::vector<double>{NAN}, 8, 127, "b"));
}

}  // namespace
}  // namespace otr::convert

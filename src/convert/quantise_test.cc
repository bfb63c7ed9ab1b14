#include "convert/quantise.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>

namespace otr::convert {
namespace {

struct Quantised : QuantisedMatrix {
  std::vector<std::int8_t> weight;
};

Result<Quantised> quantise(const MatrixRows& rows, int max_exponent, const std::string& name) {
  Quantised out;
  OTR_TRY_ASSIGN(static_cast<QuantisedMatrix&>(out),
                 quantise_matrix(rows, max_exponent, name, [&](auto weights) -> Status {
                   out.weight.insert(out.weight.end(), weights.begin(), weights.end());
                   return {};
                 }));
  return out;
}
Result<Quantised> quantise(const FloatMatrix& matrix, int max_exponent, const std::string& name) {
  return quantise(rows_of(matrix), max_exponent, name);
}

// The rule as its header says it, one weight and one scale after the other.
std::pair<double, std::vector<std::int8_t>> best_by_the_rule(std::span<const float> row,
                                                             int exponent) {
  double greatest = 0;
  for (const float value : row) greatest = std::max<double>(greatest, std::abs(value));
  const double whole = std::max(1.0, std::ceil(std::ldexp(greatest / 127, exponent)));
  double best = 0, least = INFINITY;
  std::vector<std::int8_t> weights;
  for (const double part : {1.0, 0.95, 0.9, 0.85, 0.8, 0.7}) {
    const double m = std::max(1.0, std::round(whole * part));
    const double scale = std::ldexp(m, -exponent);
    double error = 0;
    std::vector<std::int8_t> rounded;
    for (const float value : row) {
      const double weight = std::clamp(std::nearbyint(value / scale), -127.0, 127.0);
      const double difference = value - weight * scale;
      error += difference * difference;
      rounded.push_back(static_cast<std::int8_t>(weight));
    }
    if (error >= least) continue;
    least = error;
    best = m;
    weights = rounded;
  }
  return {best, weights};
}

// Weights of all sizes, many of them exactly between two integers of some scale. Small exponents
// make small scales, and long rows make clipping worth its cost, so that all parts are chosen.
TEST(Quantise, IsTheRuleBitForBit) {
  std::mt19937_64 random(5);
  std::normal_distribution<float> normal;
  for (int repeat = 0; repeat < 200; ++repeat) {
    const std::uint32_t cols = repeat % 20 == 0 ? 8000 : 1 + random() % 90;
    FloatMatrix matrix{5, cols, {}, {}};
    const int magnitude = static_cast<int>(random() % 30) - 20;
    const float unit = std::ldexp(1.0F, magnitude);
    const int max_exponent = std::clamp(17 - magnitude - static_cast<int>(random() % 14), 0, 33);
    for (std::size_t i = 0; i < std::size_t{matrix.rows} * matrix.cols; ++i) {
      const float value = normal(random);
      const bool coarse = repeat % 2 == 0;
      matrix.weight.push_back(unit * (coarse ? std::nearbyint(value * 40) * 0.5F : value));
    }
    const auto out = quantise(matrix, max_exponent, "w");
    ASSERT_TRUE(out) << out.error().message;
    for (std::size_t n = 0; n < matrix.rows; ++n) {
      const auto row = std::span(matrix.weight).subspan(n * matrix.cols, matrix.cols);
      const auto [m, weights] = best_by_the_rule(row, out->exponent);
      ASSERT_EQ(out->scale[n], m) << repeat;
      for (std::size_t j = 0; j < weights.size(); ++j) {
        ASSERT_EQ(out->weight[n * matrix.cols + j], weights[j]) << row[j] << " " << repeat;
      }
    }
  }
}

// Three blocks, whose rows are not in memory together.
TEST(Quantise, ReadsBlocksOfRowsTwice) {
  constexpr std::uint32_t kRows = 2500, kCols = 1000;
  std::vector<float> block;
  std::vector<std::pair<std::uint64_t, std::uint64_t>> asked;
  const MatrixRows rows{
      kRows, kCols, [&](std::uint64_t begin, std::uint64_t end) -> Result<std::span<const float>> {
        asked.emplace_back(begin, end);
        block.assign((end - begin) * kCols, 0.25F);
        if (end == kRows) block.back() = -16;
        return block;
      }};
  const auto out = quantise(rows, 33, "w");
  ASSERT_TRUE(out) << out.error().message;
  EXPECT_EQ(out->weight.size(), std::size_t{kRows} * kCols);
  EXPECT_EQ(out->scale.size(), kRows);
  EXPECT_EQ(asked.size(), 6U);
  EXPECT_EQ(asked[0].first, 0U);
  EXPECT_EQ(asked[2].second, kRows);
  EXPECT_EQ(asked[3].first, 0U);
  EXPECT_EQ(out->exponent, 14);         // 16/127·2^14 = 2064.1
  EXPECT_EQ(out->weight.front(), 124);  // 33·2^-14 holds 0.25 without clipping
  const double rms = std::sqrt((0.0625 * (kRows * kCols - 1.0) + 256) / (kRows * kCols));
  EXPECT_NEAR(out->peak, 16 / rms, 1e-9);
  EXPECT_NEAR(out->outliers, 1.0 / (kRows * kCols), 1e-15);
}

TEST(Quantise, NoticesAMatrixThatChanges) {
  float value = 1;
  const MatrixRows rows{1, 1, [&](auto, auto) -> Result<std::span<const float>> {
                          value *= 2;
                          return std::span<const float>(&value, 1);
                        }};
  const auto out = quantise(rows, 33, "layers.7.wq");
  ASSERT_FALSE(out);
  EXPECT_NE(out.error().message.find("'layers.7.wq' changed while it was read"), std::string::npos);
}

TEST(Quantise, ErrorsOfReadersAndSinksEndIt) {
  const MatrixRows broken{1, 1, [](auto, auto) -> Result<std::span<const float>> {
                            return fail(ErrorKind::kIo, "broken");
                          }};
  EXPECT_EQ(quantise(broken, 33, "w").error().message, "broken");
  const FloatMatrix matrix{1, 1, {1}, {}};
  const auto full = quantise_matrix(rows_of(matrix), 33, "w",
                                    [](auto) -> Status { return fail(ErrorKind::kIo, "full"); });
  EXPECT_EQ(full.error().message, "full");
}

TEST(Quantise, ScalesUseTheirTwelveBits) {
  const FloatMatrix matrix{3, 4, {1, -0.5F, 0.25F, 0, 0, 0, 0, 0, 1e-3F, -1e-3F, 5e-4F, 0}, {}};
  const auto out = quantise(matrix, 33, "w");
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
  EXPECT_EQ(quantise(FloatMatrix{1, 1, {0}, {}}, 33, "w")->exponent, 33);
  EXPECT_EQ(quantise(FloatMatrix{1, 1, {0}, {}}, 31, "w")->exponent, 31);
  EXPECT_EQ(quantise(FloatMatrix{1, 1, {1e-30F}, {}}, 33, "w")->weight[0], 0);
  EXPECT_EQ(quantise(FloatMatrix{1, 1, {127 * 4095}, {}}, 33, "w")->exponent, 0);
  const auto large = quantise(FloatMatrix{1, 1, {127 * 4096}, {}}, 33, "layers.3.wq");
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

// F, K, extensions and the transcript against definitions written a second way (SPEC PF).
#include "zk/field.h"

#include <gmock/gmock.h>

#include <random>

#include "zk/mle.h"
#include "zk/transcript.h"

namespace otr::zk {
namespace {

__extension__ using Wide = unsigned __int128;

std::vector<std::uint64_t> interesting() {
  std::vector<std::uint64_t> list = {
      0,          1,         2, 7, kEpsilon - 1, kEpsilon, kEpsilon + 1, kPrime / 2, kPrime / 2 + 1,
      kPrime - 2, kPrime - 1};
  std::mt19937_64 random(1);
  while (list.size() < 60) list.push_back(random() % kPrime);
  return list;
}

TEST(FieldTest, AddsAndMultipliesAsIntegersModP) {
  for (const std::uint64_t a : interesting()) {
    for (const std::uint64_t b : interesting()) {
      EXPECT_EQ((Felt{a} + Felt{b}).v, static_cast<std::uint64_t>((Wide{a} + b) % kPrime));
      EXPECT_EQ((Felt{a} - Felt{b}).v, static_cast<std::uint64_t>((Wide{a} + kPrime - b) % kPrime));
      EXPECT_EQ((Felt{a} * Felt{b}).v, static_cast<std::uint64_t>(Wide{a} * b % kPrime));
    }
  }
  const Wide top = ~Wide{0};
  EXPECT_EQ(reduce128(top).v, static_cast<std::uint64_t>(top % kPrime));
}

TEST(FieldTest, InvertsAndHasRootsOfTheirOrder) {
  for (const std::uint64_t a : interesting()) {
    if (a != 0) EXPECT_EQ((Felt{a} * inverse(Felt{a})).v, 1u);
    const Ext x{{a}, {a / 3 + 5}};
    EXPECT_EQ(x * inverse(x), kOne);
  }
  EXPECT_EQ(inverse(kZero), kZero);
  EXPECT_EQ(power(root_of_unity(20), 1 << 20).v, 1u);
  EXPECT_EQ(power(root_of_unity(20), 1 << 19).v, kPrime - 1);
}

TEST(ExtTest, MultipliesAsPolynomialsModX2Minus7) {
  const auto list = interesting();
  for (std::size_t i = 0; i + 3 < list.size(); ++i) {
    const Felt a{list[i]}, b{list[i + 1]}, c{list[i + 2]}, d{list[i + 3]};
    const Ext product = Ext{a, b} * Ext{c, d};
    EXPECT_EQ(product.c0, a * c + Felt{7} * (b * d));
    EXPECT_EQ(product.c1, a * d + b * c);
  }
}

TEST(MleTest, EqTableAndPrefixAreSums) {
  Transcript transcript(as_bytes("test"));
  const auto a = transcript.challenges(5);
  const auto b = transcript.challenges(5);
  for (std::uint64_t n = 0; n <= 32; ++n) {
    const auto table = eq_table(a, n);
    Ext sum = kZero;
    for (std::uint64_t x = 0; x < n; ++x) {
      EXPECT_EQ(table[x], eq_at(a, x));
      sum += eq_at(a, x) * eq_at(b, x);
    }
    EXPECT_EQ(eq_prefix(a, b, n), sum) << n;
  }
  EXPECT_EQ(eq_prefix(a, b, 32), eq(a, b));
}

TEST(MleTest, InterpolatesCubes) {
  const auto cube = [](Ext x) { return x * x * x - x + ext(5); };
  std::vector<Ext> values;
  for (int i = 0; i <= 3; ++i) values.push_back(cube(ext(i)));
  const Ext x{{123456789}, {987654321}};
  EXPECT_EQ(interpolate(values, x), cube(x));
}

TEST(TranscriptTest, EveryMessageLabelAndOrderMatters) {
  const auto run = [](auto... steps) {
    Transcript transcript(as_bytes("id"));
    (steps(transcript), ...);
    return transcript.challenge();
  };
  const auto put = [](Label label, std::string_view text) {
    return [=](Transcript& t) { t.absorb(label, as_bytes(text)); };
  };
  const Ext base = run(put(Label::kLayer, "ab"));
  EXPECT_NE(base, run(put(Label::kLayer, "ac")));
  EXPECT_NE(base, run(put(Label::kSumcheck, "ab")));
  EXPECT_NE(base, run(put(Label::kLayer, "a"), put(Label::kLayer, "b")));
  EXPECT_NE(base, run());
  Transcript miner(as_bytes("id"));
  Transcript checker(as_bytes("id"));
  const std::uint64_t nonce = miner.grind(8);
  EXPECT_TRUE(checker.check_grind(nonce, 8));
  EXPECT_EQ(miner.challenge(), checker.challenge());
}

}  // namespace
}  // namespace otr::zk

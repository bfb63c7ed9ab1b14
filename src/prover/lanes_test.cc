// The vectors of every instruction set against the portable field, tolerance zero.
#include "prover/lanes.h"

#include <gmock/gmock.h>

#include <random>
#include <span>
#include <vector>

#include "prover/isa.h"
#include "prover/lanes_test_ops.h"

namespace otr::prover {
namespace {

using testing::Each;
using zk::Ext;
using zk::Felt;
using zk::kPrime;
using Column = std::vector<std::uint64_t>;

// All pairs of edge values and random ones.
void pairs(Column& a, Column& b) {
  Column list = {0,
                 1,
                 2,
                 7,
                 0xFFFFFFFE,
                 0xFFFFFFFF,
                 1ULL << 32,
                 (1ULL << 32) + 1,
                 1ULL << 61,
                 1ULL << 63,
                 kPrime / 7,
                 kPrime / 2,
                 kPrime - (1ULL << 32),
                 kPrime - 2,
                 kPrime - 1};
  std::mt19937_64 random(5);
  while (list.size() < 81) list.push_back(random() % kPrime);
  for (const std::uint64_t x : list) {
    for (const std::uint64_t y : list) {
      a.push_back(x);
      b.push_back(y);
    }
  }
}

class LanesTest : public testing::TestWithParam<Isa> {
 protected:
  void SetUp() override {
    static constexpr const LanesOps* kPortable = &kLanesOps<Lanes1>;
    switch (GetParam()) {
      case Isa::kPortable:
        ops_ = kPortable;
        break;
      case Isa::kAvx2:
        ops_ = lanes_ops_avx2();
        break;
      case Isa::kAvx512:
        ops_ = lanes_ops_avx512();
        break;
    }
    if (ops_ == nullptr || !supported(GetParam())) {
      GTEST_SKIP() << "this machine or build lacks the instruction set: its lanes are NOT TESTED";
    }
  }
  const LanesOps* ops_ = nullptr;
};

TEST_P(LanesTest, ComputesInF) {
  Column a, b;
  pairs(a, b);
  const std::size_t n = a.size();  // odd, so the last vector is partial
  ASSERT_NE(n % 4, 0u);
  Column sum(n + 8, 99), difference(sum), product(sum), seven(sum);
  ops_->base(a.data(), b.data(), n, sum.data(), difference.data(), product.data(), seven.data());
  for (std::size_t i = 0; i < n; ++i) {
    const Felt x{a[i]}, y{b[i]};
    ASSERT_EQ(sum[i], (x + y).v) << a[i] << " " << b[i];
    ASSERT_EQ(difference[i], (x - y).v) << a[i] << " " << b[i];
    ASSERT_EQ(product[i], (x * y).v) << a[i] << " " << b[i];
    ASSERT_EQ(seven[i], (x * Felt{7}).v) << a[i];
  }
  for (const Column* out : {&sum, &difference, &product, &seven}) {
    EXPECT_THAT(std::span(*out).subspan(n), Each(99)) << "a partial store wrote too much";
  }
}

TEST_P(LanesTest, MultipliesAnyWords) {
  const Column a = {~0ULL, ~0ULL, kPrime, kPrime + 1, ~0ULL - 1};
  const Column b = {~0ULL, 1, kPrime, ~0ULL, 1ULL << 63};
  Column sum(5), difference(5), product(5), seven(5);
  ops_->base(a.data(), b.data(), 5, sum.data(), difference.data(), product.data(), seven.data());
  __extension__ using Wide = unsigned __int128;
  for (std::size_t i = 0; i < 5; ++i) {
    EXPECT_EQ(product[i], static_cast<std::uint64_t>(Wide{a[i]} * b[i] % kPrime));
  }
}

TEST_P(LanesTest, ComputesInK) {
  Column a, b;
  pairs(a, b);
  const std::size_t n = a.size() / 2;
  const auto at = [n](const Column& x, std::size_t i) { return Ext{{x[i]}, {x[n + i]}}; };
  Column sum(2 * n), difference(2 * n), product(2 * n);
  ops_->extension(a.data(), b.data(), n, sum.data(), difference.data(), product.data());
  for (std::size_t i = 0; i < n; ++i) {
    ASSERT_EQ(at(sum, i), at(a, i) + at(b, i));
    ASSERT_EQ(at(difference, i), at(a, i) - at(b, i));
    ASSERT_EQ(at(product, i), at(a, i) * at(b, i));
  }
}

TEST_P(LanesTest, ShufflesAndLoadsParts) {
  Column a(32), even(16), odd(16), again(32);
  for (std::size_t i = 0; i < a.size(); ++i) a[i] = i;
  ops_->shuffle(a.data(), 16, even.data(), odd.data(), again.data());
  for (std::size_t i = 0; i < 16; ++i) {
    EXPECT_EQ(even[i], 2 * i);
    EXPECT_EQ(odd[i], 2 * i + 1);
  }
  EXPECT_EQ(again, a);
  for (std::size_t n = 0; n <= ops_->width; ++n) {
    const Column exact(a.begin(), a.begin() + static_cast<std::ptrdiff_t>(n));
    Column to(ops_->width);
    ops_->partial(exact.data(), n, 77, to.data());
    for (std::size_t i = 0; i < to.size(); ++i) EXPECT_EQ(to[i], i < n ? i : 77);
  }
}

TEST_P(LanesTest, PicksWhatExists) {
  const Column from = {10, 11, 12, 13, 14};
  const Column slots = {8 * 0 + 4, 8 * 4 + 1, 0, 8 * 1 + 2, 8 * 3 + 2, 8 * 2 + 3, 8 * 4, 8 * 1 + 4};
  for (std::size_t at = 0; at < slots.size(); at += ops_->width) {
    for (unsigned k = 0; k < 4; ++k) {
      Column to(ops_->width), ones(ops_->width);
      ops_->pick(from.data(), slots.data() + at, k, 77, to.data(), ones.data());
      for (std::size_t i = 0; i < to.size(); ++i) {
        const std::uint64_t slot = slots[at + i];
        EXPECT_EQ(to[i], k < slot % 8 ? from[slot / 8 + k] : 77);
        EXPECT_EQ(ones[i], k < slot % 8 ? 1 : 0);
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(AllSets, LanesTest,
                         testing::Values(Isa::kPortable, Isa::kAvx2, Isa::kAvx512));

}  // namespace
}  // namespace otr::prover

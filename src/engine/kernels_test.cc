// Every kernel against the definitions, one product at a time in 64 bits, at tolerance zero. Built
// for arm64 too (tools/arm64_test.sh), so it needs nothing but the kernels and the tables.
#include "engine/kernels.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "machine/arith.h"
#include "machine/tables.h"

namespace otr::engine {
namespace {

using machine::rsh;

TEST(Kernels, TheLastIsPortableAndTheNamesDiffer) {
  ASSERT_FALSE(kernels().empty());
  EXPECT_EQ(kernels().back(), portable_kernel());
  EXPECT_EQ(&best_kernel(), kernels().front());
  std::set<std::string> names;
  for (const Kernel* kernel : kernels()) EXPECT_TRUE(names.insert(kernel->name).second);
}

// The tables that this build has.
std::vector<const Kernel*> built() {
  std::vector<const Kernel*> list = {portable_kernel(), avx2_kernel(), avx512_kernel(),
                                     dotprod_kernel(), i8mm_kernel()};
  std::erase(list, nullptr);
  return list;
}

TEST(Kernels, ThisBuildHasTheKernelsOfItsArchitecture) {
#if defined(__x86_64__)
  EXPECT_EQ(built(), (std::vector{portable_kernel(), avx2_kernel(), avx512_kernel()}));
#elif defined(__aarch64__)
  EXPECT_EQ(built(), (std::vector{portable_kernel(), dotprod_kernel(), i8mm_kernel()}));
#else
  EXPECT_EQ(built(), std::vector{portable_kernel()});
#endif
}

class EveryKernel : public testing::TestWithParam<const Kernel*> {
 protected:
  void SetUp() override {
    if (std::ranges::find(kernels(), kernel_) == kernels().end()) {
      GTEST_SKIP() << "NOT TESTED: this processor cannot run the kernel " << kernel_->name;
    }
  }

  std::int64_t between(std::int64_t low, std::int64_t high) {
    return low + static_cast<std::int64_t>(random_() % static_cast<std::uint64_t>(high - low + 1));
  }

  const Kernel* kernel_ = GetParam();
  std::mt19937_64 random_{5};
};

INSTANTIATE_TEST_SUITE_P(Kernel, EveryKernel, testing::ValuesIn(built()), [](const auto& info) {
  std::string name = info.param->name;
  std::ranges::replace(name, '-', '_');
  return name;
});

// --- Products ------------------------------------------------------------------------------------

struct Product {
  std::size_t cols = 0, rows = 0;
  std::vector<std::int8_t> w{};                // [rows][cols]
  std::vector<std::vector<std::int16_t>> a{};  // [count][cols]

  std::size_t blocks() const { return (rows + kBlockRows - 1) / kBlockRows; }
  std::int64_t truth(std::size_t i, std::size_t n) const {
    if (n >= rows) return 0;
    std::int64_t sum = 0;
    for (std::size_t k = 0; k < cols; ++k) sum += std::int64_t{w[n * cols + k]} * a[i][k];
    return sum;
  }
};

// The layout that kernels.h describes.
std::vector<std::uint8_t> pack(const Product& product, std::uint8_t flip) {
  std::vector<std::uint8_t> packed(product.blocks() * group_count(product.cols) * kGroupBytes);
  for (std::size_t at = 0; at < packed.size(); ++at) {
    const std::size_t group = at / kGroupBytes, in_group = at % kGroupBytes;
    const std::size_t n = group / group_count(product.cols) * kBlockRows + in_group / kGroupColumns;
    const std::size_t k =
        group % group_count(product.cols) * kGroupColumns + in_group % kGroupColumns;
    const bool there = n < product.rows && k < product.cols;
    packed[at] = static_cast<std::uint8_t>(there ? product.w[n * product.cols + k] : 0) ^ flip;
  }
  return packed;
}

// Multiplies with the first 1, 2, … of the rows of the input, two blocks at a time and the last one
// alone if it is odd, and compares with the definition.
void check_product(const Kernel& kernel, const Product& product, int bits) {
  const std::vector<std::uint8_t> packed = pack(product, kernel.weight_flip);
  const std::size_t groups = group_count(product.cols);
  std::vector<std::vector<std::uint8_t>> memory;
  std::vector<InputRow> rows;
  for (const auto& a : product.a) {
    memory.emplace_back(encoded_size(product.cols), 0xa5);  // encode() must write all of it
    rows.push_back(kernel.encode(a.data(), product.cols, bits, memory.back().data()));
  }
  std::vector<std::vector<std::int64_t>> truth(product.a.size());
  for (std::size_t i = 0; i < truth.size(); ++i) {
    for (std::size_t n = 0; n < product.blocks() * kBlockRows; ++n) {
      truth[i].push_back(product.truth(i, n));
    }
  }
  for (std::size_t count = 1; count <= rows.size(); ++count) {
    for (std::size_t b = 0; b < product.blocks(); b += kMostBlocks) {
      const std::size_t blocks = std::min(kMostBlocks, product.blocks() - b);
      const std::size_t width = blocks * kBlockRows;
      std::vector<std::int64_t> acc(count * width, -1);
      kernel.multiply(packed.data() + b * groups * kGroupBytes, blocks, groups, rows.data(), count,
                      bits, acc.data());
      for (std::size_t at = 0; at < acc.size(); ++at) {
        ASSERT_EQ(acc[at], truth[at / width][b * kBlockRows + at % width])
            << "row " << at / width << " of " << count << ", output " << b * kBlockRows + at % width
            << " of " << product.rows << ", " << product.cols << " columns, " << bits << " bits";
      }
    }
  }
}

constexpr std::int64_t activation_bound(int bits) { return bits == 8 ? 127 : 32639; }

TEST_P(EveryKernel, MultipliesRandomMatrices) {
  std::vector<std::size_t> widths = {2047, 2048, 2049, 5632};
  for (std::size_t cols = 1; cols <= 70; ++cols) widths.push_back(cols);
  for (const int bits : {8, 16}) {
    for (const std::size_t cols : widths) {
      const std::int64_t bound = activation_bound(bits);
      Product product{.cols = cols, .rows = static_cast<std::size_t>(between(1, 40))};
      for (std::size_t i = 0; i < product.rows * cols; ++i) {
        product.w.push_back(static_cast<std::int8_t>(between(-127, 127)));
      }
      for (std::size_t i = 0; i < kMostRows; ++i) {
        product.a.emplace_back();
        for (std::size_t k = 0; k < cols; ++k) {
          product.a[i].push_back(static_cast<std::int16_t>(between(-bound, bound)));
        }
      }
      check_product(*kernel_, product, bits);
      if (HasFatalFailure()) return;
    }
  }
}

// All numbers of a row at the ends of what they may be, where sums and planes are greatest.
TEST_P(EveryKernel, MultipliesExtremes) {
  const auto sign = [](int kind, std::size_t k) { return kind == 2 && k % 2 != 0 ? -1 : 1; };
  for (const std::size_t cols : {std::size_t{1}, std::size_t{63}, std::size_t{4096}}) {
    for (const int bits : {8, 16}) {
      Product product{.cols = cols, .rows = 32};
      for (std::size_t n = 0; n < product.rows; ++n) {
        for (std::size_t k = 0; k < cols; ++k) {  // all 127, all -127, or alternating
          const int kind = static_cast<int>(n % 3);
          product.w.push_back(static_cast<std::int8_t>((kind == 1 ? -127 : 127) * sign(kind, k)));
        }
      }
      // 128 and 32384 have a low byte of -128, that is the next high byte.
      std::vector<std::int64_t> extremes = {127, -127};
      if (bits == 16) extremes = {32639, -32639, 128, -128, 32384, 127};
      for (const std::int64_t extreme : extremes) {
        for (const int kind : {0, 2}) {
          product.a.emplace_back();
          for (std::size_t k = 0; k < cols; ++k) {
            product.a.back().push_back(static_cast<std::int16_t>(extreme * sign(kind, k)));
          }
        }
      }
      check_product(*kernel_, product, bits);
      if (HasFatalFailure()) return;
    }
  }
}

TEST_P(EveryKernel, MultipliesTheLongestRows) {
  constexpr std::size_t kLongest = 65536;
  for (const int bits : {8, 16}) {
    const auto bound = static_cast<std::int16_t>(activation_bound(bits));
    Product product{.cols = kLongest, .rows = 2};
    product.w.assign(kLongest, 127);
    product.w.resize(2 * kLongest, -127);
    product.a = {std::vector<std::int16_t>(kLongest, bound),
                 std::vector<std::int16_t>(kLongest, static_cast<std::int16_t>(-bound)),
                 std::vector<std::int16_t>(kLongest, bits == 8 ? 127 : 32384)};
    check_product(*kernel_, product, bits);
    if (HasFatalFailure()) return;
  }
}

// --- Attention -----------------------------------------------------------------------------------

constexpr std::size_t kHeadDims[] = {2, 4, 6, 8, 16, 24, 40, 48, 64, 80, 96, 128, 256};

TEST_P(EveryKernel, ScoresEveryRangeOfBlocks) {
  for (const std::size_t d : kHeadDims) {
    const std::int64_t q_bound = d > 128 ? 2047 : 4095, k_bound = 4095;
    for (const bool extreme : {false, true}) {
      std::vector<std::vector<std::int16_t>> q(kMostQueries, std::vector<std::int16_t>(d));
      std::vector<const std::int16_t*> queries;
      for (std::size_t i = 0; i < kMostQueries; ++i) {
        const std::int64_t end = i % 2 == 0 ? q_bound : -q_bound;
        for (auto& x : q[i]) {
          x = static_cast<std::int16_t>(extreme ? end : between(-q_bound, q_bound));
        }
        queries.push_back(q[i].data());
      }
      std::vector<std::int16_t> k(kTilePositions * d);
      for (auto& x : k)
        x = static_cast<std::int16_t>(extreme ? k_bound : between(-k_bound, k_bound));
      const auto truth = [&](std::size_t i, std::size_t u) {
        std::int64_t sum = 0;
        for (std::size_t j = 0; j < d; ++j) {
          sum +=
              std::int64_t{q[i][j]} *
              k[u / kKeyBlock * kKeyBlock * d + j / 2 * kKeyBlock * 2 + u % kKeyBlock * 2 + j % 2];
        }
        return sum;
      };
      std::vector<std::int64_t> truths;
      for (std::size_t at = 0; at < kMostQueries * kTilePositions; ++at) {
        truths.push_back(truth(at / kTilePositions, at % kTilePositions));
      }
      for (std::size_t begin = 0; begin < 8; ++begin) {
        for (std::size_t end = begin + 1; end <= 8; ++end) {
          const auto count = static_cast<std::size_t>(begin == 0 ? between(1, kMostQueries)
                                                                 : begin + 2 * (end - begin));
          std::vector<std::int32_t> sums(count * kTilePositions, -1);
          kernel_->scores(queries.data(), count, d, k.data(), begin, end, sums.data());
          for (std::size_t i = 0; i < count; ++i) {
            for (std::size_t u = begin * kKeyBlock; u < end * kKeyBlock; ++u) {
              ASSERT_EQ(sums[i * kTilePositions + u], truths[i * kTilePositions + u])
                  << "query " << i << " of " << count << ", position " << u << ", blocks " << begin
                  << " to " << end << ", head_dim " << d;
            }
          }
        }
      }
    }
  }
}

// One tile as SPEC OP-10 and OP-11 have it.
struct Weighed {
  TileSums sums;
  std::vector<std::int16_t> w = std::vector<std::int16_t>(kTilePositions);
};
Weighed weigh(const std::vector<std::int32_t>& sums, int q_exponent, const KvTile& tile,
              std::size_t begin, std::size_t end) {
  std::vector<std::int64_t> z(kTilePositions);
  std::int64_t m = INT64_MIN, x = INT64_MIN, s = 0;
  for (std::size_t u = begin; u < end; ++u) {
    z[u] = rsh(sums[u], q_exponent + tile.k_exponent[u] - 8);
    m = std::max(m, z[u] >> 8);
    x = std::max(x, (z[u] >> 8) - tile.v_exponent[u]);
  }
  Weighed result;
  for (std::size_t u = begin; u < end; ++u) {
    const std::int64_t power = machine::exp2_table()[static_cast<std::size_t>(z[u] & 255)];
    const auto shifted = [&](std::int64_t gap) {
      return rsh(power, static_cast<int>(std::min<std::int64_t>(gap, 63)));
    };
    s += shifted(m - (z[u] >> 8));
    result.w[u] = static_cast<std::int16_t>(shifted(x - ((z[u] >> 8) - tile.v_exponent[u])));
  }
  result.sums = {static_cast<std::int32_t>(m), static_cast<std::int32_t>(x),
                 static_cast<std::int32_t>(s)};
  return result;
}

// The kinds of tiles that weigh() is tried on.
enum class Scores { kZero, kOneOctave, kSomeOctaves, kFarOctaves, kAny, kEnds };

TEST_P(EveryKernel, WeighsEveryRangeOfPositions) {
  constexpr std::int64_t kGreatest = std::int64_t{4095} * 4095 * 128;
  using enum Scores;
  for (const Scores kind : {kZero, kOneOctave, kSomeOctaves, kFarOctaves, kAny, kEnds}) {
    for (const int v_span : {0, 3, 30}) {  // of V's exponents
      const int q_exponent = kind == kFarOctaves ? 4 : static_cast<int>(between(4, 13));
      std::vector<std::int8_t> k_exponent, v_exponent;
      std::vector<std::int32_t> sums;
      for (std::size_t u = 0; u < kTilePositions; ++u) {
        std::int64_t exponent = between(4, 13);
        if (kind == kFarOctaves) exponent = 4;
        if (kind == kEnds) exponent = u % 2 == 0 ? 4 : 13;
        k_exponent.push_back(static_cast<std::int8_t>(exponent));
        v_exponent.push_back(static_cast<std::int8_t>(between(-v_span, v_span)));
        const int shift = q_exponent + k_exponent.back() - 8;
        std::int64_t sum = 0;
        if (kind == kOneOctave) sum = between(-128, 127) << shift;
        if (kind == kSomeOctaves) sum = between(-(20 << 8 << shift), 20 << 8 << shift);
        // Gaps whose low 16 bits, or low 8, are those of a small gap.
        if (kind == kFarOctaves) {
          const std::int64_t unit = std::int64_t{1} << (between(0, 1) == 0 ? 8 : 16);
          sum = -(between(0, 100) * unit + between(0, 20)) * 256 + between(0, 255);
        }
        if (kind == kAny) sum = between(-kGreatest, kGreatest);
        if (kind == kEnds) sum = between(0, 1) == 0 ? -kGreatest : kGreatest;
        sums.push_back(static_cast<std::int32_t>(std::clamp(sum, -kGreatest, kGreatest)));
      }
      const KvTile tile{nullptr, nullptr, k_exponent.data(), v_exponent.data()};
      for (std::size_t begin = 0; begin < kTilePositions; ++begin) {
        for (std::size_t end = begin + 1; end <= kTilePositions; ++end) {
          const Weighed truth = weigh(sums, q_exponent, tile, begin, end);
          std::vector<std::int16_t> w(kTilePositions, -1);
          const TileSums got = kernel_->weigh(sums.data(), q_exponent, tile, begin, end, w.data());
          ASSERT_TRUE(got.m == truth.sums.m && got.x == truth.sums.x && got.s == truth.sums.s &&
                      w == truth.w)
              << "positions " << begin << " to " << end << ", kind " << static_cast<int>(kind)
              << ", exponents of v up to " << v_span << ": M " << got.m << " for " << truth.sums.m
              << ", X " << got.x << " for " << truth.sums.x << ", S " << got.s << " for "
              << truth.sums.s;
        }
      }
    }
  }
}

TEST_P(EveryKernel, SumsValuesOverEveryRangeOfPairs) {
  for (const std::size_t d : kHeadDims) {
    for (const bool extreme : {false, true}) {
      std::vector<std::int16_t> w(kMostQueries * kTilePositions);
      for (auto& x : w) {
        x = static_cast<std::int16_t>(extreme ? 32680 : between(0, 2) == 0 ? 0 : between(0, 32680));
      }
      std::vector<std::int8_t> v(kTilePositions * d);
      for (std::size_t at = 0; at < v.size(); ++at) {
        const std::int64_t end = at / 2 % d % 2 == 0 ? 127 : -127;
        v[at] = static_cast<std::int8_t>(extreme ? end : between(-127, 127));
      }
      for (std::size_t count = 1; count <= kMostQueries; ++count) {
        for (const auto& [begin, end] : std::initializer_list<std::pair<std::size_t, std::size_t>>{
                 {0, 64},
                 {0, 1},
                 {63, 64},
                 {static_cast<std::size_t>(between(1, 30)),
                  static_cast<std::size_t>(between(31, 62))}}) {
          std::vector<std::int32_t> a(count * d, -1);
          kernel_->values(w.data(), count, d, v.data(), begin, end, a.data());
          for (std::size_t at = 0; at < a.size(); ++at) {
            std::int64_t sum = 0;
            for (std::size_t u = 2 * begin; u < 2 * end; ++u) {
              sum += std::int64_t{w[at / d * kTilePositions + u]} *
                     v[(u / 2 * d + at % d) * 2 + u % 2];
            }
            ASSERT_EQ(a[at], sum) << "query " << at / d << " of " << count << ", column " << at % d
                                  << " of " << d << ", pairs " << begin << " to " << end;
          }
        }
      }
    }
  }
}

}  // namespace
}  // namespace otr::engine

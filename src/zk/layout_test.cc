// The layout of the commitment against a definition written a second way (SPEC PC-1, PC-2).
#include "zk/layout.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <bit>
#include <map>
#include <tuple>

namespace otr::zk {
namespace {

// The column, the size and then the number in its column of the piece that holds a cell, and the
// cell's place in it, each index taken alone.
struct Naive {
  std::uint64_t size, piece, inside;
};
Naive naive(const ColumnShape& shape, std::uint64_t cell) {
  Naive result{1, 0, 0};
  std::uint64_t pieces = 1;
  for (const std::uint32_t n : shape.dims) {
    const std::uint64_t index = cell % n;
    cell /= n;
    std::uint64_t start = 0, run = 0, number = 0;
    for (int bit = 31; bit >= 0; --bit) {
      if ((n >> bit & 1) == 0) continue;
      run = std::uint64_t{1} << bit;
      if (index < start + run) break;
      start += run;
      ++number;
    }
    result.inside += result.size * (index - start);
    result.size *= run;
    result.piece += pieces * number;
    pieces *= static_cast<std::uint64_t>(std::popcount(n));
  }
  return result;
}

void expect_layout(const std::vector<ColumnShape>& columns) {
  const Layout layout(columns);
  // Cells sorted by the definition stand at 0, 1, 2, ….
  using Key = std::tuple<std::uint64_t, std::size_t, std::uint64_t, std::uint64_t>;
  std::map<Key, std::uint64_t> sorted;
  for (std::size_t c = 0; c < columns.size(); ++c) {
    for (std::uint64_t cell = 0; cell < layout.cells_of(c); ++cell) {
      const Naive at = naive(columns[c], cell);
      const auto [place, added] =
          sorted.emplace(Key{~at.size, c, at.piece, at.inside}, layout.address(c, cell));
      ASSERT_TRUE(added);
    }
  }
  ASSERT_EQ(sorted.size(), layout.cells());
  std::uint64_t expected = 0;
  for (const auto& [key, address] : sorted) {
    EXPECT_EQ(address, expected++);
    EXPECT_EQ((address - std::get<3>(key)) % ~std::get<0>(key), 0u) << "a piece is not aligned";
  }
  std::uint64_t next = 0;
  for (const Layout::Piece& piece : layout.pieces()) {
    EXPECT_EQ(piece.base, next);
    next += piece.size();
    for (std::size_t d = 0; d < piece.bits.size(); ++d) {
      EXPECT_EQ(piece.offset[d] % (std::uint32_t{1} << piece.bits[d]), 0u);
    }
  }
  EXPECT_EQ(next, layout.cells());
}

TEST(LayoutTest, AgreesWithTheDefinition) {
  expect_layout({{{}}});
  expect_layout({{{1}}});
  expect_layout({{{11}}});
  expect_layout({{{45, 11}}, {{3}}, {{1, 1, 1}}, {{8, 4}}, {{11, 1, 3}}});
  expect_layout({{{1, 45}}, {{45, 1}}, {{3, 3, 3, 3}}, {{16}}, {{16}}, {{2, 8}}});
  expect_layout({{{288, 7}}, {{64, 45}}, {{1024}}, {{31, 31}}});
}

TEST(LayoutTest, EveryDimensionOfUpTo45) {
  for (std::uint32_t n = 1; n <= 45; ++n) expect_layout({{{n}}, {{n, 3}}, {{3, n}}, {{2, n, 11}}});
}

TEST(LayoutTest, TheMatrixHasTheShapeOfTheRule) {
  const auto shape = [](std::uint32_t cells) {
    const Layout layout(std::vector<ColumnShape>{{{cells}}});
    return std::tuple(layout.kappa(), layout.rows(), layout.bits());
  };
  EXPECT_EQ(shape(1), std::tuple(7, 1u, 7));
  EXPECT_EQ(shape(128), std::tuple(7, 1u, 7));
  EXPECT_EQ(shape(129), std::tuple(7, 2u, 8));
  EXPECT_EQ(shape(1 << 10), std::tuple(8, 4u, 10));
  EXPECT_EQ(shape((1 << 10) + 1), std::tuple(9, 3u, 11));
  EXPECT_EQ(shape(1 << 20), std::tuple(13, 128u, 20));
  EXPECT_EQ(shape(1 << 24), std::tuple(15, 512u, 24));
  EXPECT_EQ(shape((1 << 24) + 1), std::tuple(16, 257u, 25));
  EXPECT_EQ(shape(0xFFFFFFFF), std::tuple(23, 512u, 32));
}

TEST(LayoutTest, RefusesNoCellsAndTooManyWithoutOverflow) {
  const auto fits = [](std::vector<ColumnShape> columns) { return Layout::fits(columns); };
  EXPECT_FALSE(fits({}));
  EXPECT_FALSE(fits({{{0}}}));
  EXPECT_FALSE(fits({{{4}}, {{5, 0}}}));
  EXPECT_FALSE(fits({{{0xFFFFFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0}}}));
  EXPECT_TRUE(fits({{{}}}));
  EXPECT_TRUE(fits({{{65536, 65536}}}));
  EXPECT_FALSE(fits({{{65536, 65536}}, {{1}}}));
  EXPECT_FALSE(fits({{{65536, 65537}}}));
  EXPECT_FALSE(fits({{{65536, 65536, 65536, 65536}}}));
  EXPECT_FALSE(fits({{{0xFFFFFFFF, 0xFFFFFFFF, 2}}}));
  EXPECT_FALSE(fits(std::vector<ColumnShape>(5, {{0xFFFFFFFF, 0xFFFFFFFF}})));
}

}  // namespace
}  // namespace otr::zk

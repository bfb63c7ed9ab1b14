// The trees against a naive body, every range of every small tree, and hostile openings.
#include "merkle/tree.h"

#include <gtest/gtest.h>

#include <bit>

#include "base/hex.h"
#include "crypto/sha256.h"

namespace otr::merkle {
namespace {

constexpr std::uint64_t kMostLeaves = 35;

Hash numbered(std::uint64_t i) {
  Hash hash{};
  store_le(hash.data(), i + 1);
  return hash;
}

std::vector<Hash> numbered_leaves(std::uint64_t n) {
  std::vector<Hash> leaves;
  for (std::uint64_t i = 0; i < n; ++i) leaves.push_back(numbered(i));
  return leaves;
}

// TREE-3 as it is written: fill up with absent leaves, then halve.
Hash naive_top(std::vector<Hash> row) {
  row.resize(std::bit_ceil(row.size()));
  while (row.size() > 1) {
    std::vector<Hash> above;
    for (std::size_t i = 0; i < row.size(); i += 2) {
      above.push_back(crypto::sha256({as_bytes("OTR.node"), row[i], row[i + 1]}));
    }
    row = above;
  }
  return row.front();
}

Tree tree_of(const std::vector<Hash>& leaves) {
  Tree tree;
  for (const Hash& leaf_hash : leaves) tree.append(leaf_hash);
  return tree;
}

TEST(Tree, TopsOfBothBodiesAreTheNaiveOne) {
  Frontier frontier;
  Tree tree;
  for (std::uint64_t n = 1; n <= 130; ++n) {
    frontier.append(numbered(n - 1));
    tree.append(numbered(n - 1));
    const Hash expected = naive_top(numbered_leaves(n));
    ASSERT_EQ(frontier.top(), expected) << n;
    ASSERT_EQ(tree.top(), expected) << n;
    ASSERT_EQ(frontier.size(), n);
    ASSERT_EQ(tree.size(), n);
  }
}

TEST(Tree, AFrontierGrowsByManyAsByOne) {
  const std::vector<Hash> leaves = numbered_leaves(70);
  for (std::size_t begin = 0; begin < 20; ++begin) {
    for (std::size_t count = 0; begin + count + 3 <= leaves.size(); ++count) {
      Frontier frontier;
      frontier.append(std::span(leaves).first(begin));
      frontier.append(std::span(leaves).subspan(begin, count));
      frontier.append(leaves[begin + count]);
      frontier.append(std::span(leaves).subspan(begin + count + 1, 2));
      ASSERT_EQ(frontier.size(), begin + count + 3);
      ASSERT_EQ(frontier.top(), naive_top(numbered_leaves(frontier.size()))) << begin << count;
    }
  }
}

TEST(Tree, OneLeafIsItsOwnTop) {
  Frontier frontier;
  frontier.append(numbered(7));
  EXPECT_EQ(frontier.top(), numbered(7));
}

TEST(Tree, EveryRangeOfEverySmallTreeOpensAndChecks) {
  for (std::uint64_t n = 1; n <= kMostLeaves; ++n) {
    const std::vector<Hash> leaves = numbered_leaves(n);
    const Tree tree = tree_of(leaves);
    for (std::uint64_t begin = 0; begin < n; ++begin) {
      for (std::uint64_t end = begin + 1; end <= n; ++end) {
        const std::vector<Hash> path = tree.open_range(begin, end);
        ASSERT_EQ(path.size(), range_path_size(n, begin, end));
        const std::span range = std::span(leaves).subspan(begin, end - begin);
        ASSERT_TRUE(check_range(n, begin, end, range, path, tree.top()))
            << n << " [" << begin << ", " << end << ")";
      }
    }
  }
}

// Every single change of a valid opening must be refused with the right code.
void expect_refused(std::uint64_t n, std::uint64_t begin, std::uint64_t end,
                    const std::vector<Hash>& leaves, const std::vector<Hash>& path, const Hash& top,
                    const char* what) {
  const Status status = check_range(n, begin, end, leaves, path, top);
  ASSERT_FALSE(status) << what << " " << n << " [" << begin << ", " << end << ")";
  EXPECT_EQ(status.error().code, "PATH_INVALID") << what;
  EXPECT_EQ(status.error().kind, ErrorKind::kReject) << what;
}

void expect_changed_hashes_refused(std::uint64_t n, std::uint64_t begin, std::uint64_t end,
                                   const std::vector<Hash>& leaves, const std::vector<Hash>& path,
                                   const Hash& top) {
  for (std::size_t i = 0; i < path.size(); ++i) {
    std::vector<Hash> changed = path;
    changed[i][31] ^= 1;
    expect_refused(n, begin, end, leaves, changed, top, "changed path hash");
  }
  for (std::size_t i = 0; i < leaves.size(); ++i) {
    std::vector<Hash> changed = leaves;
    changed[i][0] ^= 0x80;
    expect_refused(n, begin, end, changed, path, top, "changed leaf");
  }
}

TEST(Tree, RefusesEveryChangedOpening) {
  for (const std::uint64_t n : {1, 2, 5, 8, 13}) {
    const std::vector<Hash> leaves = numbered_leaves(n);
    const Tree tree = tree_of(leaves);
    const Hash top = tree.top();
    for (std::uint64_t begin = 0; begin < n; ++begin) {
      for (std::uint64_t end = begin + 1; end <= n; ++end) {
        const std::vector<Hash> range(leaves.begin() + begin, leaves.begin() + end);
        const std::vector<Hash> path = tree.open_range(begin, end);
        expect_changed_hashes_refused(n, begin, end, range, path, top);
        std::vector<Hash> longer = path;
        longer.push_back(Hash{});
        expect_refused(n, begin, end, range, longer, top, "long path");
        if (!path.empty()) {
          expect_refused(n, begin, end, range, {path.begin(), path.end() - 1}, top, "short path");
        }
        expect_refused(n, begin + 1, end + 1, range, path, top, "shifted range");
        expect_refused(n, begin, end + 1, range, path, top, "wide range");
      }
    }
  }
}

TEST(Tree, RefusesHostileRanges) {
  const std::vector<Hash> none;
  const std::vector<Hash> one = {numbered(0)};
  constexpr std::uint64_t kHuge = ~std::uint64_t{0};
  expect_refused(0, 0, 0, none, none, Hash{}, "empty tree");
  expect_refused(1, 0, 0, none, none, Hash{}, "empty range");
  expect_refused(1, 1, 0, none, none, Hash{}, "reversed range");
  expect_refused(1, 0, 2, {numbered(0), numbered(1)}, none, Hash{}, "range past the end");
  expect_refused(kHuge, 0, 1, one, std::vector<Hash>(64), Hash{}, "huge tree");
  expect_refused(kHuge, 0, kHuge, one, none, Hash{}, "huge range");
  expect_refused(kMaxLeaves, 0, kMaxLeaves, one, none, Hash{}, "range longer than its leaves");
  expect_refused(kMaxLeaves + 1, 0, 1, one, std::vector<Hash>(57), Hash{}, "one leaf too many");
}

TEST(Rows, AreCutIntoTilesOfTheirOwn) {
  constexpr std::uint64_t kCols = 513;
  std::vector<std::int16_t> data(3 * kCols);
  for (std::size_t i = 0; i < data.size(); ++i) data[i] = static_cast<std::int16_t>(i * 37 - 900);
  Frontier frontier;
  append_rows(frontier, Kind::kKey, Type::kI16, kCols,
              as_bytes(std::span<const std::int16_t>(data)));
  ASSERT_EQ(frontier.size(), 6);
  std::vector<Hash> leaves;
  for (std::size_t row = 0; row < 3; ++row) {
    const std::span<const std::int16_t> cells = std::span(data).subspan(row * kCols, kCols);
    leaves.push_back(crypto::sha256({as_bytes("OTR.leaf"), as_bytes(cells.first(512))}));
    leaves.push_back(crypto::sha256({as_bytes("OTR.leaf"), as_bytes(cells.last(1))}));
  }
  EXPECT_EQ(frontier.top(), naive_top(leaves));
  EXPECT_EQ(
      tensor_root(Kind::kKey, Type::kI16, kCols, as_bytes(std::span<const std::int16_t>(data))),
      root(Kind::kKey, Type::kI16, 3, kCols, naive_top(leaves)));
}

TEST(Rows, LeavesOfEveryWidth) {
  for (const std::uint64_t cols : {1, 5, 511, 512, 513, 1023, 1024, 1100, 2048}) {
    std::vector<std::int32_t> data(3 * cols);
    for (std::size_t i = 0; i < data.size(); ++i) data[i] = static_cast<std::int32_t>(i * 7919);
    std::vector<Hash> expected;
    for (std::size_t row = 0; row < 3; ++row) {
      for (std::size_t at = 0; at < cols; at += kTileElements) {
        const auto tile = std::span<const std::int32_t>(data).subspan(
            row * cols + at, std::min<std::size_t>(kTileElements, cols - at));
        expected.push_back(leaf(as_bytes(tile)));
      }
    }
    std::vector<Hash> hashes(expected.size());
    leaf_hashes(Kind::kResidual, Type::kI32, cols, as_bytes(std::span<const std::int32_t>(data)),
                hashes);
    EXPECT_EQ(hashes, expected) << cols;
  }
}

TEST(Rows, OfMicroTensorsHaveSmallTiles) {
  std::vector<std::int64_t> data(2 * 65);
  for (std::size_t i = 0; i < data.size(); ++i) data[i] = static_cast<std::int64_t>(i) - 40;
  std::vector<Hash> leaves;
  for (std::size_t row = 0; row < 2; ++row) {
    const std::span<const std::int64_t> cells = std::span(data).subspan(row * 65, 65);
    leaves.push_back(leaf(as_bytes(cells.first(64))));
    leaves.push_back(leaf(as_bytes(cells.last(1))));
  }
  EXPECT_EQ(tensor_root(Kind::kMicroTensor, Type::kI64, 65,
                        as_bytes(std::span<const std::int64_t>(data))),
            root(Kind::kMicroTensor, Type::kI64, 2, 65, naive_top(leaves)));
}

TEST(Root, BindsEverythingItNames) {
  const Hash top = numbered(1);
  const Hash plain = root(Kind::kTable, Type::kI8, 2, 3, top);
  EXPECT_NE(plain, root(Kind::kModelTensor, Type::kI8, 2, 3, top));
  EXPECT_NE(plain, root(Kind::kTable, Type::kU8, 2, 3, top));
  EXPECT_NE(plain, root(Kind::kTable, Type::kI8, 3, 3, top));
  EXPECT_NE(plain, root(Kind::kTable, Type::kI8, 2, 2, top));
  EXPECT_NE(plain, root(Kind::kTable, Type::kI8, 2, 3, numbered(2)));
}

TEST(Root, OfAListTakesTheHashesAsLeaves) {
  const std::vector<Hash> leaves = numbered_leaves(3);
  EXPECT_EQ(list_root(Kind::kTrace, leaves),
            root(Kind::kTrace, Type::kHash, 3, 1, naive_top(leaves)));
}

}  // namespace
}  // namespace otr::merkle

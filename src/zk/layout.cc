#include "zk/layout.h"

#include <algorithm>
#include <bit>
#include <numeric>
#include <utility>

#include "base/check.h"
#include "zk/mle.h"

namespace otr::zk {
namespace {

constexpr int kLeastBits = 8;
constexpr int kMostRowBits = 9;  // one leaf, of at most 512 cells, holds a place of all rows

// The cells of a column, or more than kMaxCells without saying how many; 0 where a dimension is.
std::uint64_t product_of(const ColumnShape& column) {
  std::uint64_t cells = 1;
  bool empty = false;
  for (const std::uint32_t n : column.dims) {
    empty |= n == 0;
    // Both factors are below 2^33, so the product is exact before it is cut.
    cells = std::min(cells * n, Layout::kMaxCells + 1);
  }
  return empty ? 0 : cells;
}

// The runs of a dimension of n indices: where each starts and its bits (SPEC PC-1).
struct Run {
  std::uint32_t offset;
  int bits;
};
std::vector<Run> runs_of(std::uint32_t n) {
  std::vector<Run> runs;
  for (std::uint32_t left = n; left != 0;) {
    const int bits = static_cast<int>(std::bit_width(left)) - 1;
    runs.push_back({n - left, bits});
    left -= std::uint32_t{1} << bits;
  }
  return runs;
}

void append_pieces(std::vector<Layout::Piece>& to, std::uint32_t column, const ColumnShape& shape) {
  std::vector<std::vector<Run>> runs;
  for (const std::uint32_t n : shape.dims) runs.push_back(runs_of(n));
  std::vector<std::size_t> at(runs.size(), 0);
  for (std::size_t d = 0; d <= runs.size();) {
    Layout::Piece& piece = to.emplace_back(Layout::Piece{.column = column});
    for (std::size_t i = 0; i < runs.size(); ++i) {
      piece.offset.push_back(runs[i][at[i]].offset);
      piece.bits.push_back(runs[i][at[i]].bits);
    }
    for (d = 0; d < runs.size() && ++at[d] == runs[d].size(); ++d) at[d] = 0;
    if (d == runs.size()) return;
  }
}

}  // namespace

int Layout::Piece::total_bits() const { return std::accumulate(bits.begin(), bits.end(), 0); }

bool Layout::fits(std::span<const ColumnShape> columns) {
  std::uint64_t total = 0;
  for (const ColumnShape& column : columns) {
    const std::uint64_t cells = product_of(column);
    if (cells == 0) return false;
    total = std::min(total + cells, kMaxCells + 1);
  }
  return total >= 1 && total <= kMaxCells;
}

Layout::Layout(std::span<const ColumnShape> columns) : columns_(columns.begin(), columns.end()) {
  OTR_CHECK(fits(columns));
  for (std::uint32_t i = 0; i < columns_.size(); ++i) append_pieces(pieces_, i, columns_[i]);
  // SPEC PC-1. They stand in the order of columns and pieces, which decides ties.
  std::vector<std::uint32_t> order(pieces_.size());
  std::iota(order.begin(), order.end(), 0);
  std::ranges::sort(order, {},
                    [&](std::uint32_t i) { return std::pair(-pieces_[i].total_bits(), i); });
  std::vector<Piece> sorted;
  std::vector<std::uint32_t> place_of(order.size());
  for (const std::uint32_t i : order) {
    place_of[i] = static_cast<std::uint32_t>(sorted.size());
    Piece& piece = sorted.emplace_back(std::move(pieces_[i]));
    piece.base = cells_;
    cells_ += piece.size();
  }
  pieces_of_.resize(columns_.size());
  for (const std::uint32_t place : place_of) pieces_of_[sorted[place].column].push_back(place);
  pieces_ = std::move(sorted);

  const int n = std::max(kLeastBits, bits_of(cells_));  // SPEC PC-2
  kappa_ = n - std::min(kMostRowBits, std::max(1, (n - 6) / 2));
  rows_ = ((cells_ - 1) >> kappa_) + 1;
}

std::uint64_t Layout::cells_of(std::size_t column) const { return product_of(columns_[column]); }

int Layout::point_bits(std::size_t column) const {
  int bits = 0;
  for (const std::uint32_t n : columns_[column].dims) bits += bits_of(n);
  return bits;
}

int Layout::bits() const { return kappa_ + bits_of(rows_); }

std::uint64_t Layout::address(std::size_t column, std::uint64_t cell) const {
  // There are at most 2^32 cells, so the divisions are short ones.
  auto rest = static_cast<std::uint32_t>(cell);
  std::uint64_t inside = 0;
  std::size_t piece = 0;
  std::size_t pieces = 1;
  int shift = 0;
  for (const std::uint32_t n : columns_[column].dims) {
    const std::uint32_t index = rest % n;
    rest /= n;
    // The highest bit in which the index differs from n is that of its run: n has a 1 there.
    const int bits = static_cast<int>(std::bit_width(index ^ n)) - 1;
    const std::uint64_t above = std::uint64_t{n} >> (bits + 1);
    piece += pieces * static_cast<std::size_t>(std::popcount(above));
    pieces *= static_cast<std::size_t>(std::popcount(n));
    inside += std::uint64_t{index & ((std::uint32_t{1} << bits) - 1)} << shift;
    shift += bits;
  }
  return pieces_[pieces_of_[column][piece]].base + inside;
}

}  // namespace otr::zk

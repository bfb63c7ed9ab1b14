#include "prover/commit.h"

#include <algorithm>

#include "base/check.h"
#include "prover/commit_kernels.h"
#include "zk/ntt.h"

namespace otr::prover {
namespace {

using zk::Layout;

// Writes the cells [begin, end) of a piece, counted in it, from its column to `to`. They are read
// in lines along the lowest dimension in which the piece has more than one index.
void copy_piece(const zk::ColumnShape& shape, const Layout::Piece& piece,
                const std::uint64_t* column, std::uint64_t begin, std::uint64_t end,
                std::uint64_t* to) {
  std::size_t along = 0;
  std::uint64_t stride = 1;  // in the column, of the dimension `along`
  while (along < piece.bits.size() && piece.bits[along] == 0) stride *= shape.dims[along++];
  const std::uint64_t line = along < piece.bits.size() ? std::uint64_t{1} << piece.bits[along] : 1;
  while (begin < end) {
    std::uint64_t rest = begin;
    std::uint64_t dense = 0;
    std::uint64_t weight = 1;
    for (std::size_t d = 0; d < piece.bits.size(); ++d) {
      const std::uint64_t index = rest & ((std::uint64_t{1} << piece.bits[d]) - 1);
      dense += weight * (piece.offset[d] + index);
      weight *= shape.dims[d];
      rest >>= piece.bits[d];
    }
    const std::uint64_t count = std::min(line - begin % line, end - begin);
    for (std::uint64_t i = 0; i < count; ++i) to[i] = column[dense + i * stride];
    begin += count;
    to += count;
  }
}

// The cells of the addresses [begin, end).
void copy_cells(const Layout& layout, std::span<const std::vector<std::uint64_t>* const> columns,
                std::uint64_t begin, std::uint64_t end, std::uint64_t* to) {
  const auto pieces = layout.pieces();
  const auto ends_before = [&](const Layout::Piece& piece) {
    return piece.base + piece.size() <= begin;
  };
  for (auto it = std::ranges::partition_point(pieces, ends_before); it != pieces.end(); ++it) {
    if (it->base >= end) break;
    const std::uint64_t from = std::max(begin, it->base);
    const std::uint64_t until = std::min(end, it->base + it->size());
    copy_piece(layout.columns()[it->column], *it, columns[it->column]->data(), from - it->base,
               until - it->base, to + (from - begin));
  }
  const std::uint64_t used = std::clamp(layout.cells(), begin, end);
  std::fill(to + (used - begin), to + (end - begin), 0);
}

}  // namespace

Committed::Committed(const Layout& layout,
                     std::span<const std::vector<std::uint64_t>* const> columns, engine::Pool& pool,
                     Isa isa)
    : rows_(layout.rows()),
      places_(layout.places()),
      cells_(make_words(rows_ * places_)),
      parity_(make_words(rows_ * places_)) {
  OTR_CHECK(columns.size() == layout.columns().size());
  for (std::size_t i = 0; i < columns.size(); ++i) {
    OTR_CHECK(columns[i]->size() == layout.cells_of(i));
  }
  const CommitKernels& kernels = commit_kernels(isa);
  pool.split(rows_ * places_, [&](std::size_t begin, std::size_t end) {
    copy_cells(layout, columns, begin, end, cells_.get() + begin);
  });
  const zk::ParityCode code(layout.kappa());
  const std::size_t groups = (rows_ + kernels.width - 1) / kernels.width;
  pool.split(groups, [&](std::size_t begin, std::size_t end) {
    if (begin == end) return;
    const auto scratch = make_words(places_ * kernels.width);
    for (std::size_t g = begin; g < end; ++g) {
      const std::size_t row = g * kernels.width;
      kernels.encode_rows(&cells_[row * places_], places_, std::min(kernels.width, rows_ - row),
                          places_, code.twiddles(), scratch.get(), &parity_[row], rows_);
    }
  });
  std::vector<Hash> leaves(2 * places_);
  pool.split(places_ / kGatheredPlaces, [&](std::size_t begin, std::size_t end) {
    std::vector<std::uint64_t> gathered(kGatheredPlaces * rows_);
    for (std::size_t at = begin * kGatheredPlaces; at < end * kGatheredPlaces; ++at) {
      const std::size_t in_group = at % kGatheredPlaces;
      if (in_group == 0) kernels.gather_places(&cells_[at], places_, rows_, gathered.data());
      leaves[at] = zk::place_leaf(std::span(gathered).subspan(in_group * rows_, rows_));
      leaves[places_ + at] = zk::place_leaf({&parity_[at * rows_], rows_});
    }
  });
  pool.split(2, [&](std::size_t begin, std::size_t end) {
    for (std::size_t side = begin; side < end; ++side) {
      merkle::Tree& tree = side == 0 ? data_tree_ : parity_tree_;
      for (std::size_t i = 0; i < places_; ++i) tree.append(leaves[side * places_ + i]);
    }
  });
  commitment_ = {zk::place_root(layout, false, data_tree_.top()),
                 zk::place_root(layout, true, parity_tree_.top())};
}

zk::OpenedPlace Committed::open_place(std::uint64_t place) const {
  const bool parity = place >= places_;
  const std::uint64_t at = place % places_;
  zk::OpenedPlace opened;
  opened.path = (parity ? parity_tree_ : data_tree_).open_range(at, at + 1);
  for (std::size_t c = 0; c < rows_; ++c) {
    opened.cells.push_back({parity ? parity_[at * rows_ + c] : cells_[c * places_ + at]});
  }
  return opened;
}

}  // namespace otr::prover

// Where the committed cells stand (SPEC PC-1, PC-2): columns are cut into pieces whose sizes are
// powers of two, and the pieces, greatest first, fill one space of addresses. So the padding of a
// commitment is that of the whole, not that of each column, and the extension of a piece is still a
// product over its dimensions.
#ifndef OTR_ZK_LAYOUT_H_
#define OTR_ZK_LAYOUT_H_

#include <cstdint>
#include <span>
#include <vector>

namespace otr::zk {

// A box of cells: the sizes of its dimensions, each >= 1, the lowest first. The *dense index* of a
// cell counts them with the lowest dimension fastest.
struct ColumnShape {
  std::vector<std::uint32_t> dims;

  friend bool operator==(const ColumnShape&, const ColumnShape&) = default;
};

class Layout {
 public:
  static constexpr std::uint64_t kMaxCells = std::uint64_t{1} << 32;

  // A part of a column: in dimension d the 2^bits[d] indices from offset[d] on, which is a multiple
  // of 2^bits[d]. Its cells have the addresses from `base` on, a multiple of their number.
  struct Piece {
    std::uint32_t column = 0;
    std::vector<std::uint32_t> offset;
    std::vector<int> bits;
    std::uint64_t base = 0;

    [[nodiscard]] int total_bits() const;
    [[nodiscard]] std::uint64_t size() const { return std::uint64_t{1} << total_bits(); }
  };

  // Whether these columns may be laid out: no dimension is 0 and there are 1 … kMaxCells cells.
  // For any shapes; nothing overflows.
  [[nodiscard]] static bool fits(std::span<const ColumnShape> columns);

  // Requires fits(columns).
  explicit Layout(std::span<const ColumnShape> columns);

  [[nodiscard]] std::span<const ColumnShape> columns() const { return columns_; }
  [[nodiscard]] std::uint64_t cells() const { return cells_; }
  // Cells of one column, and the bits of a point of its extension.
  [[nodiscard]] std::uint64_t cells_of(std::size_t column) const;
  [[nodiscard]] int point_bits(std::size_t column) const;

  // SPEC PC-2: the matrix that the addresses fill row by row.
  [[nodiscard]] int kappa() const { return kappa_; }
  [[nodiscard]] std::uint64_t places() const { return std::uint64_t{1} << kappa_; }
  [[nodiscard]] std::uint64_t rows() const { return rows_; }  // 1 … 512
  // Bits of an address: kappa and those of a row.
  [[nodiscard]] int bits() const;

  // In the order of their addresses.
  [[nodiscard]] std::span<const Piece> pieces() const { return pieces_; }
  // The numbers in pieces() of the pieces of one column, the lowest dimension fastest.
  [[nodiscard]] std::span<const std::uint32_t> pieces_of(std::size_t column) const {
    return pieces_of_[column];
  }
  // Requires cell < cells_of(column).
  [[nodiscard]] std::uint64_t address(std::size_t column, std::uint64_t cell) const;

 private:
  std::vector<ColumnShape> columns_;
  std::vector<Piece> pieces_;
  std::vector<std::vector<std::uint32_t>> pieces_of_;
  std::uint64_t cells_ = 0;
  std::uint64_t rows_ = 0;
  int kappa_ = 0;
};

}  // namespace otr::zk

#endif  // OTR_ZK_LAYOUT_H_

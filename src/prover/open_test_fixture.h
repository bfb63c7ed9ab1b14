// Columns, claims on them and a proof of the claims, for the tests of commitment and opening.
#ifndef OTR_PROVER_OPEN_TEST_FIXTURE_H_
#define OTR_PROVER_OPEN_TEST_FIXTURE_H_

#include <vector>

#include "prover/commit.h"
#include "prover/open.h"

namespace otr::prover {

// RandomElements of F from a seed (SplitMix64).
struct RandomElements {
  std::uint64_t state;

  std::uint64_t operator()() {
    std::uint64_t z = state += 0x9E3779B97F4A7C15;
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9;
    z = (z ^ z >> 27) * 0x94D049BB133111EB;
    return (z ^ z >> 31) % zk::kPrime;
  }
};

using Columns = std::vector<std::vector<std::uint64_t>>;

inline Columns random_columns(std::span<const zk::ColumnShape> shapes, std::uint64_t seed) {
  RandomElements random{seed};
  Columns columns;
  for (const zk::ColumnShape& shape : shapes) {
    std::size_t cells = 1;
    for (const std::uint32_t n : shape.dims) cells *= n;
    auto& column = columns.emplace_back(cells);
    for (std::uint64_t& x : column) x = random();
  }
  return columns;
}

inline std::vector<const std::vector<std::uint64_t>*> pointers(const Columns& columns) {
  std::vector<const std::vector<std::uint64_t>*> list;
  for (const auto& column : columns) list.push_back(&column);
  return list;
}

// The extension of a column by its definition (SPEC PF-2).
inline zk::Ext extension_at(const zk::ColumnShape& shape, const std::vector<std::uint64_t>& column,
                            const zk::Point& point) {
  zk::Ext sum = zk::kZero;
  for (std::size_t cell = 0; cell < column.size(); ++cell) {
    zk::Ext weight = zk::kOne;
    std::span<const zk::Ext> rest = point;
    std::uint64_t index = cell;
    for (const std::uint32_t n : shape.dims) {
      const auto bits = static_cast<std::size_t>(zk::bits_of(n));
      weight *= zk::eq_at(rest.first(bits), index % n);
      rest = rest.subspan(bits);
      index /= n;
    }
    sum += weight * zk::Felt{column[cell]};
  }
  return sum;
}

inline std::vector<zk::ColumnShape> mixed_shapes() {
  return {{{45, 11}}, {{3}}, {{1, 1}}, {{64, 16}}, {{11, 3, 5}}, {{1, 96}}, {{}}, {{1023}}};
}

// Everything that check_opening takes, and true.
struct Opened {
  std::vector<zk::ColumnShape> shapes;
  zk::Layout layout;
  Columns columns;
  zk::Commitment commitment;
  std::vector<zk::EvalClaim> evals;
  std::vector<zk::CellClaim> cells;
  zk::OpeningProof proof;

  // The transcript as the argument leaves it before the opening.
  [[nodiscard]] zk::Transcript transcript() const {
    zk::Transcript t(as_bytes("opening test"));
    t.absorb(zk::Label::kCommitment, commitment.hash());
    return t;
  }
  [[nodiscard]] Status check() const {
    zk::Transcript t = transcript();
    return zk::check_opening(t, layout, commitment, evals, cells, proof);
  }
  void add_claims(std::uint64_t seed, int per_column) {
    RandomElements random{seed};
    for (int i = 0; i < per_column; ++i) {
      for (std::uint32_t c = 0; c < shapes.size(); ++c) {
        zk::Point point(static_cast<std::size_t>(layout.point_bits(c)));
        for (zk::Ext& x : point) x = {{random()}, {random()}};
        evals.push_back({c, point, extension_at(shapes[c], columns[c], point)});
        const std::uint64_t cell = random() % columns[c].size();
        cells.push_back({c, cell, zk::ext(zk::Felt{columns[c][cell]})});
      }
    }
  }
};

inline Opened opened(std::vector<zk::ColumnShape> shapes, int claims_per_column, engine::Pool& pool,
                     Isa isa = best_isa()) {
  zk::Layout layout(shapes);
  Columns columns = random_columns(shapes, 1);
  const Committed committed(layout, pointers(columns), pool, isa);
  Opened all{
      std::move(shapes), std::move(layout), std::move(columns), committed.commitment(), {}, {}, {}};
  all.add_claims(2, claims_per_column);
  zk::Transcript t = all.transcript();
  all.proof = open(t, all.layout, committed, all.evals, all.cells, pool, isa);
  return all;
}

}  // namespace otr::prover

#endif  // OTR_PROVER_OPEN_TEST_FIXTURE_H_

#include "prover/open_weights.h"

#include <algorithm>

#include "zk/mle.h"

namespace otr::prover {
namespace {

using zk::Ext;

constexpr std::size_t kLowBits = 6;  // at least; the cost of the tables is that of their sizes

WeightTerm term_of(const zk::Layout& layout, const zk::Layout::Piece& piece,
                   const zk::EvalClaim& claim, Ext power) {
  WeightTerm term{piece.base, power, {}};
  std::span<const Ext> rest = claim.point;
  const auto& dims = layout.columns()[claim.column].dims;
  for (std::size_t d = 0; d < dims.size(); ++d) {
    const auto all = static_cast<std::size_t>(zk::bits_of(dims[d]));
    const auto bits = static_cast<std::size_t>(piece.bits[d]);
    term.scale *= zk::eq_at(rest.subspan(bits, all - bits), piece.offset[d] >> bits);
    term.point.insert(term.point.end(), rest.begin(), rest.begin() + piece.bits[d]);
    rest = rest.subspan(all);
  }
  return term;
}

}  // namespace

OpenWeights::OpenWeights(const zk::Layout& layout, std::span<const Ext> powers,
                         std::span<const zk::EvalClaim> eval_claims,
                         std::span<const zk::CellClaim> cell_claims) {
  std::vector<std::vector<std::size_t>> claims_of(layout.columns().size());
  for (std::size_t n = 0; n < eval_claims.size(); ++n) {
    claims_of[eval_claims[n].column].push_back(n);
  }
  for (const zk::Layout::Piece& piece : layout.pieces()) {
    for (const std::size_t n : claims_of[piece.column]) {
      terms.push_back(term_of(layout, piece, eval_claims[n], powers[n]));
    }
  }
  cells.reserve(cell_claims.size());
  for (std::size_t n = 0; n < cell_claims.size(); ++n) {
    cells.push_back({layout.address(cell_claims[n].column, cell_claims[n].cell),
                     powers[eval_claims.size() + n]});
  }
}

void OpenWeights::bind(Ext r) {
  const Ext other = zk::kOne - r;
  const auto side = [&](std::uint64_t address) { return (address & 1) != 0 ? r : other; };
  for (WeightTerm& term : terms) {
    if (term.point.empty()) {
      term.scale *= side(term.base);
    } else {
      term.scale *= zk::eq(std::span(&r, 1), std::span(term.point).first(1));
      term.point.erase(term.point.begin());
    }
    term.base >>= 1;
  }
  for (WeightedCell& cell : cells) {
    cell.weight *= side(cell.address);
    cell.address >>= 1;
  }
}

WeightTables::WeightTables(const WeightTerm& term, std::size_t block) {
  const auto block_bits = static_cast<std::size_t>(zk::bits_of(block));
  const std::size_t bits = term.point.size();
  const std::size_t low = std::min({bits, block_bits, std::max(kLowBits, bits / 2)});
  for (const Ext x : zk::eq_table(std::span(term.point).first(low), std::size_t{1} << low)) {
    low0_.push_back(x.c0.v);
    low1_.push_back(x.c1.v);
  }
  high_ = zk::eq_table(std::span(term.point).subspan(low), std::size_t{1} << (bits - low));
  for (Ext& x : high_) x *= term.scale;
}

void WeightTables::add(const CommitKernels& kernels, std::uint64_t from, std::size_t block,
                       Exts out) const {
  const std::size_t low = low0_.size();
  const std::size_t count = std::min(block, low * high_.size());
  for (std::size_t at = 0; at < count; at += low) {
    kernels.add_scaled({out.c0 + at, out.c1 + at}, {low0_.data(), low1_.data()}, low,
                       &high_[(from + at) / low]);
  }
}

}  // namespace otr::prover

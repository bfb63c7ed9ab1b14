#include "zk/opening.h"

#include <string>

#include "zk/ntt.h"

namespace otr::zk {
namespace {

std::unexpected<Error> refused(const std::string& what) { return reject_proof("opening: " + what); }

Status check_claims(const Layout& layout, std::span<const EvalClaim> evals,
                    std::span<const CellClaim> cells) {
  const std::size_t columns = layout.columns().size();
  for (std::size_t i = 0; i < evals.size(); ++i) {
    const std::uint32_t column = evals[i].column;
    if (column >= columns ||
        evals[i].point.size() != static_cast<std::size_t>(layout.point_bits(column))) {
      return refused("claim " + std::to_string(i) + " on a column's extension names column " +
                     std::to_string(column) + " at a point of " +
                     std::to_string(evals[i].point.size()) + " elements, which does not exist");
    }
  }
  std::vector<std::uint64_t> sizes(columns);
  for (std::size_t i = 0; i < columns; ++i) sizes[i] = layout.cells_of(i);
  for (std::size_t i = 0; i < cells.size(); ++i) {
    if (cells[i].column >= columns || cells[i].cell >= sizes[cells[i].column]) {
      return refused("claim " + std::to_string(i) + " on a cell names cell " +
                     std::to_string(cells[i].cell) + " of column " +
                     std::to_string(cells[i].column) + ", which does not exist");
    }
  }
  return {};
}

Status check_sizes(const Layout& layout, const OpeningProof& proof) {
  const auto wrong = [](const std::string& what, std::size_t has, std::size_t needs) {
    return refused(what + " are " + std::to_string(has) + " and must be " + std::to_string(needs));
  };
  const std::size_t messages = 2 * static_cast<std::size_t>(layout.bits());
  if (proof.sumcheck.messages.size() != messages) {
    return wrong("the messages of the sumcheck", proof.sumcheck.messages.size(), messages);
  }
  if (proof.combined.size() != layout.places()) {
    return wrong("the elements of the combined row", proof.combined.size(), layout.places());
  }
  if (proof.queries.size() != kQueries) {
    return wrong("the opened places", proof.queries.size(), kQueries);
  }
  for (std::size_t i = 0; i < kQueries; ++i) {
    const OpenedPlace& query = proof.queries[i];
    const std::string name = "query " + std::to_string(i) + ": the ";
    if (query.cells.size() != layout.rows()) {
      return wrong(name + "cells", query.cells.size(), layout.rows());
    }
    if (query.path.size() != static_cast<std::size_t>(layout.kappa())) {
      return wrong(name + "hashes of the path", query.path.size(), layout.kappa());
    }
  }
  return {};
}

// eq(a, ·) over many indices, as two tables whose entries multiply.
class SplitEq {
 public:
  explicit SplitEq(std::span<const Ext> a)
      : low_bits_(a.size() / 2),
        low_(eq_table(a.first(low_bits_), std::size_t{1} << low_bits_)),
        high_(eq_table(a.subspan(low_bits_), std::size_t{1} << (a.size() - low_bits_))) {}

  [[nodiscard]] Ext at(std::uint64_t x) const {
    return low_[x & (low_.size() - 1)] * high_[x >> low_bits_];
  }
  // Σ eq(a, x)·values[x], of 2^a.size() values.
  [[nodiscard]] Ext sum(std::span<const Ext> values) const {
    Ext total = kZero;
    for (std::size_t h = 0; h < high_.size(); ++h) {
      Ext inner = kZero;
      for (std::size_t l = 0; l < low_.size(); ++l) inner += low_[l] * values[h * low_.size() + l];
      total += inner * high_[h];
    }
    return total;
  }

 private:
  std::size_t low_bits_;
  std::vector<Ext> low_, high_;
};

// The part of W(ρ) that one claim on a column has from one piece, without eq(ρ, ·) of its base.
Ext piece_weight(const ColumnShape& shape, const Layout::Piece& piece, const EvalClaim& claim,
                 std::span<const Ext> rho) {
  Ext product = kOne;
  std::span<const Ext> point = claim.point;
  for (std::size_t d = 0; d < shape.dims.size(); ++d) {
    const auto bits = static_cast<std::size_t>(piece.bits[d]);
    const auto dimension = point.first(static_cast<std::size_t>(bits_of(shape.dims[d])));
    product *= eq_at(dimension.subspan(bits), piece.offset[d] >> bits) *
               eq(dimension.first(bits), rho.first(bits));
    point = point.subspan(dimension.size());
    rho = rho.subspan(bits);
  }
  return product;
}

// W(ρ) of SPEC PO-1.
Ext weight_at(const Layout& layout, std::span<const Ext> weights, std::span<const EvalClaim> evals,
              std::span<const CellClaim> cells, std::span<const Ext> rho) {
  std::vector<Ext> base(layout.pieces().size());
  for (std::size_t i = 0; i < base.size(); ++i) {
    const Layout::Piece& piece = layout.pieces()[i];
    const auto bits = static_cast<std::size_t>(piece.total_bits());
    base[i] = eq_at(rho.subspan(bits), piece.base >> bits);
  }
  Ext total = kZero;
  for (std::size_t n = 0; n < evals.size(); ++n) {
    Ext sum = kZero;
    const std::uint32_t column = evals[n].column;
    for (const std::uint32_t i : layout.pieces_of(column)) {
      sum += base[i] * piece_weight(layout.columns()[column], layout.pieces()[i], evals[n], rho);
    }
    total += weights[n] * sum;
  }
  if (cells.empty()) return total;
  const SplitEq eq_rho(rho);
  for (std::size_t n = 0; n < cells.size(); ++n) {
    total += weights[evals.size() + n] * eq_rho.at(layout.address(cells[n].column, cells[n].cell));
  }
  return total;
}

// SPEC PO-3: the opened places are those of the code word of `combined`.
Status check_places(Transcript& transcript, const Layout& layout, const Commitment& commitment,
                    std::span<const Ext> row_weights, const OpeningProof& proof) {
  if (!transcript.check_grind(proof.nonce, kQueryGrindBits)) {
    return refused("the nonce before the choice of places does not do the work it must");
  }
  const std::vector<std::uint64_t> places = draw_places(transcript, layout);
  std::vector<std::uint64_t> parity0, parity1;
  for (const Ext x : proof.combined) {
    parity0.push_back(x.c0.v);
    parity1.push_back(x.c1.v);
  }
  const ParityCode code(layout.kappa());
  code.extend(parity0);
  code.extend(parity1);
  for (std::size_t i = 0; i < places.size(); ++i) {
    OTR_TRY(check_place(layout, commitment, places[i], proof.queries[i]));
    Ext sum = kZero;
    for (std::size_t c = 0; c < row_weights.size(); ++c) {
      sum += row_weights[c] * proof.queries[i].cells[c];
    }
    const std::size_t at = places[i] % layout.places();
    const Ext word =
        places[i] < layout.places() ? proof.combined[at] : Ext{{parity0[at]}, {parity1[at]}};
    if (sum != word) {
      return refused("query " + std::to_string(i) + ", place " + std::to_string(places[i]) +
                     ": the cells do not combine to the code word");
    }
  }
  return {};
}

}  // namespace

std::vector<Ext> powers(Ext x, std::size_t count) {
  std::vector<Ext> list(count);
  if (count == 0) return list;
  list[0] = kOne;
  // By doubling, so that no product waits for the one before it.
  for (std::size_t have = 1; have < count; have *= 2, x *= x) {
    for (std::size_t i = 0; i < have && have + i < count; ++i) list[have + i] = list[i] * x;
  }
  return list;
}

Ext weighted_values(std::span<const Ext> weights, std::span<const EvalClaim> eval_claims,
                    std::span<const CellClaim> cell_claims) {
  Ext sum = kZero;
  std::size_t n = 0;
  for (const EvalClaim& claim : eval_claims) sum += weights[n++] * claim.value;
  for (const CellClaim& claim : cell_claims) sum += weights[n++] * claim.value;
  return sum;
}

std::vector<std::uint64_t> draw_places(Transcript& transcript, const Layout& layout) {
  std::vector<std::uint64_t> places;
  while (places.size() < kQueries) {
    const Hash bytes = transcript.challenge_bytes();
    for (std::size_t i = 0; i < 4 && places.size() < kQueries; ++i) {
      places.push_back(load_le<std::uint64_t>(bytes.data() + 8 * i) % (2 * layout.places()));
    }
  }
  return places;
}

Status check_opening(Transcript& transcript, const Layout& layout, const Commitment& commitment,
                     std::span<const EvalClaim> eval_claims, std::span<const CellClaim> cell_claims,
                     const OpeningProof& proof) {
  OTR_TRY(check_claims(layout, eval_claims, cell_claims));
  OTR_TRY(check_sizes(layout, proof));
  const auto weights = powers(transcript.challenge(), eval_claims.size() + cell_claims.size());
  Ext claim = weighted_values(weights, eval_claims, cell_claims);
  const auto bits = static_cast<std::size_t>(layout.bits());
  OTR_TRY_ASSIGN(const Point rho, check_sumcheck(transcript, proof.sumcheck, bits, 2, claim));
  transcript.absorb(Label::kOpened, std::span(&proof.value, 1));
  if (proof.value * weight_at(layout, weights, eval_claims, cell_claims, rho) != claim) {
    return refused("the last claim of the sumcheck is not the value times the claims' weight");
  }
  transcript.absorb(Label::kCombined, proof.combined);
  const auto kappa = static_cast<std::size_t>(layout.kappa());
  if (SplitEq(std::span(rho).first(kappa)).sum(proof.combined) != proof.value) {
    return refused("the combined row does not have the value sent before it");
  }
  const auto row_weights = eq_table(std::span(rho).subspan(kappa), layout.rows());
  return check_places(transcript, layout, commitment, row_weights, proof);
}

}  // namespace otr::zk

#include "prover/contraction_check.h"

#include <algorithm>
#include <array>
#include <string>
#include <vector>

#include "zk/evaluate.h"
#include "zk/field.h"

namespace otr::prover {
namespace {

using zk::Dim;
using Index = std::array<std::uint32_t, zk::kDimCount>;  // by dimension; unused ones are 0

std::uint32_t& of(Index& at, Dim dim) { return at[static_cast<std::size_t>(dim)]; }
std::uint32_t of(const Index& at, Dim dim) { return at[static_cast<std::size_t>(dim)]; }

class Contractor {
 public:
  Contractor(const machine::Model& model, const zk::PublicRows& publics, const Witness& witness)
      : model_(model), publics_(publics), witness_(witness), circuit_(witness.circuit) {}

  // The whole column.
  std::vector<std::uint64_t> solve(const zk::Contraction& contraction) const {
    const zk::Column& output = circuit_.columns[contraction.output];
    std::vector<std::uint64_t> cells;
    Index at{};
    do {
      cells.push_back(sum(contraction, output.dims, at).v);
    } while (next(output.dims, at));
    return cells;
  }
  // What the proof says it is: scalars are in clear.
  const std::vector<std::uint64_t>& said(const zk::Contraction& contraction) const {
    return (contraction.scalars ? publics_.columns : witness_.columns)[contraction.output];
  }
  Status check(const zk::Contraction& contraction) const {
    const auto [mine, its] = std::ranges::mismatch(solve(contraction), said(contraction));
    static_cast<void>(mine);
    if (its == said(contraction).end()) return {};
    return fail(ErrorKind::kReject, "cell " + std::to_string(its - said(contraction).begin()) +
                                        " of column '" + circuit_.columns[contraction.output].name +
                                        "' is not the sum that defines it");
  }

 private:
  // The index after `at`, the first dimension fastest; false after the last.
  bool next(const zk::Dims& dims, Index& at) const {
    for (const Dim dim : dims) {
      if (++of(at, dim) < circuit_.size(dim)) return true;
      of(at, dim) = 0;
    }
    return false;
  }

  zk::Felt sum(const zk::Contraction& contraction, const zk::Dims& fixed, Index at) const {
    zk::Dims free;  // dimensions of factors that the output has not
    for (const zk::ColumnId id : contraction.terms[0]) {
      for (const Dim dim : circuit_.columns[id].dims) {
        if (std::ranges::count(fixed, dim) + std::ranges::count(free, dim) > 0) continue;
        free.push_back(dim);
      }
    }
    zk::Felt total;
    do {
      for (const auto& term : contraction.terms) {
        zk::Felt product{1};
        for (const zk::ColumnId id : term) product *= value(id, at);
        total += product;
      }
    } while (next(free, at));
    return total;
  }

  zk::Felt value(zk::ColumnId id, const Index& at) const {
    const zk::Column& column = circuit_.columns[id];
    if (column.kind == zk::ColumnKind::kWeights) return weight(column, at);
    std::uint64_t cell = 0;
    for (std::size_t d = column.dims.size(); d-- > 0;) {
      cell = cell * circuit_.size(column.dims[d]) + of(at, column.dims[d]);
    }
    const auto& cells = witness_.columns[id].empty() ? publics_.columns[id] : witness_.columns[id];
    return {cells.at(cell)};
  }

  zk::Felt weight(const zk::Column& column, const Index& at) const {
    using enum machine::MatrixId;
    const std::uint32_t d = model_.shape.head_dim;
    const std::uint32_t i = of(at, Dim::kI) + static_cast<std::uint32_t>(column.half) * d / 2;
    const auto entry = [&](const machine::Matrix& w, std::uint32_t row, std::uint32_t k) {
      return zk::felt(w.row(row)[k]);
    };
    if (column.matrix == kHead) return entry(model_.head, of(at, Dim::kV), of(at, Dim::kD));
    const machine::Layer& w = model_.layers[of(at, Dim::kL)];
    switch (column.matrix) {
      case kWq:
        return entry(w.wq, of(at, Dim::kH) * d + i, of(at, Dim::kD));
      case kWk:
        return entry(w.wk, of(at, Dim::kG) * d + i, of(at, Dim::kD));
      case kWv:
        return entry(w.wv, of(at, Dim::kG) * d + of(at, Dim::kJ), of(at, Dim::kD));
      case kWo:
        return entry(w.wo, of(at, Dim::kD), of(at, Dim::kH) * d + of(at, Dim::kJ));
      case kGate:
        return entry(w.w_gate, of(at, Dim::kF), of(at, Dim::kD));
      case kUp:
        return entry(w.w_up, of(at, Dim::kF), of(at, Dim::kD));
      default:
        return entry(w.w_down, of(at, Dim::kD), of(at, Dim::kF));
    }
  }

  const machine::Model& model_;
  const zk::PublicRows& publics_;
  const Witness& witness_;
  const zk::Circuit& circuit_;
};

}  // namespace

Status check_contractions(const machine::Model& model, const zk::PublicRows& publics,
                          const Witness& witness) {
  const Contractor contractor(model, publics, witness);
  for (const zk::Contraction& contraction : witness.circuit.contractions) {
    OTR_TRY(contractor.check(contraction));
  }
  return {};
}

void note_wrong_contractions(const machine::Model& model, const zk::PublicRows& publics,
                             const Witness& witness, std::set<std::string>& names) {
  const Contractor contractor(model, publics, witness);
  for (const zk::Contraction& contraction : witness.circuit.contractions) {
    if (contractor.check(contraction)) continue;
    names.insert("sum " + witness.circuit.columns[contraction.output].name);
  }
}

void solve_contractions(const machine::Model& model, const zk::PublicRows& publics,
                        Witness& witness) {
  const Contractor contractor(model, publics, witness);
  for (const zk::Contraction& contraction : witness.circuit.contractions) {
    witness.columns[contraction.output] = contractor.solve(contraction);
  }
}

}  // namespace otr::prover

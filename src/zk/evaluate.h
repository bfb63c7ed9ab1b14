// Values of extensions, for whoever holds the column (SPEC PF-2): the verifier's public columns and
// weights, and the same sums for the prover.
#ifndef OTR_ZK_EVALUATE_H_
#define OTR_ZK_EVALUATE_H_

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "machine/model.h"
#include "zk/circuit.h"
#include "zk/mle.h"

namespace otr::zk {

// A point of each dimension, as far as it is known.
using DimPoints = std::array<Point, kDimCount>;
inline const Point& at(const DimPoints& points, Dim dim) {
  return points[static_cast<std::size_t>(dim)];
}
inline Point& at(DimPoints& points, Dim dim) { return points[static_cast<std::size_t>(dim)]; }

// Σ values[i]·weights[i].
[[nodiscard]] Ext dot(std::span<const std::uint64_t> values, std::span<const Ext> weights);
[[nodiscard]] Ext dot(std::span<const std::int16_t> values, std::span<const Ext> weights);
[[nodiscard]] Ext dot(std::span<const Ext> values, std::span<const Ext> weights);

// The extension at `points` of a dense column over `dims`.
[[nodiscard]] Ext evaluate(const Circuit& circuit, const Dims& dims,
                           std::span<const std::uint64_t> values, const DimPoints& points);

// eq over the product of dimensions, dense, the first dimension fastest.
[[nodiscard]] std::vector<Ext> eq_product(const Circuit& circuit, const Dims& dims,
                                          const DimPoints& points);

// Σ over rows n of row_weights[n]·w[n][k] for the columns k in [begin, end), w as integers.
[[nodiscard]] std::vector<Ext> fold_rows(const machine::Matrix& matrix,
                                         std::span<const Ext> row_weights, std::size_t begin,
                                         std::size_t end);
// The weights that a kWeights column gives the rows of its matrix, its row dimensions being set to
// `points` (SPEC PT-5): i, h or g of q and k; j, g of v; d of o and down; f; v of the head.
[[nodiscard]] std::vector<Ext> row_weights(const Circuit& circuit, const Column& column,
                                           const machine::Shape& shape, const DimPoints& points);
// The matrix of a layer (of none for the head).
[[nodiscard]] const machine::Matrix& matrix_of(const machine::Model& model, machine::MatrixId id,
                                               std::uint32_t layer);
// The extension of a kWeights column.
[[nodiscard]] Ext evaluate_weights(const Circuit& circuit, const machine::Model& model,
                                   const Column& column, const DimPoints& points);

// A polynomial's value, `value_of` giving the columns'.
template <class F>
[[nodiscard]] Ext evaluate(const Expression& expression, const F& value_of) {
  Ext sum = kZero;
  for (const Term& term : expression) {
    Ext product = ext(term.coefficient);
    for (const ColumnId id : term.factors) product *= value_of(id);
    sum += product;
  }
  return sum;
}

}  // namespace otr::zk

#endif  // OTR_ZK_EVALUATE_H_

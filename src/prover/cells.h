// Expressions and partial sums over the cells of dense columns: what the prover needs of a column
// beside the kernels.
#ifndef OTR_PROVER_CELLS_H_
#define OTR_PROVER_CELLS_H_

#include <cstdint>
#include <span>
#include <vector>

#include "zk/circuit.h"
#include "zk/evaluate.h"

namespace otr::prover {

using Columns = std::vector<std::vector<std::uint64_t>>;          // by ColumnId, dense, canonical
using ColumnViews = std::vector<std::span<const std::uint64_t>>;  // alike

// Each column from whichever of the two has it.
ColumnViews views_of(const Columns& witness, const Columns& publics);

// One expression over a domain, a run of the lowest dimension at a time.
class RunEvaluator {
 public:
  RunEvaluator(const zk::Circuit& circuit, const zk::Dims& domain, const zk::Expression& expression,
               const ColumnViews& columns);

  // Whether the expression has one value in all of a run.
  bool constant() const { return constant_; }
  // The values of run `row` (of the dimensions above the lowest, counted); out[0] alone where the
  // expression is constant.
  void run(std::uint64_t row, std::span<std::uint64_t> out) const;

 private:
  struct Factor {
    const std::uint64_t* cells;
    bool along;                          // has the lowest dimension
    std::vector<std::uint64_t> strides;  // of the dimensions above it
  };
  struct Product {
    zk::Felt coefficient;
    std::vector<Factor> factors;
  };
  std::vector<std::uint32_t> above_;  // sizes
  std::vector<Product> products_;
  bool constant_ = true;
};

// Σ over the dimensions of `dims` that are not in `kept` of eq(points, ·)·column: elements of K,
// dense over `kept`, which is a subsequence of `dims`.
std::vector<zk::Ext> fold_column(const zk::Circuit& circuit, const zk::Dims& dims,
                                 std::span<const std::uint64_t> cells, const zk::Dims& kept,
                                 const zk::DimPoints& points);

}  // namespace otr::prover

#endif  // OTR_PROVER_CELLS_H_

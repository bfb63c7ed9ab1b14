// One round of a sumcheck: the sums over all but the lowest variable of the inner dimension.
#ifndef OTR_PROVER_SUMCHECK_ROUND_H_
#define OTR_PROVER_SUMCHECK_ROUND_H_

#include <cstdint>
#include <span>
#include <vector>

#include "prover/sumcheck_fold.h"
#include "prover/sumcheck_plan.h"

namespace otr::prover {

struct SumcheckRound {
  const SumcheckKernels& kernels;
  const SumcheckPlan& plan;
  std::span<const LiveColumn> columns;
  std::span<const LiveColumn> eq;        // E by dimension; c0 is null where there is none
  std::span<const std::uint32_t> sizes;  // what is left of each dimension; below the inner one, 1
  std::uint32_t inner;                   // of size at least 2
  std::size_t degree;
  // By form of the plan, the affine one and then the factors: its values on the whole box, where
  // they are worth keeping; else without cells. Empty where none is kept. They are computed and put
  // there if fill_forms is set, and read otherwise.
  std::span<LiveColumn> forms;
  bool fill_forms;
};

// g(0), g(2), …, g(degree), without the factors E of dimensions that are bound.
std::vector<zk::Ext> sum_round(const SumcheckRound& round, engine::Pool& pool);

}  // namespace otr::prover

#endif  // OTR_PROVER_SUMCHECK_ROUND_H_

// The prover's half of a sumcheck (SPEC PF-5) over a sum of products of columns, as the row checks
// (SPEC PR-2) and the contractions (SPEC PE-1) need it. Its counterpart is zk::check_sumcheck.
//
// The polynomial summed is f(x) = Π_{d with eq} E_d(x_d) · Σ_terms coefficient · Π columns, over
// all bits of all dimensions, a column taking the bits of its own dimensions. Boxes are ragged:
// columns and E_d are continued by zeros (SPEC PF-2), and time and memory go with the box.
//
// So a term must be 0 beyond the box: each dimension without eq whose size is no power of two must
// be one of at least one column of every term. That is the caller's to keep.
#ifndef OTR_PROVER_SUMCHECK_H_
#define OTR_PROVER_SUMCHECK_H_

#include <cstdint>
#include <optional>
#include <vector>

#include "engine/pool.h"
#include "prover/isa.h"
#include "zk/mle.h"
#include "zk/transcript.h"

namespace otr::prover {

struct SumcheckColumn {
  std::vector<std::uint32_t> dims;    // places in SumcheckProblem::sizes, increasing
  std::vector<std::uint64_t> c0, c1;  // dense over the box of dims, lowest fastest; no c1: in F
};

struct SumcheckTerm {
  zk::Ext coefficient;
  std::vector<std::uint32_t> columns;  // the factors; one may stand more than once
};

struct SumcheckProblem {
  std::vector<std::uint32_t> sizes;  // of the dimensions, lowest first, each at least 1
  // By dimension: where set, a point of bits_of(size) elements, and the summand has the factor E_d,
  // the extension of eq(point, x) over x < size.
  std::vector<std::optional<zk::Point>> eq;
  std::vector<SumcheckColumn> columns;
  std::vector<SumcheckTerm> terms;
  // The messages of a round are g(0), g(2), …, g(degree). At least 1 and at least the number of
  // factors of every term that have one dimension in common, eq of that dimension included.
  std::size_t degree = 0;
};

struct SumcheckResult {
  zk::Sumcheck proof;
  zk::Point point;              // of all bits, lowest first
  std::vector<zk::Ext> values;  // of every column at its part of the point
};

// Runs the rounds on the transcript. Takes the columns and gives their memory back as it folds: it
// needs never much more than the problem itself, once more its largest column, and a column over K
// for each group of terms that share all but one factor (sumcheck_plan.h). The result depends
// neither on the threads nor on the instruction set.
SumcheckResult prove_sumcheck(zk::Transcript& transcript, SumcheckProblem problem,
                              engine::Pool& pool, Isa isa = best_isa());

}  // namespace otr::prover

#endif  // OTR_PROVER_SUMCHECK_H_

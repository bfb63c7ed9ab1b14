// How the summand of a sumcheck is computed while one dimension is bound, the *inner* one.
//
// Columns that have it vary along a run of that dimension, all others are scalars there. With v the
// varying columns at one place the summand, without its eq factors, is
//
//   Π common(v) · [affine(v) + Σ_groups Π prefix(v) · factor(v)]
//
// with affine forms whose coefficients are scalars of the run. An affine form is computed at X = 0
// together with its difference to X = 1, so that every further X costs it an addition.
#ifndef OTR_PROVER_SUMCHECK_PLAN_H_
#define OTR_PROVER_SUMCHECK_PLAN_H_

#include <cstdint>
#include <optional>
#include <vector>

#include "prover/sumcheck.h"

namespace otr::prover {

// Σ constant · Π fixed columns.
struct RunCoefficient {
  struct Part {
    zk::Ext constant;
    std::vector<std::uint32_t> fixed;  // places in SumcheckPlan::fixed
  };
  std::vector<Part> parts;
  bool constant = true;  // no part has a fixed column: the value is
  zk::Ext value;
};

// Places of coefficients are those in SumcheckPlan::coefficients.
struct AffineForm {
  struct Entry {
    std::uint32_t varying;  // place in SumcheckPlan::varying
    std::uint32_t coefficient;
  };
  std::vector<Entry> entries;
  std::optional<std::uint32_t> constant;  // a coefficient alone
};

struct SumcheckPlan {
  struct Group {
    std::vector<std::uint32_t> prefix;  // places in varying, at least one
    AffineForm factor;
  };
  std::vector<std::uint32_t> varying, fixed;  // columns
  std::vector<RunCoefficient> coefficients;
  std::vector<std::uint32_t> common;  // places in varying
  AffineForm affine;
  std::vector<Group> groups;
  std::vector<std::uint32_t> stepped;  // the places in varying that stand in common or a prefix
  std::size_t degree = 0;              // of the summand along the dimension, without eq
};

// What a column is to the inner dimension. Scalars have no dimension left and this value.
struct ColumnRole {
  enum Kind { kVarying, kFixed, kScalar } kind;
  zk::Ext value;
};

SumcheckPlan plan_sumcheck(const std::vector<SumcheckTerm>& terms,
                           const std::vector<ColumnRole>& roles);

}  // namespace otr::prover

#endif  // OTR_PROVER_SUMCHECK_PLAN_H_

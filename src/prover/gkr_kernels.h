// The inner loops of gkr.cc: one layer of fraction additions up, one round of a sumcheck down.
//
// Data lie in rows: the source of a loop has rows of `length` elements one after another, and in
// each row elements 2i and 2i+1 belong together. A row of odd length ends with a partner that is
// not stored, the fraction 0/1; so does each vector that reaches over the end of a row, which is
// why there is no case for it anywhere. Rows are cut into segments of `chunk` elements that hold
// whole pairs.
//
// Where rows are short, a segment has several: if they have whole pairs, the rows of a segment are
// one row to a kernel; else the `picked` kernels get a table of where the operands of each output
// lie, the same for all segments.
//
// An x of the sumcheck over layer k is a quadruple p0, p1', q0, q1 with p1' = p1 + λ·q1, so that
// the summand p0·q1 + p1·q0 + λ·(q0·q1 - 1) is p0·q1 + p1'·q0 - λ. It is 0 for two fractions 0/1
// (p1' = λ), which therefore need not be summed, and binding a variable leaves them as they are.
#ifndef OTR_PROVER_GKR_KERNELS_H_
#define OTR_PROVER_GKR_KERNELS_H_

#include <cstddef>
#include <cstdint>

#include "prover/isa.h"
#include "zk/field.h"

namespace otr::prover {

// What the numerators of a layer's nodes are: all 1, elements of F, or elements of K.
enum class Numerators { kOnes, kBase, kExt };

struct NodeArrays {
  const std::uint64_t *q0, *q1;
  const std::uint64_t *p0, *p1;  // null where Numerators says so
};

struct Rows {
  std::size_t length;      // elements of the source in a row
  std::size_t out_length;  // elements of the output in a row
  std::size_t chunk;       // elements of the source in a segment, but for the last in a row
  std::size_t per_row;     // segments in a row
  std::size_t begin, end;  // the segments to do, counted through all rows
  // Of the picked kernels: outputs of a segment, and for each 8·(place of its first operand from
  // the start of the segment) + (number of its operands that exist; 4 nodes or 2 of a state for a
  // round, 2 nodes for a sum).
  std::size_t out_chunk = 0;
  const std::uint64_t* slots = nullptr;
};

// Arrays of an array of quadruples: p0, p1', q0, q1, each c0 then c1, `stride` apart. Of nodes: q
// and p, each c0 then c1.
struct RoundIn {
  Rows rows;
  NodeArrays nodes;            // source of the kernels of nodes
  const std::uint64_t* state;  // source of the kernels of a state
  std::size_t state_stride;
  std::uint64_t* out;  // of those that fold
  std::size_t out_stride;
  zk::Ext lambda;
  zk::Ext rho;                               // of those that fold: what the variable is bound to
  const std::uint64_t *inner0, *inner1;      // eq for the pairs of a segment
  const std::uint64_t *weights0, *weights1;  // eq for the segments from rows.begin on
};

// Sums of the round polynomial without its eq factor: its value at 0 and its leading coefficient,
// each two coefficients of kSumLanes lanes to be added up; lanes not in use are left alone.
inline constexpr std::size_t kSumLanes = 8;
struct RoundSums {
  std::uint64_t at_zero[2][kSumLanes] = {};
  std::uint64_t leading[2][kSumLanes] = {};
};

struct GkrKernels {
  // Fractions added in pairs; `out` are arrays of nodes.
  void (*add[3])(const Rows& rows, const NodeArrays& in, std::uint64_t* out,
                 std::size_t out_stride);
  // A round that only sums, from the nodes of a layer or from a state.
  void (*sum_nodes[3])(const RoundIn& in, RoundSums& sums);
  void (*sum_state)(const RoundIn& in, RoundSums& sums);
  // Bind a variable; or bind it and sum the next round.
  void (*fold_nodes[3])(const RoundIn& in, RoundSums& sums);
  void (*fold_sum_nodes[3])(const RoundIn& in, RoundSums& sums);
  void (*fold_state)(const RoundIn& in, RoundSums& sums);
  void (*fold_sum_state)(const RoundIn& in, RoundSums& sums);
  // The same for short rows.
  void (*picked_add[3])(const Rows& rows, const NodeArrays& in, std::uint64_t* out,
                        std::size_t out_stride);
  void (*picked_sum_nodes[3])(const RoundIn& in, RoundSums& sums);
  void (*picked_sum_state)(const RoundIn& in, RoundSums& sums);
  void (*picked_fold_nodes[3])(const RoundIn& in, RoundSums& sums);
  void (*picked_fold_state)(const RoundIn& in, RoundSums& sums);
};

// The kernels of a set; the portable ones where the compiler was not asked for it (null).
const GkrKernels& gkr_kernels(Isa isa);
const GkrKernels* gkr_kernels_avx2();
const GkrKernels* gkr_kernels_avx512();

}  // namespace otr::prover

#endif  // OTR_PROVER_GKR_KERNELS_H_

// The rounds of the sumcheck of one layer (SPEC PL-4), over the blocks of gkr_layers.h. Inside of
// gkr.cc.
#ifndef OTR_PROVER_GKR_ROUNDS_H_
#define OTR_PROVER_GKR_ROUNDS_H_

#include <cstdint>
#include <span>
#include <vector>

#include "engine/pool.h"
#include "prover/gkr_kernels.h"
#include "prover/gkr_layers.h"
#include "prover/gkr_segments.h"
#include "zk/field.h"

namespace otr::prover {

// A round's polynomial h of degree 2, which times eq is the summand of PL-4 lowered by λ·eq.
struct RoundPolynomial {
  zk::Ext at_zero = zk::kZero;
  zk::Ext leading = zk::kZero;
};

// P and p1' = P + λ·Q for lowest variable 0 and 1, Q likewise (gkr_kernels.h).
struct Quadruple {
  zk::Ext p0 = zk::kZero, p1, q0 = zk::kOne, q1 = zk::kOne;
};

class LayerRounds {
 public:
  // Of the layer whose children are the nodes of layer `children` >= 1; takes memory from the slab.
  LayerRounds(Layers& layers, std::size_t children, zk::Ext lambda, engine::Pool& pool,
              const GkrKernels& kernels);

  // The first round; `rest` is the point of the claim without its lowest coordinate.
  RoundPolynomial first(std::span<const zk::Ext> rest);
  // Binds the variable of the last round to rho, and gives the next.
  RoundPolynomial next(zk::Ext rho, std::span<const zk::Ext> rest);
  // Binds the last variable.
  Quadruple last(zk::Ext rho);
  // The quadruple where there is no variable at all.
  Quadruple only() const;

 private:
  struct Active {
    std::uint64_t position;
    Box box;                  // of the nodes while there is no state, else of the state
    const BlockNodes* nodes;  // null from the first binding on
    std::uint64_t* buffers[2];
    int filled = 1;  // the buffer that holds the state
    std::size_t stride = 0;
  };
  struct Entry {  // what has come down to one quadruple
    std::uint64_t position;
    Quadruple values;
  };
  struct Task;

  Quadruple missing() const;
  void add_node(const TopNode& node);
  enum class Pass { kSum, kFold, kFoldSum };
  Task plan(const Active& active, Pass pass, std::span<const zk::Ext> rest) const;
  RoundPolynomial run(std::vector<Task> tasks);
  void bind_entries(zk::Ext rho);
  void retire();
  RoundPolynomial sum_entries(std::span<const zk::Ext> rest) const;
  RoundPolynomial step(const zk::Ext& rho, bool sums, std::span<const zk::Ext> rest);

  zk::Ext lambda_;
  engine::Pool& pool_;
  const GkrKernels& kernels_;
  std::vector<Active> active_;
  std::vector<Entry> entries_;  // by position
};

}  // namespace otr::prover

#endif  // OTR_PROVER_GKR_ROUNDS_H_

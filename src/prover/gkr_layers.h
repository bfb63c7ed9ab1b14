// The layers of the tree of fractions (SPEC PL-4), kept per block as ragged boxes: what is stored
// is ceil(n/2) for every halving of a dimension of n, never the padding. Inside of gkr.cc.
#ifndef OTR_PROVER_GKR_LAYERS_H_
#define OTR_PROVER_GKR_LAYERS_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "engine/pool.h"
#include "prover/gkr.h"
#include "prover/gkr_kernels.h"
#include "prover/words.h"
#include "zk/field.h"

namespace otr::prover {

// The dimensions of a block in some layer, lowest first, without those of size 1. A dimension of a
// power of two is one with the next, since the bits of their indices join without a gap; so only
// the last one may be a power of two, and rows are as long as can be.
class Box {
 public:
  explicit Box(std::vector<std::uint64_t> dims);
  const std::vector<std::uint64_t>& dims() const { return dims_; }
  std::size_t count() const;  // of elements
  std::size_t rows() const;   // count() / dims()[0]; 1 if there is no dimension
  int bits() const;           // 0 for one element
  Box halved() const;         // the lowest variable bound: pairs become one; bits() >= 1

 private:
  std::vector<std::uint64_t> dims_;
};

struct Fraction {
  zk::Ext p = zk::kZero;
  zk::Ext q = zk::kOne;
};
Fraction operator+(const Fraction& a, const Fraction& b);

// One block in one layer.
struct BlockNodes {
  Box box;
  Numerators numerators;
  NodeArrays arrays;

  Fraction at(std::size_t index) const;
};

// A block that has become one node, or a sum of such.
struct TopNode {
  std::uint64_t position;
  Fraction fraction;
};

// Segments of loops over several blocks, shared out over threads by their cost.
struct Share {
  std::size_t segments;
  std::size_t cost;  // of a segment, in elements
};
// Calls run(i, begin, end) for parts of the segments of every share i, from the threads of the
// pool.
void spread(engine::Pool& pool, std::span<const Share> shares,
            const std::function<void(std::size_t, std::size_t, std::size_t)>& run);

// Rows longer than this stand alone; shorter ones share a segment (gkr_kernels.h).
inline constexpr std::size_t kSharedRows = 2048;
// Rows::slots of `rows` rows of `length` elements, `unit` of them for an output.
std::vector<std::uint64_t> slots_of(std::size_t length, std::size_t unit, std::size_t rows);

// Memory for the layers as they are made, and for the sumchecks in the place of the layers that
// have been consumed: arrays of words, taken and given back as a stack.
class Slab {
 public:
  explicit Slab(std::size_t words);
  std::uint64_t* take(std::size_t words);
  std::size_t mark() const { return used_; }
  void give_back(std::size_t mark) { used_ = mark; }
  // Distance of arrays of `count` words that are read side by side: no multiple of a page.
  static std::size_t stride(std::size_t count);

 private:
  WordArray words_;
  std::size_t size_;
  std::size_t used_ = 0;
};

class Layers {
 public:
  // Adds up all layers.
  Layers(std::vector<LeafBlock> leaves, std::size_t nu, engine::Pool& pool,
         const GkrKernels& kernels);

  struct Block {
    std::uint64_t position = 0;  // its base in units of its size
    int bits = 0;
    std::vector<BlockNodes> levels;  // level l: its nodes in layer nu - l, while it has several
  };
  std::size_t nu() const { return nu_; }
  const std::vector<Block>& blocks() const { return blocks_; }
  // The nodes of a block in a layer, null where it has at most one.
  const BlockNodes* nodes(const Block& block, std::size_t layer) const;
  const std::vector<TopNode>& top(std::size_t layer) const { return tops_[layer]; }  // sorted
  Slab& slab() { return slab_; }
  // Frees the layers above `layer`; the slab is then free from there on.
  void drop_above(std::size_t layer) { slab_.give_back(marks_[layer]); }

 private:
  std::size_t words_needed(std::size_t nu) const;
  void add_up(std::size_t layer, engine::Pool& pool, const GkrKernels& kernels);
  void add_tops(std::size_t layer);

  std::vector<LeafBlock> leaves_;
  std::size_t nu_;
  std::vector<Block> blocks_;
  Slab slab_;
  std::vector<std::vector<TopNode>> tops_;  // per layer
  std::vector<std::size_t> marks_;          // per layer: the slab after it was made
};

}  // namespace otr::prover

#endif  // OTR_PROVER_GKR_LAYERS_H_

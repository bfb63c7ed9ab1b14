// The weights W of the batched opening (SPEC PO-1) as a sum of products: on a piece, a claim's
// weight is a constant times eq of one point. So W is never held whole, and binding its lowest
// variable changes each product alone.
#ifndef OTR_PROVER_OPEN_WEIGHTS_H_
#define OTR_PROVER_OPEN_WEIGHTS_H_

#include <algorithm>
#include <cstdint>
#include <span>
#include <vector>

#include "prover/commit_kernels.h"
#include "zk/layout.h"
#include "zk/opening.h"

namespace otr::prover {

// scale·eq(point, i) at the address base + i, i < 2^point.size().
struct WeightTerm {
  std::uint64_t base = 0;
  zk::Ext scale;
  zk::Point point;

  [[nodiscard]] std::uint64_t size() const { return std::uint64_t{1} << point.size(); }
};
struct WeightedCell {
  std::uint64_t address = 0;
  zk::Ext weight;
};

struct OpenWeights {
  std::vector<WeightTerm> terms;  // by base; of two either the addresses are the same or disjoint
  std::vector<WeightedCell> cells;

  // `powers` are the weights of the claims, evaluation claims first.
  OpenWeights(const zk::Layout& layout, std::span<const zk::Ext> powers,
              std::span<const zk::EvalClaim> eval_claims,
              std::span<const zk::CellClaim> cell_claims);
  // Binds the lowest bit of all addresses to r.
  void bind(zk::Ext r);

  // Calls body(address, weights) for each block of `block` addresses in [begin, end), all three
  // multiples of `block`, a power of two >= 2, with the sum of the terms there; cells are left out.
  template <class Body>
  void for_each_block(const CommitKernels& kernels, std::uint64_t begin, std::uint64_t end,
                      std::size_t block, const Body& body) const;
};

// A term's eq as two tables whose entries multiply, the lower one no longer than a block.
class WeightTables {
 public:
  WeightTables(const WeightTerm& term, std::size_t block);
  // Adds the weights of the term's addresses [from, from + min(block, size)), counted in it.
  void add(const CommitKernels& kernels, std::uint64_t from, std::size_t block, Exts out) const;

 private:
  std::vector<std::uint64_t> low0_, low1_;
  std::vector<zk::Ext> high_;
};

template <class Body>
void OpenWeights::for_each_block(const CommitKernels& kernels, std::uint64_t begin,
                                 std::uint64_t end, std::size_t block, const Body& body) const {
  std::vector<std::uint64_t> c0(block), c1(block);
  std::vector<WeightTables> tables;  // of the terms of the piece that is longer than a block
  std::uint64_t tables_base = ~std::uint64_t{0};
  std::size_t next = 0;
  {
    std::size_t high = terms.size();
    while (next < high) {
      const std::size_t middle = (next + high) / 2;
      const bool before = terms[middle].base + terms[middle].size() <= begin;
      (before ? next : high) = before ? middle + 1 : middle;
    }
  }
  for (std::uint64_t at = begin; at < end; at += block) {
    std::ranges::fill(c0, 0);
    std::ranges::fill(c1, 0);
    while (next < terms.size() && terms[next].base + terms[next].size() <= at) ++next;
    for (std::size_t i = next; i < terms.size() && terms[i].base < at + block; ++i) {
      const WeightTerm& term = terms[i];
      if (term.size() <= block) {
        const std::size_t offset = term.base - at;
        WeightTables(term, block).add(kernels, 0, block, {&c0[offset], &c1[offset]});
        continue;
      }
      if (tables_base != term.base) tables.clear();
      tables_base = term.base;
      if (tables.size() == i - next) tables.emplace_back(term, block);
      tables[i - next].add(kernels, at - term.base, block, {c0.data(), c1.data()});
    }
    body(at, ConstExts{c0.data(), c1.data()});
  }
}

}  // namespace otr::prover

#endif  // OTR_PROVER_OPEN_WEIGHTS_H_

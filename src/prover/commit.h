// The commitment as the prover holds it (SPEC PC): the matrix of all cells, its parity, and the
// Merkle trees over the places of both. 16 bytes for each cell, and 128 for each place.
#ifndef OTR_PROVER_COMMIT_H_
#define OTR_PROVER_COMMIT_H_

#include <cstdint>
#include <span>
#include <vector>

#include "engine/pool.h"
#include "merkle/tree.h"
#include "prover/isa.h"
#include "prover/words.h"
#include "zk/commitment.h"
#include "zk/layout.h"

namespace otr::prover {

class Committed {
 public:
  // columns[i] are the cells of the layout's column i in dense order, canonical. The result does
  // not depend on the pool or the instruction set. Throws std::bad_alloc.
  Committed(const zk::Layout& layout, std::span<const std::vector<std::uint64_t>* const> columns,
            engine::Pool& pool, Isa isa = best_isa());

  [[nodiscard]] const zk::Commitment& commitment() const { return commitment_; }
  // The rows one after another: the cell of each address, and zeros from cells() on.
  [[nodiscard]] std::span<const std::uint64_t> cells() const {
    return {cells_.get(), rows_ * places_};
  }
  [[nodiscard]] std::size_t places() const { return places_; }
  // Requires place < 2·places().
  [[nodiscard]] zk::OpenedPlace open_place(std::uint64_t place) const;

 private:
  std::size_t rows_, places_;
  WordArray cells_;   // row by row
  WordArray parity_;  // place by place
  merkle::Tree data_tree_, parity_tree_;
  zk::Commitment commitment_;
};

}  // namespace otr::prover

#endif  // OTR_PROVER_COMMIT_H_

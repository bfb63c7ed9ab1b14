// Columns while a sumcheck binds their variables.
#ifndef OTR_PROVER_SUMCHECK_FOLD_H_
#define OTR_PROVER_SUMCHECK_FOLD_H_

#include <cstdint>
#include <span>
#include <vector>

#include "engine/pool.h"
#include "prover/sumcheck_kernels.h"
#include "zk/field.h"

namespace otr::prover {

// A column on what is left of its box. Moving one keeps c0 and c1.
struct LiveColumn {
  std::vector<std::uint32_t> dims;         // those with a size above 1, increasing
  std::vector<std::uint64_t> words, more;  // where c0 and c1 stand
  const std::uint64_t* c0 = nullptr;
  const std::uint64_t* c1 = nullptr;  // null: all in F
  std::size_t count = 0;

  zk::Ext at(std::size_t i) const { return {{c0[i]}, {c1 == nullptr ? 0 : c1[i]}}; }
};

// Takes the arrays; c1 empty means all in F.
LiveColumn live_column(std::vector<std::uint32_t> dims, std::vector<std::uint64_t> c0,
                       std::vector<std::uint64_t> c1);

class Folder {
 public:
  Folder(const SumcheckKernels& kernels, engine::Pool& pool) : kernels_(kernels), pool_(pool) {}
  // Sets the lowest variable of the lowest dimension, of size n >= 2, to rho: runs of n become runs
  // of ceil(n / 2), all over K.
  void fold(LiveColumn& column, std::size_t n, const zk::Ext& rho);

 private:
  void fold_pairs(const LiveColumn& column, std::size_t n, const zk::Ext& rho, std::uint64_t* to0,
                  std::uint64_t* to1, std::size_t begin, std::size_t end) const;

  const SumcheckKernels& kernels_;
  engine::Pool& pool_;
  std::vector<std::uint64_t>
      spare_;  // goes round: the target of one fold was the source of another
};

// Runs body over [0, count), on one thread where `work` (in pairs) is too small to share.
void split_work(engine::Pool& pool, std::size_t work, std::size_t count,
                const engine::Pool::Body& body);

}  // namespace otr::prover

#endif  // OTR_PROVER_SUMCHECK_FOLD_H_

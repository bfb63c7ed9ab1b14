// Where the runs of the inner dimension lie in the columns of a round.
#ifndef OTR_PROVER_SUMCHECK_RUNS_H_
#define OTR_PROVER_SUMCHECK_RUNS_H_

#include <cstdint>
#include <vector>

#include "prover/sumcheck_round.h"

namespace otr::prover {

// The pairs of a round are taken in blocks of at most kBlock: a part of one run, or, where runs are
// short, several runs one after another, so that vectors are full in both cases.
class Runs {
 public:
  explicit Runs(const SumcheckRound& round);

  std::size_t size() const { return size_; }    // of the inner dimension
  std::size_t pairs() const { return pairs_; }  // of a run
  std::size_t count() const { return count_; }
  bool weighted() const { return weighted_; }  // an outer dimension has a factor E
  // Columns are counted as in the plan: varying, fixed, then the forms if there are any.
  std::size_t columns() const { return columns_; }

  bool single() const { return per_block_ == 1; }  // a block lies in one run
  std::size_t per_block() const { return per_block_; }
  std::size_t blocks_per_run() const { return (pairs_ + kBlock - 1) / kBlock; }  // where single
  std::size_t blocks() const {
    return single() ? count_ * blocks_per_run() : (count_ + per_block_ - 1) / per_block_;
  }

 private:
  friend class Cursor;
  struct Outer {
    std::size_t size;
    const LiveColumn* eq;              // or null
    std::vector<std::size_t> strides;  // by column, 0 where it has not the dimension
  };
  std::size_t size_, pairs_, per_block_, count_ = 1, columns_;
  bool weighted_ = false;
  std::vector<Outer> outer_;
};

// Goes through the runs in order.
class Cursor {
 public:
  Cursor(const Runs& runs, std::size_t run);
  void next();
  const std::vector<std::size_t>& offsets() const { return offsets_; }  // by column
  const zk::Ext& weight() const { return weights_[0]; }                 // Π E of outer dimensions

 private:
  void move(std::size_t k, std::size_t steps);
  void weigh(std::size_t changed);

  const Runs* runs_;
  std::vector<std::size_t> index_, offsets_;
  std::vector<zk::Ext> weights_;  // of dimension k and all above
};

}  // namespace otr::prover

#endif  // OTR_PROVER_SUMCHECK_RUNS_H_

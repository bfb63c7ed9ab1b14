// eq over the segments of a pass (gkr_kernels.h), as a product: a table that all segments have in
// common, times one weight per segment, itself a product over dimensions. So no table is as long as
// the data. Inside of gkr.cc.
#ifndef OTR_PROVER_GKR_SEGMENTS_H_
#define OTR_PROVER_GKR_SEGMENTS_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "zk/field.h"

namespace otr::prover {

// Dimensions are given lowest first. Those at the beginning that fit into the table lie in it
// whole, the next one in part: a segment has its first 2^k indices, the next segment the following,
// and `per_run` segments make a run. The later dimensions count runs.
class Segments {
 public:
  // `rest` are the coordinates for the dimensions' bits and those above; unless `weighted` there
  // are no tables, only the counts.
  Segments(bool weighted, std::span<const zk::Ext> rest);
  void add_dimension(std::uint64_t n);
  // The dimensions from here on count runs.
  void end_run() { open_ = false; }
  // Takes in eq of what lies above the dimensions.
  void place_at(std::uint64_t position);

  std::size_t table_size() const { return table_size_; }
  std::size_t per_run() const { return per_run_; }
  std::size_t run_size() const { return run_size_; }  // indices in a run
  const std::vector<zk::Ext>& table() const { return table_; }
  zk::Ext weight(std::uint64_t segment) const;  // counted through all runs

 private:
  struct Digit {
    std::uint64_t n;
    std::vector<zk::Ext> low, high;  // of the low bits of an index, and of the others
  };
  std::vector<zk::Ext> take_table(std::size_t bits, std::size_t n);
  void widen_table(std::size_t bits, std::size_t n);
  void add_digit(std::uint64_t n, std::size_t bits);

  bool weighted_;
  std::span<const zk::Ext> rest_;
  std::size_t table_size_ = 1, per_run_ = 1, run_size_ = 1;
  bool open_ = true;  // no dimension has been cut yet
  std::vector<zk::Ext> table_ = {zk::kOne};
  std::vector<Digit> digits_;
  zk::Ext all_ = zk::kOne;
};

}  // namespace otr::prover

#endif  // OTR_PROVER_GKR_SEGMENTS_H_

#include "prover/sumcheck_runs.h"

#include <algorithm>
#include <utility>

namespace otr::prover {

Runs::Runs(const SumcheckRound& round)
    : size_(round.sizes[round.inner]),
      pairs_((size_ + 1) / 2),
      per_block_(std::max<std::size_t>(1, kBlock / pairs_)) {
  std::vector<const LiveColumn*> columns;
  for (const std::uint32_t id : round.plan.varying) columns.push_back(&round.columns[id]);
  for (const std::uint32_t id : round.plan.fixed) columns.push_back(&round.columns[id]);
  for (const LiveColumn& form : round.forms) columns.push_back(&form);
  columns_ = columns.size();
  std::vector<std::size_t> stride(columns_, 1);
  const auto strides_of = [&](std::size_t d) {
    std::vector<std::size_t> strides(columns_);
    for (std::size_t i = 0; i < columns_; ++i) {
      const std::vector<std::uint32_t>& dims = columns[i]->dims;
      if (std::ranges::find(dims, d) == dims.end()) continue;
      strides[i] = stride[i];
      stride[i] *= round.sizes[d];
    }
    return strides;
  };
  strides_of(round.inner);
  for (std::size_t d = round.inner + 1; d < round.sizes.size(); ++d) {
    if (round.sizes[d] == 1) continue;
    const LiveColumn* eq = round.eq[d].c0 == nullptr ? nullptr : &round.eq[d];
    outer_.push_back({round.sizes[d], eq, strides_of(d)});
    count_ *= round.sizes[d];
    weighted_ = weighted_ || eq != nullptr;
  }
}

Cursor::Cursor(const Runs& runs, std::size_t run)
    : runs_(&runs),
      index_(runs.outer_.size()),
      offsets_(runs.columns()),
      weights_(runs.outer_.size() + 1, zk::kOne) {
  for (std::size_t k = 0; k < index_.size(); ++k) {
    index_[k] = run % runs.outer_[k].size;
    run /= runs.outer_[k].size;
    move(k, index_[k]);
  }
  weigh(index_.size());
}

void Cursor::next() {
  std::size_t k = 0;
  while (k < index_.size() && index_[k] + 1 == runs_->outer_[k].size) {
    move(k, -index_[k]);
    index_[k++] = 0;
  }
  if (k < index_.size()) {
    move(k, 1);
    ++index_[k++];
  }
  weigh(k);
}

void Cursor::move(std::size_t k, std::size_t steps) {  // a step back wraps round to the right place
  const std::vector<std::size_t>& strides = runs_->outer_[k].strides;
  for (std::size_t i = 0; i < offsets_.size(); ++i) offsets_[i] += steps * strides[i];
}

void Cursor::weigh(std::size_t changed) {
  if (!runs_->weighted()) return;
  for (std::size_t k = changed; k-- > 0;) {
    const LiveColumn* eq = runs_->outer_[k].eq;
    weights_[k] = eq == nullptr ? weights_[k + 1] : weights_[k + 1] * eq->at(index_[k]);
  }
}

}  // namespace otr::prover

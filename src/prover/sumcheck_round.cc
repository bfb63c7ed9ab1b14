// The pairs of a round are taken in blocks of at most kBlock: a part of one run of the inner
// dimension, or, where runs are short, several runs one after another, so that vectors are full in
// both cases. In the first the coefficients of the plan are scalars, in the second blocks.
#include "prover/sumcheck_round.h"

#include <algorithm>
#include <mutex>

namespace otr::prover {
namespace {

using zk::Ext;

struct alignas(64) Block {
  std::uint64_t words[kBlock] = {};
};
struct ExtBlock {
  Block c0, c1;

  std::uint64_t* data() { return c0.words; }
  void set(std::size_t i, const Ext& value) {
    c0.words[i] = value.c0.v;
    c1.words[i] = value.c1.v;
  }
  void fill(std::size_t begin, std::size_t count, const Ext& value) {
    std::fill_n(c0.words + begin, count, value.c0.v);
    std::fill_n(c1.words + begin, count, value.c1.v);
  }
};
static_assert(sizeof(ExtBlock) == 2 * sizeof(Block));

// A polynomial of degree 1 in X at each place of a block: `value` at the X of the moment.
struct Line {
  ExtBlock value, delta;
};

// Where runs of the inner dimension lie in the columns.
class Runs {
 public:
  explicit Runs(const SumcheckRound& round);

  std::size_t size() const { return size_; }    // of the inner dimension
  std::size_t pairs() const { return pairs_; }  // of a run
  std::size_t count() const { return count_; }
  bool weighted() const { return weighted_; }  // an outer dimension has a factor E
  // Columns are counted as in the plan: varying, then fixed.
  std::size_t columns() const { return columns_; }

 private:
  friend class Cursor;
  struct Outer {
    std::size_t size;
    const LiveColumn* eq;              // or null
    std::vector<std::size_t> strides;  // by column, 0 where it has not the dimension
  };
  std::size_t size_, pairs_, count_ = 1, columns_;
  bool weighted_ = false;
  std::vector<Outer> outer_;
};

Runs::Runs(const SumcheckRound& round)
    : size_(round.sizes[round.inner]),
      pairs_((size_ + 1) / 2),
      columns_(round.plan.varying.size() + round.plan.fixed.size()) {
  std::vector<std::size_t> stride(columns_, 1);
  const std::size_t varying = round.plan.varying.size();
  std::fill_n(stride.begin(), varying, size_);
  for (std::size_t d = round.inner + 1; d < round.sizes.size(); ++d) {
    const LiveColumn& eq = round.eq[d];
    Outer outer{round.sizes[d], eq.c0 == nullptr ? nullptr : &eq, {}};
    if (outer.size == 1) continue;
    for (std::size_t i = 0; i < columns_; ++i) {
      const std::uint32_t id = i < varying ? round.plan.varying[i] : round.plan.fixed[i - varying];
      const std::vector<std::uint32_t>& dims = round.columns[id].dims;
      const bool has = std::ranges::find(dims, d) != dims.end();
      outer.strides.push_back(has ? stride[i] : 0);
      if (has) stride[i] *= outer.size;
    }
    count_ *= outer.size;
    weighted_ = weighted_ || outer.eq != nullptr;
    outer_.push_back(std::move(outer));
  }
}

// Goes through the runs in order.
class Cursor {
 public:
  Cursor(const Runs& runs, std::size_t run)
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
  void next() {
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
  const std::vector<std::size_t>& offsets() const { return offsets_; }  // by column
  const Ext& weight() const { return weights_[0]; }                     // Π E of outer dimensions

 private:
  void move(std::size_t k, std::size_t steps) {  // unsigned: a step back wraps round to the place
    const std::vector<std::size_t>& strides = runs_->outer_[k].strides;
    for (std::size_t i = 0; i < offsets_.size(); ++i) offsets_[i] += steps * strides[i];
  }
  void weigh(std::size_t changed) {
    if (!runs_->weighted()) return;
    for (std::size_t k = changed; k-- > 0;) {
      const LiveColumn* eq = runs_->outer_[k].eq;
      weights_[k] = eq == nullptr ? weights_[k + 1] : weights_[k + 1] * eq->at(index_[k]);
    }
  }

  const Runs* runs_;
  std::vector<std::size_t> index_, offsets_;
  std::vector<Ext> weights_;  // of dimension k and all above
};

class Summer {
 public:
  Summer(const SumcheckRound& round, const Runs& runs);
  std::size_t blocks() const;
  // Adds the blocks [begin, end) to the sums.
  void run(std::size_t begin, std::size_t end);
  const std::vector<Ext>& sums() const { return sums_; }

 private:
  bool is_base(std::size_t place) const {
    return columns_[round_.plan.varying[place]].c1 == nullptr;
  }

  void enter_run();
  void gather_runs(std::size_t count);
  Ext coefficient_at(std::size_t j, const std::size_t* offsets) const;
  void load_words(const std::uint64_t* words, std::size_t place, std::uint64_t* low,
                  std::uint64_t* delta) const;
  void load_segment(const std::uint64_t* from, std::size_t pairs, std::uint64_t* low,
                    std::uint64_t* delta) const;
  void load_block();
  void load_weight();
  void compute(const AffineForm& form, Line& line) const;
  void add_block();
  void evaluate(std::size_t x_index);
  void multiply(ExtBlock& to, const ExtBlock& a, std::size_t place);
  void step();
  void step(Line& line) const;
  void flush(const Ext& weight);

  const SumcheckRound& round_;
  const SumcheckKernels& kernels_;
  std::span<const LiveColumn> columns_;
  const Runs& runs_;
  const LiveColumn* eq_;  // of the inner dimension, or null
  std::size_t runs_per_block_, blocks_per_run_;
  bool single_;  // a block lies in one run

  // The block of the moment.
  std::size_t run_count_ = 1, first_pair_ = 0, pairs_ = 0;
  Cursor cursor_;
  std::vector<std::size_t> offsets_;     // by run and column
  std::vector<Ext> values_;              // of the coefficients, where single_ or constant
  std::vector<ExtBlock> spread_;         // of the coefficients, otherwise
  std::vector<Line> varying_, factors_;  // by place in varying; by group
  Line affine_, weight_;
  ExtBlock run_weight_, product_, summand_, weighted_;

  std::vector<Block> lanes_;  // by X
  std::vector<Ext> sums_;     // by X
};

Summer::Summer(const SumcheckRound& round, const Runs& runs)
    : round_(round),
      kernels_(round.kernels),
      columns_(round.columns),
      runs_(runs),
      eq_(round.eq[round.inner].c0 == nullptr ? nullptr : &round.eq[round.inner]),
      runs_per_block_(std::max<std::size_t>(1, kBlock / runs.pairs())),
      blocks_per_run_((runs.pairs() + kBlock - 1) / kBlock),
      single_(runs_per_block_ == 1),
      cursor_(runs, 0),
      offsets_(runs_per_block_ * runs.columns()),
      values_(round.plan.coefficients.size()),
      spread_(single_ ? 0 : round.plan.coefficients.size()),
      varying_(round.plan.varying.size()),
      factors_(round.plan.groups.size()),
      lanes_(round.degree),
      sums_(round.degree) {
  for (std::size_t j = 0; j < values_.size(); ++j) values_[j] = round.plan.coefficients[j].value;
}

std::size_t Summer::blocks() const {
  return single_ ? runs_.count() * blocks_per_run_
                 : (runs_.count() + runs_per_block_ - 1) / runs_per_block_;
}

void Summer::run(std::size_t begin, std::size_t end) {
  if (begin >= end) return;
  cursor_ = Cursor(runs_, single_ ? begin / blocks_per_run_ : begin * runs_per_block_);
  for (std::size_t b = begin; b < end; ++b) {
    if (single_) {
      const std::size_t part = b % blocks_per_run_;
      if (part == 0 && b != begin) {
        flush(cursor_.weight());
        cursor_.next();
      }
      if (part == 0 || b == begin) enter_run();
      first_pair_ = part * kBlock;
      pairs_ = std::min(kBlock, runs_.pairs() - first_pair_);
    } else {
      gather_runs(std::min(runs_per_block_, runs_.count() - b * runs_per_block_));
    }
    load_block();
    add_block();
  }
  flush(single_ ? cursor_.weight() : zk::kOne);
}

// --- Coefficients --------------------------------------------------------------------------------

Ext Summer::coefficient_at(std::size_t j, const std::size_t* offsets) const {
  Ext sum = zk::kZero;
  for (const auto& part : round_.plan.coefficients[j].parts) {
    Ext product = part.constant;
    for (const std::uint32_t place : part.fixed) {
      const LiveColumn& column = columns_[round_.plan.fixed[place]];
      const std::size_t offset = offsets[round_.plan.varying.size() + place];
      product = column.c1 == nullptr ? product * zk::Felt{column.c0[offset]}
                                     : product * column.at(offset);
    }
    sum += product;
  }
  return sum;
}

void Summer::enter_run() {
  std::ranges::copy(cursor_.offsets(), offsets_.begin());
  for (std::size_t j = 0; j < values_.size(); ++j) {
    if (!round_.plan.coefficients[j].constant) values_[j] = coefficient_at(j, offsets_.data());
  }
}

void Summer::gather_runs(std::size_t count) {
  const std::size_t pairs = runs_.pairs();
  run_count_ = count;
  pairs_ = count * pairs;
  for (std::size_t q = 0; q < count; ++q, cursor_.next()) {
    std::size_t* offsets = offsets_.data() + q * runs_.columns();
    std::ranges::copy(cursor_.offsets(), offsets);
    for (std::size_t j = 0; j < values_.size(); ++j) {
      if (round_.plan.coefficients[j].constant) continue;
      spread_[j].fill(q * pairs, pairs, coefficient_at(j, offsets));
    }
    if (runs_.weighted()) run_weight_.fill(q * pairs, pairs, cursor_.weight());
  }
}

// --- Loading -------------------------------------------------------------------------------------

void Summer::load_segment(const std::uint64_t* from, std::size_t pairs, std::uint64_t* low,
                          std::uint64_t* delta) const {
  const bool to_the_end = first_pair_ + pairs == runs_.pairs();
  const bool alone = runs_.size() % 2 != 0 && to_the_end;  // the last one has no neighbour
  const std::size_t full = alone ? pairs - 1 : pairs;
  kernels_.split(from, full, low, delta);
  if (alone) {
    low[full] = from[2 * full];
    delta[full] = (-zk::Felt{from[2 * full]}).v;
  }
}

// The runs of the column at `place`; of an array that is the same for all runs if there is none.
void Summer::load_words(const std::uint64_t* words, std::size_t place, std::uint64_t* low,
                        std::uint64_t* delta) const {
  const auto offset = [&](std::size_t q) {
    return place < runs_.columns() ? offsets_[q * runs_.columns() + place] : 0;
  };
  if (single_) return load_segment(words + offset(0) + 2 * first_pair_, pairs_, low, delta);
  const std::size_t pairs = runs_.pairs();
  const std::size_t size = runs_.size();
  for (std::size_t q = 0; q < run_count_;) {
    std::size_t together = 1;
    while (size % 2 == 0 && q + together < run_count_ &&
           offset(q + together) == offset(q) + together * size) {
      ++together;
    }
    const std::uint64_t* from = words + offset(q);
    if (together > 1) {
      kernels_.split(from, together * pairs, low + q * pairs, delta + q * pairs);
    } else {
      load_segment(from, pairs, low + q * pairs, delta + q * pairs);
    }
    q += together;
  }
}

void Summer::load_block() {
  for (std::size_t place = 0; place < varying_.size(); ++place) {
    const LiveColumn& column = columns_[round_.plan.varying[place]];
    Line& line = varying_[place];
    load_words(column.c0, place, line.value.c0.words, line.delta.c0.words);
    if (column.c1 != nullptr) {
      load_words(column.c1, place, line.value.c1.words, line.delta.c1.words);
    }
  }
  load_weight();
}

// The factor E of the inner dimension; where a block has many runs, that of the outer ones too.
void Summer::load_weight() {
  if (eq_ != nullptr) {
    const std::size_t none = runs_.columns();
    load_words(eq_->c0, none, weight_.value.c0.words, weight_.delta.c0.words);
    load_words(eq_->c1, none, weight_.value.c1.words, weight_.delta.c1.words);
  }
  if (single_ || !runs_.weighted()) return;
  if (eq_ == nullptr) {
    weight_.value = run_weight_;
    return;
  }
  kernels_.mul(weight_.value.data(), weight_.value.data(), run_weight_.data(), pairs_);
  kernels_.mul(weight_.delta.data(), weight_.delta.data(), run_weight_.data(), pairs_);
}

// --- Computing -----------------------------------------------------------------------------------

void Summer::compute(const AffineForm& form, Line& line) const {
  line.value.fill(0, kBlock, zk::kZero);
  line.delta.fill(0, kBlock, zk::kZero);
  for (const auto& [place, j] : form.entries) {
    const bool scalar = single_ || round_.plan.coefficients[j].constant;
    const Ext& value = values_[j];
    if (place == AffineForm::kConstant) {  // the first entry, if it is there
      if (scalar) {
        line.value.fill(0, kBlock, value);
      } else {
        line.value = spread_[j];
      }
      continue;
    }
    const Line& column = varying_[place];
    const bool base = is_base(place);
    for (const auto part : {&Line::value, &Line::delta}) {
      std::uint64_t* to = (line.*part).c0.words;
      const std::uint64_t* from = (column.*part).c0.words;
      if (scalar) {
        (base ? kernels_.scale_add_base : kernels_.scale_add)(to, value, from, pairs_);
      } else {
        const std::uint64_t* by = spread_[j].c0.words;
        (base ? kernels_.mul_add_base : kernels_.mul_add)(to, by, from, pairs_);
      }
    }
  }
}

void Summer::add_block() {
  compute(round_.plan.affine, affine_);
  for (std::size_t g = 0; g < factors_.size(); ++g) {
    compute(round_.plan.groups[g].factor, factors_[g]);
  }
  evaluate(0);
  if (round_.degree > 1) step();
  for (std::size_t x = 2; x <= round_.degree; ++x) {
    step();
    evaluate(x - 1);
  }
}

void Summer::evaluate(std::size_t x_index) {
  summand_ = affine_.value;
  for (std::size_t g = 0; g < factors_.size(); ++g) {
    const std::vector<std::uint32_t>& prefix = round_.plan.groups[g].prefix;
    std::uint64_t* product = varying_[prefix[0]].value.data();
    bool base = is_base(prefix[0]);
    for (std::size_t i = 1; i < prefix.size(); ++i) {
      std::uint64_t* by = varying_[prefix[i]].value.data();
      const bool by_base = is_base(prefix[i]);
      const auto kernel = base && by_base   ? kernels_.mul_both_base
                          : base || by_base ? kernels_.mul_base
                                            : kernels_.mul;
      kernel(product_.data(), base ? by : product, base ? product : by, pairs_);
      product = product_.data();
      base = base && by_base;
    }
    (base ? kernels_.mul_add_base : kernels_.mul_add)(summand_.data(), factors_[g].value.data(),
                                                      product, pairs_);
  }
  for (const std::uint32_t place : round_.plan.common) {
    (is_base(place) ? kernels_.mul_base : kernels_.mul)(summand_.data(), summand_.data(),
                                                        varying_[place].value.data(), pairs_);
  }
  std::uint64_t* lanes = lanes_[x_index].words;
  if (eq_ == nullptr && (single_ || !runs_.weighted())) {
    kernels_.sum(lanes, summand_.data(), pairs_);
  } else {
    kernels_.mul(weighted_.data(), summand_.data(), weight_.value.data(), pairs_);
    kernels_.sum(lanes, weighted_.data(), pairs_);
  }
}

void Summer::step(Line& line) const { kernels_.add(line.value.data(), line.delta.data(), pairs_); }

void Summer::step() {
  for (const std::uint32_t place : round_.plan.stepped) {
    Line& line = varying_[place];
    if (is_base(place)) {
      kernels_.add_base(line.value.data(), line.delta.data(), pairs_);
    } else {
      step(line);
    }
  }
  for (Line& line : factors_) step(line);
  step(affine_);
  if (eq_ != nullptr) step(weight_);
}

void Summer::flush(const Ext& weight) {
  for (std::size_t x = 0; x < sums_.size(); ++x) {
    Ext sum = zk::kZero;
    for (std::size_t i = 0; i < kMaxLanes; ++i) {
      sum += Ext{{lanes_[x].words[i]}, {lanes_[x].words[kMaxLanes + i]}};
    }
    sums_[x] += weight * sum;
    lanes_[x] = {};
  }
}

}  // namespace

std::vector<Ext> sum_round(const SumcheckRound& round, engine::Pool& pool) {
  const Runs runs(round);
  const std::size_t blocks = Summer(round, runs).blocks();
  std::vector<Ext> sums(round.degree);
  std::mutex mutex;
  split_work(pool, runs.count() * runs.pairs(), blocks, [&](std::size_t begin, std::size_t end) {
    Summer summer(round, runs);
    summer.run(begin, end);
    const std::lock_guard lock(mutex);
    for (std::size_t x = 0; x < sums.size(); ++x) sums[x] += summer.sums()[x];
  });
  return sums;
}

}  // namespace otr::prover

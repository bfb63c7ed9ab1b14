// In a block that lies in one run the coefficients of the plan are scalars, in one of many runs
// they are blocks themselves.
#include "prover/sumcheck_round.h"

#include <algorithm>
#include <mutex>

#include "prover/sumcheck_runs.h"

namespace otr::prover {
namespace {

using zk::Ext;

struct alignas(64) Block {
  std::uint64_t words[kBlock] = {};
};
struct ExtBlock {
  Block c0, c1;

  std::uint64_t* data() { return c0.words; }
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

class Summer {
 public:
  Summer(const SumcheckRound& round, const Runs& runs);
  // Adds the blocks [begin, end) to the sums.
  void run(std::size_t begin, std::size_t end);
  const std::vector<Ext>& sums() const { return sums_; }

 private:
  bool is_base(std::size_t place) const {
    return columns_[round_.plan.varying[place]].c1 == nullptr;
  }

  const AffineForm& form(std::size_t k) const {
    return k == 0 ? round_.plan.affine : round_.plan.groups[k - 1].factor;
  }
  bool is_kept(std::size_t k) const { return !round_.forms.empty() && round_.forms[k].count != 0; }
  std::size_t first_form() const { return round_.plan.varying.size() + round_.plan.fixed.size(); }

  void enter_run();
  void gather_runs(std::size_t count);
  Ext coefficient_at(std::size_t j, const std::size_t* offsets) const;
  void load_words(const std::uint64_t* words, std::size_t place, std::uint64_t* low,
                  std::uint64_t* delta) const;
  void load_segment(const std::uint64_t* from, std::size_t pairs, std::uint64_t* low,
                    std::uint64_t* delta) const;
  void load_block();
  void load_weight();
  void take_form(std::size_t k);
  void keep_words(const std::uint64_t* low, const std::uint64_t* delta, std::uint64_t* to) const;
  void compute(const AffineForm& form, Line& line) const;
  void add_block();
  void evaluate(std::size_t x_index);
  void step();
  void step(Line& line) const;
  void flush(const Ext& weight);

  const SumcheckRound& round_;
  const SumcheckKernels& kernels_;
  std::span<const LiveColumn> columns_;
  const Runs& runs_;
  const LiveColumn* eq_;  // of the inner dimension, or null
  bool single_;           // a block lies in one run

  // The block of the moment.
  std::size_t run_count_ = 1, first_pair_ = 0, pairs_ = 0;
  Cursor cursor_;
  std::vector<std::size_t> offsets_;  // by run and column
  std::vector<Ext> values_;           // of the coefficients, where single_ or constant
  std::vector<ExtBlock> spread_;      // of the coefficients, otherwise
  std::vector<Line> varying_;         // by place in varying
  std::vector<bool> needed_;          // alike: not to be read where its forms are kept
  std::vector<Line> forms_;           // by form
  Line weight_;
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
      single_(runs.single()),
      cursor_(runs, 0),
      offsets_(runs.per_block() * runs.columns()),
      values_(round.plan.coefficients.size()),
      spread_(single_ ? 0 : round.plan.coefficients.size()),
      varying_(round.plan.varying.size()),
      needed_(round.plan.varying.size()),
      forms_(round.plan.groups.size() + 1),
      lanes_(round.degree),
      sums_(round.degree) {
  for (std::size_t j = 0; j < values_.size(); ++j) values_[j] = round.plan.coefficients[j].value;
  for (const std::uint32_t place : round.plan.stepped) needed_[place] = true;
  for (std::size_t k = 0; k < forms_.size(); ++k) {
    if (is_kept(k) && !round.fill_forms) continue;
    for (const auto& entry : form(k).entries) needed_[entry.varying] = true;
  }
}

void Summer::run(std::size_t begin, std::size_t end) {
  if (begin >= end) return;
  cursor_ = Cursor(runs_, single_ ? begin / runs_.blocks_per_run() : begin * runs_.per_block());
  for (std::size_t b = begin; b < end; ++b) {
    if (single_) {
      const std::size_t part = b % runs_.blocks_per_run();
      if (part == 0 && b != begin) {
        flush(cursor_.weight());
        cursor_.next();
      }
      if (part == 0 || b == begin) enter_run();
      first_pair_ = part * kBlock;
      pairs_ = std::min(kBlock, runs_.pairs() - first_pair_);
    } else {
      gather_runs(std::min(runs_.per_block(), runs_.count() - b * runs_.per_block()));
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
    if (!needed_[place]) continue;
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

// The form of that number: from the columns, or as it was kept. Its constant is not kept with it,
// since unlike a column it goes on beyond the box.
void Summer::take_form(std::size_t k) {
  Line& line = forms_[k];
  const std::size_t place = first_form() + k;
  if (!is_kept(k)) {
    compute(form(k), line);
  } else if (round_.fill_forms) {
    compute(form(k), line);
    LiveColumn& kept = round_.forms[k];
    std::uint64_t* to0 = kept.words.data() + offsets_[place] + 2 * first_pair_;
    keep_words(line.value.c0.words, line.delta.c0.words, to0);
    keep_words(line.value.c1.words, line.delta.c1.words, to0 + kept.count);
  } else {
    const LiveColumn& kept = round_.forms[k];
    load_words(kept.c0, place, line.value.c0.words, line.delta.c0.words);
    load_words(kept.c1, place, line.value.c1.words, line.delta.c1.words);
  }
  if (!form(k).constant) return;
  const std::uint32_t j = *form(k).constant;
  const bool scalar = single_ || round_.plan.coefficients[j].constant;
  if (scalar) product_.fill(0, kBlock, values_[j]);
  kernels_.add(line.value.data(), scalar ? product_.data() : spread_[j].data(), pairs_);
}

// The inverse of load_words for the box of all columns, where runs stand one after another.
void Summer::keep_words(const std::uint64_t* low, const std::uint64_t* delta,
                        std::uint64_t* to) const {
  const bool odd = runs_.size() % 2 != 0;
  if (single_ || !odd) {
    const bool alone = odd && first_pair_ + pairs_ == runs_.pairs();
    const std::size_t full = alone ? pairs_ - 1 : pairs_;
    kernels_.join(low, delta, full, to);
    if (alone) to[2 * full] = low[full];
    return;
  }
  const std::size_t pairs = runs_.pairs();
  for (std::size_t q = 0; q < run_count_; ++q, low += pairs, delta += pairs, to += runs_.size()) {
    kernels_.join(low, delta, pairs - 1, to);
    to[2 * (pairs - 1)] = low[pairs - 1];
  }
}

void Summer::add_block() {
  for (std::size_t k = 0; k < forms_.size(); ++k) take_form(k);
  evaluate(0);
  if (round_.degree > 1) step();
  for (std::size_t x = 2; x <= round_.degree; ++x) {
    step();
    evaluate(x - 1);
  }
}

void Summer::evaluate(std::size_t x_index) {
  summand_ = forms_[0].value;
  for (std::size_t g = 0; g < round_.plan.groups.size(); ++g) {
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
    (base ? kernels_.mul_add_base : kernels_.mul_add)(summand_.data(), forms_[g + 1].value.data(),
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
  for (Line& line : forms_) step(line);
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
  std::vector<Ext> sums(round.degree);
  std::mutex mutex;
  split_work(pool, runs.count() * runs.pairs(), runs.blocks(),
             [&](std::size_t begin, std::size_t end) {
               Summer summer(round, runs);
               summer.run(begin, end);
               const std::lock_guard lock(mutex);
               for (std::size_t x = 0; x < sums.size(); ++x) sums[x] += summer.sums()[x];
             });
  return sums;
}

}  // namespace otr::prover

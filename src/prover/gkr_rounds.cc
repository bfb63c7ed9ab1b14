#include "prover/gkr_rounds.h"

#include <algorithm>
#include <mutex>
#include <utility>

#include "base/check.h"
#include "zk/mle.h"

namespace otr::prover {
namespace {

using zk::Ext;
using zk::Felt;
using Words = std::vector<std::uint64_t>;

constexpr int kInnerBits = 10;       // of the table of eq that all segments use
constexpr std::size_t kDigit = 11;   // bits of the tables that the weights of segments come from
constexpr std::size_t kBatch = 128;  // segments in a call of a kernel

// eq of the segments of a block, which are counted through a mixed radix: the segment in its row,
// then the dimensions from the second on. Weights are products over the digits.
class SegmentWeights {
 public:
  SegmentWeights() = default;
  explicit SegmentWeights(Ext all) : all_(all) {}
  // The next dimension, of n indices; takes its bits off `rest`.
  void add_dimension(std::uint64_t n, std::size_t bits, std::span<const Ext>& rest) {
    Dimension dimension{n, {}, {}};
    const std::size_t low = std::min(bits, kDigit);
    dimension.low = zk::eq_table(rest.first(low), std::min(n, std::uint64_t{1} << low));
    if (bits > low) {
      dimension.high = zk::eq_table(rest.subspan(low, bits - low), ((n - 1) >> low) + 1);
    }
    dimensions_.push_back(std::move(dimension));
    rest = rest.subspan(bits);
  }
  void multiply(Ext factor) { all_ *= factor; }
  Ext at(std::uint64_t segment) const {
    Ext weight = all_;
    for (const Dimension& d : dimensions_) {
      const std::uint64_t index = segment % d.n;
      segment /= d.n;
      weight *= d.low[index & ((std::uint64_t{1} << kDigit) - 1)];
      if (!d.high.empty()) weight *= d.high[index >> kDigit];
    }
    return weight;
  }

 private:
  struct Dimension {
    std::uint64_t n;
    std::vector<Ext> low, high;  // of the low kDigit bits of an index, and of the others
  };
  std::vector<Dimension> dimensions_;
  Ext all_ = zk::kOne;
};

Ext total(const std::uint64_t (&lanes)[2][kSumLanes]) {
  Ext sum = zk::kZero;
  for (std::size_t i = 0; i < kSumLanes; ++i) sum += Ext{{lanes[0][i]}, {lanes[1][i]}};
  return sum;
}

Ext bind(Ext low, Ext high, Ext rho) { return low + rho * (high - low); }

}  // namespace

struct LayerRounds::Task {
  void (*kernel)(const RoundIn& in, RoundSums& sums) = nullptr;
  RoundIn in = {};
  Share share = {};
  bool sums = false;
  SegmentWeights weights;
  Words inner0, inner1;
};

LayerRounds::LayerRounds(Layers& layers, std::size_t children, Ext lambda, engine::Pool& pool,
                         const GkrKernels& kernels)
    : lambda_(lambda), pool_(pool), kernels_(kernels) {
  for (const TopNode& node : layers.top(children)) add_node(node);
  for (const Layers::Block& block : layers.blocks()) {
    const BlockNodes* nodes = layers.nodes(block, children);
    if (nodes == nullptr) continue;
    if (nodes->box.bits() == 1) {
      add_node({2 * block.position, nodes->at(0)});
      add_node({2 * block.position + 1, nodes->at(1)});
      continue;
    }
    Active active{block.position, nodes->box, nodes, {}};
    Box box = active.box.halved().halved();
    for (std::uint64_t*& buffer : active.buffers) {
      buffer = layers.slab().take(8 * Slab::stride(box.count()));
      if (box.bits() != 0) box = box.halved();
    }
    active_.push_back(std::move(active));
  }
  std::ranges::sort(entries_, {}, &Entry::position);
}

Quadruple LayerRounds::missing() const { return {zk::kZero, lambda_, zk::kOne, zk::kOne}; }

// Nodes of one entry come one after another.
void LayerRounds::add_node(const TopNode& node) {
  const std::uint64_t position = node.position >> 1;
  if (entries_.empty() || entries_.back().position != position) {
    entries_.push_back({position, missing()});
  }
  Quadruple& values = entries_.back().values;
  if ((node.position & 1) == 0) {
    values.p0 = node.fraction.p;
    values.q0 = node.fraction.q;
  } else {
    values.p1 = node.fraction.p + lambda_ * node.fraction.q;
    values.q1 = node.fraction.q;
  }
}

// A pass over a block, in which `down` halvings lie between its elements and what is summed.
LayerRounds::Task LayerRounds::plan(const Active& active, int down, bool sums,
                                    std::span<const Ext> rest) const {
  Task task;
  task.sums = sums;
  const std::vector<std::uint64_t>& dims = active.box.dims();
  const std::uint64_t summed = ((dims[0] - 1) >> down) + 1;  // in a row
  const int pair_bits = zk::bits_of(summed) - 1;
  const int inner_bits = std::clamp(pair_bits, 0, kInnerBits);
  Rows& rows = task.in.rows;
  rows.length = dims[0];
  rows.chunk = std::size_t{1} << (inner_bits + 1 + down);
  rows.per_row = (dims[0] + rows.chunk - 1) / rows.chunk;
  task.share = {rows.per_row * active.box.rows(), std::min(rows.chunk, rows.length) + 64};
  if (active.nodes != nullptr) {
    task.in.nodes = active.nodes->arrays;
  } else {
    task.in.state = active.buffers[active.filled];
    task.in.state_stride = active.stride;
  }
  task.in.lambda = lambda_;
  if (!sums) return task;
  for (const Ext& e : zk::eq_table(rest.first(static_cast<std::size_t>(inner_bits)),
                                   std::size_t{1} << inner_bits)) {
    task.inner0.push_back(e.c0.v);
    task.inner1.push_back(e.c1.v);
  }
  rest = rest.subspan(static_cast<std::size_t>(inner_bits));
  task.weights.add_dimension(rows.per_row, static_cast<std::size_t>(pair_bits - inner_bits), rest);
  for (std::size_t i = 1; i < dims.size(); ++i) {
    task.weights.add_dimension(dims[i], static_cast<std::size_t>(zk::bits_of(dims[i])), rest);
  }
  task.weights.multiply(zk::eq_at(rest, active.position));
  return task;
}

RoundPolynomial LayerRounds::run(std::vector<Task> tasks) {
  RoundPolynomial sum;
  std::mutex mutex;
  std::vector<Share> shares;
  for (Task& task : tasks) {
    task.in.inner0 = task.inner0.data();
    task.in.inner1 = task.inner1.data();
    shares.push_back(task.share);
  }
  spread(pool_, shares, [&](std::size_t i, std::size_t begin, std::size_t end) {
    const Task& task = tasks[i];
    std::uint64_t weights[2][kBatch];
    RoundIn in = task.in;
    in.weights0 = weights[0];
    in.weights1 = weights[1];
    RoundPolynomial part;
    for (in.rows.begin = begin; in.rows.begin < end; in.rows.begin = in.rows.end) {
      in.rows.end = std::min(end, in.rows.begin + kBatch);
      for (std::size_t s = in.rows.begin; task.sums && s < in.rows.end; ++s) {
        const Ext weight = task.weights.at(s);
        weights[0][s - in.rows.begin] = weight.c0.v;
        weights[1][s - in.rows.begin] = weight.c1.v;
      }
      RoundSums sums;
      task.kernel(in, sums);
      part.at_zero += total(sums.at_zero);
      part.leading += total(sums.leading);
    }
    const std::scoped_lock lock(mutex);  // sums in a field: their order does not show
    sum.at_zero += part.at_zero;
    sum.leading += part.leading;
  });
  return sum;
}

RoundPolynomial LayerRounds::first(std::span<const Ext> rest) {
  std::vector<Task> tasks;
  for (const Active& active : active_) {
    tasks.push_back(plan(active, 1, true, rest));
    tasks.back().kernel = kernels_.sum_nodes[static_cast<int>(active.nodes->numerators)];
  }
  const RoundPolynomial blocks = run(std::move(tasks));
  const RoundPolynomial entries = sum_entries(rest);
  return {blocks.at_zero + entries.at_zero, blocks.leading + entries.leading};
}

// Binds all, and sums the next round where `sums`. Where binding leaves one element in each row
// whose dimension is not the last, pairs are of several rows: then summing is a pass of its own.
RoundPolynomial LayerRounds::step(const Ext& rho, bool sums, std::span<const Ext> rest) {
  bind_entries(rho);
  std::vector<Task> folds, sums_apart;
  for (Active& active : active_) {
    const int down = active.nodes != nullptr ? 2 : 1;
    const std::uint64_t left = ((active.box.dims()[0] - 1) >> down) + 1;
    const bool together = sums && left > 1;
    Task task = plan(active, down, together, rest);
    if (active.nodes != nullptr) {
      const auto kind = static_cast<int>(active.nodes->numerators);
      task.kernel = together ? kernels_.fold_sum_nodes[kind] : kernels_.fold_nodes[kind];
      active.box = active.box.halved();
    } else {
      task.kernel = together ? kernels_.fold_sum_state : kernels_.fold_state;
    }
    active.box = active.box.halved();
    active.nodes = nullptr;
    active.filled ^= 1;
    active.stride = Slab::stride(active.box.count());
    task.in.rows.out_length = left;
    task.in.out = active.buffers[active.filled];
    task.in.out_stride = active.stride;
    task.in.rho = rho;
    folds.push_back(std::move(task));
    if (sums && !together && active.box.bits() != 0) {
      sums_apart.push_back(plan(active, 0, true, rest));
      sums_apart.back().kernel = kernels_.sum_state;
    }
  }
  RoundPolynomial sum = run(std::move(folds));
  const RoundPolynomial apart = run(std::move(sums_apart));
  retire();
  const RoundPolynomial entries = sums ? sum_entries(rest) : RoundPolynomial{};
  sum.at_zero += apart.at_zero + entries.at_zero;
  sum.leading += apart.leading + entries.leading;
  return sum;
}

RoundPolynomial LayerRounds::next(Ext rho, std::span<const Ext> rest) {
  return step(rho, true, rest);
}

Quadruple LayerRounds::last(Ext rho) {
  step(rho, false, {});
  return only();
}

Quadruple LayerRounds::only() const {
  OTR_CHECK(active_.empty() && entries_.size() <= 1);
  return entries_.empty() ? missing() : entries_[0].values;
}

void LayerRounds::bind_entries(Ext rho) {
  std::vector<Entry> bound;
  for (std::size_t i = 0; i < entries_.size(); ++i) {
    const std::uint64_t position = entries_[i].position >> 1;
    Quadruple low = missing(), high = missing();
    ((entries_[i].position & 1) == 0 ? low : high) = entries_[i].values;
    if (i + 1 < entries_.size() && entries_[i + 1].position >> 1 == position) {
      high = entries_[++i].values;
    }
    bound.push_back({position,
                     {bind(low.p0, high.p0, rho), bind(low.p1, high.p1, rho),
                      bind(low.q0, high.q0, rho), bind(low.q1, high.q1, rho)}});
  }
  entries_ = std::move(bound);
}

// Makes entries of the blocks that have come down to one quadruple.
void LayerRounds::retire() {
  for (const Active& active : active_) {
    if (active.box.bits() != 0) continue;
    const std::uint64_t* state = active.buffers[active.filled];
    const auto value = [&](std::size_t i) {
      return Ext{{state[2 * i * active.stride]}, {state[(2 * i + 1) * active.stride]}};
    };
    entries_.push_back({active.position, {value(0), value(1), value(2), value(3)}});
  }
  std::erase_if(active_, [](const Active& active) { return active.box.bits() == 0; });
  std::ranges::sort(entries_, {}, &Entry::position);
}

RoundPolynomial LayerRounds::sum_entries(std::span<const Ext> rest) const {
  RoundPolynomial sum;
  for (std::size_t i = 0; i < entries_.size(); ++i) {
    const std::uint64_t position = entries_[i].position >> 1;
    Quadruple low = missing(), high = missing();
    ((entries_[i].position & 1) == 0 ? low : high) = entries_[i].values;
    if (i + 1 < entries_.size() && entries_[i + 1].position >> 1 == position) {
      high = entries_[++i].values;
    }
    const Ext weight = zk::eq_at(rest, position);
    sum.at_zero += weight * (low.p0 * low.q1 + low.p1 * low.q0 - lambda_);
    sum.leading += weight * ((high.p0 - low.p0) * (high.q1 - low.q1) +
                             (high.p1 - low.p1) * (high.q0 - low.q0));
  }
  return sum;
}

}  // namespace otr::prover

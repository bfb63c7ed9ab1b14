#include "prover/gkr_rounds.h"

#include <algorithm>
#include <mutex>
#include <utility>

#include "base/check.h"
#include "zk/mle.h"

namespace otr::prover {
namespace {

using zk::Ext;
using Words = std::vector<std::uint64_t>;

constexpr std::size_t kBatch = 128;  // segments in a call of a kernel

// Elements of a block that a fold binds to one.
std::size_t bound_by(bool nodes) { return nodes ? 4 : 2; }

// Rows that share segments. Only they may need the picked kernels, which cannot sum while they
// fold.
bool shares_segments(const Box& box) {
  return box.dims().size() > 1 && box.dims()[0] <= kSharedRows;
}

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
  Segments segments;
  Words inner0 = {}, inner1 = {};
  Words slots = {};  // empty but for the picked kernels
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

// A pass over a block; each output or summand takes `unit` elements of a row.
LayerRounds::Task LayerRounds::plan(const Active& active, Pass pass,
                                    std::span<const Ext> rest) const {
  const std::vector<std::uint64_t>& dims = active.box.dims();
  const bool nodes = active.nodes != nullptr;
  const std::size_t unit = bound_by(nodes) * (pass == Pass::kFoldSum ? 2 : 1);
  const std::size_t units = (dims[0] + unit - 1) / unit;
  const bool shared = shares_segments(active.box);
  const bool picked = shared && dims[0] % unit != 0;

  Task task{.sums = pass != Pass::kFold, .segments = Segments(pass != Pass::kFold, rest)};
  task.segments.add_dimension(units);
  if (!shared) task.segments.end_run();
  for (std::size_t i = 1; i < dims.size(); ++i) task.segments.add_dimension(dims[i]);
  task.segments.place_at(active.position);

  Rows& rows = task.in.rows;
  const std::size_t outs = (dims[0] + bound_by(nodes) - 1) / bound_by(nodes);
  const std::size_t table = task.segments.table_size(), run = task.segments.run_size();
  rows.length = shared ? run / units * dims[0] : dims[0];
  rows.out_length = run / units * outs;
  rows.chunk = shared ? table / units * dims[0] : table * unit;
  rows.per_row = task.segments.per_run();
  if (picked) {
    rows.out_chunk = table;
    task.slots = slots_of(dims[0], unit, table / units);
  }
  task.share = {active.box.count() / rows.length * rows.per_row,
                std::min(rows.chunk, rows.length) + 64};
  for (const Ext& e : task.segments.table()) {
    task.inner0.push_back(e.c0.v);
    task.inner1.push_back(e.c1.v);
  }
  task.in.lambda = lambda_;
  if (nodes) {
    const auto kind = static_cast<std::size_t>(active.nodes->numerators);
    task.in.nodes = active.nodes->arrays;
    task.kernel = pass == Pass::kFoldSum ? kernels_.fold_sum_nodes[kind]
                  : pass == Pass::kFold
                      ? (picked ? kernels_.picked_fold_nodes : kernels_.fold_nodes)[kind]
                      : (picked ? kernels_.picked_sum_nodes : kernels_.sum_nodes)[kind];
  } else {
    task.in.state = active.buffers[active.filled];
    task.in.state_stride = active.stride;
    task.kernel = pass == Pass::kFoldSum ? kernels_.fold_sum_state
                  : pass == Pass::kFold
                      ? (picked ? kernels_.picked_fold_state : kernels_.fold_state)
                      : (picked ? kernels_.picked_sum_state : kernels_.sum_state);
  }
  return task;
}

RoundPolynomial LayerRounds::run(std::vector<Task> tasks) {
  RoundPolynomial sum;
  std::mutex mutex;
  std::vector<Share> shares;
  for (Task& task : tasks) {
    task.in.inner0 = task.inner0.data();
    task.in.inner1 = task.inner1.data();
    task.in.rows.slots = task.slots.data();
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
        const Ext weight = task.segments.weight(s);
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
    tasks.push_back(plan(active, Pass::kSum, rest));
  }
  const RoundPolynomial blocks = run(std::move(tasks));
  const RoundPolynomial entries = sum_entries(rest);
  return {blocks.at_zero + entries.at_zero, blocks.leading + entries.leading};
}

// Binds all, and sums the next round where `sums`: in the same pass if the pairs to sum lie within
// the rows that are bound, and are whole where rows are short.
RoundPolynomial LayerRounds::step(const Ext& rho, bool sums, std::span<const Ext> rest) {
  bind_entries(rho);
  std::vector<Task> folds, sums_apart;
  for (Active& active : active_) {
    const std::size_t bound = bound_by(active.nodes != nullptr);
    const std::uint64_t length = active.box.dims()[0];
    const bool together =
        sums && length > bound && (!shares_segments(active.box) || length % (2 * bound) == 0);
    Task task = plan(active, together ? Pass::kFoldSum : Pass::kFold, rest);
    if (active.nodes != nullptr) active.box = active.box.halved();
    active.box = active.box.halved();
    active.nodes = nullptr;
    active.filled ^= 1;
    active.stride = Slab::stride(active.box.count());
    task.in.out = active.buffers[active.filled];
    task.in.out_stride = active.stride;
    task.in.rho = rho;
    folds.push_back(std::move(task));
    if (sums && !together && active.box.bits() != 0) {
      sums_apart.push_back(plan(active, Pass::kSum, rest));
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

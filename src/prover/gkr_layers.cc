#include "prover/gkr_layers.h"

#include <algorithm>
#include <bit>
#include <new>
#include <utility>

#include "base/check.h"
#include "zk/mle.h"

namespace otr::prover {
namespace {

using zk::Ext;

constexpr std::size_t kAddChunk = 4096;  // elements in a segment
constexpr std::size_t kInline = 8192;    // cost of a loop that is not worth waking threads for

std::vector<Layers::Block> blocks_of(const std::vector<LeafBlock>& leaves, std::size_t nu) {
  std::vector<Layers::Block> blocks;
  for (const LeafBlock& leaf : leaves) {
    Layers::Block block;
    std::size_t count = 1;
    for (const std::uint32_t n : leaf.dims) {
      OTR_CHECK(n >= 1);
      block.bits += zk::bits_of(n);
      count *= n;
    }
    OTR_CHECK(block.bits <= static_cast<int>(nu) && leaf.base >> nu == 0);
    block.position = leaf.base >> block.bits;
    OTR_CHECK(block.position << block.bits == leaf.base);
    OTR_CHECK(leaf.q0.size() == count && leaf.q1.size() == count);
    OTR_CHECK(leaf.p.empty() || leaf.p.size() == count);
    const NodeArrays arrays = {leaf.q0.data(), leaf.q1.data(),
                               leaf.p.empty() ? nullptr : leaf.p.data(), nullptr};
    block.levels.push_back({Box({leaf.dims.begin(), leaf.dims.end()}),
                            leaf.p.empty() ? Numerators::kOnes : Numerators::kBase, arrays});
    blocks.push_back(std::move(block));
  }
  return blocks;
}

// How a layer above this box is added up: rows of whole pairs are one long row.
Rows rows_to_add(const Box& box) {
  const std::size_t length = box.dims()[0];
  Rows rows = {length, (length + 1) / 2, kAddChunk, 0, 0, 0};
  if (length % 2 == 0) {
    rows.length = box.count();
    rows.out_length = box.count() / 2;
  } else if (length <= kSharedRows && box.dims().size() > 1) {
    const std::size_t shared = kAddChunk / length;
    rows = {box.count(), rows.out_length * box.rows(), shared * length, 0, 0,
            0,           shared * rows.out_length};
  }
  rows.per_row = (rows.length + rows.chunk - 1) / rows.chunk;
  return rows;
}

}  // namespace

Box::Box(std::vector<std::uint64_t> dims) {
  for (const std::uint64_t n : dims) {
    if (n == 1) continue;
    if (!dims_.empty() && std::has_single_bit(dims_.back())) {
      dims_.back() *= n;
    } else {
      dims_.push_back(n);
    }
  }
}

std::size_t Box::count() const { return dims_.empty() ? 1 : dims_[0] * rows(); }

std::size_t Box::rows() const {
  std::size_t product = 1;
  for (std::size_t i = 1; i < dims_.size(); ++i) product *= dims_[i];
  return product;
}

int Box::bits() const {
  int sum = 0;
  for (const std::uint64_t n : dims_) sum += zk::bits_of(n);
  return sum;
}

Box Box::halved() const {
  std::vector<std::uint64_t> dims = dims_;
  dims[0] = (dims[0] + 1) / 2;
  return Box(std::move(dims));
}

Fraction operator+(const Fraction& a, const Fraction& b) {
  return {a.p * b.q + b.p * a.q, a.q * b.q};
}

Fraction BlockNodes::at(std::size_t index) const {
  Fraction f{zk::kOne, {{arrays.q0[index]}, {arrays.q1[index]}}};
  if (numerators != Numerators::kOnes) f.p.c0 = {arrays.p0[index]};
  if (numerators == Numerators::kExt) f.p.c1 = {arrays.p1[index]};
  return f;
}

void spread(engine::Pool& pool, std::span<const Share> shares,
            const std::function<void(std::size_t, std::size_t, std::size_t)>& run) {
  std::size_t total = 0;
  for (const Share& share : shares) total += share.segments * share.cost;
  const auto part = [&](std::size_t begin, std::size_t end) {
    std::size_t start = 0;  // a segment is run by whoever has the place where it starts
    for (std::size_t i = 0; i < shares.size(); ++i) {
      const auto [segments, cost] = shares[i];
      const auto first_from = [&](std::size_t place) {
        return place <= start ? 0 : std::min(segments, (place - start + cost - 1) / cost);
      };
      if (first_from(begin) < first_from(end)) run(i, first_from(begin), first_from(end));
      start += segments * cost;
    }
  };
  if (total <= kInline) {
    part(0, total);
  } else {
    pool.split(total, part);
  }
}

std::vector<std::uint64_t> slots_of(std::size_t length, std::size_t unit, std::size_t rows) {
  std::vector<std::uint64_t> slots;
  for (std::size_t row = 0; row < rows; ++row) {
    for (std::size_t i = 0; i < length; i += unit) {
      slots.push_back(8 * (row * length + i) + std::min(unit, length - i));
    }
  }
  return slots;
}

Slab::Slab(std::size_t words) : words_(make_words(words)), size_(words) {}

std::uint64_t* Slab::take(std::size_t words) {
  OTR_CHECK(words <= size_ - used_);
  used_ += words;
  return words_.get() + used_ - words;
}

std::size_t Slab::stride(std::size_t count) {
  const std::size_t whole_lines = (count + 7) / 8 * 8;
  return count < 512 ? whole_lines : whole_lines + 72;
}

Layers::Layers(std::vector<LeafBlock> leaves, std::size_t nu, engine::Pool& pool,
               const GkrKernels& kernels)
    : leaves_(std::move(leaves)),
      nu_(nu),
      blocks_(blocks_of(leaves_, nu)),
      slab_(words_needed(nu)),
      tops_(nu + 1),
      marks_(nu + 1) {
  for (Block& block : blocks_) {
    if (block.bits != 0) continue;
    tops_[nu].push_back({block.position, block.levels[0].at(0)});
    block.levels.clear();
  }
  std::ranges::sort(tops_[nu], {}, &TopNode::position);
  for (std::size_t layer = nu; layer-- > 0;) {
    add_up(layer, pool, kernels);
    add_tops(layer);
    marks_[layer] = slab_.mark();
  }
}

const BlockNodes* Layers::nodes(const Block& block, std::size_t layer) const {
  const std::size_t level = nu_ - layer;
  return level < block.levels.size() ? &block.levels[level] : nullptr;
}

// The most that is in use at a time: when layer L is consumed, the layers from L to nu - 1 and two
// states of its sumcheck, after an odd and after an even number of bound variables.
std::size_t Layers::words_needed(std::size_t nu) const {
  std::vector<std::size_t> nodes(nu + 1), states(nu + 1);
  for (const Block& block : blocks_) {
    if (block.bits == 0) continue;
    Box box = block.levels[0].box;
    for (std::size_t layer = nu; box.bits() >= 1; --layer, box = box.halved()) {
      if (layer < nu) nodes[layer] += 4 * Slab::stride(box.count());
      if (box.bits() < 2) continue;
      const Box once = box.halved().halved();
      const std::size_t twice = once.bits() >= 1 ? once.halved().count() : 1;
      states[layer] += 8 * (Slab::stride(once.count()) + Slab::stride(twice));
    }
  }
  std::size_t most = 0, below = 0;
  for (std::size_t layer = nu + 1; layer-- > 0;) {
    below += nodes[layer];
    most = std::max(most, below + states[layer]);
  }
  return most;
}

// The blocks that have at least four leaves' nodes in the layer below, by the kernels; those of two
// become a top node.
void Layers::add_up(std::size_t layer, engine::Pool& pool, const GkrKernels& kernels) {
  struct Task {
    Numerators numerators;
    Rows rows;
    std::vector<std::uint64_t> slots;
    NodeArrays in;
    std::uint64_t* out;
    std::size_t stride;
  };
  std::vector<Task> tasks;
  std::vector<Share> shares;
  for (Block& block : blocks_) {
    const BlockNodes* below = nodes(block, layer + 1);
    if (below == nullptr) continue;
    if (below->box.bits() == 1) {
      tops_[layer].push_back({block.position, below->at(0) + below->at(1)});
      continue;
    }
    const Box box = below->box.halved();
    const std::size_t stride = Slab::stride(box.count());
    std::uint64_t* out = slab_.take(4 * stride);
    Task task{below->numerators, rows_to_add(below->box), {}, below->arrays, out, stride};
    const std::size_t length = below->box.dims()[0];
    if (task.rows.out_chunk != 0) task.slots = slots_of(length, 2, task.rows.chunk / length);
    shares.push_back({task.rows.per_row * (below->box.count() / task.rows.length),
                      std::min(task.rows.chunk, task.rows.length) + 16});
    tasks.push_back(std::move(task));
    block.levels.push_back(
        {box, Numerators::kExt, {out, out + stride, out + 2 * stride, out + 3 * stride}});
  }
  spread(pool, shares, [&](std::size_t i, std::size_t begin, std::size_t end) {
    const Task& task = tasks[i];
    Rows rows = task.rows;
    rows.begin = begin;
    rows.end = end;
    rows.slots = task.slots.data();
    const auto& add = task.slots.empty() ? kernels.add : kernels.picked_add;
    add[static_cast<int>(task.numerators)](rows, task.in, task.out, task.stride);
  });
}

void Layers::add_tops(std::size_t layer) {
  std::vector<TopNode>& to = tops_[layer];
  const std::vector<TopNode>& below = tops_[layer + 1];
  for (std::size_t i = 0; i < below.size(); ++i) {
    const std::uint64_t position = below[i].position >> 1;
    if (i + 1 < below.size() && below[i + 1].position >> 1 == position) {
      to.push_back({position, below[i].fraction + below[i + 1].fraction});
      ++i;
    } else {
      to.push_back({position, below[i].fraction});
    }
  }
  std::ranges::sort(to, {}, &TopNode::position);
}

}  // namespace otr::prover

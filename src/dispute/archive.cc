#include "dispute/archive.h"

#include <algorithm>
#include <set>
#include <string>
#include <utility>

#include "base/check.h"
#include "crypto/sha256.h"
#include "referee/opened.h"
#include "trace/micro_trace.h"

namespace otr::dispute {
namespace {

using referee::Demand;
using referee::Opening;
using referee::Place;
using referee::TreeFacts;
using referee::TreeId;

Bytes copy_of(ByteView bytes) { return {bytes.begin(), bytes.end()}; }

Bytes joined(std::span<const Hash> hashes) {
  Bytes bytes;
  for (const Hash& hash : hashes) append(bytes, hash);
  return bytes;
}

merkle::Tree tree_over(std::span<const Hash> hashes) {
  merkle::Tree tree;
  tree.append(hashes);
  return tree;
}

}  // namespace

Archive::Archive(const model::Artifact& artifact, const referee::Statement& statement,
                 std::span<const std::uint32_t> prompt, const trace::TraceBuilder& trace)
    : artifact_(artifact),
      statement_(statement),
      prompt_(prompt.begin(), prompt.end()),
      trace_(trace) {
  const std::string config = model::encode_config(artifact.config());
  model_list_ = {crypto::sha256({as_bytes("OTR.conf"), as_bytes(config)}),
                 crypto::sha256({as_bytes("OTR.toks"), as_bytes(artifact.tokenizer())}),
                 crypto::sha256({as_bytes("OTR.tmpl"), as_bytes(artifact.chat_template())})};
  for (const model::Tensor& tensor : artifact.tensors()) model_list_.push_back(tensor.root);

  const machine::Shape& shape = statement.shape();
  const auto add = [&](const trace::StreamId& stream) {
    const trace::RowFormat format = trace::row_format(shape, stream);
    trace_list_.push_back(
        merkle::tensor_root(stream.kind, format.type, format.cols, trace.rows(stream)));
  };
  trace_list_.push_back(trace::hash_of(statement.header()));
  add({});
  for (std::uint32_t l = 0; l < shape.layers; ++l) {
    for (std::uint32_t g = 0; g < shape.kv_heads; ++g) {
      add({merkle::Kind::kKey, l, g});
      add({merkle::Kind::kValue, l, g});
    }
    add({merkle::Kind::kResidual, l, 0});
  }
}

Execution Archive::execution() const {
  return {artifact_.view(), statement_.model.program, statement_.terms.sampling,
          statement_.terms.prompt_count, trace_};
}

Hash Archive::trace_root() const { return merkle::list_root(merkle::Kind::kTrace, trace_list_); }

bool Archive::retake(referee::Position position) {
  if (micro_ && micro_->position == position) return true;
  const auto known =
      std::ranges::find_if(kept_, [&](const auto& one) { return one.first == position; });
  if (known == kept_.end()) return false;
  trace::MicroTensors tensors = std::move(known->second);
  kept_.erase(known);
  take(position, std::move(tensors));
  return true;
}

void Archive::take(referee::Position position, trace::MicroTensors tensors) {
  std::erase_if(grown_, [](const auto& one) { return one.first.place == Place::kMicro; });
  if (micro_ && micro_->position != position) {
    kept_.emplace_back(micro_->position, std::move(tensors_));
  }
  std::erase_if(kept_, [&](const auto& one) { return one.first == position; });
  if (kept_.size() == kKeptPositions) kept_.pop_front();
  tensors_ = std::move(tensors);
  tensor_roots_.clear();
  for (const trace::MicroRoot& one :
       trace::micro_roots(statement_.model.program, statement_.terms.sampling, position.t,
                          position.layer, tensors_)) {
    tensor_roots_.push_back(one.root);
  }
  micro_ =
      referee::MicroTrace{position, merkle::list_root(merkle::Kind::kMicroTrace, tensor_roots_)};
}

Bytes Archive::bytes_of(const TreeId& tree) const {
  switch (tree.place) {
    case Place::kPrompt:
      return copy_of(as_bytes(std::span<const std::uint32_t>(prompt_)));
    case Place::kTraceList:
      return joined(trace_list_);
    case Place::kTokens:
      return copy_of(trace_.rows({}));
    case Place::kKey:
      return copy_of(trace_.rows({merkle::Kind::kKey, tree.a, tree.b}));
    case Place::kValue:
      return copy_of(trace_.rows({merkle::Kind::kValue, tree.a, tree.b}));
    case Place::kResidual:
      return copy_of(trace_.rows({merkle::Kind::kResidual, tree.a, 0}));
    case Place::kModel:
      return copy_of(artifact_.tensors()[tree.a].data);
    case Place::kMicro:
      return trace::micro_bytes(static_cast<machine::Tensor>(tree.a), tensors_[tree.a]);
  }
  OTR_CHECK(false);
}

std::vector<Hash> Archive::list_of(const TreeFacts& facts) const {
  switch (facts.list_kind) {
    case merkle::Kind::kModel:
      return model_list_;
    case merkle::Kind::kMicroTrace:
      return tensor_roots_;
    default:
      return trace_list_;
  }
}

Archive::Grown& Archive::at(const TreeId& tree) {
  if (const auto found = grown_.find(tree); found != grown_.end()) return found->second;
  const auto facts = referee::tree_facts(statement_, micro_ ? &*micro_ : nullptr, tree);
  OTR_CHECK(facts.has_value());
  Grown grown{.facts = *facts, .bytes = bytes_of(tree)};
  if (facts->type == merkle::Type::kHash) {
    grown.tree = tree_over(trace_list_);
  } else {
    merkle::append_rows(grown.tree, facts->kind, facts->type, facts->cols, grown.bytes);
  }
  if (facts->list_count != 0) {
    grown.list_path =
        tree_over(list_of(*facts)).open_range(facts->list_index, facts->list_index + 1);
  }
  return grown_.emplace(tree, std::move(grown)).first->second;
}

Opening Archive::open(const TreeId& tree, std::uint64_t begin, std::uint64_t end) {
  const Grown& from = at(tree);
  const auto bytes = from.bytes.begin();
  return {.tree = tree,
          .begin = begin,
          .end = end,
          .tiles = Bytes(bytes + static_cast<std::ptrdiff_t>(from.facts.byte_offset(begin)),
                         bytes + static_cast<std::ptrdiff_t>(from.facts.byte_offset(end))),
          .path = from.tree.open_range(begin, end),
          .list_path = from.list_path};
}

Opening Archive::reveal(const Demand& demand) {
  if (demand.level == 0) return open(demand.tree, demand.begin, demand.end);
  const Grown& from = at(demand.tree);
  const std::uint32_t below = std::min(demand.level, referee::kRevealLevels);
  const std::uint64_t count = std::uint64_t{1} << below;
  Opening reveal{
      .tree = demand.tree, .begin = demand.begin, .end = demand.end, .list_path = from.list_path};
  for (std::uint64_t i = 0; i < count; ++i) {
    append(reveal.tiles, from.tree.node_at(demand.level - below, demand.begin * count + i));
  }
  const std::uint64_t depth = from.facts.depth();
  // SPEC TREE-6 for a range of one: the neighbour on each level.
  for (std::uint64_t level = demand.level, index = demand.begin; level < depth; ++level) {
    reveal.path.push_back(from.tree.node_at(level, index ^ 1));
    index /= 2;
  }
  return reveal;
}

Hash Archive::node(const TreeId& tree, std::uint32_t level, std::uint64_t index) {
  return at(tree).tree.node_at(level, index);
}

// SPEC MTRC-5.
referee::Answer Archive::answer(const referee::Leaf& leaf) {
  using machine::Tensor;
  const TreeId tree = referee::tree_of(leaf.stream);
  const std::uint64_t at_leaf = leaf.t * at(tree).facts.tiles_in_row() + leaf.tile;
  referee::Answer answer{.tensor_roots = tensor_roots_,
                         .outputs = {open(tree, at_leaf, at_leaf + 1)}};
  const auto add = [&](Tensor tensor, std::uint64_t first, std::uint64_t last) {
    const TreeId micro{Place::kMicro, static_cast<std::uint32_t>(tensor), 0};
    const TreeFacts& facts = at(micro).facts;
    answer.outputs.push_back(open(micro, facts.cell(first).leaf, facts.cell(last).leaf + 1));
  };
  const machine::Shape& shape = statement_.shape();
  const std::uint64_t d = shape.head_dim;
  const std::uint64_t g = leaf.stream.kv_head;
  const auto last_of = [&](std::uint64_t first) {
    return std::min<std::uint64_t>(shape.hidden, first + merkle::kTileElements) - 1;
  };
  switch (tree.place) {
    case Place::kKey:
      add(Tensor::kKExp, g, g);
      add(Tensor::kK, g * d, g * d + d - 1);
      break;
    case Place::kValue:
      add(Tensor::kVExp, g, g);
      add(Tensor::kV, g * d, g * d + d - 1);
      break;
    case Place::kResidual: {
      const std::uint64_t first = leaf.tile * merkle::kTileElements;
      add(Tensor::kXOut, first, last_of(first));
      break;
    }
    default:
      add(Tensor::kToken, 0, 0);
  }
  return answer;
}

std::vector<Demand> runs_of(const referee::Statement& statement, const referee::MicroTrace& micro,
                            const machine::StepId& id, std::span<const machine::Access> accesses) {
  std::set<std::pair<TreeId, std::uint64_t>> leaves;
  std::map<TreeId, TreeFacts> trees;
  const auto add = [&](const machine::Address& address) {
    const auto element = referee::place_of(statement.model, id, address);
    if (!element) return;
    if (!trees.contains(element->tree)) {
      trees.emplace(element->tree, *referee::tree_facts(statement, &micro, element->tree));
    }
    leaves.emplace(element->tree, trees.at(element->tree).cell(element->index).leaf);
  };
  for (const machine::Access& access : accesses) add(access.address);
  add({machine::Source::kClaimed});
  std::vector<Demand> runs;
  for (const auto& [tree, leaf] : leaves) {
    if (!runs.empty() && runs.back().tree == tree && runs.back().end == leaf) {
      ++runs.back().end;
    } else {
      runs.push_back({tree, 0, leaf, leaf + 1});
    }
  }
  return runs;
}

std::vector<machine::Access> record_step(const Execution& execution, const machine::StepId& id,
                                         const trace::MicroTensors& tensors) {
  PositionState state(execution.model, execution.sampling, execution.trace, {id.t, id.layer},
                      tensors);
  state.test(id.tensor, id.index);
  machine::RecordingState<PositionState> recorder(state);
  static_cast<void>(machine::step(execution.context(), recorder, id));
  return recorder.witness();
}

}  // namespace otr::dispute

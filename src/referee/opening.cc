#include "referee/opening.h"

#include <algorithm>
#include <array>
#include <bit>
#include <string>

#include "base/reject.h"
#include "referee/reject.h"
#include "trace/micro_trace.h"

namespace otr::referee {
namespace {

using merkle::Kind;
using merkle::Type;

std::unexpected<Error> path_invalid(std::string message) {
  return fail(ErrorKind::kReject, std::move(message), std::string(name_of(Reject::kPathInvalid)));
}

TreeFacts shaped(Kind kind, Type type, std::uint64_t rows, std::uint64_t cols) {
  TreeFacts facts{.kind = kind, .type = type, .rows = rows, .cols = cols};
  facts.leaf_count = rows * facts.tiles_in_row();
  return facts;
}

std::optional<TreeFacts> stream_facts(const Statement& statement, const trace::StreamId& stream) {
  const machine::Shape& shape = statement.shape();
  if (!trace::exists(shape, stream)) return std::nullopt;
  const trace::RowFormat format = trace::row_format(shape, stream);
  TreeFacts facts = shaped(stream.kind, format.type,
                           trace::row_count(stream, statement.token_count()), format.cols);
  facts.list_kind = Kind::kTrace;
  facts.list_count = trace::trace_leaf_count(shape);
  facts.list_index = trace::trace_leaf_index(shape, stream);
  facts.root = statement.terms.trace_root;
  return facts;
}

std::optional<TreeFacts> model_facts_of(const ModelFacts& model, const TreeId& tree) {
  if (tree.b != 0 || tree.a >= model.tensors.size()) return std::nullopt;
  const model::TensorSpec& spec = model.tensors[tree.a];
  const std::uint64_t rows = spec.shape.size() == 1 ? 1 : spec.shape[0];
  TreeFacts facts = shaped(Kind::kModelTensor, spec.type, rows, spec.cols());
  facts.list_kind = Kind::kModel;
  facts.list_count = 3 + model.tensors.size();
  facts.list_index = 3 + std::uint64_t{tree.a};
  facts.root = model.root;
  return facts;
}

std::optional<TreeFacts> micro_facts(const Statement& statement, const MicroTrace* micro,
                                     const TreeId& tree) {
  if (micro == nullptr || tree.b != 0 || tree.a >= machine::kTensorCount) return std::nullopt;
  const auto [t, layer] = micro->position;
  const auto tensor = static_cast<machine::Tensor>(tree.a);
  const machine::Program& program = statement.model.program;
  const machine::Sampling& sampling = statement.terms.sampling;
  const machine::TensorShape shape = machine::shape_of(program, sampling, t, layer, tensor);
  if (shape.size() == 0) return std::nullopt;
  TreeFacts facts = shaped(Kind::kMicroTensor, trace::micro_type(tensor), shape.rows, shape.cols);
  const auto present = trace::micro_tensors_of(program, sampling, t, layer);
  facts.list_kind = Kind::kMicroTrace;
  facts.list_count = present.size();
  facts.list_index =
      static_cast<std::uint64_t>(std::ranges::find(present, tensor) - present.begin());
  facts.root = micro->root;
  return facts;
}

// The hash that a subtree of absent leaves has (SPEC TREE-2, TREE-3).
Hash absent(std::uint64_t level) {
  Hash hash{};
  for (std::uint64_t k = 0; k < level; ++k) hash = merkle::node(hash, hash);
  return hash;
}

// That `top` of the tree leads to the root that the claim fixes.
Status check_top(const TreeFacts& facts, const Hash& top, const std::vector<Hash>& list_path) {
  const Hash root = merkle::root(facts.kind, facts.type, facts.rows, facts.cols, top);
  if (facts.list_count == 0) {
    if (!list_path.empty()) return path_invalid("the tree stands in no list.");
    if (root != facts.root) return path_invalid("the opening leads to another root.");
    return {};
  }
  OTR_TRY_ASSIGN(const Hash list_top,
                 merkle::top_of_range(facts.list_count, facts.list_index, facts.list_index + 1,
                                      std::span(&root, 1), list_path));
  if (merkle::root(facts.list_kind, Type::kHash, facts.list_count, 1, list_top) != facts.root) {
    return path_invalid("the opening leads to another root.");
  }
  return {};
}

Hash hash_of_tile(const TreeFacts& facts, ByteView tile) {
  if (facts.type != Type::kHash) return merkle::leaf(tile);
  Hash hash;
  std::ranges::copy(tile, hash.begin());
  return hash;
}

Result<std::vector<Hash>> leaves_of(const TreeFacts& facts, const Opening& opening) {
  if (opening.begin >= opening.end || opening.end > facts.leaf_count) {
    return path_invalid("the tree has no leaves [" + std::to_string(opening.begin) + ", " +
                        std::to_string(opening.end) + ").");
  }
  if (facts.byte_offset(opening.end) - facts.byte_offset(opening.begin) != opening.tiles.size()) {
    return path_invalid("the opening has more or fewer bytes than its tiles.");
  }
  std::vector<Hash> leaves;
  leaves.reserve(opening.end - opening.begin);
  ByteView rest = opening.tiles;
  for (std::uint64_t leaf = opening.begin; leaf < opening.end; ++leaf) {
    const std::size_t size = facts.tile_bytes(leaf);
    leaves.push_back(hash_of_tile(facts, rest.first(size)));
    rest = rest.subspan(size);
  }
  return leaves;
}

// SPEC MTRC-6, above the leaves: the node from what lies up to four levels below it.
Result<Hash> node_of(const TreeFacts& facts, const Demand& demand, const Opening& reveal) {
  const std::uint32_t below = std::min(demand.level, kRevealLevels);
  const std::uint64_t count = std::uint64_t{1} << below;
  if (reveal.tiles.size() != count * sizeof(Hash)) {
    return path_invalid("the reveal must have " + std::to_string(count) + " hashes.");
  }
  std::vector<Hash> row(count);
  std::memcpy(row.data(), reveal.tiles.data(), reveal.tiles.size());
  const std::uint32_t level = demand.level - below;
  const Hash nothing = absent(level);
  for (std::uint64_t i = 0; i < count; ++i) {
    if (((demand.begin * count + i) << level) >= facts.leaf_count && row[i] != nothing) {
      return path_invalid("the reveal has a hash where the tree has no leaves.");
    }
  }
  for (; row.size() > 1; row.resize(row.size() / 2)) {
    for (std::size_t i = 0; i < row.size() / 2; ++i) {
      row[i] = merkle::node(row[2 * i], row[2 * i + 1]);
    }
  }
  return row.front();
}

}  // namespace

TreeId tree_of(const trace::StreamId& stream) {
  switch (stream.kind) {
    case Kind::kKey:
      return {Place::kKey, stream.layer, stream.kv_head};
    case Kind::kValue:
      return {Place::kValue, stream.layer, stream.kv_head};
    case Kind::kResidual:
      return {Place::kResidual, stream.layer, 0};
    default:
      return {Place::kTokens, 0, 0};
  }
}

std::uint64_t TreeFacts::tiles_in_row() const {
  const std::uint64_t size = merkle::tile_elements(kind);
  return (cols + size - 1) / size;
}

std::size_t TreeFacts::tile_bytes(std::uint64_t leaf) const {
  return byte_offset(leaf + 1) - byte_offset(leaf);
}

std::uint64_t TreeFacts::byte_offset(std::uint64_t leaf) const {
  const std::uint64_t tiles = tiles_in_row();
  return (leaf / tiles * cols + leaf % tiles * merkle::tile_elements(kind)) *
         merkle::size_bytes(type);
}

std::uint64_t TreeFacts::depth() const {
  return static_cast<std::uint64_t>(std::bit_width(leaf_count - 1));
}

TreeFacts::Cell TreeFacts::cell(std::uint64_t index) const {
  const std::uint64_t size = merkle::tile_elements(kind);
  return {index / cols * tiles_in_row() + index % cols / size, index % cols % size};
}

// SPEC MTRC-2.
std::optional<TreeFacts> tree_facts(const Statement& statement, const MicroTrace* micro,
                                    const TreeId& tree) {
  const bool plain = tree.a == 0 && tree.b == 0;
  switch (tree.place) {
    case Place::kPrompt: {
      if (!plain) return std::nullopt;
      TreeFacts facts = shaped(Kind::kTokenIds, Type::kU32, statement.terms.prompt_count, 1);
      facts.root = statement.terms.prompt_root;
      return facts;
    }
    case Place::kTraceList: {
      if (!plain) return std::nullopt;
      TreeFacts facts =
          shaped(Kind::kTrace, Type::kHash, trace::trace_leaf_count(statement.shape()), 1);
      facts.root = statement.terms.trace_root;
      return facts;
    }
    case Place::kTokens:
      return plain ? stream_facts(statement, {}) : std::nullopt;
    case Place::kKey:
      return stream_facts(statement, {Kind::kKey, tree.a, tree.b});
    case Place::kValue:
      return stream_facts(statement, {Kind::kValue, tree.a, tree.b});
    case Place::kResidual:
      return stream_facts(statement, {Kind::kResidual, tree.a, tree.b});
    case Place::kModel:
      return model_facts_of(statement.model, tree);
    case Place::kMicro:
      return micro_facts(statement, micro, tree);
  }
  return std::nullopt;
}

// SPEC MTRC-3.
Result<TreeFacts> check_opening(const Statement& statement, const MicroTrace* micro,
                                const Opening& opening) {
  std::optional<TreeFacts> facts = tree_facts(statement, micro, opening.tree);
  if (!facts) return path_invalid("the claim has no such tree.");
  OTR_TRY_ASSIGN(const std::vector<Hash> leaves, leaves_of(*facts, opening));
  OTR_TRY_ASSIGN(const Hash top, merkle::top_of_range(facts->leaf_count, opening.begin, opening.end,
                                                      leaves, opening.path));
  OTR_TRY(check_top(*facts, top, opening.list_path));
  return *std::move(facts);
}

Status check_demand(const Statement& statement, const MicroTrace* micro, const Demand& demand) {
  const auto invalid = [](const char* message) {
    return reject(MoveReject::kDemandInvalid, message);
  };
  if (demand.tree.place == Place::kModel) return invalid("a model's tensors are public.");
  const std::optional<TreeFacts> facts = tree_facts(statement, micro, demand.tree);
  if (!facts) return invalid("the claim has no such tree.");
  if (demand.begin >= demand.end) return invalid("the demand is for nothing.");
  if (demand.level == 0) {
    if (demand.end > facts->leaf_count || demand.end - demand.begin > kMaxDemandTiles ||
        facts->byte_offset(demand.end) - facts->byte_offset(demand.begin) > kMaxDemandBytes) {
      return invalid("the demand is for tiles beyond the end of the tree, or for too many.");
    }
    return {};
  }
  if (demand.level > facts->depth() || demand.end - demand.begin != 1 ||
      demand.begin > (facts->leaf_count - 1) >> demand.level) {
    return invalid("the tree has no such node.");
  }
  return {};
}

Status check_reveal(const Statement& statement, const MicroTrace* micro, const Demand& demand,
                    const Opening& reveal) {
  if (reveal.tree != demand.tree || reveal.begin != demand.begin || reveal.end != demand.end) {
    return path_invalid("the reveal is not of what was demanded.");
  }
  if (demand.level == 0) {
    OTR_TRY(check_opening(statement, micro, reveal));
    return {};
  }
  const std::optional<TreeFacts> facts = tree_facts(statement, micro, demand.tree);
  if (!facts) return path_invalid("the claim has no such tree.");
  OTR_TRY_ASSIGN(const Hash node, node_of(*facts, demand, reveal));
  const std::uint64_t nodes = ((facts->leaf_count - 1) >> demand.level) + 1;
  OTR_TRY_ASSIGN(const Hash top, merkle::top_of_range(nodes, demand.begin, demand.end,
                                                      std::span(&node, 1), reveal.path));
  return check_top(*facts, top, reveal.list_path);
}

}  // namespace otr::referee

#include "trace/trace.h"

#include <algorithm>
#include <array>

#include "base/check.h"

namespace otr::trace {
namespace {

using merkle::Kind;
using merkle::Type;

// The streams of a shape in the order of the trace's leaves, without the header.
std::vector<StreamId> streams_of(const machine::Shape& shape) {
  std::vector<StreamId> ids = {{Kind::kTokenIds, 0, 0}};
  ids.reserve(trace_leaf_count(shape) - 1);
  for (std::uint32_t layer = 0; layer < shape.layers; ++layer) {
    for (std::uint32_t head = 0; head < shape.kv_heads; ++head) {
      ids.push_back({Kind::kKey, layer, head});
      ids.push_back({Kind::kValue, layer, head});
    }
    ids.push_back({Kind::kResidual, layer, 0});
  }
  return ids;
}

// The values of a head's row with their exponent behind them.
template <std::integral T>
std::span<const T> with_exponent(std::array<T, machine::kMaxHeadDim + 1>& row,
                                 std::span<const T> values, int exponent) {
  std::ranges::copy(values, row.begin());
  row[values.size()] = static_cast<T>(exponent);
  return std::span<const T>(row).first(values.size() + 1);
}

}  // namespace

TraceBuilder::TraceBuilder(const machine::Shape& shape, Keep keep) : shape_(shape), keep_(keep) {
  OTR_CHECK(shape.head_dim <= machine::kMaxHeadDim);
  for (const StreamId& id : streams_of(shape)) {
    Stream& stream = streams_.emplace_back(id, row_format(shape, id));
    if (keep == Keep::kRows) stream.tree = merkle::Tree();
  }
}

const TraceBuilder::Stream& TraceBuilder::at(const StreamId& stream) const {
  return streams_[trace_leaf_index(shape_, stream) - kTokenLeaf];
}

void TraceBuilder::append(const StreamId& id, ByteView rows) {
  Stream& stream = streams_[trace_leaf_index(shape_, id) - kTokenLeaf];
  std::visit(
      [&](auto& tree) {
        merkle::append_rows(tree, id.kind, stream.format.type, stream.format.cols, rows);
      },
      stream.tree);
  stream.rows += rows.size() / stream.format.size_bytes();
  if (keep_ == Keep::kRows) otr::append(stream.data, rows);
}

void TraceBuilder::append_hashed(const StreamId& id, ByteView rows, std::span<const Hash> leaves) {
  Stream& stream = streams_[trace_leaf_index(shape_, id) - kTokenLeaf];
  const std::uint64_t count = rows.size() / stream.format.size_bytes();
  OTR_CHECK(leaves.size() == count * merkle::tiles_per_row(stream.format.cols));
  std::visit([&](auto& tree) { tree.append(leaves); }, stream.tree);
  stream.rows += count;
  if (keep_ == Keep::kRows) otr::append(stream.data, rows);
}

void TraceBuilder::append_token(std::uint32_t id) {
  append({}, as_bytes(std::span<const std::uint32_t>(&id, 1)));
}

void TraceBuilder::append_kv(std::uint32_t layer, std::uint32_t kv_head,
                             std::span<const std::int16_t> k, int k_exponent,
                             std::span<const std::int8_t> v, int v_exponent) {
  OTR_CHECK(k.size() == shape_.head_dim && v.size() == shape_.head_dim);
  std::array<std::int16_t, machine::kMaxHeadDim + 1> k_row;
  std::array<std::int8_t, machine::kMaxHeadDim + 1> v_row;
  append({Kind::kKey, layer, kv_head}, as_bytes(with_exponent(k_row, k, k_exponent)));
  append({Kind::kValue, layer, kv_head}, as_bytes(with_exponent(v_row, v, v_exponent)));
}

void TraceBuilder::append_residual(std::uint32_t layer, std::span<const std::int32_t> rows) {
  append({Kind::kResidual, layer, 0}, as_bytes(rows));
}

std::uint64_t TraceBuilder::size(const StreamId& stream) const { return at(stream).rows; }

Hash TraceBuilder::root_of(const Stream& stream) {
  const Hash top = std::visit([](const auto& tree) { return tree.top(); }, stream.tree);
  return merkle::root(stream.id.kind, stream.format.type, stream.rows, stream.format.cols, top);
}

Hash TraceBuilder::token_root() const { return root_of(at({})); }

merkle::Tree TraceBuilder::trace_tree(const TraceHeader& header) const {
  merkle::Tree tree;
  tree.append(hash_of(header));
  for (const Stream& stream : streams_) {
    OTR_CHECK(stream.rows == row_count(stream.id, header.token_count()));
    tree.append(root_of(stream));
  }
  return tree;
}

Hash TraceBuilder::root(const TraceHeader& header) const {
  const merkle::Tree tree = trace_tree(header);
  return merkle::root(Kind::kTrace, Type::kHash, tree.size(), 1, tree.top());
}

std::vector<Hash> TraceBuilder::token_path(const TraceHeader& header) const {
  return trace_tree(header).open_range(kHeaderLeaf, kTokenLeaf + 1);
}

Opening TraceBuilder::open(const TraceHeader& header, const StreamId& id, std::uint64_t begin,
                           std::uint64_t end) const {
  const Stream& stream = at(id);
  const auto* tree = std::get_if<merkle::Tree>(&stream.tree);
  OTR_CHECK(tree != nullptr && begin < end && end <= tree->size());
  const std::uint64_t tiles = merkle::tiles_per_row(stream.format.cols);
  const auto offset = [&](std::uint64_t leaf) {
    return leaf / tiles * stream.format.size_bytes() +
           leaf % tiles * merkle::kTileElements * merkle::size_bytes(stream.format.type);
  };
  const auto data = stream.data.begin();
  const std::uint64_t index = trace_leaf_index(shape_, id);
  return {.begin = begin,
          .end = end,
          .tiles = Bytes(data + offset(begin), data + offset(end)),
          .path = tree->open_range(begin, end),
          .trace_path = trace_tree(header).open_range(index, index + 1)};
}

Opening TraceBuilder::open_rows(const TraceHeader& header, const StreamId& id, std::uint64_t begin,
                                std::uint64_t end) const {
  const std::uint64_t tiles = merkle::tiles_per_row(at(id).format.cols);
  return open(header, id, begin * tiles, end * tiles);
}

ByteView TraceBuilder::rows(const StreamId& stream) const {
  OTR_CHECK(keep_ == Keep::kRows);
  return at(stream).data;
}

}  // namespace otr::trace

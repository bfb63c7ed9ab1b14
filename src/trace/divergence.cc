#include "trace/divergence.h"

#include <algorithm>

#include "base/check.h"

namespace otr::trace {
namespace {

using merkle::Kind;

// The order of the trees within one position, which is not that of the trace's leaves.
std::vector<StreamId> topological_order(const machine::Shape& shape) {
  std::vector<StreamId> order = {{Kind::kTokenIds, 0, 0}};
  for (std::uint32_t layer = 0; layer < shape.layers; ++layer) {
    for (const Kind kind : {Kind::kKey, Kind::kValue}) {
      for (std::uint32_t head = 0; head < shape.kv_heads; ++head) {
        order.push_back({kind, layer, head});
      }
    }
    order.push_back({Kind::kResidual, layer, 0});
  }
  return order;
}

// Bytes that both have in common at the front; what one has more of counts as different.
std::size_t common_bytes(ByteView a, ByteView b) {
  return static_cast<std::size_t>(std::ranges::mismatch(a, b).in1 - a.begin());
}

}  // namespace

std::optional<Divergence> first_divergence(const TraceBuilder& a, const TraceBuilder& b) {
  OTR_CHECK(trace_leaf_count(a.shape()) == trace_leaf_count(b.shape()));
  std::optional<Divergence> first;
  for (const StreamId& stream : topological_order(a.shape())) {
    const RowFormat format = row_format(a.shape(), stream);
    const ByteView rows_a = a.rows(stream);
    const ByteView rows_b = b.rows(stream);
    const std::size_t common = common_bytes(rows_a, rows_b);
    if (common == std::max(rows_a.size(), rows_b.size())) continue;
    const std::uint64_t t = common / format.size_bytes();
    if (first && first->t <= t) continue;
    const std::size_t column = common % format.size_bytes() / merkle::size_bytes(format.type);
    first = {t, stream, column / merkle::kTileElements};
  }
  return first;
}

std::string describe(const Divergence& divergence) {
  const StreamId& stream = divergence.stream;
  const std::string position = "position " + std::to_string(divergence.t);
  if (stream.kind == Kind::kTokenIds) return position + ", token";
  const std::string layer = position + ", layer " + std::to_string(stream.layer) + ", ";
  const std::string tile = ", tile " + std::to_string(divergence.tile);
  if (stream.kind == Kind::kResidual) return layer + "residual" + tile;
  return layer + (stream.kind == Kind::kKey ? "K" : "V") + " of head " +
         std::to_string(stream.kv_head) + tile;
}

}  // namespace otr::trace

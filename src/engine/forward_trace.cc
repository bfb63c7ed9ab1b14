// What a pass commits: the rows of a layer into the traces of their sequences.
#include <algorithm>
#include <utility>

#include "engine/forward.h"
#include "merkle/tree.h"

namespace otr::engine {

// Leaves are hashed by row, then each tree grows by all its rows: a tree has one writer.
void Forward::append_to_traces(std::size_t layer) {
  if (std::ranges::none_of(segments_, [](const Segment& s) { return s.trace != nullptr; })) return;
  const machine::Shape& shape = model_.shape;
  const auto l = static_cast<std::uint32_t>(layer);
  const std::size_t rows = rows_.size(), d = shape.hidden, width = shape.head_dim + 1;
  const std::size_t tiles = merkle::tiles_per_row(d);
  // Streams of the layer: K and V of each head, and the residual, whose rows have several leaves.
  const std::size_t pairs = 2 * std::size_t{shape.kv_heads};
  hashes_.resize(rows * (pairs + tiles));
  const auto kv_rows = [&](std::size_t p, std::size_t i, std::size_t count) {
    const std::size_t at = (p / 2 * rows + i) * width;
    return p % 2 == 0 ? as_bytes(std::span(std::as_const(k_rows_)).subspan(at, count * width))
                      : as_bytes(std::span(std::as_const(v_rows_)).subspan(at, count * width));
  };
  const auto x_rows = [&](std::size_t i, std::size_t count) {
    return as_bytes(std::span(std::as_const(x_)).subspan(i * d, count * d));
  };
  pool_.split(rows, [&](std::size_t begin, std::size_t end) {
    const std::size_t count = end - begin;
    for (std::size_t p = 0; p < pairs; ++p) {
      merkle::leaf_hashes(p % 2 == 0 ? merkle::Kind::kKey : merkle::Kind::kValue,
                          p % 2 == 0 ? merkle::Type::kI16 : merkle::Type::kI8, width,
                          kv_rows(p, begin, count),
                          std::span(hashes_).subspan(p * rows + begin, count));
    }
    merkle::leaf_hashes(merkle::Kind::kResidual, merkle::Type::kI32, d, x_rows(begin, count),
                        std::span(hashes_).subspan(pairs * rows + begin * tiles, count * tiles));
  });
  std::vector<std::size_t> first;  // row of each segment
  for (std::size_t i = 0; i < rows; ++i) {
    if (i == 0 || rows_[i].segment != rows_[i - 1].segment) first.push_back(i);
  }
  pool_.split(segments_.size() * (pairs + 1), [&](std::size_t begin, std::size_t end) {
    for (std::size_t n = begin; n < end; ++n) {
      const std::size_t s = n / (pairs + 1), p = n % (pairs + 1), i = first[s];
      const std::size_t count = segments_[s].tokens.size();
      if (segments_[s].trace == nullptr) continue;
      const auto hashes = std::span(std::as_const(hashes_));
      if (p < pairs) {
        segments_[s].trace->append_hashed({p % 2 == 0 ? merkle::Kind::kKey : merkle::Kind::kValue,
                                           l, static_cast<std::uint32_t>(p / 2)},
                                          kv_rows(p, i, count),
                                          hashes.subspan(p * rows + i, count));
      } else {
        segments_[s].trace->append_hashed({merkle::Kind::kResidual, l, 0}, x_rows(i, count),
                                          hashes.subspan(pairs * rows + i * tiles, count * tiles));
      }
    }
  });
}

}  // namespace otr::engine

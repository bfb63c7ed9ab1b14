#include "merkle/tree.h"

#include <algorithm>
#include <bit>
#include <string>

#include "base/check.h"
#include "crypto/sha256.h"
#include "crypto/sha256_pairs.h"

namespace otr::merkle {
namespace {

constexpr std::size_t kTagBytes = 8;

// Depth of the perfect tree over n >= 1 leaves: ceil(log2 n).
std::size_t depth_of(std::uint64_t n) { return static_cast<std::size_t>(std::bit_width(n - 1)); }

// The root of a subtree of 2^level absent leaves.
const Hash& absent(std::size_t level) {
  static const std::array<Hash, 57> kAbsent = [] {
    std::array<Hash, 57> hashes{};
    for (std::size_t k = 1; k < hashes.size(); ++k) hashes[k] = node(hashes[k - 1], hashes[k - 1]);
    return hashes;
  }();
  return kAbsent[level];
}

template <class Sink>
void append_rows_to(Sink& to, Kind kind, Type type, std::uint64_t cols, ByteView rows) {
  const std::size_t row_bytes = cols * size_bytes(type);
  OTR_CHECK(cols > 0 && type != Type::kHash && rows.size() % row_bytes == 0);
  // Some rows at a time, so that a tensor of gigabytes needs no list of all its leaves.
  constexpr std::size_t kLeaves = 1024;
  const std::size_t tiles = (cols + tile_elements(kind) - 1) / tile_elements(kind);
  const std::size_t step = std::max<std::size_t>(1, kLeaves / tiles) * row_bytes;
  std::vector<Hash> hashes;
  while (!rows.empty()) {
    const ByteView some = rows.first(std::min(step, rows.size()));
    hashes.resize(some.size() / row_bytes * tiles);
    leaf_hashes(kind, type, cols, some, hashes);
    to.append(std::span<const Hash>(hashes));
    rows = rows.subspan(some.size());
  }
}

std::unexpected<Error> path_invalid(std::string message) {
  return fail(ErrorKind::kReject, std::move(message), "PATH_INVALID");
}

}  // namespace

std::size_t size_bytes(Type type) {
  switch (type) {
    case Type::kHash:
      return 32;
    case Type::kI8:
    case Type::kU8:
      return 1;
    case Type::kI16:
    case Type::kU16:
      return 2;
    case Type::kI32:
    case Type::kU32:
      return 4;
    case Type::kI64:
    case Type::kU64:
      return 8;
  }
  OTR_CHECK(false);
}

Hash leaf(ByteView tile) { return crypto::sha256({as_bytes("OTR.leaf"), tile}); }

Hash node(const Hash& left, const Hash& right) {
  std::array<std::uint8_t, kTagBytes + 64> message;
  std::memcpy(message.data(), "OTR.node", kTagBytes);
  std::memcpy(message.data() + kTagBytes, left.data(), left.size());
  std::memcpy(message.data() + kTagBytes + 32, right.data(), right.size());
  return crypto::sha256(ByteView(message));
}

Hash root(Kind kind, Type type, std::uint64_t rows, std::uint64_t cols, const Hash& top) {
  std::array<std::uint8_t, kTagBytes + 24 + 32> message;
  std::memcpy(message.data(), "OTR.root", kTagBytes);
  store_le(message.data() + 8, static_cast<std::uint32_t>(kind));
  store_le(message.data() + 12, static_cast<std::uint32_t>(type));
  store_le(message.data() + 16, rows);
  store_le(message.data() + 24, cols);
  std::memcpy(message.data() + 32, top.data(), top.size());
  return crypto::sha256(ByteView(message));
}

void Frontier::append(const Hash& leaf_hash) {
  OTR_CHECK(size_ < kMaxLeaves);
  Hash carry = leaf_hash;
  std::size_t level = 0;
  for (; (size_ >> level & 1) != 0; ++level) carry = node(complete_[level], carry);
  complete_[level] = carry;
  ++size_;
}

void Frontier::append(std::span<const Hash> leaf_hashes) {
  if (leaf_hashes.size() == 1) return append(leaf_hashes.front());
  OTR_CHECK(leaf_hashes.size() <= kMaxLeaves - size_);
  std::vector<Hash> level(leaf_hashes.begin(), leaf_hashes.end()), above;
  for (std::size_t k = 0; !level.empty(); ++k) {
    if ((size_ >> k & 1) != 0) level.insert(level.begin(), complete_[k]);
    if (level.size() % 2 != 0) {
      complete_[k] = level.back();
      level.pop_back();
    }
    above.resize(level.size() / 2);
    if (!above.empty()) {
      crypto::sha256_each("OTR.node", level.front().data(), 2 * sizeof(Hash), 2 * sizeof(Hash),
                          above);
    }
    std::swap(level, above);
  }
  size_ += leaf_hashes.size();
}

Hash Frontier::top() const {
  OTR_CHECK(size_ >= 1);
  // Climbs the right edge: `edge` is the node of the level that holds the last leaf.
  auto level = static_cast<std::size_t>(std::countr_zero(size_));
  Hash edge = complete_[level];
  for (const std::size_t depth = depth_of(size_); level < depth; ++level) {
    // Where it is a right child, its left sibling is full, so its root is among the complete ones.
    const bool right_child = (((size_ - 1) >> level) & 1) != 0;
    edge = right_child ? node(complete_[level], edge) : node(edge, absent(level));
  }
  return edge;
}

void Tree::append(const Hash& leaf_hash) {
  OTR_CHECK(size() < kMaxLeaves);
  if (levels_.empty()) levels_.emplace_back();
  levels_[0].push_back(leaf_hash);
  for (std::size_t level = 0; levels_[level].size() % 2 == 0; ++level) {
    const std::vector<Hash>& below = levels_[level];
    const Hash parent = node(below[below.size() - 2], below.back());
    if (levels_.size() == level + 1) levels_.emplace_back();
    levels_[level + 1].push_back(parent);
  }
}

// Nodes that are full are stored; of the others, one for each level holds the last leaf.
Hash Tree::node_at(std::size_t level, std::uint64_t index) const {
  if (level < levels_.size() && index < levels_[level].size()) return levels_[level][index];
  if (index << level >= size()) return absent(level);
  return node(node_at(level - 1, 2 * index), node_at(level - 1, 2 * index + 1));
}

Hash Tree::top() const {
  OTR_CHECK(size() >= 1);
  return node_at(depth_of(size()), 0);
}

std::vector<Hash> Tree::open_range(std::uint64_t begin, std::uint64_t end) const {
  OTR_CHECK(begin < end && end <= size());
  std::vector<Hash> path;
  for (std::size_t level = 0; level < depth_of(size()); ++level) {
    if (begin % 2 != 0) path.push_back(node_at(level, begin - 1));
    if (end % 2 != 0) path.push_back(node_at(level, end));
    begin /= 2;
    end = (end + 1) / 2;
  }
  return path;
}

void leaf_hashes(Kind kind, Type type, std::uint64_t cols, ByteView rows, std::span<Hash> hashes) {
  const std::size_t row_bytes = cols * size_bytes(type);
  const std::size_t tiles = (cols + tile_elements(kind) - 1) / tile_elements(kind);
  OTR_CHECK(cols > 0 && rows.size() % row_bytes == 0);
  const std::size_t count = rows.size() / row_bytes;
  OTR_CHECK(hashes.size() == count * tiles);
  const std::size_t tile_bytes = tile_elements(kind) * size_bytes(type);
  const auto each = [&](std::size_t at, std::size_t size, std::size_t stride, std::span<Hash> to) {
    if (!to.empty()) crypto::sha256_each("OTR.leaf", rows.data() + at, size, stride, to);
  };
  if (tiles == 1 || row_bytes % tile_bytes == 0) {  // all tiles of one size, side by side
    const std::size_t size = std::min(tile_bytes, row_bytes);
    return each(0, size, size, hashes);
  }
  std::vector<Hash> last(count);  // the short tiles at the rows' ends
  each((tiles - 1) * tile_bytes, row_bytes - (tiles - 1) * tile_bytes, row_bytes, last);
  for (std::size_t i = 0; i < count; ++i) {
    each(i * row_bytes, tile_bytes, tile_bytes, hashes.subspan(i * tiles, tiles - 1));
    hashes[i * tiles + tiles - 1] = last[i];
  }
}

void append_rows(Frontier& to, Kind kind, Type type, std::uint64_t cols, ByteView rows) {
  append_rows_to(to, kind, type, cols, rows);
}
void append_rows(Tree& to, Kind kind, Type type, std::uint64_t cols, ByteView rows) {
  append_rows_to(to, kind, type, cols, rows);
}

Hash tensor_root(Kind kind, Type type, std::uint64_t cols, ByteView data) {
  Frontier frontier;
  append_rows(frontier, kind, type, cols, data);
  return root(kind, type, data.size() / (cols * size_bytes(type)), cols, frontier.top());
}

Hash list_root(Kind kind, std::span<const Hash> hashes) {
  Frontier frontier;
  for (const Hash& hash : hashes) frontier.append(hash);
  return root(kind, Type::kHash, hashes.size(), 1, frontier.top());
}

std::uint64_t range_path_size(std::uint64_t n, std::uint64_t begin, std::uint64_t end) {
  OTR_CHECK(begin < end && end <= n && n <= kMaxLeaves);
  std::uint64_t count = 0;
  for (std::size_t level = 0; level < depth_of(n); ++level) {
    count += begin % 2 + end % 2;
    begin /= 2;
    end = (end + 1) / 2;
  }
  return count;
}

Result<Hash> top_of_range(std::uint64_t n, std::uint64_t begin, std::uint64_t end,
                          std::span<const Hash> leaves, std::span<const Hash> path) {
  if (begin >= end || end > n || n > kMaxLeaves) {
    return path_invalid("the opened range [" + std::to_string(begin) + ", " + std::to_string(end) +
                        ") is empty or outside the tree of " + std::to_string(n) + " leaves");
  }
  if (leaves.size() != end - begin) {
    return path_invalid("the opening has " + std::to_string(leaves.size()) + " leaves for " +
                        std::to_string(end - begin));
  }
  const std::uint64_t expected = range_path_size(n, begin, end);
  if (path.size() != expected) {
    return path_invalid("the path has " + std::to_string(path.size()) + " hashes and needs " +
                        std::to_string(expected));
  }
  // One level at a time in place; two more cells for the neighbours.
  std::vector<Hash> row;
  row.reserve(leaves.size() + 2);
  row.assign(leaves.begin(), leaves.end());
  auto next = path.begin();
  for (std::size_t level = 0; level < depth_of(n); ++level) {
    if (begin % 2 != 0) row.insert(row.begin(), *next++);
    if (end % 2 != 0) row.push_back(*next++);
    for (std::size_t i = 0; i < row.size() / 2; ++i) row[i] = node(row[2 * i], row[2 * i + 1]);
    row.resize(row.size() / 2);
    begin /= 2;
    end = (end + 1) / 2;
  }
  return row.front();
}

Status check_range(std::uint64_t n, std::uint64_t begin, std::uint64_t end,
                   std::span<const Hash> leaves, std::span<const Hash> path, const Hash& top) {
  OTR_TRY_ASSIGN(const Hash computed, top_of_range(n, begin, end, leaves, path));
  if (computed != top) return path_invalid("the opening leads to another top");
  return {};
}

}  // namespace otr::merkle

// Merkle trees over tiles of integers (SPEC TREE).
//
// A tree is a list of n leaf hashes. Its top is the root of the perfect binary tree that holds
// them, absent leaves being 32 zero bytes; its root binds the top to a kind, an element type and a
// shape. There are two bodies: `Frontier` keeps O(log n) hashes and knows only the top, `Tree`
// keeps all nodes and can open ranges. What a verifier needs is `check_range`, which trusts nothing
// it is given.
#ifndef OTR_MERKLE_TREE_H_
#define OTR_MERKLE_TREE_H_

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"

namespace otr::merkle {

// SPEC TREE-5. The numbers are hashed.
enum class Kind : std::uint32_t {
  kTable = 1,
  kModelTensor = 2,
  kModel = 3,
  kTokenIds = 4,
  kKey = 5,
  kValue = 6,
  kResidual = 7,
  kTrace = 8,
  kMicroTensor = 9,
  kMicroTrace = 10,
  kProofData = 11,
  kProofParity = 12,
};
enum class Type : std::uint32_t {
  kHash = 0,  // 32 bytes, taken as the leaf hash itself
  kI8 = 1,
  kU8 = 2,
  kI16 = 3,
  kU16 = 4,
  kI32 = 5,
  kU32 = 6,
  kI64 = 7,
  kU64 = 8,
};
[[nodiscard]] std::size_t size_bytes(Type type);

inline constexpr std::size_t kTileElements = 512;
inline constexpr std::size_t kMicroTileElements = 64;  // of a micro-tensor: what a referee opens

// SPEC TREE-4: elements that one leaf holds.
[[nodiscard]] constexpr std::size_t tile_elements(Kind kind) {
  return kind == Kind::kMicroTensor ? kMicroTileElements : kTileElements;
}
// More leaves than any tensor of the SPEC has; a claim of more is refused, so shifts stay defined.
inline constexpr std::uint64_t kMaxLeaves = std::uint64_t{1} << 56;

[[nodiscard]] Hash leaf(ByteView tile);                        // SPEC TREE-1
[[nodiscard]] Hash node(const Hash& left, const Hash& right);  // SPEC TREE-2
[[nodiscard]] Hash root(Kind kind, Type type, std::uint64_t rows, std::uint64_t cols,
                        const Hash& top);  // SPEC TREE-4

// Leaves that one row of `cols` elements has, in every kind but micro-tensors.
[[nodiscard]] constexpr std::uint64_t tiles_per_row(std::uint64_t cols) {
  return (cols + kTileElements - 1) / kTileElements;
}

// The top of a growing list of leaf hashes in O(log n) memory.
class Frontier {
 public:
  void append(const Hash& leaf_hash);
  // The same for each of them, in order.
  void append(std::span<const Hash> leaf_hashes);
  [[nodiscard]] std::uint64_t size() const { return size_; }
  // Requires size() >= 1. May be asked at any time; costs O(log n) hashes.
  [[nodiscard]] Hash top() const;

 private:
  std::uint64_t size_ = 0;
  // complete_[k] is the root of a full subtree of 2^k leaves, valid where bit k of size_ is set.
  std::array<Hash, 57> complete_;
};

// A growing list of leaf hashes with all its nodes: 64 bytes for each leaf.
class Tree {
 public:
  void append(const Hash& leaf_hash);
  void append(std::span<const Hash> leaf_hashes) {
    for (const Hash& hash : leaf_hashes) append(hash);
  }
  [[nodiscard]] std::uint64_t size() const { return levels_.empty() ? 0 : levels_[0].size(); }
  // Requires size() >= 1.
  [[nodiscard]] Hash top() const;
  // Requires index < size().
  [[nodiscard]] const Hash& leaf_hash(std::uint64_t index) const { return levels_[0][index]; }
  // SPEC TREE-6. Requires begin < end <= size().
  [[nodiscard]] std::vector<Hash> open_range(std::uint64_t begin, std::uint64_t end) const;
  // Node `index` of a level, leaves being level 0; that of absent leaves where there are none.
  [[nodiscard]] Hash node_at(std::size_t level, std::uint64_t index) const;

 private:
  // levels_[k][i] is the root of the full subtree of leaves [i·2^k, (i + 1)·2^k).
  std::vector<std::vector<Hash>> levels_;
};

// The leaves of whole rows of `cols` elements of `type`, each row cut into tiles as the kind
// demands, in order. Requires as many hashes as there are tiles.
void leaf_hashes(Kind kind, Type type, std::uint64_t cols, ByteView rows, std::span<Hash> hashes);

// Appends the leaves of whole rows of `cols` elements of `type`, each row cut into tiles as the
// kind demands. Requires rows.size() to be a multiple of one row's bytes.
void append_rows(Frontier& to, Kind kind, Type type, std::uint64_t cols, ByteView rows);
void append_rows(Tree& to, Kind kind, Type type, std::uint64_t cols, ByteView rows);

// Root of a whole tensor. Requires at least one row and data.size() to be a multiple of one row.
[[nodiscard]] Hash tensor_root(Kind kind, Type type, std::uint64_t cols, ByteView data);
// Root of a list of n >= 1 hashes: type 0, rows n, one column.
[[nodiscard]] Hash list_root(Kind kind, std::span<const Hash> hashes);

// Hashes that an opening of leaves [begin, end) of n has. Requires begin < end <= n <= kMaxLeaves.
[[nodiscard]] std::uint64_t range_path_size(std::uint64_t n, std::uint64_t begin,
                                            std::uint64_t end);

// SPEC TREE-6: that `leaves` are the leaf hashes [begin, end) of the list of n leaves under `top`.
// Any arguments are allowed; else than a proof gives kReject with code PATH_INVALID. Allocates no
// more than it was given.
[[nodiscard]] Status check_range(std::uint64_t n, std::uint64_t begin, std::uint64_t end,
                                 std::span<const Hash> leaves, std::span<const Hash> path,
                                 const Hash& top);

// The top that follows from a range opening, for a caller that goes on to hash it into a root.
[[nodiscard]] Result<Hash> top_of_range(std::uint64_t n, std::uint64_t begin, std::uint64_t end,
                                        std::span<const Hash> leaves, std::span<const Hash> path);

}  // namespace otr::merkle

#endif  // OTR_MERKLE_TREE_H_

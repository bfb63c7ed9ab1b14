// Tiles opened down to the roots of a claim: what answers, reveals and proofs are made of (SPEC
// MTRC-2, MTRC-3, MTRC-4, MTRC-6).
#ifndef OTR_REFEREE_OPENING_H_
#define OTR_REFEREE_OPENING_H_

#include <compare>
#include <cstdint>
#include <optional>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "merkle/tree.h"
#include "referee/statement.h"

namespace otr::referee {

// SPEC MTRC-2. The numbers are those of the encoding.
enum class Place : std::uint8_t {
  kPrompt = 1,
  kTraceList = 2,
  kTokens = 3,
  kKey = 4,
  kValue = 5,
  kResidual = 6,
  kModel = 7,
  kMicro = 8,
};

struct TreeId {
  Place place = Place::kPrompt;
  std::uint32_t a = 0;  // layer; number of the model tensor; machine::Tensor
  std::uint32_t b = 0;  // key/value head

  friend auto operator<=>(const TreeId&, const TreeId&) = default;
};
[[nodiscard]] TreeId tree_of(const trace::StreamId& stream);

// The micro-trace of one position, known by its root alone.
struct MicroTrace {
  Position position;
  Hash root{};
};

// What a claim fixes about a tree: its shape, and where its root stands.
struct TreeFacts {
  merkle::Kind kind = merkle::Kind::kTokenIds;
  merkle::Type type = merkle::Type::kU32;
  std::uint64_t rows = 0;
  std::uint64_t cols = 0;
  std::uint64_t leaf_count = 0;
  // The list that holds the tree's root; list_count 0: the root itself is known.
  merkle::Kind list_kind = merkle::Kind::kTrace;
  std::uint64_t list_count = 0;
  std::uint64_t list_index = 0;
  Hash root{};  // of the list, or of the tree where there is none

  [[nodiscard]] std::size_t tile_bytes(std::uint64_t leaf) const;  // requires leaf < leaf_count
  [[nodiscard]] std::uint64_t tiles_in_row() const;
  [[nodiscard]] std::uint64_t byte_offset(std::uint64_t leaf) const;  // in the joined tiles of all
  [[nodiscard]] std::uint64_t depth() const;                          // ceil(log2 leaf_count)
  // The leaf that holds an element, and its place in the tile. Requires index < rows · cols.
  struct Cell {
    std::uint64_t leaf = 0;
    std::uint64_t offset = 0;  // in elements
  };
  [[nodiscard]] Cell cell(std::uint64_t index) const;
};
// Nothing where the claim has no such tree; a micro-tensor needs `micro`.
[[nodiscard]] std::optional<TreeFacts> tree_facts(const Statement& statement,
                                                  const MicroTrace* micro, const TreeId& tree);

struct Opening {
  TreeId tree;
  std::uint64_t begin = 0;  // leaves [begin, end); one node of a level in reveals
  std::uint64_t end = 0;
  Bytes tiles;
  std::vector<Hash> path;       // to the top of the tree
  std::vector<Hash> list_path;  // from the tree's root to the top of the list

  friend bool operator==(const Opening&, const Opening&) = default;
};
using Witness = std::vector<Opening>;

inline constexpr std::size_t kMaxOpenings = 64;
inline constexpr std::size_t kMaxWitnessBytes = std::size_t{1} << 20;

// That the tiles are what the claim holds there; kReject with code PATH_INVALID otherwise. Gives
// the facts of the tree.
[[nodiscard]] Result<TreeFacts> check_opening(const Statement& statement, const MicroTrace* micro,
                                              const Opening& opening);

// SPEC MTRC-6: what one side may ask the other for.
struct Demand {
  TreeId tree;
  std::uint32_t level = 0;
  std::uint64_t begin = 0;
  std::uint64_t end = 0;

  friend auto operator<=>(const Demand&, const Demand&) = default;
};
inline constexpr std::uint32_t kRevealLevels = 4;  // 16 hashes
inline constexpr std::uint64_t kMaxDemandTiles = 4096;
inline constexpr std::uint64_t kMaxDemandBytes = std::uint64_t{64} << 10;

// DEMAND_INVALID; any demand is allowed.
[[nodiscard]] Status check_demand(const Statement& statement, const MicroTrace* micro,
                                  const Demand& demand);
// PATH_INVALID. Requires a demand that passes check_demand; any opening is allowed.
[[nodiscard]] Status check_reveal(const Statement& statement, const MicroTrace* micro,
                                  const Demand& demand, const Opening& reveal);

}  // namespace otr::referee

#endif  // OTR_REFEREE_OPENING_H_

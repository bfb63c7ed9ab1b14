// The lookup tables of SPEC PL-1 and the places of all leaves (SPEC PL-3).
#ifndef OTR_ZK_LOOKUP_TABLES_H_
#define OTR_ZK_LOOKUP_TABLES_H_

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "zk/circuit.h"
#include "zk/mle.h"

namespace otr::zk {

using Tuple = std::array<std::int64_t, 3>;  // unused places are 0

// Row `index` of the table. `q_bound` is B_q of OP-8.
Tuple table_row(TableTag tag, std::uint32_t index, std::int64_t q_bound);
// A row that holds the tuple, if one does.
std::optional<std::uint32_t> table_index(TableTag tag, const Tuple& tuple, std::int64_t q_bound);

// fp of PL-2 for a tuple of elements.
[[nodiscard]] Ext fingerprint(TableTag tag, std::span<const Ext> tuple, Ext beta);
// The extension at `point` of the fingerprints of a table's rows.
[[nodiscard]] Ext table_fingerprint(TableTag tag, std::int64_t q_bound, std::span<const Ext> point,
                                    Ext beta);

struct LeafBlockPlace {
  std::uint64_t base = 0;
  int bits = 0;

  // eq of the high bits of r with the block's place: w of PR-1.
  [[nodiscard]] Ext weight(std::span<const Ext> r) const {
    return eq_at(r.subspan(static_cast<std::size_t>(bits)), base >> bits);
  }
};
struct LeafPlan {
  std::vector<std::vector<LeafBlockPlace>> lookups;  // [domain][lookup]
  std::vector<LeafBlockPlace> tables;
  std::size_t nu = 0;
};
LeafPlan plan_leaves(const Circuit& circuit);
int bits_of_domain(const Circuit& circuit, const Domain& domain);

}  // namespace otr::zk

#endif  // OTR_ZK_LOOKUP_TABLES_H_

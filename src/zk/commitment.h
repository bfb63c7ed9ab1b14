// The committed matrix as the verifier sees it (SPEC PC-4): two roots, and places that are opened.
#ifndef OTR_ZK_COMMITMENT_H_
#define OTR_ZK_COMMITMENT_H_

#include <cstdint>
#include <span>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "zk/field.h"
#include "zk/layout.h"

namespace otr::zk {

struct Commitment {
  Hash data_root{}, parity_root{};

  // node(data root, parity root): the commitment as one hash.
  [[nodiscard]] Hash hash() const;
  friend bool operator==(const Commitment&, const Commitment&) = default;
};

// One place of all rows and its path in its tree.
struct OpenedPlace {
  std::vector<Felt> cells;  // rows() of them
  std::vector<Hash> path;   // kappa() of them
};

// The leaf of a place (SPEC PC-4).
[[nodiscard]] Hash place_leaf(std::span<const std::uint64_t> cells);
// The root of the data tree (parity: false) or the parity tree whose top is `top`.
[[nodiscard]] Hash place_root(const Layout& layout, bool parity, const Hash& top);

// That `opened` stands at place < 2·places() under `commitment`: one of the data below places(),
// one of the parity from there on. PROOF_INVALID else, also for wrong sizes.
[[nodiscard]] Status check_place(const Layout& layout, const Commitment& commitment,
                                 std::uint64_t place, const OpenedPlace& opened);

}  // namespace otr::zk

#endif  // OTR_ZK_COMMITMENT_H_

#include "zk/commitment.h"

#include <string>

#include "merkle/tree.h"
#include "zk/mle.h"

namespace otr::zk {

Hash Commitment::hash() const { return merkle::node(data_root, parity_root); }

Hash place_leaf(std::span<const std::uint64_t> cells) { return merkle::leaf(as_bytes(cells)); }

Hash place_root(const Layout& layout, bool parity, const Hash& top) {
  return merkle::root(parity ? merkle::Kind::kProofParity : merkle::Kind::kProofData,
                      merkle::Type::kU64, layout.places(), layout.rows(), top);
}

Status check_place(const Layout& layout, const Commitment& commitment, std::uint64_t place,
                   const OpenedPlace& opened) {
  const bool parity = place >= layout.places();
  const auto where = [&] {
    return "opening: place " + std::to_string(place) + (parity ? " (parity)" : " (data)");
  };
  if (opened.cells.size() != layout.rows()) {
    return reject_proof(where() + " has " + std::to_string(opened.cells.size()) + " cells for " +
                        std::to_string(layout.rows()) + " rows");
  }
  static_assert(sizeof(Felt) == 8);
  const Hash leaf = merkle::leaf(
      {reinterpret_cast<const std::uint8_t*>(opened.cells.data()), 8 * opened.cells.size()});
  const std::uint64_t row = place % layout.places();
  const auto top = merkle::top_of_range(layout.places(), row, row + 1, {&leaf, 1}, opened.path);
  if (!top) return reject_proof(where() + ": " + top.error().message);
  if (place_root(layout, parity, *top) !=
      (parity ? commitment.parity_root : commitment.data_root)) {
    return reject_proof(where() + " is not under the root of the commitment");
  }
  return {};
}

}  // namespace otr::zk

// The beacon of the embedded ledger (SPEC SET-29): a hash chain that somebody apart from operators
// and sequencer keeps, and reveals one by one against checkpoints. Trusted not to collude: the
// trust ladder says so.
#ifndef OTR_ROLLUP_AUDITOR_H_
#define OTR_ROLLUP_AUDITOR_H_

#include <cstdint>

#include "base/result.h"
#include "crypto/secp256k1.h"
#include "rollup/mirror.h"

namespace otr::rollup {

// Value n of the chain that ends in the genesis: anchor = H("OTR.beac", value 1), and so on. Costs
// time in proportion to length - n. Requires 1 <= n <= length.
[[nodiscard]] Hash beacon_value(const Hash& secret, std::uint64_t length, std::uint64_t n);
[[nodiscard]] Hash beacon_anchor(const Hash& secret, std::uint64_t length);

// Whether a batch waits for a beacon that only a new checkpoint allows to reveal: for whoever signs
// checkpoints.
[[nodiscard]] bool is_checkpoint_due(const Mirror& mirror, std::uint64_t now);

class Auditor {
 public:
  // `secret` and `length` are those of the genesis' anchor.
  Auditor(Mirror& mirror, const crypto::PrivateKey& key, Hash secret, std::uint64_t length)
      : mirror_(mirror), key_(key), secret_(secret), length_(length) {}

  // Reveals the next value where one is due and a checkpoint allows it.
  [[nodiscard]] Status step(std::uint64_t now);

 private:
  Mirror& mirror_;
  const crypto::PrivateKey& key_;
  Hash secret_;
  std::uint64_t length_;
};

}  // namespace otr::rollup

#endif  // OTR_ROLLUP_AUDITOR_H_

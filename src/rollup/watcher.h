// What a client does with its receipts after the answer: it sees to it that they are posted, or
// forces them (SPEC SET-27), reports two answers to one request (SET-28), and knows where each
// stands.
#ifndef OTR_ROLLUP_WATCHER_H_
#define OTR_ROLLUP_WATCHER_H_

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/result.h"
#include "crypto/secp256k1.h"
#include "protocol/receipt.h"
#include "rollup/mirror.h"
#include "rollup/ports.h"
#include "rollup/posted.h"

namespace otr::rollup {

// Where a receipt's claim stands (the ladder's rungs after "claim signed").
enum class Standing : std::uint8_t {
  kNotPosted,   // in no batch that is shown
  kForced,      // not posted, and demanded so on the ledger
  kPosted,      // in a batch whose window is open
  kChallenged,  // held by a game
  kFinal,
  kPaid,
  kRefuted,  // proven false
  kCanary,   // false on purpose, and taken back by its own client (SPEC SET-37)
  kVoid,     // its operator fell or its model was voided before it was final
};
[[nodiscard]] std::string_view name_of(Standing standing);

struct Whereabouts {
  Standing standing = Standing::kNotPosted;
  std::uint64_t batch = 0;  // 0: in none
  std::uint32_t index = 0;
  std::optional<bool> drawn;   // nothing: the beacon of its batch is not revealed
  bool is_checked = false;     // the answer to its draw, by a quorum (SPEC SET-30)
  bool is_proven = false;      // that answer names a proof
  std::uint64_t attended = 0;  // accounts that say they have computed it (SPEC SET-39): unchecked
};
// Of the claim of a receipt whose checks have passed, that stands there in a batch. kReject with
// the ledger's code where it does not, or stands in a batch of another operator or session than it
// names: whatever becomes of that batch says nothing about this receipt.
[[nodiscard]] Result<Whereabouts> whereabouts_of(const ledger::State& state,
                                                 const protocol::Receipt& receipt,
                                                 const Posted& posted);

class Watcher {
 public:
  // Forces what is not posted `patience_ms` after it was given. It keeps nothing: one that is
  // started again is given its receipts again, and looks through batches that are final too before
  // it forces. A request that was paid is never forced: nobody has to show any more where its claim
  // stands, and the bond of who forces what was posted is burned (SPEC SET-27). So a second, other
  // answer to it that was kept back until then comes out only where somebody holds both (SET-28).
  Watcher(Mirror& mirror, const crypto::PrivateKey& key, std::uint64_t patience_ms)
      : mirror_(mirror), key_(key), patience_ms_(patience_ms) {}

  // A receipt whose checks have passed (protocol/verify.h).
  void add(protocol::Receipt receipt, std::uint64_t now);
  // `data`: who serves batches of the receipts' operators; null: nobody.
  [[nodiscard]] Status step(std::uint64_t now, DataPort* data);
  [[nodiscard]] Whereabouts whereabouts(const Hash& claim_hash) const;

 private:
  struct Watched {
    protocol::Receipt receipt;
    std::uint64_t since = 0;  // when it was given
    std::uint64_t batch = 0;  // where it was found; 0: nowhere yet
    std::uint32_t index = 0;
    std::vector<Hash> path;
    std::set<std::uint64_t> searched;  // batches that do not hold it, or are over and not shown
  };
  bool is_paid(const Watched& watched) const;
  bool is_due(const Hash& hash, const Watched& watched, std::uint64_t now) const;
  void find(const Hash& hash, Watched& watched, std::uint64_t now, DataPort& data) const;
  void look_through(std::uint64_t number, const Hash& hash, Watched& watched, DataPort& data) const;
  Status act(const Hash& hash, Watched& watched, std::uint64_t now);
  Status report(const Watched& a, const Watched& b);
  Mirror& mirror_;
  const crypto::PrivateKey& key_;
  std::uint64_t patience_ms_;
  std::map<Hash, Watched> watched_;                 // by claim hash
  std::map<Hash, Hash> first_;                      // claim hash by request hash
  std::vector<std::pair<Hash, Hash>> two_answers_;  // claim hashes
};

}  // namespace otr::rollup

#endif  // OTR_ROLLUP_WATCHER_H_

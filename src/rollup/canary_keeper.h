// Canaries of one funder: claims that are false on purpose, committed to before they are posted and
// taken back before they are final, so that a fisherman that never looks is seen by what it misses
// (SPEC SET-36 to SET-38).
//
// It makes no false claims; whoever does hands them in before their operator posts them. All that
// it must not lose is in its journal before the ledger hears of it: a canary that is not revealed
// burns its bond.
#ifndef OTR_ROLLUP_CANARY_KEEPER_H_
#define OTR_ROLLUP_CANARY_KEEPER_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "crypto/secp256k1.h"
#include "protocol/receipt.h"
#include "referee/statement.h"
#include "rollup/journal.h"
#include "rollup/mirror.h"

namespace otr::rollup {

// The keys must outlive the keeper.
struct CanaryOptions {
  const crypto::PrivateKey& key;     // pays reward and bond
  const crypto::PrivateKey& client;  // of the requests, so that it may consent
  std::uint64_t reward = 0;          // for who names the leaf
  // Signs for the operator whose worker makes the claims.
  std::function<crypto::Signature(const Hash& digest)> operator_consents;
};

struct CanaryGauges {
  std::uint64_t waiting = 0;  // committed, not yet revealed
  std::uint64_t found = 0;    // by a challenger of the leaf
  std::uint64_t unfound = 0;  // nobody looked
  std::uint64_t refused = 0;
  std::string last_refusal;
};

class CanaryKeeper {
 public:
  // Reads its journal. `mirror` and `journal` must outlive it.
  [[nodiscard]] static Result<std::unique_ptr<CanaryKeeper>> open(Mirror& mirror, Journal& journal,
                                                                  CanaryOptions options);

  // The receipt of a claim whose first false leaf is `leaf`, with a salt that nobody can guess.
  // kBadInput where it is no receipt of its client's; kReject while another one is not posted.
  [[nodiscard]] Status add(std::string_view receipt_text, const referee::Leaf& leaf,
                           const Hash& salt);
  // Whether add() was done.
  [[nodiscard]] bool holds(const Hash& claim_hash) const { return canaries_.contains(claim_hash); }
  // Whether the ledger holds the commitment for the operator's next batch: now the claim is to be
  // posted, alone, before anything else of its operator's.
  [[nodiscard]] bool is_committed(const Hash& claim_hash) const;
  // Whether the operator must leave a game on this leaf unanswered, as the claim is taken back.
  [[nodiscard]] bool keeps(const Hash& claim_hash, const referee::Leaf& leaf) const;

  // Looks at the ledger once: commits, and reveals what was found, or what nobody has challenged in
  // three quarters of its window (the rest is for whoever must get the word to the ledger) or when
  // its deadline comes near. kReject:
  // the ledger's port lies. Other errors of the network pass.
  [[nodiscard]] Status step(std::uint64_t now);
  [[nodiscard]] const CanaryGauges& gauges() const { return gauges_; }

 private:
  struct Canary {
    protocol::Receipt receipt;
    Hash claim_hash{}, leaf{}, salt{};
  };
  // Nothing where its operator has no stake.
  [[nodiscard]] const ledger::Operator* operator_of(const Canary& canary) const;
  // The batch in which it stands alone.
  [[nodiscard]] std::optional<std::uint64_t> batch_of(const Canary& canary) const;
  [[nodiscard]] Hash commitment_of(const Canary& canary, std::uint64_t sequence) const;
  CanaryKeeper(Mirror& mirror, Journal& journal, CanaryOptions options)
      : mirror_(mirror), journal_(journal), options_(std::move(options)) {}
  [[nodiscard]] Result<Canary> read(std::string_view record) const;
  Status commit(const Canary& canary);
  Status watch(const Canary& canary, std::uint64_t number, std::uint64_t now);
  Status reveal(const Canary& canary, std::uint64_t number, bool is_found);
  Status sent(const Status& status);

  Mirror& mirror_;
  Journal& journal_;
  const CanaryOptions options_;
  std::map<Hash, Canary> canaries_;  // by claim hash
  CanaryGauges gauges_;
};

}  // namespace otr::rollup

#endif  // OTR_ROLLUP_CANARY_KEEPER_H_

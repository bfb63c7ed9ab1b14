// Evidence that somebody looks (SPEC SET-36 to SET-39): claims that are false on purpose and pay
// who finds the leaf, and words about a claim that only its execution gives.
#ifndef OTR_LEDGER_ATTENTION_H_
#define OTR_LEDGER_ATTENTION_H_

#include <cstdint>
#include <string_view>
#include <vector>

#include "ledger/fields.h"
#include "referee/statement.h"

namespace otr::ledger {

// Says beforehand, and to nobody, which claim of a batch to come will be false.
struct CommitCanary {
  static constexpr std::string_view kName = "CommitCanary";
  Hash commitment{};
  std::uint64_t reward = 0;
  std::uint64_t bond = 0;
  template <class V>
  void each(V& visit) {
    visit("commitment", commitment);
    visit("reward", reward);
    visit("bond", bond);
  }
};
// Voids it before it is final. By who committed, with the consent of its client and its operator.
struct RevealCanary {
  static constexpr std::string_view kName = "RevealCanary";
  Hash salt{};
  Hash leaf{};  // leaf_hash of the first leaf that is false
  std::uint64_t batch = 0;
  protocol::Claim claim;
  protocol::Request request;
  Signature consent{};           // the client's
  Signature operator_consent{};  // the operator's, over the same
  template <class V>
  void each(V& visit) {
    visit("salt", salt);
    visit("leaf", leaf);
    visit("batch", batch);
    visit("claim", claim);
    visit("request", request);
    visit("consent", consent);
    visit("operatorConsent", operator_consent);
  }
};
// It was not revealed in time.
struct MissCanary {
  static constexpr std::string_view kName = "MissCanary";
  Address funder{};
  Hash commitment{};
  template <class V>
  void each(V& visit) {
    visit("funder", funder);
    visit("commitment", commitment);
  }
};
// The signer has executed the claim.
struct Attend {
  static constexpr std::string_view kName = "Attend";
  std::uint64_t batch = 0;
  std::uint32_t index = 0;
  Hash digest{};  // attention_digest
  template <class V>
  void each(V& visit) {
    visit("batch", batch);
    visit("index", index);
    visit("digest", digest);
  }
};

// SPEC SET-36. `claim_hash` in the words of the ledger. The place is a batch of one claim.
[[nodiscard]] Hash leaf_hash(const referee::Leaf& leaf);
struct CanaryPlace {
  Address funder{}, operator_address{};
  std::uint64_t sequence = 0;  // of the operator's batch
};
[[nodiscard]] Hash canary_commitment(const CanaryPlace& place, const Hash& salt,
                                     const Hash& claim_hash, const Hash& leaf);
// What the claim's client signs (SPEC SET-37).
[[nodiscard]] Hash consent_digest(const Hash& ledger, const Hash& commitment);
// SPEC SET-39: `micro_root` of the last position that the claim's execution has a head at.
[[nodiscard]] Hash attention_digest(const Address& account, const Hash& claim_hash,
                                    const Hash& micro_root);

}  // namespace otr::ledger

#endif  // OTR_LEDGER_ATTENTION_H_

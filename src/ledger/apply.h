// The settlement rules as one pure function (SPEC SET): a transaction either changes the state and
// gives events, or is refused with a code and changes nothing, not even the nonce.
//
// No I/O, clock or entropy: time is an argument. Every call costs O(1) in accounts, batches, claims
// and games, but Checkpoint, which hashes the state (SPEC SET-8).
#ifndef OTR_LEDGER_APPLY_H_
#define OTR_LEDGER_APPLY_H_

#include <cstdint>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "ledger/state.h"
#include "ledger/transaction.h"

namespace otr::ledger {

enum class EventKind : std::uint8_t {
  kMinted = 1,
  kWithdrawn,
  kTransferred,
  kStaked,
  kUnbonding,
  kReleased,
  kDeposited,
  kClosing,
  kRefunded,
  kRedeemed,
  kSettled,
  kModelRegistered,
  kModelVoided,
  kSessionRegistered,
  kRevoked,
  kBatchPosted,
  kBatchFinal,
  kBatchFinalNotDrawn,
  kBatchVoid,
  kForced,
  kForceAnswered,
  kForceMissed,
  kForceRefunded,
  kEquivocated,
  kBeaconRevealed,
  kBeaconReplaced,
  kDrawAnswered,
  kDrawChecked,
  kDrawMissed,
  kChallenged,
  kDemanded,
  kClaimRevealed,
  kMoved,
  kRefuted,
  kUpheld,
  kMoot,
  kSlashed,
  kBurned,
  kParametersScheduled,
  kCheckpoint,
  kCanaryCommitted,
  kCanaryRevealed,
  kCanaryMissed,
  kAttended,
};
[[nodiscard]] std::string_view name_of(EventKind kind);

// What an event means by its members is said where it is made.
struct Event {
  EventKind kind = EventKind::kMinted;
  Address account{};
  Hash key{};
  std::uint64_t a = 0;
  std::uint64_t b = 0;

  friend bool operator==(const Event&, const Event&) = default;
};
using Events = std::vector<Event>;

// The address that signed; TX_SIGNATURE. Needs nothing of the state but its domain, so that many
// can be recovered at once.
[[nodiscard]] Result<Address> signer_of(const Transaction& transaction, const Hash& domain);

// Requires `signer` to be signer_of's and `bytes` the transaction's encoding. Time is
// max(state.time, now).
[[nodiscard]] Result<Events> apply(State& state, const Transaction& transaction,
                                   const Address& signer, ByteView bytes, std::uint64_t now);

// All of it for bytes from outside.
[[nodiscard]] Result<Events> apply(State& state, ByteView bytes, std::uint64_t now);

// The tip after a transaction that is taken at this time (SPEC SET-4).
[[nodiscard]] Hash next_tip(const State& state, std::uint64_t time, ByteView transaction);

}  // namespace otr::ledger

#endif  // OTR_LEDGER_APPLY_H_

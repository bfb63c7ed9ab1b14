// Why a transaction is refused: codes 50 to 79, which continue those of base/reject.h and
// referee/reject.h (SPEC SET-7). A refused transaction changes nothing.
#ifndef OTR_LEDGER_REJECT_H_
#define OTR_LEDGER_REJECT_H_

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace otr::ledger {

enum class Refusal : std::uint8_t {
  kTxSignature = 50,
  kNoAccount = 51,
  kNonce = 52,
  kInsufficient = 53,
  kNotAllowed = 54,
  kUnknown = 55,
  kExists = 56,
  kBadState = 57,
  kTooEarly = 58,
  kTooLate = 59,
  kStakeTooLow = 60,
  kBadAmount = 61,
  kBadParameters = 62,
  kStaleEpoch = 63,
  kSessionRevoked = 64,
  kNotDrawn = 65,
  kBeaconMismatch = 66,
  kCheckpointMismatch = 67,
  kNotEquivocation = 68,
  kQuorumMissing = 69,
  kVoucherSignature = 70,
  kCanaryMismatch = 71,
};

inline constexpr std::array<std::string_view, 22> kRefusalNames = {
    "TX_SIGNATURE",     "NO_ACCOUNT",      "NONCE",
    "INSUFFICIENT",     "NOT_ALLOWED",     "UNKNOWN",
    "EXISTS",           "BAD_STATE",       "TOO_EARLY",
    "TOO_LATE",         "STAKE_TOO_LOW",   "BAD_AMOUNT",
    "BAD_PARAMETERS",   "STALE_EPOCH",     "SESSION_REVOKED",
    "NOT_DRAWN",        "BEACON_MISMATCH", "CHECKPOINT_MISMATCH",
    "NOT_EQUIVOCATION", "QUORUM_MISSING",  "VOUCHER_SIGNATURE",
    "CANARY_MISMATCH"};

constexpr std::string_view name_of(Refusal code) {
  return kRefusalNames[static_cast<std::size_t>(code) - 50];
}

inline std::unexpected<Error> refuse(Refusal code, std::string message) {
  return fail(ErrorKind::kReject, std::move(message), std::string(name_of(code)));
}

}  // namespace otr::ledger

#endif  // OTR_LEDGER_REJECT_H_

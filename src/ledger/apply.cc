#include "ledger/apply.h"

#include <algorithm>
#include <array>
#include <string>
#include <utility>

#include "base/hex.h"
#include "crypto/sha256.h"
#include "ledger/reject.h"
#include "ledger/rules.h"

namespace otr::ledger {
namespace {

constexpr std::array<std::string_view, 44> kEventNames = {"Minted",
                                                          "Withdrawn",
                                                          "Transferred",
                                                          "Staked",
                                                          "Unbonding",
                                                          "Released",
                                                          "Deposited",
                                                          "Closing",
                                                          "Refunded",
                                                          "Redeemed",
                                                          "Settled",
                                                          "ModelRegistered",
                                                          "ModelVoided",
                                                          "SessionRegistered",
                                                          "Revoked",
                                                          "BatchPosted",
                                                          "BatchFinal",
                                                          "BatchFinalNotDrawn",
                                                          "BatchVoid",
                                                          "Forced",
                                                          "ForceAnswered",
                                                          "ForceMissed",
                                                          "ForceRefunded",
                                                          "Equivocated",
                                                          "BeaconRevealed",
                                                          "BeaconReplaced",
                                                          "DrawAnswered",
                                                          "DrawChecked",
                                                          "DrawMissed",
                                                          "Challenged",
                                                          "Demanded",
                                                          "ClaimRevealed",
                                                          "Moved",
                                                          "Refuted",
                                                          "Upheld",
                                                          "Moot",
                                                          "Slashed",
                                                          "Burned",
                                                          "ParametersScheduled",
                                                          "Checkpoint",
                                                          "CanaryCommitted",
                                                          "CanaryRevealed",
                                                          "CanaryMissed",
                                                          "Attended"};

// The four roles keep the ledger going and pay nothing for it.
std::uint64_t fee_of(const State& state, const Address& signer, std::uint64_t now) {
  const Genesis& genesis = state.genesis;
  const bool is_role = signer == genesis.sequencer || signer == genesis.issuer ||
                       signer == genesis.auditor || signer == genesis.governor;
  return is_role ? 0 : parameters_at(state, now).fee;
}

}  // namespace

std::string_view name_of(EventKind kind) { return kEventNames[static_cast<std::size_t>(kind) - 1]; }

Result<Address> signer_of(const Transaction& transaction, const Hash& domain) {
  Result<Address> signer =
      crypto::recover(digest_in_domain(transaction, domain), transaction.signature);
  if (!signer) return refuse(Refusal::kTxSignature, signer.error().message);
  return signer;
}

// SPEC SET-7.
Result<Events> apply(State& state, const Transaction& transaction, const Address& signer,
                     ByteView bytes, std::uint64_t now) {
  now = std::max(now, state.time);
  const auto account = state.accounts.find(signer);
  if (account == state.accounts.end()) {
    return refuse(Refusal::kNoAccount, "There is no account of " + to_hex(signer) +
                                           ": somebody must pay into it first (or the signature "
                                           "is over something else).");
  }
  if (transaction.nonce != account->second.nonce) {
    return refuse(Refusal::kNonce, "The next nonce of " + to_hex(signer) + " is " +
                                       std::to_string(account->second.nonce) + ", not " +
                                       std::to_string(transaction.nonce) + ".");
  }
  const std::uint64_t fee = fee_of(state, signer, now);
  if (account->second.balance < fee) {
    return refuse(Refusal::kInsufficient, "The fee is " + std::to_string(fee) +
                                              ", the balance of " + to_hex(signer) + " " +
                                              std::to_string(account->second.balance) + ".");
  }
  Events events;
  const Call call{state, signer, now, fee, events};
  OTR_TRY(std::visit([&](const auto& body) { return rule(call, body); }, transaction.body));
  account->second.balance -= fee;
  account->second.nonce += 1;
  state.burned += fee;
  state.tip = next_tip(state, now, bytes);
  state.height += 1;
  state.time = now;
  return events;
}

Result<Events> apply(State& state, ByteView bytes, std::uint64_t now) {
  OTR_TRY_ASSIGN(const Transaction transaction, decode_transaction(bytes));
  OTR_TRY_ASSIGN(const Address signer, signer_of(transaction, state.domain));
  return apply(state, transaction, signer, bytes, now);
}

// SPEC SET-4.
Hash next_tip(const State& state, std::uint64_t time, ByteView transaction) {
  std::array<std::uint8_t, 16> numbers{};
  store_le(numbers.data(), state.height + 1);
  store_le(numbers.data() + 8, time);
  return crypto::sha256({as_bytes("OTR.ltip"), state.tip, numbers, transaction});
}

}  // namespace otr::ledger

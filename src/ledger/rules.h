// One function for each kind of transaction (SPEC SET-10 to SET-34), and what they share. Each
// checks everything before it changes anything.
#ifndef OTR_LEDGER_RULES_H_
#define OTR_LEDGER_RULES_H_

#include <cstdint>
#include <optional>
#include <string>

#include "ledger/apply.h"
#include "ledger/reject.h"
#include "ledger/state.h"

namespace otr::ledger {

struct Call {
  State& state;
  const Address& signer;
  std::uint64_t now;
  std::uint64_t fee;  // charged afterwards; no rule may spend it
  Events& events;

  // The signer's balance beyond the fee.
  [[nodiscard]] std::uint64_t spendable() const { return state.accounts.at(signer).balance - fee; }
  [[nodiscard]] Account& account() const { return state.accounts.at(signer); }
  void emit(EventKind kind, const Address& account, const Hash& key = {}, std::uint64_t a = 0,
            std::uint64_t b = 0) const {
    events.push_back({kind, account, key, a, b});
  }
};

Status rule(const Call& call, const Mint& body);
Status rule(const Call& call, const Withdraw& body);
Status rule(const Call& call, const Transfer& body);
Status rule(const Call& call, const Stake& body);
Status rule(const Call& call, const Unstake& body);
Status rule(const Call& call, const Release& body);
Status rule(const Call& call, const Deposit& body);
Status rule(const Call& call, const Close& body);
Status rule(const Call& call, const Refund& body);
Status rule(const Call& call, const Redeem& body);
Status rule(const Call& call, const Settle& body);
Status rule(const Call& call, const RegisterModel& body);
Status rule(const Call& call, const VoidModel& body);
Status rule(const Call& call, const RegisterSession& body);
Status rule(const Call& call, const RevokeSession& body);
Status rule(const Call& call, const RevokeRuntime& body);
Status rule(const Call& call, const PostBatch& body);
Status rule(const Call& call, const Finalise& body);
Status rule(const Call& call, const Force& body);
Status rule(const Call& call, const ForceAnswer& body);
Status rule(const Call& call, const ForceMissed& body);
Status rule(const Call& call, const Equivocate& body);
Status rule(const Call& call, const Reveal& body);
Status rule(const Call& call, const ReplaceBeacon& body);
Status rule(const Call& call, const AnswerDraw& body);
Status rule(const Call& call, const CheckDraw& body);
Status rule(const Call& call, const MissDraw& body);
Status rule(const Call& call, const Challenge& body);
Status rule(const Call& call, const DemandClaim& body);
Status rule(const Call& call, const RevealClaim& body);
Status rule(const Call& call, const Move& body);
Status rule(const Call& call, const CloseGame& body);
Status rule(const Call& call, const ScheduleParameters& body);
Status rule(const Call& call, const Checkpoint& body);
Status rule(const Call& call, const CommitCanary& body);
Status rule(const Call& call, const RevealCanary& body);
Status rule(const Call& call, const MissCanary& body);
Status rule(const Call& call, const Attend& body);

// NOT_ALLOWED where the signer is not `who`.
Status check_role(const Call& call, const Address& who, const char* role);
// BAD_AMOUNT for 0 and INSUFFICIENT beyond what the signer may spend.
Status check_spend(const Call& call, std::uint64_t amount);
void credit(State& state, const Address& to, std::uint64_t amount);
void burn(const Call& call, std::uint64_t amount);
// UNKNOWN where there is none.
Result<Batch*> find_batch(State& state, std::uint64_t number);
Result<Batch*> find_claim(State& state, const ClaimKey& key);

// That claim and request are what stands in the batch: PATH_INVALID, REQUEST_HASH_MISMATCH,
// SESSION_MISMATCH.
Status check_shown(const State& state, const Batch& batch, std::uint32_t index,
                   const protocol::Claim& claim, const std::vector<Hash>& path,
                   const protocol::Request& request);
// That the claim stands in the session of `session_id`: SESSION_MISMATCH; and that its checkpoint,
// if it names one, is the ledger's and in the session's time: CHECKPOINT_MISMATCH (SPEC SET-34).
Status check_claim(const State& state, const protocol::Claim& claim, const Hash& session_id,
                   const protocol::Request& request);

// Makes pending parameters those in force, if they are due.
void promote_parameters(State& state, std::uint64_t now);
// Whether nothing about the batch can change a stake any more: it is void, or of an old epoch.
bool is_dead(const State& state, const Batch& batch);

// SPEC SET-33: what a slash of the operator would do now.
[[nodiscard]] Split split_of_slash(const Operator& self, Parameters parameters);
// SPEC SET-33. Requires an operator.
void slash(const Call& call, const Address& operator_address, const Parameters& parameters,
           const Address& reporter, const std::optional<Address>& client);

}  // namespace otr::ledger

#endif  // OTR_LEDGER_RULES_H_

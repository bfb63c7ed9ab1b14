// Canaries and attention (SPEC SET-36 to SET-39).
#include "ledger/attention.h"

#include <array>
#include <string>
#include <utility>

#include "crypto/sha256.h"
#include "ledger/rules.h"
#include "protocol/eip712.h"
#include "referee/encoding.h"

namespace otr::ledger {
namespace {

Result<CanaryEntry*> find_canary(State& state, const Address& funder, const Hash& commitment) {
  const auto found = state.canaries.find({funder, commitment});
  if (found == state.canaries.end()) {
    return refuse(Refusal::kUnknown, "This account has not committed to that.");
  }
  if (found->second.status == CanaryStatus::kOpen) return &found->second;
  return refuse(Refusal::kBadState, "This canary is over.");
}

// To who was first to challenge the false leaf; back, if nobody looked at the claim; else to
// nobody: who was found out must not have it back for a leaf that it said wrong, or for being
// quick.
void pay_reward(const Call& call, const RevealCanary& body, const Batch& batch, bool is_disputed,
                std::uint64_t reward) {
  const ClaimKey key{body.batch, 0};
  const auto first = call.state.first_challenges.find({key, body.leaf});
  const bool is_found = first != call.state.first_challenges.end();
  const Address& to = is_found ? call.state.games.at(first->second).challenger : call.signer;
  std::uint64_t burned = 0;
  if (is_disputed) {
    burned = is_found ? split_of(parameters_of(call.state, batch), reward).burned : reward;
  }
  credit(call.state, to, reward - burned);
  call.emit(EventKind::kCanaryRevealed, to, batch.root, body.batch, reward - burned);
  burn(call, burned);
}

}  // namespace

Hash leaf_hash(const referee::Leaf& leaf) {
  Bytes bytes;
  append_le(bytes, leaf.t);
  referee::append(bytes, referee::tree_of(leaf.stream));
  append_le(bytes, leaf.tile);
  return crypto::sha256({as_bytes("OTR.leaf"), bytes});
}

Hash canary_commitment(const CanaryPlace& place, const Hash& salt, const Hash& claim_hash,
                       const Hash& leaf) {
  std::array<std::uint8_t, 8> sequence{};
  store_le(sequence.data(), place.sequence);
  return crypto::sha256({as_bytes("OTR.cnry"), place.funder, place.operator_address, sequence, salt,
                         claim_hash, leaf});
}

Hash consent_digest(const Hash& ledger, const Hash& commitment) {
  return protocol::signing_digest(
      ledger, protocol::StructHasher("Canary(bytes32 commitment)").word(commitment).finish());
}

Hash attention_digest(const Address& account, const Hash& claim_hash, const Hash& micro_root) {
  return crypto::sha256({as_bytes("OTR.attn"), account, claim_hash, micro_root});
}

Status rule(const Call& call, const CommitCanary& body) {  // SPEC SET-36
  State& state = call.state;
  const Parameters& parameters = parameters_at(state, call.now);
  if (body.reward < parameters.challenge_bond || body.reward > kMaxSupply ||
      body.bond > kMaxSupply) {
    return refuse(Refusal::kBadAmount, "A canary's reward is at least the bond of a challenge, " +
                                           std::to_string(parameters.challenge_bond) + ".");
  }
  if (state.canaries.contains({call.signer, body.commitment})) {
    return refuse(Refusal::kExists, "This commitment was made already.");
  }
  OTR_TRY(check_spend(call, body.reward + body.bond));
  call.account().balance -= body.reward + body.bond;
  const std::uint64_t deadline = call.now + parameters.unbond;
  state.canaries[{call.signer, body.commitment}] = {.reward = body.reward,
                                                    .bond = body.bond,
                                                    .batches = state.batches.size(),
                                                    .deadline = deadline};
  call.emit(EventKind::kCanaryCommitted, call.signer, body.commitment, body.reward, deadline);
  return {};
}

// A claim that fell otherwise gives bond and reward back: at its place nothing false is final.
Status rule(const Call& call, const RevealCanary& body) {  // SPEC SET-37
  State& state = call.state;
  const ClaimKey key{body.batch, 0};
  OTR_TRY_ASSIGN(Batch* const batch, find_claim(state, key));
  const Hash claim_hash = protocol::digest_of(body.claim, claims_ledger(state));
  const Hash commitment = canary_commitment({call.signer, batch->operator_address, batch->sequence},
                                            body.salt, claim_hash, body.leaf);
  OTR_TRY_ASSIGN(CanaryEntry* const canary, find_canary(state, call.signer, commitment));
  if (call.now > canary->deadline) {
    return refuse(Refusal::kTooLate, "The canary had to be revealed earlier.");
  }
  if (body.batch <= canary->batches || batch->count != 1) {
    return refuse(Refusal::kCanaryMismatch,
                  "A canary stands in a batch of its own, posted after the commitment.");
  }
  OTR_TRY(check_shown(state, *batch, 0, body.claim, {}, body.request));
  OTR_TRY(protocol::check_signer(consent_digest(state.id, commitment), body.consent,
                                 body.request.client, "REQUEST_SIGNATURE"));
  OTR_TRY(protocol::check_signer(consent_digest(state.id, commitment), body.operator_consent,
                                 batch->operator_address, "COUNTERSIGNATURE"));
  if (is_final(state, key)) return refuse(Refusal::kBadState, "The claim is final.");
  const auto known = state.claims.find(key);
  const bool is_disputed = known != state.claims.end() && known->second.disputed;
  const bool has_fallen =
      is_dead(state, *batch) || (known != state.claims.end() && known->second.refuted);
  const Operator& self = state.operators.at(batch->operator_address);
  const std::uint64_t at_stake = split_of_slash(self, parameters_of(state, *batch)).burned;
  if (!has_fallen && canary->bond < at_stake) {
    return refuse(Refusal::kStakeTooLow, "The canary's bond is below the " +
                                             std::to_string(at_stake) +
                                             " that a slash of the operator would burn.");
  }
  if (!has_fallen) {
    ClaimEntry& entry = state.claims[key];
    entry.refuted = entry.canary = true;
    if (entry.open_games == 0) batch->canaries += 1;
  }
  canary->status = CanaryStatus::kRevealed;
  credit(state, call.signer, std::exchange(canary->bond, 0));
  pay_reward(call, body, *batch, is_disputed, std::exchange(canary->reward, 0));
  return {};
}

Status rule(const Call& call, const MissCanary& body) {  // SPEC SET-38
  OTR_TRY_ASSIGN(CanaryEntry* const canary, find_canary(call.state, body.funder, body.commitment));
  if (call.now <= canary->deadline) {
    return refuse(Refusal::kTooEarly,
                  "It can be revealed until " + std::to_string(canary->deadline) + ".");
  }
  canary->status = CanaryStatus::kMissed;
  call.emit(EventKind::kCanaryMissed, body.funder, body.commitment, canary->bond);
  burn(call, std::exchange(canary->bond, 0) + std::exchange(canary->reward, 0));
  return {};
}

Status rule(const Call& call, const Attend& body) {  // SPEC SET-39
  const ClaimKey key{body.batch, body.index};
  OTR_TRY_ASSIGN(const Batch* const batch, find_claim(call.state, key));
  if (batch->status != BatchStatus::kOpen || is_void(call.state, *batch)) {
    return refuse(Refusal::kBadState, "The batch is over.");
  }
  // A proof shows every row, and with them the rest is little work.
  const auto entry = call.state.claims.find(key);
  if (entry != call.state.claims.end() && entry->second.lane == 1) {
    return refuse(Refusal::kBadState, "A proof of the claim is public.");
  }
  if (!call.state.attentions.emplace(std::pair{key, call.signer}, body.digest).second) {
    return refuse(Refusal::kExists, "This account has attended to the claim.");
  }
  call.emit(EventKind::kAttended, call.signer, body.digest, body.batch, body.index);
  return {};
}

}  // namespace otr::ledger

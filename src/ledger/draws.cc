// The beacon and the draws (SPEC SET-29 to SET-31).
#include <bit>
#include <string>

#include "base/hex.h"
#include "crypto/sha256.h"
#include "ledger/rules.h"
#include "protocol/eip712.h"

namespace otr::ledger {
namespace {

Status check_open(const State& state, const Batch& batch) {
  if (batch.status == BatchStatus::kOpen && !is_void(state, batch)) return {};
  return refuse(Refusal::kBadState, "The batch is over.");
}

Status check_lane(std::uint8_t lane) {
  if (lane == 1 || lane == 2) return {};
  return refuse(Refusal::kBadAmount, "The lanes are 1 (a proof) and 2 (execution by a quorum).");
}

// The checkers of the genesis that have signed it.
std::uint16_t signers_of(const Call& call, const CheckDraw& body, std::uint64_t round) {
  const std::vector<Address>& checkers = call.state.genesis.checkers;
  const Hash digest = check_digest(call.state.id, body, round);
  std::uint16_t bits = 0;
  for (const Signature& signature : body.signatures) {
    const Result<Address> signer = crypto::recover(digest, signature);
    if (!signer) continue;
    for (std::size_t i = 0; i < checkers.size(); ++i) {
      if (checkers[i] == *signer) bits |= static_cast<std::uint16_t>(1u << i);
    }
  }
  return bits;
}

}  // namespace

Hash check_digest(const Hash& ledger, const CheckDraw& body, std::uint64_t round) {
  const Hash words =
      protocol::StructHasher("Check(bytes32 claimHash,uint8 lane,bytes32 digest,uint64 round)")
          .word(body.claim_hash)
          .number(body.lane)
          .word(body.digest)
          .number(round)
          .finish();
  return protocol::signing_digest(ledger, words);
}

Status rule(const Call& call, const Reveal& body) {  // SPEC SET-29
  State& state = call.state;
  OTR_TRY(check_role(call, state.genesis.auditor, "auditor"));
  if (body.round != state.revealed_round + 1 ||
      crypto::sha256({as_bytes("OTR.beac"), body.value}) != state.beacon_anchor) {
    return refuse(Refusal::kBeaconMismatch, "The value is not the next of the committed chain.");
  }
  const std::uint64_t interval = parameters_at(state, call.now).beacon_interval;
  if (call.now < state.last_reveal_at + interval) {
    return refuse(Refusal::kTooEarly,
                  "Two reveals are at least " + std::to_string(interval) + " ms apart.");
  }
  const auto checkpoint = state.checkpoints.find(body.checkpoint);
  if (body.checkpoint != state.checkpoint_count || checkpoint == state.checkpoints.end() ||
      checkpoint->second.tip != body.tip || checkpoint->second.height < state.last_reveal_height) {
    return refuse(Refusal::kCheckpointMismatch,
                  "A reveal names the last checkpoint, made after the last reveal.");
  }
  state.beacon_anchor = body.value;
  state.revealed_round = body.round;
  state.last_reveal_at = call.now;
  state.last_reveal_height = state.height + 1;
  state.beacon[body.round] = {body.value, call.now};
  call.emit(EventKind::kBeaconRevealed, call.signer, body.value, body.round, body.checkpoint);
  return {};
}

Status rule(const Call& call, const ReplaceBeacon& body) {
  State& state = call.state;
  OTR_TRY(check_role(call, state.genesis.governor, "governor"));
  if (call.now < state.last_reveal_at + parameters_at(state, call.now).beacon_dead) {
    return refuse(Refusal::kTooEarly, "The beacon lives.");
  }
  state.beacon_anchor = body.anchor;
  state.last_reveal_at = call.now;
  call.emit(EventKind::kBeaconReplaced, call.signer, body.anchor, state.revealed_round);
  return {};
}

Status rule(const Call& call, const AnswerDraw& body) {  // SPEC SET-30
  const ClaimKey key{body.batch, body.index};
  OTR_TRY_ASSIGN(const Batch* const batch, find_claim(call.state, key));
  OTR_TRY(check_role(call, batch->operator_address, "batch's operator"));
  OTR_TRY(check_open(call.state, *batch));
  OTR_TRY(check_lane(body.lane));
  if (body.lane == 1 && !call.state.beacon.contains(batch->round)) {
    return refuse(Refusal::kTooEarly, "A proof is bound to a value that is not yet revealed.");
  }
  OTR_TRY(check_leaf(*batch, body.index, body.claim_hash, body.path));
  const auto old = call.state.claims.find(key);
  if (old != call.state.claims.end() && old->second.lane != 0) {
    return refuse(Refusal::kExists, "This draw was answered already.");
  }
  ClaimEntry& entry = call.state.claims[key];
  entry.lane = body.lane;
  entry.digest = body.digest;
  call.emit(EventKind::kDrawAnswered, call.signer, body.claim_hash, body.batch, body.index);
  return {};
}

Status rule(const Call& call, const CheckDraw& body) {
  const ClaimKey key{body.batch, body.index};
  OTR_TRY_ASSIGN(const Batch* const batch, find_claim(call.state, key));
  const Genesis& genesis = call.state.genesis;
  OTR_TRY(check_lane(body.lane));
  OTR_TRY(check_leaf(*batch, body.index, body.claim_hash, body.path));
  const auto old = call.state.claims.find(key);
  if (old == call.state.claims.end() || old->second.lane != body.lane ||
      old->second.digest != body.digest) {
    return refuse(Refusal::kUnknown, "The operator has not answered with this.");
  }
  if (old->second.checked || old->second.refuted || is_dead(call.state, *batch)) {
    return refuse(Refusal::kBadState, "The claim is checked already, or void.");
  }
  const std::uint16_t agreed = old->second.checkers | signers_of(call, body, batch->round);
  if (agreed == old->second.checkers) {
    return refuse(Refusal::kQuorumMissing,
                  "No checker has signed this that had not done so before; " +
                      std::to_string(genesis.quorum) + " must.");
  }
  old->second.checkers = agreed;
  old->second.checked = std::popcount(agreed) >= genesis.quorum;
  call.emit(EventKind::kDrawChecked, batch->operator_address, body.claim_hash, body.batch,
            static_cast<std::uint64_t>(std::popcount(agreed)));
  return {};
}

Status rule(const Call& call, const MissDraw& body) {  // SPEC SET-31
  const ClaimKey key{body.batch, body.index};
  OTR_TRY_ASSIGN(const Batch* const batch, find_claim(call.state, key));
  OTR_TRY(check_open(call.state, *batch));
  if (!is_drawn(call.state, *batch, body.index).value_or(false)) {
    return refuse(Refusal::kNotDrawn, "The claim was not drawn, or the beacon is not revealed.");
  }
  const auto entry = call.state.claims.find(key);
  if (entry != call.state.claims.end() && (entry->second.lane != 0 || entry->second.canary)) {
    return refuse(Refusal::kBadState, "The draw was answered, or the claim was a canary.");
  }
  const Parameters parameters = parameters_of(call.state, *batch);
  const std::uint64_t deadline = call.state.beacon.at(batch->round).revealed_at + parameters.draw;
  if (call.now <= deadline) {
    return refuse(Refusal::kTooEarly, "The operator has until " + std::to_string(deadline) + ".");
  }
  call.emit(EventKind::kDrawMissed, batch->operator_address, batch->root, body.batch, body.index);
  slash(call, batch->operator_address, parameters, call.signer, std::nullopt);
  return {};
}

}  // namespace otr::ledger

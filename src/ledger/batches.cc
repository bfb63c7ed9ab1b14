// Batches, finality, forced posting, equivocation and the slash (SPEC SET-20 to SET-28, SET-33,
// SET-35).
#include <string>
#include <utility>

#include "base/hex.h"
#include "ledger/rules.h"

namespace otr::ledger {
namespace {

Status check_session_posts(const Call& call, const PostBatch& body, const Operator& self,
                           const Parameters& parameters) {
  const auto found = call.state.sessions.find(body.session);
  if (found == call.state.sessions.end()) {
    return refuse(Refusal::kUnknown, "The batch's session is not registered.");
  }
  const SessionEntry& entry = found->second;
  OTR_TRY(check_role(call, entry.session.operator_address, "session's operator"));
  if (entry.epoch != self.epoch) {
    return refuse(Refusal::kStaleEpoch, "The session is of an epoch before a slash.");
  }
  if (revoked_at(call.state, entry) != 0) {
    return refuse(Refusal::kSessionRevoked, "The session or its runtime was revoked.");
  }
  const std::uint64_t last = end_of(call.state, entry) + parameters.post + parameters.force;
  if (call.now >= entry.session.not_before * 1000 && call.now <= last) return {};
  return fail(ErrorKind::kReject, "The session does not live now, and its batches are overdue.",
              "SESSION_EXPIRED");
}

void end_batch(const Call& call, std::uint64_t number, Batch& batch, BatchStatus status) {
  Operator& self = call.state.operators.at(batch.operator_address);
  const std::uint32_t kept = status == BatchStatus::kFinal ? batch.held : 0;
  self.reserved -= batch.reserve * (batch.count - kept);
  self.finalised += 1;
  batch.status = status;
  const Hash& key = batch.root;
  if (status == BatchStatus::kVoid) {
    call.emit(EventKind::kBatchVoid, batch.operator_address, key, number);
    return;
  }
  batch.final_at = call.now;
  const bool is_drawn_from = call.state.beacon.contains(batch.round);
  if (!is_drawn_from) batch.round = 0;
  call.emit(is_drawn_from ? EventKind::kBatchFinal : EventKind::kBatchFinalNotDrawn,
            batch.operator_address, key, number, batch.held);
  const Hash& model = call.state.sessions.at(batch.session).session.model_root;
  Attribution& record =
      call.state.attributions[{batch.operator_address, model, batch.posted_at / 86'400'000}];
  record.batches += 1;
  record.final_claims += batch.count - batch.held - batch.canaries;
}

Result<Address> countersigner(const State& state, const protocol::Claim& claim,
                              const Signature& signature) {
  const Hash ledger = claims_ledger(state);
  const Hash digest = protocol::countersignature_digest(protocol::digest_of(claim, ledger), ledger);
  Result<Address> signer = crypto::recover(digest, signature);
  if (!signer) return fail(ErrorKind::kReject, signer.error().message, "COUNTERSIGNATURE");
  if (state.operators.contains(*signer)) return signer;
  return fail(ErrorKind::kReject, to_hex(*signer) + " is no operator.", "COUNTERSIGNATURE");
}

// SPEC SET-27: that a stranger with the claim's document could see that it counts.
Status check_forced(const Call& call, const Force& body, const Address& self) {
  const State& state = call.state;
  const Hash ledger = claims_ledger(state);
  const auto session = state.sessions.find(body.claim.session);
  if (session == state.sessions.end() || session->second.session.operator_address != self) {
    return refuse(Refusal::kUnknown, "The claim's session is not one of its operator.");
  }
  const SessionEntry& entry = session->second;
  if (entry.epoch != state.operators.at(self).epoch) {
    return refuse(Refusal::kStaleEpoch, "The session is of an epoch before a slash.");
  }
  if (revoked_at(state, entry) != 0) {
    return refuse(Refusal::kSessionRevoked, "The session was revoked: nothing of it is charged.");
  }
  if (call.now < entry.session.not_before * 1000 ||
      call.now > end_of(state, entry) + parameters_at(state, call.now).post) {
    return fail(ErrorKind::kReject, "The session's claims can no more be posted.",
                "SESSION_EXPIRED");
  }
  const Hash request_hash = protocol::digest_of(body.request, ledger);
  if (request_hash != body.claim.request_hash) {
    return fail(ErrorKind::kReject, "The claim answers another request.", "REQUEST_HASH_MISMATCH");
  }
  OTR_TRY(check_claim(state, body.claim, body.claim.session, body.request));
  OTR_TRY(protocol::check_signer(request_hash, body.request_signature, body.request.client,
                                 "REQUEST_SIGNATURE"));
  return protocol::check_signer(protocol::digest_of(body.claim, ledger), body.claim_signature,
                                entry.session.key, "CLAIM_SIGNATURE");
}

Result<ForceEntry*> find_open_force(State& state, const Hash& claim_hash) {
  const auto found = state.forces.find(claim_hash);
  if (found == state.forces.end()) return refuse(Refusal::kUnknown, "Nobody forced this claim.");
  if (found->second.status == ForceStatus::kOpen) return &found->second;
  return refuse(Refusal::kBadState, "This force is over.");
}

}  // namespace

Result<Batch*> find_batch(State& state, std::uint64_t number) {
  const auto found = state.batches.find(number);
  if (found != state.batches.end()) return &found->second;
  return refuse(Refusal::kUnknown, "There is no batch " + std::to_string(number) + ".");
}

Result<Batch*> find_claim(State& state, const ClaimKey& key) {
  OTR_TRY_ASSIGN(Batch* const batch, find_batch(state, key.batch));
  if (key.index < batch->count) return batch;
  return refuse(Refusal::kUnknown, "The batch has only " + std::to_string(batch->count) +
                                       " claims, none with index " + std::to_string(key.index) +
                                       ".");
}

bool is_dead(const State& state, const Batch& batch) {
  return is_void(state, batch) || state.operators.at(batch.operator_address).epoch != batch.epoch;
}

Split split_of_slash(const Operator& self, Parameters parameters) {
  parameters.burn_ppm = std::max(parameters.burn_ppm, static_cast<std::uint32_t>(self.burn_ppm));
  return split_of(parameters, self.stake + self.unbonding);
}

void slash(const Call& call, const Address& operator_address, const Parameters& parameters,
           const Address& reporter, const std::optional<Address>& client) {
  Operator& self = call.state.operators.at(operator_address);
  const std::uint64_t amount = self.stake + self.unbonding;
  const Split split = split_of_slash(self, parameters);
  self.stake = self.reserved = self.unbonding = self.burn_ppm = 0;
  self.epoch += 1;
  self.finalised = self.next_sequence;
  const bool has_client = client && *client != Address{};
  credit(call.state, reporter, split.reporter);
  if (has_client) credit(call.state, *client, split.client);
  call.emit(EventKind::kSlashed, operator_address, {}, amount, split.reporter);
  burn(call, split.burned + (has_client ? 0 : split.client));
}

Status rule(const Call& call, const PostBatch& body) {  // SPEC SET-20 to SET-22
  State& state = call.state;
  const auto found = state.operators.find(call.signer);
  if (found == state.operators.end()) {
    return refuse(Refusal::kStakeTooLow, "Only an operator with a stake posts batches.");
  }
  Operator& self = found->second;
  const Parameters parameters = parameters_at(state, call.now);
  OTR_TRY(check_session_posts(call, body, self, parameters));
  if (body.sequence != self.next_sequence) {
    return refuse(Refusal::kNonce, "The operator's next batch has the sequence number " +
                                       std::to_string(self.next_sequence) + ".");
  }
  if (body.count < 1 || body.count > parameters.max_count) {
    return refuse(Refusal::kBadAmount,
                  "A batch holds 1 to " + std::to_string(parameters.max_count) + " claims.");
  }
  const auto reserve = reserve_of(parameters, body.value);
  if (body.value < 1 || body.value > kMaxValue || !reserve) {
    return refuse(Refusal::kBadAmount, "The value of a claim lies in [1, 2^40].");
  }
  if (self.stake < parameters.min_stake || *reserve > self.free_stake() / body.count) {
    return refuse(Refusal::kStakeTooLow,
                  "The claims would reserve " + std::to_string(*reserve) + " each; free are " +
                      std::to_string(self.free_stake()) + " (V_max of the whole stake is " +
                      std::to_string(v_max(parameters, self.stake)) + ").");
  }
  promote_parameters(state, call.now);
  if (self.reserved == 0 && self.open_games == 0) self.burn_ppm = 0;
  self.burn_ppm = std::max<std::uint64_t>(self.burn_ppm, parameters.burn_ppm);
  self.reserved += *reserve * body.count;
  self.next_sequence += 1;
  const std::uint64_t number = state.batches.size() + 1;
  state.batches[number] = {.operator_address = call.signer,
                           .session = body.session,
                           .root = body.root,
                           .sequence = body.sequence,
                           .count = body.count,
                           .value = body.value,
                           .reserve = *reserve,
                           .posted_at = call.now,
                           .epoch = self.epoch,
                           .round = state.revealed_round + 2,
                           .snapshot = state.current_parameters};
  call.emit(EventKind::kBatchPosted, call.signer, body.root, number, body.count);
  return {};
}

Status rule(const Call& call, const Finalise& body) {  // SPEC SET-24
  OTR_TRY_ASSIGN(Batch* const batch, find_batch(call.state, body.batch));
  if (batch->status != BatchStatus::kOpen) return refuse(Refusal::kBadState, "The batch is over.");
  const Operator& self = call.state.operators.at(batch->operator_address);
  if (self.epoch != batch->epoch) {
    return refuse(Refusal::kStaleEpoch, "The operator was slashed since: the batch is void.");
  }
  if (batch->sequence != self.finalised) {
    return refuse(Refusal::kBadState, "An earlier batch of the operator is not final.");
  }
  const std::uint64_t at = final_at(call.state, *batch, call.now);
  if (at == 0) {
    return refuse(Refusal::kTooEarly, "The beacon of the batch's draw is not revealed.");
  }
  if (call.now < at) {
    return refuse(Refusal::kTooEarly, "The batch is not final before " + std::to_string(at) + ".");
  }
  const bool becomes_void = is_of_void_model(call.state, *batch);
  end_batch(call, body.batch, *batch, becomes_void ? BatchStatus::kVoid : BatchStatus::kFinal);
  return {};
}

Status rule(const Call& call, const Force& body) {  // SPEC SET-27
  State& state = call.state;
  OTR_TRY_ASSIGN(const Address self, countersigner(state, body.claim, body.countersignature));
  OTR_TRY(check_forced(call, body, self));
  const Hash claim_hash = protocol::digest_of(body.claim, claims_ledger(state));
  if (state.forces.contains(claim_hash)) {
    return refuse(Refusal::kExists, "This claim was forced already.");
  }
  const Parameters& parameters = parameters_at(state, call.now);
  OTR_TRY(check_spend(call, parameters.force_bond));
  call.account().balance -= parameters.force_bond;
  const std::uint64_t deadline = call.now + parameters.force;
  state.forces[claim_hash] = {.operator_address = self,
                              .forcer = call.signer,
                              .client = body.request.client,
                              .session = body.claim.session,
                              .bond = parameters.force_bond,
                              .forced_at = call.now,
                              .deadline = deadline,
                              .epoch = state.operators.at(self).epoch};
  call.emit(EventKind::kForced, self, claim_hash, deadline);
  return {};
}

Status rule(const Call& call, const ForceAnswer& body) {
  OTR_TRY_ASSIGN(ForceEntry* const force, find_open_force(call.state, body.claim_hash));
  OTR_TRY_ASSIGN(const Batch* const batch, find_claim(call.state, {body.batch, body.index}));
  if (batch->operator_address != force->operator_address || batch->session != force->session) {
    return fail(ErrorKind::kReject, "The batch is not of the claim's session.", "SESSION_MISMATCH");
  }
  OTR_TRY(check_leaf(*batch, body.index, body.claim_hash, body.path));
  // Who forces what stands in a batch already pays, and nobody earns by withholding where.
  const std::uint64_t bond = std::exchange(force->bond, 0);
  if (batch->posted_at < force->forced_at) {
    burn(call, bond);
  } else {
    credit(call.state, force->forcer, bond);
  }
  force->status = ForceStatus::kAnswered;
  call.emit(EventKind::kForceAnswered, force->operator_address, body.claim_hash, body.batch,
            body.index);
  return {};
}

Status rule(const Call& call, const ForceMissed& body) {
  OTR_TRY_ASSIGN(ForceEntry* const force, find_open_force(call.state, body.claim_hash));
  if (call.now <= force->deadline) {
    return refuse(Refusal::kTooEarly,
                  "The operator has until " + std::to_string(force->deadline) + ".");
  }
  // Nothing can be posted of a revoked session, however honest the operator is.
  const SessionEntry& session = call.state.sessions.at(force->session);
  const bool is_excused = revoked_at(call.state, session) != 0 ||
                          call.state.operators.at(force->operator_address).epoch != force->epoch;
  credit(call.state, force->forcer, std::exchange(force->bond, 0));
  force->status = is_excused ? ForceStatus::kRefunded : ForceStatus::kMissed;
  call.emit(is_excused ? EventKind::kForceRefunded : EventKind::kForceMissed,
            force->operator_address, body.claim_hash);
  if (!is_excused) {
    slash(call, force->operator_address, parameters_at(call.state, call.now), force->forcer,
          force->client);
  }
  return {};
}

Status rule(const Call& call, const Equivocate& body) {  // SPEC SET-28
  OTR_TRY_ASSIGN(const Address self,
                 countersigner(call.state, body.claim_a, body.countersignature_a));
  OTR_TRY_ASSIGN(const Address other,
                 countersigner(call.state, body.claim_b, body.countersignature_b));
  const bool is_same = body.claim_a.trace_root == body.claim_b.trace_root &&
                       body.claim_a.finish_reason == body.claim_b.finish_reason;
  if (self != other || body.claim_a.request_hash != body.claim_b.request_hash || is_same) {
    return refuse(Refusal::kNotEquivocation,
                  "Two claims of one operator on one request that differ in trace root or finish "
                  "reason are needed.");
  }
  if (!call.state.equivocations.emplace(body.claim_a.request_hash, self).second) {
    return refuse(Refusal::kExists, "This equivocation was punished already.");
  }
  call.emit(EventKind::kEquivocated, self, body.claim_a.request_hash);
  slash(call, self, parameters_at(call.state, call.now), call.signer, std::nullopt);
  return {};
}

}  // namespace otr::ledger

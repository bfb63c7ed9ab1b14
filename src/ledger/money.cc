// Accounts, stakes, channels and payment (SPEC SET-1, SET-11 to SET-15).
#include <algorithm>
#include <array>
#include <string>

#include "base/hex.h"
#include "ledger/rules.h"
#include "protocol/eip712.h"

namespace otr::ledger {
namespace {

using protocol::StructHasher;

// Seconds that a request names which wants no deadline.
constexpr std::uint64_t kNoDeadline = std::uint64_t{1} << 40;

Result<Channel*> find_channel(State& state, const Address& client, const Address& to) {
  const auto channel = state.channels.find({client, to});
  if (channel != state.channels.end()) return &channel->second;
  return refuse(Refusal::kUnknown,
                "There is no channel from " + to_hex(client) + " to " + to_hex(to) + ".");
}

Result<Operator*> find_operator(State& state, const Address& address) {
  const auto found = state.operators.find(address);
  if (found != state.operators.end()) return &found->second;
  return refuse(Refusal::kUnknown, to_hex(address) + " has never staked.");
}

Status check_counts(const protocol::Claim& claim, const protocol::Request& request) {
  if (claim.out_count >= 1 && claim.out_count <= request.max_tokens &&
      claim.prompt_count == request.prompt_count) {
    return {};
  }
  return fail(ErrorKind::kReject, "The claim counts other tokens than its request allows.",
              "COUNT_MISMATCH");
}

// That the answer was posted in time for what its client asked for.
Status check_deadline(const State& state, const Batch& batch, const protocol::Request& request) {
  if (request.deadline == 0 || request.deadline >= kNoDeadline) return {};
  const Parameters& parameters = parameters_of(state, batch);
  const std::uint64_t last = request.deadline * 1000 + parameters.post + parameters.force;
  if (batch.posted_at <= last) return {};
  return refuse(Refusal::kTooLate, "The claim was posted long after the request's deadline.");
}

// SPEC SET-15: everything about the claim but money.
Status check_settle(const Call& call, const Settle& body, const Batch& batch) {
  const Hash ledger = claims_ledger(call.state);
  const Hash claim_hash = protocol::digest_of(body.claim, ledger);
  OTR_TRY(check_leaf(batch, body.index, claim_hash, body.path));
  const Hash request_hash = protocol::digest_of(body.request, ledger);
  if (request_hash != body.claim.request_hash) {
    return fail(ErrorKind::kReject, "The claim answers another request.", "REQUEST_HASH_MISMATCH");
  }
  OTR_TRY(check_claim(call.state, body.claim, batch.session, body.request));
  OTR_TRY(check_counts(body.claim, body.request));
  if (!is_final(call.state, {body.batch, body.index})) {
    return refuse(Refusal::kTooEarly, "The claim is not final.");
  }
  if (call.state.settled_requests.contains({request_hash, batch.operator_address})) {
    return refuse(Refusal::kExists, "This request was settled already.");
  }
  const auto entry = call.state.claims.find({body.batch, body.index});
  const bool is_checked = entry != call.state.claims.end() && entry->second.checked;
  const bool is_answered = entry != call.state.claims.end() && entry->second.lane != 0;
  if (needs_checks(call.state, batch) && !is_checked) {
    return refuse(Refusal::kSessionRevoked,
                  "The session was revoked: only claims that a quorum has checked are paid.");
  }
  if (is_drawn(call.state, batch, body.index).value_or(false) && !is_answered) {
    return refuse(Refusal::kBadState, "The claim was drawn, and the draw was not answered.");
  }
  OTR_TRY(check_deadline(call.state, batch, body.request));
  OTR_TRY(protocol::check_signer(request_hash, body.request_signature, body.request.client,
                                 "REQUEST_SIGNATURE"));
  return protocol::check_signer(claim_hash, body.claim_signature,
                                call.state.sessions.at(batch.session).session.key,
                                "CLAIM_SIGNATURE");
}

}  // namespace

Status rule(const Call& call, const Mint& body) {  // SPEC SET-11
  OTR_TRY(check_role(call, call.state.genesis.issuer, "issuer"));
  if (body.amount == 0 || body.amount > kMaxSupply - call.state.minted || body.to == Address{}) {
    return refuse(Refusal::kBadAmount,
                  "An amount to be minted is at least 1, goes to an address that is not zero, and "
                  "all of them sum to at most 2^62.");
  }
  call.state.minted += body.amount;
  credit(call.state, body.to, body.amount);
  call.emit(EventKind::kMinted, body.to, {}, body.amount);
  return {};
}

Status rule(const Call& call, const Withdraw& body) {
  OTR_TRY(check_spend(call, body.amount));
  call.account().balance -= body.amount;
  call.state.withdrawn += body.amount;
  call.emit(EventKind::kWithdrawn, call.signer, {}, body.amount);
  return {};
}

Status rule(const Call& call, const Transfer& body) {
  OTR_TRY(check_spend(call, body.amount));
  if (body.to == Address{}) return refuse(Refusal::kBadAmount, "Nobody holds the address zero.");
  call.account().balance -= body.amount;
  credit(call.state, body.to, body.amount);
  call.emit(EventKind::kTransferred, body.to, {}, body.amount);
  return {};
}

Status rule(const Call& call, const Stake& body) {  // SPEC SET-12
  OTR_TRY(check_spend(call, body.amount));
  call.account().balance -= body.amount;
  call.state.operators[call.signer].stake += body.amount;
  call.emit(EventKind::kStaked, call.signer, {}, body.amount);
  return {};
}

Status rule(const Call& call, const Unstake& body) {
  OTR_TRY_ASSIGN(Operator* const found, find_operator(call.state, call.signer));
  if (body.amount == 0 || body.amount > found->free_stake()) {
    return refuse(Refusal::kInsufficient,
                  "Only the free stake can be taken out: " + std::to_string(found->free_stake()) +
                      "; the rest stands for claims that are not final.");
  }
  found->stake -= body.amount;
  found->unbonding += body.amount;
  found->release_at = call.now + parameters_at(call.state, call.now).unbond;
  call.emit(EventKind::kUnbonding, call.signer, {}, body.amount, found->release_at);
  return {};
}

Status rule(const Call& call, const Release&) {
  OTR_TRY_ASSIGN(Operator* const found, find_operator(call.state, call.signer));
  if (found->unbonding == 0) return refuse(Refusal::kBadState, "Nothing is unbonding.");
  if (call.now < found->release_at) {
    return refuse(Refusal::kTooEarly,
                  "The unbonding ends at " + std::to_string(found->release_at) + ".");
  }
  const std::uint64_t amount = std::exchange(found->unbonding, 0);
  call.account().balance += amount;
  call.emit(EventKind::kReleased, call.signer, {}, amount);
  return {};
}

Status rule(const Call& call, const Deposit& body) {  // SPEC SET-13
  OTR_TRY(check_spend(call, body.amount));
  OTR_TRY_ASSIGN(const Operator* const to, find_operator(call.state, body.operator_address));
  const auto old = call.state.channels.find({call.signer, body.operator_address});
  if (old != call.state.channels.end() && old->second.closes_at != 0) {
    return refuse(Refusal::kBadState, "The channel closes: refund it first.");
  }
  call.account().balance -= body.amount;
  Channel& channel = call.state.channels[{call.signer, body.operator_address}];
  channel.deposit += body.amount;
  channel.epoch = to->epoch;
  call.emit(EventKind::kDeposited, body.operator_address, {}, body.amount, channel.deposit);
  return {};
}

Status rule(const Call& call, const Close& body) {
  OTR_TRY_ASSIGN(Channel* const channel,
                 find_channel(call.state, call.signer, body.operator_address));
  if (channel->closes_at != 0) return refuse(Refusal::kBadState, "The channel closes already.");
  // Batches of any set that was ever in force may be unfinal yet.
  std::uint64_t longest = parameters_at(call.state, call.now).close;
  for (const auto& [number, set] : call.state.parameters) longest = std::max(longest, set.close);
  channel->closes_at = call.now + longest;
  call.emit(EventKind::kClosing, body.operator_address, {}, channel->closes_at);
  return {};
}

Status rule(const Call& call, const Refund& body) {
  OTR_TRY_ASSIGN(Channel* const channel,
                 find_channel(call.state, call.signer, body.operator_address));
  const Operator& to = call.state.operators.at(body.operator_address);
  const bool is_forfeit = channel->epoch != to.epoch;
  const bool is_closed = channel->closes_at != 0 && call.now >= channel->closes_at;
  if (!is_forfeit && !is_closed) {
    return refuse(Refusal::kTooEarly, "Close the channel and wait for its end first.");
  }
  const std::uint64_t amount = std::exchange(channel->deposit, 0);
  channel->closes_at = 0;
  call.account().balance += amount;
  call.emit(EventKind::kRefunded, call.signer, {}, amount);
  return {};
}

Status rule(const Call& call, const Redeem& body) {  // SPEC SET-14
  OTR_TRY_ASSIGN(Channel* const channel, find_channel(call.state, body.client, call.signer));
  OTR_TRY_ASSIGN(const Operator* const self, find_operator(call.state, call.signer));
  OTR_TRY_ASSIGN(const Batch* const batch, find_batch(call.state, body.through));
  if (channel->epoch != self->epoch || batch->epoch != self->epoch) {
    return refuse(Refusal::kStaleEpoch, "The operator was slashed since: its window is forfeit.");
  }
  if (batch->operator_address != call.signer || batch->status != BatchStatus::kFinal) {
    return refuse(Refusal::kTooEarly, "The voucher pays up to a batch that is not final.");
  }
  const Hash words =
      StructHasher("Voucher(address operator,uint64 epoch,uint64 through,uint64 cumulative)")
          .address(call.signer)
          .number(self->epoch)
          .number(body.through)
          .number(body.cumulative)
          .finish();
  OTR_TRY(protocol::check_signer(protocol::signing_digest(call.state.id, words), body.signature,
                                 body.client, name_of(Refusal::kVoucherSignature)));
  if (body.cumulative <= channel->paid) {
    return refuse(Refusal::kBadAmount, "The client has paid " + std::to_string(channel->paid) +
                                           " already: the voucher is old.");
  }
  const std::uint64_t amount = body.cumulative - channel->paid;
  if (amount > channel->deposit) {
    return refuse(Refusal::kInsufficient,
                  "The channel holds only " + std::to_string(channel->deposit) + ".");
  }
  channel->deposit -= amount;
  channel->paid = body.cumulative;
  channel->covered = std::max(channel->covered, batch->sequence + 1);
  call.account().balance += amount;
  const Hash& model = call.state.sessions.at(batch->session).session.model_root;
  call.state.attributions[{call.signer, model, batch->posted_at / 86'400'000}].amount += amount;
  call.emit(EventKind::kRedeemed, body.client, {}, amount, body.cumulative);
  return {};
}

Status rule(const Call& call, const Settle& body) {  // SPEC SET-15
  OTR_TRY_ASSIGN(const Batch* const batch, find_claim(call.state, {body.batch, body.index}));
  OTR_TRY(check_settle(call, body, *batch));
  OTR_TRY_ASSIGN(Channel* const channel,
                 find_channel(call.state, body.request.client, batch->operator_address));
  const std::uint64_t epoch = call.state.operators.at(batch->operator_address).epoch;
  if (channel->epoch != epoch || batch->epoch != epoch) {
    return refuse(Refusal::kStaleEpoch, "The operator was slashed since: its window is forfeit.");
  }
  if (batch->sequence < channel->covered) {
    return refuse(Refusal::kBadState, "A redeemed voucher covers this batch already.");
  }
  const std::uint64_t amount = pay_of(call.state, *batch, body.claim, body.request);
  if (amount > channel->deposit) {
    return refuse(Refusal::kInsufficient,
                  "The channel holds only " + std::to_string(channel->deposit) + ".");
  }
  channel->deposit -= amount;
  channel->paid += amount;
  credit(call.state, batch->operator_address, amount);
  call.state.settled_requests.emplace(body.claim.request_hash, batch->operator_address);
  Attribution& record = call.state.attributions[{batch->operator_address, body.request.model_root,
                                                 batch->posted_at / 86'400'000}];
  record.settled_claims += 1;
  record.prompt_tokens += body.claim.prompt_count;
  record.output_tokens += body.claim.out_count;
  record.amount += amount;
  call.emit(EventKind::kSettled, batch->operator_address, body.claim.request_hash, amount,
            body.claim.out_count);
  return {};
}

}  // namespace otr::ledger

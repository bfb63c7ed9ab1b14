#include "ledger/state.h"

#include <algorithm>

#include "base/check.h"
#include "crypto/sha256.h"
#include "ledger/reject.h"
#include "merkle/tree.h"
#include "protocol/eip712.h"

namespace otr::ledger {
namespace {

Hash tagged(std::string_view tag, ByteView bytes) { return crypto::sha256({as_bytes(tag), bytes}); }

// SPEC SET-20.
Hash root_of(std::uint64_t count, const Hash& top) {
  std::array<std::uint8_t, 8> size{};
  store_le(size.data(), count);
  return crypto::sha256({as_bytes("OTR.btch"), size, top});
}

// The amount that a client signs, as far as a u64 holds it.
std::uint64_t saturated(const protocol::Uint256& wide) {
  if (std::any_of(wide.begin(), wide.begin() + 24, [](std::uint8_t byte) { return byte != 0; })) {
    return UINT64_MAX;
  }
  std::uint64_t value = 0;
  for (std::size_t i = 24; i < 32; ++i) value = value << 8 | wide[i];
  return value;
}

}  // namespace

template <class V>
void State::each(V& visit) {
  visit("id", id);
  visit("genesis", genesis);
  visit("tip", tip);
  visit("height", height);
  visit("time", time);
  visit("minted", minted);
  visit("withdrawn", withdrawn);
  visit("burned", burned);
  visit("parameters", parameters);
  visit("currentParameters", current_parameters);
  visit("pending", pending);
  visit("accounts", accounts);
  visit("operators", operators);
  visit("channels", channels);
  visit("models", models);
  visit("sessions", sessions);
  visit("sessionKeys", session_keys);
  visit("revokedRuntimes", revoked_runtimes);
  visit("batches", batches);
  visit("claims", claims);
  visit("boundLeaves", bound_leaves);
  visit("firstChallenges", first_challenges);
  visit("games", games);
  visit("forces", forces);
  visit("settledRequests", settled_requests);
  visit("equivocations", equivocations);
  visit("canaries", canaries);
  visit("attentions", attentions);
  visit("beaconAnchor", beacon_anchor);
  visit("revealedRound", revealed_round);
  visit("lastRevealHeight", last_reveal_height);
  visit("lastRevealAt", last_reveal_at);
  visit("beacon", beacon);
  visit("checkpointCount", checkpoint_count);
  visit("checkpoints", checkpoints);
  visit("attributions", attributions);
}

Bytes encode(const Genesis& genesis) {
  Encoder encoder;
  encoder.put(genesis);
  return encoder.take();
}

Result<Genesis> decode_genesis(ByteView bytes) {
  Genesis genesis;
  Decoder decoder(bytes);
  genesis.each(decoder);
  OTR_TRY(decoder.finish());
  OTR_TRY(check(genesis.parameters, genesis.trial != 0));
  if (genesis.trial > 1 || genesis.zero_domain > 1 || genesis.quorum > genesis.checkers.size() ||
      (genesis.quorum == 0 && !genesis.checkers.empty()) ||
      std::set<Address>(genesis.checkers.begin(), genesis.checkers.end()).size() !=
          genesis.checkers.size()) {
    return refuse(Refusal::kBadParameters,
                  "The genesis needs flags of 0 or 1, checkers that differ, and a quorum of 1 to "
                  "all of them (0 where there are none).");
  }
  return genesis;
}

Hash ledger_id(ByteView genesis) { return tagged("OTR.ldgr", genesis); }

Result<State> genesis_state(ByteView genesis) {
  State state;
  OTR_TRY_ASSIGN(state.genesis, decode_genesis(genesis));
  state.id = ledger_id(genesis);
  state.domain = protocol::domain_separator(state.id);
  state.tip = state.id;
  state.time = state.genesis.time;
  state.last_reveal_at = state.genesis.time;
  state.parameters[0] = state.genesis.parameters;
  state.beacon_anchor = state.genesis.beacon_anchor;
  for (const Address& role : {state.genesis.sequencer, state.genesis.issuer, state.genesis.auditor,
                              state.genesis.governor}) {
    state.accounts[role];
  }
  return state;
}

Hash digest_of(const State& state) {
  Encoder encoder;
  encoder.put(state);
  return tagged("OTR.stat", encoder.bytes());
}

Hash claims_ledger(const State& state) {
  return state.genesis.zero_domain != 0 ? Hash{} : state.id;
}

const Parameters& parameters_at(const State& state, std::uint64_t now) {
  const bool is_due = state.pending && state.pending->effective_at <= now;
  return is_due ? state.pending->parameters : state.parameters.at(state.current_parameters);
}

const Parameters& parameters_of(const State& state, const Batch& batch) {
  return state.parameters.at(batch.snapshot);
}

std::uint64_t revoked_at(const State& state, const SessionEntry& session) {
  const auto runtime = state.revoked_runtimes.find(session.session.runtime);
  if (runtime == state.revoked_runtimes.end()) return session.revoked_at;
  if (session.revoked_at == 0) return runtime->second;
  return std::min(session.revoked_at, runtime->second);
}

std::uint64_t end_of(const State& state, const SessionEntry& session) {
  const std::uint64_t voided_at = state.models.at(session.session.model_root).voided_at;
  std::uint64_t end = session.session.expiry * 1000;
  if (session.ended_at != 0) end = std::min(end, session.ended_at);
  return voided_at == 0 ? end : std::min(end, voided_at);
}

bool needs_checks(const State& state, const Batch& batch) {
  const std::uint64_t revoked = revoked_at(state, state.sessions.at(batch.session));
  return revoked != 0 && (batch.status != BatchStatus::kFinal || revoked <= batch.final_at);
}

bool is_void(const State& state, const Batch& batch) {
  if (batch.status != BatchStatus::kOpen) return batch.status == BatchStatus::kVoid;
  return state.operators.at(batch.operator_address).epoch != batch.epoch;
}

std::uint64_t pay_of(const State& state, const Batch& batch, const protocol::Claim& claim,
                     const protocol::Request& request) {
  const SessionEntry& session = state.sessions.at(batch.session);
  // Below 2^63: counts have 32 bits, tariffs at most 30.
  const std::uint64_t metered =
      claim.prompt_count * session.prompt_tariff + claim.out_count * session.output_tariff;
  return std::min({saturated(request.price), metered, batch.value});
}

bool is_of_void_model(const State& state, const Batch& batch) {
  return state.models.at(state.sessions.at(batch.session).session.model_root).voided_at != 0;
}

std::uint64_t window_end(const State& state, const Batch& batch) {
  const Parameters& parameters = parameters_of(state, batch);
  const bool is_emergency = revoked_at(state, state.sessions.at(batch.session)) != 0;
  return batch.posted_at + parameters.window * (is_emergency ? parameters.stretch : 1);
}

// x < ppm * 2^256 / 10^6 exactly if the part of x * 10^6 above 256 bits is below ppm.
bool is_drawn(const Hash& value, const Hash& batch_root, std::uint32_t index,
              std::uint32_t draw_ppm) {
  std::array<std::uint8_t, 8> place{};
  store_le(place.data(), std::uint64_t{index});
  const Hash x = crypto::sha256({as_bytes("OTR.draw"), value, batch_root, place});
  std::uint64_t carry = 0;
  for (std::size_t i = x.size(); i-- > 0;) carry = (x[i] * std::uint64_t{kMillion} + carry) >> 8;
  return carry < draw_ppm;
}

std::optional<bool> is_drawn(const State& state, const Batch& batch, std::uint32_t index) {
  const auto beacon = state.beacon.find(batch.round);
  if (beacon == state.beacon.end()) return std::nullopt;
  return is_drawn(beacon->second.value, batch.root, index, parameters_of(state, batch).draw_ppm);
}

LeafKey LeafKey::of(const ClaimKey& claim, const referee::Leaf& leaf) {
  return {.claim = claim,
          .t = leaf.t,
          .tile = leaf.tile,
          .stream = static_cast<std::uint32_t>(leaf.stream.kind),
          .layer = leaf.stream.layer,
          .head = leaf.stream.kv_head};
}

std::optional<Hash> bound_answer(const State& state, const ClaimKey& claim,
                                 const referee::Leaf& leaf) {
  const auto found = state.bound_leaves.find(LeafKey::of(claim, leaf));
  return found == state.bound_leaves.end() ? std::nullopt : std::optional(found->second);
}

std::uint64_t final_at(const State& state, const Batch& batch, std::uint64_t now) {
  const Parameters& parameters = parameters_of(state, batch);
  const std::uint64_t window = window_end(state, batch);
  const auto beacon = state.beacon.find(batch.round);
  if (beacon != state.beacon.end()) {
    return std::max(window, beacon->second.revealed_at + parameters.draw + parameters.report);
  }
  const std::uint64_t dead_at = batch.posted_at + parameters.beacon_dead;
  return now >= dead_at ? std::max(window, dead_at) : 0;
}

bool is_final(const State& state, const ClaimKey& claim) {
  const auto batch = state.batches.find(claim.batch);
  if (batch == state.batches.end() || claim.index >= batch->second.count) return false;
  if (batch->second.status != BatchStatus::kFinal) return false;
  const auto entry = state.claims.find(claim);
  return entry == state.claims.end() || (entry->second.open_games == 0 && !entry->second.refuted);
}

Hash batch_root(const std::vector<Hash>& claim_hashes) {
  OTR_CHECK(!claim_hashes.empty() && claim_hashes.size() <= kMaxBatch);
  merkle::Frontier frontier;
  frontier.append(claim_hashes);
  return root_of(claim_hashes.size(), frontier.top());
}

Status check_leaf(const Batch& batch, std::uint32_t index, const Hash& claim_hash,
                  const std::vector<Hash>& path) {
  const std::uint64_t begin = index;
  OTR_TRY_ASSIGN(const Hash top, merkle::top_of_range(batch.count, begin, begin + 1,
                                                      std::array<Hash, 1>{claim_hash}, path));
  if (root_of(batch.count, top) == batch.root) return {};
  return fail(ErrorKind::kReject,
              "The claim is not entry " + std::to_string(index) + " of the batch.", "PATH_INVALID");
}

}  // namespace otr::ledger

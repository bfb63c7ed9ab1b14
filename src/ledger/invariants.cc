#include "ledger/invariants.h"

#include <map>
#include <string>

#include "base/hex.h"

namespace otr::ledger {
namespace {

__extension__ using Wide = unsigned __int128;

std::unexpected<Error> broken(const char* id, std::string what) {
  return fail(ErrorKind::kReject, std::string(id) + ": " + std::move(what), id);
}

// INV-1.
Status check_funds(const State& state) {
  Wide held = 0;
  for (const auto& [address, account] : state.accounts) held += account.balance;
  for (const auto& [address, one] : state.operators) held += Wide{one.stake} + one.unbonding;
  for (const auto& [key, channel] : state.channels) held += channel.deposit;
  for (const auto& [root, model] : state.models) held += model.bond;
  for (const auto& [number, game] : state.games) held += game.bond;
  for (const auto& [hash, force] : state.forces) held += force.bond;
  for (const auto& [key, canary] : state.canaries) held += Wide{canary.reward} + canary.bond;
  if (held + state.withdrawn + state.burned == state.minted && state.minted <= kMaxSupply) {
    return {};
  }
  return broken("INV-1", "the funds do not sum to what was paid in.");
}

// INV-2, and the counters of games beside it.
Status check_reserved(const State& state) {
  std::map<Address, Wide> reserved;
  std::map<Address, std::uint64_t> open_games;
  std::map<std::uint64_t, std::uint32_t> held;
  std::map<ClaimKey, std::uint32_t> games_of_claim;
  for (const auto& [number, game] : state.games) {
    if (game.stage == Stage::kEnded) continue;
    open_games[state.batches.at(game.claim_key.batch).operator_address] += 1;
    games_of_claim[game.claim_key] += 1;
  }
  for (const auto& [key, claim] : state.claims) {
    held[key.batch] += claim.open_games != 0 ? 1 : 0;
    const auto games = games_of_claim.find(key);
    if (claim.open_games != (games == games_of_claim.end() ? 0 : games->second)) {
      return broken("INV-2", "a claim's open games were miscounted.");
    }
  }
  for (const auto& [number, batch] : state.batches) {
    if (batch.held != held[number]) return broken("INV-2", "a batch's held claims are miscounted.");
    if (state.operators.at(batch.operator_address).epoch != batch.epoch) continue;
    const bool is_open = batch.status == BatchStatus::kOpen;
    const bool is_final = batch.status == BatchStatus::kFinal;
    reserved[batch.operator_address] += Wide{batch.reserve} * (is_open    ? batch.count
                                                               : is_final ? batch.held
                                                                          : 0);
  }
  for (const auto& [address, one] : state.operators) {
    if (one.reserved != reserved[address] || one.reserved > one.stake) {
      return broken("INV-2", "what " + to_hex(address) +
                                 " has reserved is not what its claims "
                                 "need, or above its stake.");
    }
    if (one.open_games != open_games[address]) {
      return broken("INV-2", "the games against " + to_hex(address) + " were miscounted.");
    }
  }
  return {};
}

template <class Map, class Same>
bool keeps(const Map& before, const Map& after, Same same) {
  for (const auto& [key, old] : before) {
    const auto found = after.find(key);
    if (found == after.end() || !same(old, found->second)) return false;
  }
  return true;
}

// INV-3: what is over stays as it was.
bool keeps_terminal(const State& before, const State& after) {
  return keeps(before.batches, after.batches,
               [](const Batch& a, const Batch& b) {
                 return a.status == BatchStatus::kOpen || a.status == b.status;
               }) &&
         keeps(before.games, after.games,
               [](const GameEntry& a, const GameEntry& b) {
                 return a.stage != Stage::kEnded ||
                        (b.stage == Stage::kEnded && b.bond == 0 && a.game == b.game);
               }) &&
         keeps(before.forces, after.forces,
               [](const ForceEntry& a, const ForceEntry& b) {
                 return a.status == ForceStatus::kOpen || a.status == b.status;
               }) &&
         keeps(before.claims, after.claims,
               [](const ClaimEntry& a, const ClaimEntry& b) {
                 return (!a.refuted || b.refuted) && (!a.checked || b.checked) &&
                        (!a.canary || b.canary) && (a.lane == 0 || a.lane == b.lane);
               }) &&
         keeps(before.canaries, after.canaries,
               [](const CanaryEntry& a, const CanaryEntry& b) {
                 return a.status == CanaryStatus::kOpen || a.status == b.status;
               }) &&
         keeps(before.models, after.models,
               [](const Model& a, const Model& b) {
                 return (a.voided_at == 0 || a.voided_at == b.voided_at) && a.config == b.config;
               }) &&
         keeps(before.sessions, after.sessions, [](const SessionEntry& a, const SessionEntry& b) {
           return (a.revoked_at == 0 || a.revoked_at == b.revoked_at) &&
                  (a.ended_at == 0 || a.ended_at == b.ended_at);
         });
}

// INV-4.
bool never_falls(const State& before, const State& after) {
  for (const auto& settled : before.settled_requests) {
    if (!after.settled_requests.contains(settled)) return false;
  }
  return before.time <= after.time && before.height <= after.height &&
         before.burned <= after.burned && before.revealed_round <= after.revealed_round &&
         keeps(before.channels, after.channels,
               [](const Channel& a, const Channel& b) { return a.paid <= b.paid; }) &&
         keeps(before.operators, after.operators,
               [](const Operator& a, const Operator& b) { return a.epoch <= b.epoch; }) &&
         keeps(before.accounts, after.accounts,
               [](const Account& a, const Account& b) { return a.nonce <= b.nonce; });
}

// INV-7.
bool keeps_snapshots(const State& before, const State& after) {
  return keeps(before.parameters, after.parameters,
               [](const Parameters& a, const Parameters& b) { return a == b; }) &&
         keeps(before.batches, after.batches, [](const Batch& a, const Batch& b) {
           const bool is_undrawn = b.status == BatchStatus::kFinal && b.round == 0;
           return a.snapshot == b.snapshot && (a.round == b.round || is_undrawn) &&
                  (a.final_at == 0 || a.final_at == b.final_at) && a.root == b.root &&
                  a.count == b.count && a.reserve == b.reserve && a.value == b.value;
         });
}

}  // namespace

Status check_invariants(const State& state) {
  OTR_TRY(check_funds(state));
  return check_reserved(state);
}

Status check_invariants(const State& before, const State& after) {
  if (!keeps_terminal(before, after)) return broken("INV-3", "a terminal state has changed.");
  if (!never_falls(before, after)) return broken("INV-4", "something fell that only rises.");
  if (!keeps_snapshots(before, after)) return broken("INV-7", "a snapshot has changed.");
  return check_invariants(after);
}

}  // namespace otr::ledger

#include "rollup/watcher.h"

#include <utility>

#include "rollup/batch_data.h"

namespace otr::rollup {
namespace {

using ledger::ClaimKey;

bool is_forced(const ledger::State& state, const Hash& claim_hash) {
  const auto found = state.forces.find(claim_hash);
  return found != state.forces.end() && found->second.status == ledger::ForceStatus::kOpen;
}

// A claim in a batch of another session is not posted: it earns nothing there, nobody can challenge
// it, and its operator owes it still.
bool is_place_of(const ledger::Batch& batch, const protocol::Receipt& receipt) {
  return batch.operator_address == receipt.operator_address &&
         batch.session == receipt.claim.session;
}

}  // namespace

std::string_view name_of(Standing standing) {
  switch (standing) {
    case Standing::kNotPosted:
      return "not posted";
    case Standing::kForced:
      return "forced";
    case Standing::kPosted:
      return "posted";
    case Standing::kChallenged:
      return "challenged";
    case Standing::kFinal:
      return "final";
    case Standing::kPaid:
      return "paid";
    case Standing::kRefuted:
      return "refuted";
    case Standing::kCanary:
      return "canary";
    case Standing::kVoid:
      return "void";
  }
  return "?";
}

void Watcher::add(protocol::Receipt receipt, std::uint64_t now) {
  const Hash hash = protocol::digest_of(receipt.claim, receipt.ledger);
  const auto [first, is_first] = first_.try_emplace(receipt.claim.request_hash, hash);
  if (!is_first && first->second != hash) two_answers_.emplace_back(first->second, hash);
  watched_.try_emplace(hash, Watched{.receipt = std::move(receipt), .since = now});
}

bool Watcher::is_paid(const Watched& watched) const {
  return mirror_.state().settled_requests.contains(
      {watched.receipt.claim.request_hash, watched.receipt.operator_address});
}

// To be forced, if it is found nowhere; or to be answered, as long as the miss is not reported.
bool Watcher::is_due(const Hash& hash, const Watched& watched, std::uint64_t now) const {
  const ledger::State& state = mirror_.state();
  if (state.forces.contains(hash)) return is_forced(state, hash);
  return now >= watched.since + patience_ms_ && !is_paid(watched);
}

void Watcher::find(const Hash& hash, Watched& watched, std::uint64_t now, DataPort& data) const {
  const ledger::State& state = mirror_.state();
  std::set<std::uint64_t> numbers = mirror_.open_batches();
  if (is_due(hash, watched, now)) {
    // What is final is looked through only where something hangs on it: there may be a lot.
    for (const auto& [number, batch] : state.batches) {
      if (batch.status == ledger::BatchStatus::kFinal) numbers.insert(number);
    }
  }
  for (const std::uint64_t number : numbers) {
    if (watched.batch != 0) return;
    if (!is_place_of(state.batches.at(number), watched.receipt)) continue;
    if (!watched.searched.contains(number)) look_through(number, hash, watched, data);
  }
}

void Watcher::look_through(std::uint64_t number, const Hash& hash, Watched& watched,
                           DataPort& data) const {
  const ledger::State& state = mirror_.state();
  const ledger::Batch& batch = state.batches.at(number);
  const auto claims = fetch_batch(data, batch, ledger::claims_ledger(state));
  // What is open, or cannot be asked for, is asked for again.
  const bool is_withheld = !claims && (mirror_.open_batches().contains(number) ||
                                       claims.error().kind != ErrorKind::kBadInput);
  if (is_withheld) return;
  watched.searched.insert(number);
  if (!claims) return;
  std::vector<Hash> hashes;
  for (const ClaimData& claim : *claims) {
    hashes.push_back(protocol::digest_of(claim.claim, ledger::claims_ledger(state)));
    if (hashes.back() != hash) continue;
    watched.batch = number;
    watched.index = static_cast<std::uint32_t>(hashes.size() - 1);
  }
  if (watched.batch != 0) watched.path = batch_path(hashes, watched.index);
}

Status Watcher::act(const Hash& hash, Watched& watched, std::uint64_t now) {
  const ledger::State& state = mirror_.state();
  const protocol::Receipt& receipt = watched.receipt;
  const auto force = state.forces.find(hash);
  if (force == state.forces.end()) {
    if (watched.batch != 0 || !is_due(hash, watched, now)) return {};
    return mirror_.send(key_, ledger::Force{.claim = receipt.claim,
                                            .claim_signature = receipt.claim_signature,
                                            .countersignature = receipt.countersignature,
                                            .request = receipt.request.request,
                                            .request_signature = receipt.request.signature});
  }
  if (force->second.status != ledger::ForceStatus::kOpen) return {};
  if (watched.batch != 0) {
    return mirror_.send(key_, ledger::ForceAnswer{.claim_hash = hash,
                                                  .batch = watched.batch,
                                                  .index = watched.index,
                                                  .path = watched.path});
  }
  if (now <= force->second.deadline) return {};
  return mirror_.send(key_, ledger::ForceMissed{hash});
}

Status Watcher::step(std::uint64_t now, DataPort* data) {
  OTR_TRY(mirror_.catch_up());
  for (auto& [hash, watched] : watched_) {
    if (data != nullptr && watched.batch == 0) find(hash, watched, now, *data);
    const Status done = act(hash, watched, now);
    if (!done && done.error().kind != ErrorKind::kReject) return done;
  }
  for (const auto& [a, b] : two_answers_) OTR_TRY(report(watched_.at(a), watched_.at(b)));
  return {};
}

// Two answers to one request, countersigned by one operator (SPEC SET-28).
Status Watcher::report(const Watched& a, const Watched& b) {
  const protocol::Claim &one = a.receipt.claim, &two = b.receipt.claim;
  const crypto::Address& whose = a.receipt.operator_address;
  const bool differ = one.trace_root != two.trace_root || one.finish_reason != two.finish_reason;
  if (!differ || whose != b.receipt.operator_address ||
      mirror_.state().equivocations.contains({one.request_hash, whose})) {
    return {};
  }
  const Status sent =
      mirror_.send(key_, ledger::Equivocate{.claim_a = one,
                                            .countersignature_a = a.receipt.countersignature,
                                            .claim_b = two,
                                            .countersignature_b = b.receipt.countersignature});
  return sent || sent.error().kind == ErrorKind::kReject ? Status() : sent;
}

Result<Whereabouts> whereabouts_of(const ledger::State& state, const protocol::Receipt& receipt,
                                   const Posted& posted) {
  const auto found = state.batches.find(posted.batch);
  if (found == state.batches.end()) {
    return fail(ErrorKind::kReject, "The ledger has no batch " + std::to_string(posted.batch) + ".",
                "UNKNOWN");
  }
  const ledger::Batch& batch = found->second;
  if (!is_place_of(batch, receipt)) {
    return fail(ErrorKind::kReject,
                "Batch " + std::to_string(posted.batch) +
                    " is of another operator or session than the receipt.",
                "SESSION_MISMATCH");
  }
  OTR_TRY(ledger::check_leaf(batch, posted.index,
                             protocol::digest_of(receipt.claim, receipt.ledger), posted.path));
  const ClaimKey key{posted.batch, posted.index};
  Whereabouts where{.batch = key.batch, .index = key.index};
  where.drawn = ledger::is_drawn(state, batch, key.index);
  const auto entry = state.claims.find(key);
  const bool has_entry = entry != state.claims.end();
  where.is_checked = has_entry && entry->second.checked;
  where.is_proven = has_entry && entry->second.lane == 1;
  const auto& all = state.attentions;
  for (auto it = all.lower_bound({key, {}}); it != all.end() && it->first.first == key; ++it) {
    ++where.attended;
  }
  if (has_entry && entry->second.refuted) {
    where.standing = entry->second.canary ? Standing::kCanary : Standing::kRefuted;
  } else if (ledger::is_void(state, batch) || (batch.status == ledger::BatchStatus::kOpen &&
                                               ledger::is_of_void_model(state, batch))) {
    where.standing = Standing::kVoid;
  } else if (ledger::is_final(state, key)) {
    const bool is_paid =
        state.settled_requests.contains({receipt.claim.request_hash, receipt.operator_address});
    where.standing = is_paid ? Standing::kPaid : Standing::kFinal;
  } else {
    const bool is_held = has_entry && entry->second.open_games != 0;
    where.standing = is_held ? Standing::kChallenged : Standing::kPosted;
  }
  return where;
}

Whereabouts Watcher::whereabouts(const Hash& claim_hash) const {
  const auto found = watched_.find(claim_hash);
  if (found != watched_.end() && found->second.batch != 0) {
    const Watched& watched = found->second;
    const auto where = whereabouts_of(mirror_.state(), watched.receipt,
                                      {watched.batch, watched.index, watched.path});
    if (where) return *where;
  }
  const bool forced = is_forced(mirror_.state(), claim_hash);
  return {.standing = forced ? Standing::kForced : Standing::kNotPosted};
}

}  // namespace otr::rollup

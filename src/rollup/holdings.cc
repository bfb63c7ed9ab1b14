#include "rollup/holdings.h"

#include <algorithm>

#include "ledger/state.h"

namespace otr::rollup {
namespace {

// Records of the journal: a receipt's text, or this and the claim hashes of a batch.
constexpr std::string_view kBatchRecord = "batch\n";

std::string batch_record(const std::vector<Hash>& claims) {
  std::string record(kBatchRecord);
  for (const Hash& hash : claims) record += as_text(hash);
  return record;
}

Hash hash_of(const protocol::Receipt& receipt) {
  return protocol::digest_of(receipt.claim, receipt.ledger);
}

}  // namespace

Status Holdings::add(const std::string& text, const protocol::Receipt& receipt, std::uint64_t now) {
  const std::lock_guard lock(mutex_);
  const Hash hash = hash_of(receipt);
  const auto held = held_.find(receipt.claim.request_hash);
  if (held != held_.end() && held->second == hash) return {};
  if (held != held_.end()) {
    return fail(ErrorKind::kReject, "Another answer to this request is held already.",
                "OTHER_ANSWER");
  }
#ifndef OTR_CANARY_BUG  // the simulation must find it (sim/canary_test.cc)
  OTR_TRY(journal_.append(text));
#endif
  held_[receipt.claim.request_hash] = hash;
  inbox_.push_back({std::make_shared<const std::string>(text), receipt, now});
  return {};
}

Result<std::vector<std::string>> Holdings::receipts(const Hash& root) const {
  const std::lock_guard lock(mutex_);
  const auto found = served_.find(root);
  if (found == served_.end()) {
    return fail(ErrorKind::kBadInput, "No batch of this operator has this root, or it is over.");
  }
  std::vector<std::string> texts;
  for (const Text& text : found->second) texts.push_back(*text);
  return texts;
}

// Batches first: of those that are over, most receipts need not be kept.
Status Holdings::read(const std::function<bool(std::string_view)>& others,
                      const Finished& finished) {
  OTR_TRY(journal_.read([&](std::string_view record) {
    const bool is_batch = !others(record) && record.starts_with(kBatchRecord);
    return is_batch ? read_batch(record.substr(kBatchRecord.size())) : Status();
  }));
  std::set<Hash> over;  // claims
  for (const auto& [root, claims] : batches_) {
    if (finished.is_over(root)) over.insert(claims.begin(), claims.end());
  }
  OTR_TRY(journal_.read([&](std::string_view record) -> Status {
    if (others(record) || record.starts_with(kBatchRecord)) return {};
    OTR_TRY_ASSIGN(protocol::Receipt receipt, protocol::decode_receipt(record));
    const Hash hash = hash_of(receipt);
    held_[receipt.claim.request_hash] = hash;
    if (over.contains(hash) && finished.is_paid(receipt)) return {};
    take(std::make_shared<const std::string>(record), std::move(receipt), 0);
    return {};
  }));
  return take_up(finished);
}

Status Holdings::read_batch(std::string_view record) {
  const std::size_t count = record.size() / sizeof(Hash);
  if (record.size() % sizeof(Hash) != 0 || count == 0 || count > ledger::kMaxBatch) {
    return fail(ErrorKind::kBadInput, "A batch of the journal is cut off or damaged.");
  }
  std::vector<Hash> claims(count);
  for (std::size_t i = 0; i < count; ++i) {
    std::ranges::copy(as_bytes(record.substr(i * sizeof(Hash), sizeof(Hash))), claims[i].begin());
  }
  const Hash root = ledger::batch_root(claims);
  batches_[root] = std::move(claims);
  return {};
}

// A batch that is not over is served; of one that is, what is unpaid is held.
Status Holdings::take_up(const Finished& finished) {
  std::set<Hash> held;
  for (const auto& [request, claim] : held_) held.insert(claim);
  for (auto it = batches_.begin(); it != batches_.end();) {
    const Hash root = it->first;
    const std::vector<Hash> claims = (it++)->second;
    if (!std::ranges::all_of(claims, [&](const Hash& claim) { return held.contains(claim); })) {
      return fail(ErrorKind::kBadInput, "The journal names a claim that it does not hold.");
    }
    const auto is_here = [this](const Hash& claim) { return holds(claim); };
    if (std::ranges::all_of(claims, is_here)) {
      serve(root, claims);
    } else if (!finished.is_over(root)) {
      batches_.erase(root);  // another one was posted instead
    } else if (std::ranges::any_of(claims, is_here)) {
      live_.insert(root);
      unposted_.insert(root);
    }
  }
  return {};
}

void Holdings::take(Text text, protocol::Receipt receipt, std::uint64_t now) {
  const Hash hash = hash_of(receipt);
  if (entries_.try_emplace(hash, Entry{std::move(text), std::move(receipt), now}).second) {
    waiting_.push_back(hash);
  }
}

Status Holdings::empty_inbox() {
  const std::lock_guard lock(mutex_);
  for (Arrival& one : std::exchange(inbox_, {})) {
#ifdef OTR_CANARY_BUG  // acknowledged before it was on the disk
    OTR_TRY(journal_.append(*one.text));
#endif
    take(std::move(one.text), std::move(one.receipt), one.at);
  }
  return {};
}

Result<Hash> Holdings::compose(std::vector<Hash> claims) {
  const Hash root = ledger::batch_root(claims);
  if (!batches_.contains(root)) {
    const std::lock_guard lock(mutex_);
    OTR_TRY(journal_.append(batch_record(claims)));
  }
  serve(root, std::move(claims));
  return root;
}

void Holdings::serve(const Hash& root, std::vector<Hash> claims) {
  std::vector<Text> texts;
  for (const Hash& hash : claims) texts.push_back(at(hash).text);
  batches_[root] = std::move(claims);
  live_.insert(root);
  unposted_.insert(root);
  const std::lock_guard lock(mutex_);
  served_[root] = std::move(texts);
}

void Holdings::mark_posted(const std::set<Hash>& roots) {
  std::set<Hash> posted;  // claims
  for (const Hash& root : roots) {
    if (unposted_.erase(root) == 0) continue;
    const std::vector<Hash>& claims = batches_.at(root);
    posted.insert(claims.begin(), claims.end());
  }
  if (posted.empty()) return;
  std::erase_if(waiting_, [&](const Hash& hash) { return posted.contains(hash); });
  for (const Hash& root : std::set<Hash>(unposted_)) {
    const std::vector<Hash>& claims = batches_.at(root);
    if (std::ranges::none_of(claims, [&](const Hash& hash) { return posted.contains(hash); })) {
      continue;
    }
    unposted_.erase(root);
    close(root);
    let_go(root);
    batches_.erase(root);
  }
}

void Holdings::close(const Hash& root) {
  const std::lock_guard lock(mutex_);
  served_.erase(root);
}

}  // namespace otr::rollup

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
    return fail(ErrorKind::kBadInput,
                "No batch of this operator has this root, or it is final and paid.");
  }
  std::vector<std::string> texts;
  for (const Text& text : found->second) texts.push_back(*text);
  return texts;
}

Status Holdings::read(std::string_view record) {
  if (!record.starts_with(kBatchRecord)) {
    OTR_TRY_ASSIGN(protocol::Receipt receipt, protocol::decode_receipt(record));
    held_[receipt.claim.request_hash] = hash_of(receipt);
    take(std::make_shared<const std::string>(record), std::move(receipt), 0);
    return {};
  }
  record.remove_prefix(kBatchRecord.size());
  std::vector<Hash> claims(record.size() / sizeof(Hash));
  for (std::size_t i = 0; i < claims.size(); ++i) {
    std::ranges::copy(as_bytes(record.substr(i * sizeof(Hash), sizeof(Hash))), claims[i].begin());
    if (!entries_.contains(claims[i])) {
      return fail(ErrorKind::kBadInput, "The journal names a claim that it does not hold.");
    }
  }
  serve(ledger::batch_root(claims), std::move(claims));
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

void Holdings::mark_posted(const Hash& root) {
  if (unposted_.erase(root) == 0) return;
  const std::vector<Hash>& claims = batches_.at(root);
  std::erase_if(waiting_,
                [&](const Hash& hash) { return std::ranges::find(claims, hash) != claims.end(); });
}

void Holdings::let_go(const Hash& root) {
  for (const Hash& hash : batches_.at(root)) entries_.erase(hash);
  live_.erase(root);
  const std::lock_guard lock(mutex_);
  served_.erase(root);
}

}  // namespace otr::rollup

#include "rollup/canary_keeper.h"

#include <utility>

#include "ledger/parameters.h"
#include "protocol/claim.h"

namespace otr::rollup {
namespace {

using ledger::CanaryStatus;

// A record is salt, leaf and the receipt's text.
constexpr std::size_t kHeadBytes = 64;

}  // namespace

Result<std::unique_ptr<CanaryKeeper>> CanaryKeeper::open(Mirror& mirror, Journal& journal,
                                                         CanaryOptions options) {
  std::unique_ptr<CanaryKeeper> keeper(new CanaryKeeper(mirror, journal, std::move(options)));
  OTR_TRY(journal.read([&](std::string_view record) -> Status {
    OTR_TRY_ASSIGN(Canary made, keeper->read(record));
    keeper->canaries_.try_emplace(made.claim_hash, std::move(made));
    return {};
  }));
  return keeper;
}

Result<CanaryKeeper::Canary> CanaryKeeper::read(std::string_view record) const {
  if (record.size() < kHeadBytes) {
    return fail(ErrorKind::kBadInput, "A record of the canaries' journal is cut off.");
  }
  Canary made;
  std::copy_n(record.begin(), 32, made.salt.begin());
  std::copy_n(record.begin() + 32, 32, made.leaf.begin());
  OTR_TRY_ASSIGN(made.receipt, protocol::decode_receipt(record.substr(kHeadBytes)));
  if (made.receipt.request.request.client != options_.client.address()) {
    return fail(ErrorKind::kBadInput,
                "Only an answer to the canaries' own client may be false: this is another's.");
  }
  made.claim_hash = protocol::digest_of(made.receipt.claim, ledger::claims_ledger(mirror_.state()));
  return made;
}

Status CanaryKeeper::add(std::string_view receipt_text, const referee::Leaf& leaf,
                         const Hash& salt) {
  std::string record(salt.begin(), salt.end());
  const Hash hash = ledger::leaf_hash(leaf);
  record.append(hash.begin(), hash.end());
  record += receipt_text;
  OTR_TRY_ASSIGN(Canary made, read(record));
  for (const auto& [other_hash, other] : canaries_) {
    if (!batch_of(other)) {
      return fail(ErrorKind::kReject, "Another canary is not posted yet: one place at a time.");
    }
  }
  OTR_TRY(journal_.append(record));
  canaries_.try_emplace(made.claim_hash, std::move(made));
  return {};
}

const ledger::Operator* CanaryKeeper::operator_of(const Canary& canary) const {
  const auto found = mirror_.state().operators.find(canary.receipt.operator_address);
  return found == mirror_.state().operators.end() ? nullptr : &found->second;
}

std::optional<std::uint64_t> CanaryKeeper::batch_of(const Canary& canary) const {
  return mirror_.batch_of(canary.receipt.operator_address, ledger::batch_root({canary.claim_hash}));
}

Hash CanaryKeeper::commitment_of(const Canary& canary, std::uint64_t sequence) const {
  return ledger::canary_commitment(
      {options_.key.address(), canary.receipt.operator_address, sequence}, canary.salt,
      canary.claim_hash, canary.leaf);
}

bool CanaryKeeper::is_committed(const Hash& claim_hash) const {
  const auto found = canaries_.find(claim_hash);
  if (found == canaries_.end()) return false;
  const ledger::Operator* const self = operator_of(found->second);
  return self != nullptr &&
         mirror_.state().canaries.contains(
             {options_.key.address(), commitment_of(found->second, self->next_sequence)});
}

bool CanaryKeeper::keeps(const Hash& claim_hash, const referee::Leaf& leaf) const {
  const auto found = canaries_.find(claim_hash);
  return found != canaries_.end() && found->second.leaf == ledger::leaf_hash(leaf);
}

Status CanaryKeeper::sent(const Status& status) {
  if (status || status.error().kind != ErrorKind::kReject) return status;
  ++gauges_.refused;
  gauges_.last_refusal = status.error().message;
  return {};
}

Status CanaryKeeper::step(std::uint64_t now) {
  OTR_TRY(mirror_.catch_up());
  gauges_.waiting = 0;
  for (const auto& [claim_hash, canary] : canaries_) {
    const std::optional<std::uint64_t> number = batch_of(canary);
    OTR_TRY(number ? watch(canary, *number, now) : commit(canary));
  }
  return {};
}

// The bond is what a slash would burn now; a stake that grows later leaves the canary to its fate.
Status CanaryKeeper::commit(const Canary& canary) {
  const ledger::State& state = mirror_.state();
  const ledger::Operator* const self = operator_of(canary);
  if (self == nullptr || is_committed(canary.claim_hash)) return {};
  const ledger::Split split =
      ledger::split_of(ledger::parameters_at(state, state.time), self->stake + self->unbonding);
  return sent(
      mirror_.send(options_.key, ledger::CommitCanary{commitment_of(canary, self->next_sequence),
                                                      options_.reward, split.burned}));
}

// Whoever has opened a game has time to name the leaf: to be quick would cost the reward.
Status CanaryKeeper::watch(const Canary& canary, std::uint64_t number, std::uint64_t now) {
  const ledger::State& state = mirror_.state();
  const ledger::Batch& batch = state.batches.at(number);
  const auto entry =
      state.canaries.find({options_.key.address(), commitment_of(canary, batch.sequence)});
  if (entry == state.canaries.end() || entry->second.status != CanaryStatus::kOpen) return {};
  ++gauges_.waiting;
  const ledger::ClaimKey key{number, 0};
  const bool is_found = state.first_challenges.contains({key, canary.leaf});
  const std::uint64_t window = ledger::window_end(state, batch) - batch.posted_at;
  const bool is_urgent = now + window / 4 >= entry->second.deadline;
  const bool is_late = now >= batch.posted_at + window / 4 * 3;
  const auto claim = state.claims.find(key);
  const bool is_disputed = claim != state.claims.end() && claim->second.open_games != 0;
  if (!is_found && !is_urgent && (!is_late || is_disputed)) return {};
  return reveal(canary, number, is_found);
}

Status CanaryKeeper::reveal(const Canary& canary, std::uint64_t number, bool is_found) {
  const std::uint64_t sequence = mirror_.state().batches.at(number).sequence;
  const Hash digest = ledger::consent_digest(mirror_.state().id, commitment_of(canary, sequence));
  const std::uint64_t refused = gauges_.refused;
  OTR_TRY(sent(mirror_.send(
      options_.key, ledger::RevealCanary{.salt = canary.salt,
                                         .leaf = canary.leaf,
                                         .batch = number,
                                         .claim = canary.receipt.claim,
                                         .request = canary.receipt.request.request,
                                         .consent = options_.client.sign(digest),
                                         .operator_consent = options_.operator_consents(digest)})));
  if (gauges_.refused == refused) ++(is_found ? gauges_.found : gauges_.unfound);
  return {};
}

}  // namespace otr::rollup

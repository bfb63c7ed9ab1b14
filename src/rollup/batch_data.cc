#include "rollup/batch_data.h"

#include <utility>

#include "crypto/sha256.h"
#include "env/clock.h"
#include "ledger/fields.h"
#include "merkle/tree.h"
#include "protocol/receipt.h"
#include "trace/header.h"
#include "trace/trace.h"

namespace otr::rollup {
namespace {

constexpr std::uint64_t kPauseMs = 20'000;
// A call that took so long has failed, whatever came of it: answers just below the limit of a call
// hold up as much as none.
constexpr std::uint64_t kSlowMs = 2'000;

// Whether a challenge with this request says what is signed (SPEC SET-2). The hash binds client and
// counter by the task id alone, and a transaction bounds what a request may hold: who could change
// the one or exceed the other would keep a false claim from being challenged. What cannot be shown
// is demanded, and then its operator cannot show it either.
bool can_be_shown(const protocol::Request& request) {
  ledger::Encoder encoder;
  encoder.put(request);
  ledger::Decoder decoder(encoder.bytes());
  protocol::Request read;
  decoder("request", read);
  return decoder.finish() && protocol::struct_hash(read) == protocol::struct_hash(request);
}

}  // namespace

Result<std::vector<ClaimData>> fetch_batch(DataPort& data, const ledger::Batch& batch,
                                           const Hash& claims_ledger) {
  OTR_TRY_ASSIGN(const std::vector<std::string> texts, data.receipts(batch.root));
  if (texts.size() != batch.count) {
    return fail(ErrorKind::kBadInput, "The operator shows " + std::to_string(texts.size()) +
                                          " claims of a batch of " + std::to_string(batch.count) +
                                          ".");
  }
  std::vector<ClaimData> claims;
  std::vector<Hash> hashes;
  for (const std::string& text : texts) {
    OTR_TRY_ASSIGN(protocol::Receipt receipt, protocol::decode_receipt(text));
    const protocol::Request& request = receipt.request.request;
    if (protocol::digest_of(request, claims_ledger) != receipt.claim.request_hash) {
      return fail(ErrorKind::kBadInput, "A receipt shows another request than its claim's.");
    }
    if (!can_be_shown(request)) {
      return fail(ErrorKind::kBadInput, "A receipt's request is none that a transaction can hold.");
    }
    hashes.push_back(protocol::digest_of(receipt.claim, claims_ledger));
    ClaimData claim{.receipt = crypto::sha256({as_bytes(text)}),
                    .claim = receipt.claim,
                    .request = request,
                    .prompt_ids = {},
                    .output_ids = {}};
    if (receipt.output_ids.size() == receipt.claim.out_count) {
      claim.output_ids = std::move(receipt.output_ids);
    }
    if (receipt.prompt_ids.size() == request.prompt_count && request.prompt_count != 0 &&
        trace::token_root(receipt.prompt_ids) == request.prompt_root) {
      claim.prompt_ids = std::move(receipt.prompt_ids);
    }
    claims.push_back(std::move(claim));
  }
  if (ledger::batch_root(hashes) != batch.root) {
    return fail(ErrorKind::kBadInput, "The claims that are shown are not those of the batch.");
  }
  return claims;
}

std::vector<Hash> batch_path(std::span<const Hash> claim_hashes, std::uint32_t index) {
  merkle::Tree tree;
  tree.append(claim_hashes);
  return tree.open_range(index, std::uint64_t{index} + 1);
}

Patience::Patience(std::function<std::uint64_t()> stopwatch_ms)
    : stopwatch_ms_(stopwatch_ms ? std::move(stopwatch_ms) : [] {
        return static_cast<std::uint64_t>(env::monotonic_ns() / 1'000'000);
      }) {}

std::uint64_t Patience::pause_ms(const ledger::State& state, const ledger::Batch& batch) {
  return std::min(kPauseMs, (ledger::window_end(state, batch) - batch.posted_at) / 8);
}

void Patience::leave_alone(const ledger::State& state, const ledger::Batch& batch,
                           std::uint64_t now) {
  std::uint64_t& until = servers_[batch.operator_address].alone_until;
  until = std::max(until, now + pause_ms(state, batch));
}

bool Patience::may_ask(const ledger::Batch& batch, std::uint64_t now) const {
  const auto found = servers_.find(batch.operator_address);
  return found == servers_.end() || now >= found->second.alone_until;
}

std::uint64_t Patience::turn_of(const ledger::Batch& batch) const {
  const auto found = servers_.find(batch.operator_address);
  return found == servers_.end() ? 0 : found->second.turn;
}

void Patience::note(const ledger::State& state, const ledger::Batch& batch, std::uint64_t now,
                    std::uint64_t took_ms, bool has_answered) {
  servers_[batch.operator_address].turn = ++turns_;
  if (!has_answered || took_ms >= kSlowMs) leave_alone(state, batch, now + took_ms);
}

}  // namespace otr::rollup

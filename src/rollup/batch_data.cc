#include "rollup/batch_data.h"

#include <utility>

#include "crypto/sha256.h"
#include "ledger/fields.h"
#include "merkle/tree.h"
#include "protocol/receipt.h"
#include "trace/header.h"
#include "trace/trace.h"

namespace otr::rollup {
namespace {

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

}  // namespace otr::rollup

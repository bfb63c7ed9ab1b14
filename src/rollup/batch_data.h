// What an operator serves about a batch, checked against the batch's root: data from anybody.
#ifndef OTR_ROLLUP_BATCH_DATA_H_
#define OTR_ROLLUP_BATCH_DATA_H_

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "ledger/state.h"
#include "protocol/claim.h"
#include "protocol/request.h"
#include "rollup/ports.h"

namespace otr::rollup {

struct ClaimData {
  Hash receipt{};  // of the text that was shown
  protocol::Claim claim;
  protocol::Request request;  // of the claim's request hash
  // Those under the request's prompt root; empty where they were not given.
  std::vector<std::uint32_t> prompt_ids;
  // As many as the claim says, or none. A hint: nothing binds them before the trace is opened.
  std::vector<std::uint32_t> output_ids;
};

// All claims of the batch in order. Claims and requests are those under its root; kBadInput where
// that cannot be had.
[[nodiscard]] Result<std::vector<ClaimData>> fetch_batch(DataPort& data, const ledger::Batch& batch,
                                                         const Hash& claims_ledger);

// Opens leaf `index` of the batch over these claim hashes (SPEC SET-20). Requires it to be one.
[[nodiscard]] std::vector<Hash> batch_path(std::span<const Hash> claim_hashes, std::uint32_t index);

}  // namespace otr::rollup

#endif  // OTR_ROLLUP_BATCH_DATA_H_

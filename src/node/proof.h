// Proofs of receipts: making them, and the audit of one (SPEC chapter 18).
#ifndef OTR_NODE_PROOF_H_
#define OTR_NODE_PROOF_H_

#include <cstdint>
#include <functional>
#include <optional>
#include <string_view>

#include "base/bytes.h"
#include "base/result.h"
#include "model/artifact.h"
#include "node/audit.h"

namespace otr::node {

inline constexpr std::size_t kMaxProofBytes = std::size_t{1} << 30;

// Whether a file's bytes begin as a proof does (SPEC PS-8).
[[nodiscard]] bool looks_like_proof(ByteView bytes);

struct ProveOptions {
  Hash beacon{};  // zero where there is none
  unsigned threads = 1;
  // Refuse a proof that would need more memory, the model included; no bound if unset.
  std::optional<std::uint64_t> memory_bytes = {};
  // An error ends the work, and is its result.
  std::function<Status(std::string_view stage, int permille)> on_stage = nullptr;
};

// A proof that the receipt's claim is true. Errors: kReject where the receipt is wrong or the claim
// false (with the code of the audit); kUsage where this version cannot prove such a claim, or not
// in the memory allowed: what is known before the work starts is refused before it.
[[nodiscard]] Result<Bytes> prove_receipt(std::string_view receipt_text,
                                          const model::Artifact& artifact,
                                          const ProveOptions& options);

// How much work that would be, of a receipt that holds together, known before any of it: lookups,
// and one for each 4096 multiplications of the pass. A millisecond of two cores does about 7000
// (docs/performance.md). kUsage or kReject where there can be none.
[[nodiscard]] Result<std::uint64_t> work_of_proof(const protocol::Receipt& receipt,
                                                  const model::Artifact& artifact,
                                                  const ProveOptions& options);

struct ProofAudit {
  Audit audit;  // of the receipt, and after its checks those of the proof
  Hash beacon{};
};

// Any bytes are allowed, from anyone.
[[nodiscard]] ProofAudit audit_proof(ByteView proof, const model::Artifact& artifact);

}  // namespace otr::node

#endif  // OTR_NODE_PROOF_H_

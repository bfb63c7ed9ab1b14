// The audit of a receipt: all its checks, and its answer computed again (SPEC RCPT-2 to RCPT-4).
#ifndef OTR_NODE_AUDIT_H_
#define OTR_NODE_AUDIT_H_

#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "attest/policy.h"
#include "engine/packed.h"
#include "model/artifact.h"
#include "protocol/attested_session.h"
#include "protocol/receipt.h"
#include "protocol/verify.h"

namespace otr::node {

struct Audit {
  protocol::Report report;  // in the order of the SPEC; stops at the first failure
  std::optional<protocol::Receipt> receipt;
  // What the evidence of the receipt's session is worth, where it was appraised.
  std::optional<protocol::SessionVerdict> session;
  bool recomputed = false;    // the recomputation ran and agreed
  bool proven = false;        // a proof of the whole pass was checked and holds (node/proof.h)
  bool proof_failed = false;  // the failure is the proof's, not that of the receipt in it
  // Why recomputing came to no verdict (stopped by the user), where it did not.
  std::optional<Error> inconclusive;

  bool failed() const { return report.failure() != nullptr; }
};

struct AuditOptions {
  // By which the evidence of a session is appraised, at the time `at`; null: it is not. `anchors`
  // are the vendors' where null.
  const attest::Policy* policy = nullptr;
  const attest::Anchors* anchors = nullptr;
  attest::Time at = 0;
  // The artifact's weights, with which the answer is computed again; null: it is not.
  const engine::PackedModel* recompute_with = nullptr;
  unsigned threads = 1;
  std::function<bool()> cancelled = [] { return false; };
};

// Any text is allowed, from anyone.
Audit audit(std::string_view receipt_text, const model::Artifact& artifact,
            const AuditOptions& options);

}  // namespace otr::node

#endif  // OTR_NODE_AUDIT_H_

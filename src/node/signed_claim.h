// From an answer to a claim, and from a claim to a receipt (SPEC CLAIM, RCPT): the one place where
// a session's key signs.
#ifndef OTR_NODE_SIGNED_CLAIM_H_
#define OTR_NODE_SIGNED_CLAIM_H_

#include <cstdint>
#include <span>
#include <vector>

#include "base/bytes.h"
#include "crypto/secp256k1.h"
#include "machine/model.h"
#include "protocol/claim.h"
#include "protocol/finish.h"
#include "protocol/receipt.h"
#include "protocol/request.h"
#include "trace/trace.h"

namespace otr::node {

// Who signs claims, and for what.
struct ClaimSigner {
  crypto::PrivateKey key;  // of the session
  Hash session{};          // its id; zero where none is registered (SPEC CLAIM-2)
  Hash ledger{};           // zero where there is none yet
};

// A whole answer with its claim: all that a receipt needs beside request, prompt and operator.
struct Finished {
  protocol::Claim claim;
  crypto::Signature claim_signature{};
  crypto::Address signer{};
  std::vector<std::uint32_t> output_ids;
  std::vector<Hash> trace_path;  // opens header and token root in the trace
};

// Signs that `trace`, which holds all rows of prompt and output, answers the request (SPEC
// CLAIM-1). The caller answers for it that the request is checked and the answer whole. The same
// arguments give the same bytes: signatures are those of RFC 6979.
[[nodiscard]] Finished sign_claim(const protocol::Request& request,
                                  std::vector<std::uint32_t> output_ids,
                                  protocol::FinishReason reason, const trace::TraceBuilder& trace,
                                  const ClaimSigner& signer);

// The receipt of a key that an ordinary program made (SPEC RCPT-5), countersigned by the operator,
// whose stake the claim risks. Requires ids below the vocabulary.
[[nodiscard]] protocol::Receipt make_receipt(const protocol::SignedRequest& request,
                                             std::span<const std::uint32_t> prompt_ids,
                                             Finished finished, const machine::Model& model,
                                             const crypto::PrivateKey& operator_key,
                                             const Hash& ledger = {});

}  // namespace otr::node

#endif  // OTR_NODE_SIGNED_CLAIM_H_

// One signed request in, one receipt out (SPEC REQ, CLAIM, RCPT), on the caller's thread and with
// both keys in one hand. A service that answers many is inference.h; this is what each of its
// answers has to equal.
#ifndef OTR_NODE_WORKER_H_
#define OTR_NODE_WORKER_H_

#include <cstdint>
#include <functional>
#include <span>

#include "base/result.h"
#include "crypto/secp256k1.h"
#include "engine/forward.h"
#include "engine/generate.h"
#include "model/artifact.h"
#include "node/signed_claim.h"
#include "protocol/receipt.h"
#include "protocol/request.h"

namespace otr::node {

class Worker {
 public:
  // `packed` holds the weights of `artifact`, whose own are not read; both must outlive the worker.
  Worker(const model::Artifact& artifact, const engine::PackedModel& packed,
         crypto::PrivateKey session_key, crypto::PrivateKey operator_key, unsigned threads);

  // Answers one request. `on_token` sees each id as it is chosen; `cancelled` is asked before every
  // pass. An answer is signed only when it is whole: every error leaves nothing signed.
  // `on_logits`, where given, sees the rows that tokens are chosen from; nothing of it is signed.
  Result<protocol::Receipt> serve(const protocol::SignedRequest& request,
                                  std::span<const std::uint32_t> prompt_ids,
                                  const std::function<void(std::uint32_t)>& on_token,
                                  const std::function<bool()>& cancelled,
                                  const engine::OnLogits& on_logits = {});

 private:
  const model::Artifact& artifact_;
  ClaimSigner signer_;
  crypto::PrivateKey operator_key_;
  engine::Forward forward_;
};

}  // namespace otr::node

#endif  // OTR_NODE_WORKER_H_

// The keys of a session, from their birth to their registration (SPEC SESS).
//
// An Enclave is made inside a TEE, once for each session of a worker (sessions.h): it makes its
// keys, asks the hardware for evidence that binds them to model, runtime and operator, and hands
// the session document out. The keys never leave it but for the signatures that it makes; they are
// wiped when it goes and the last answer that is signed under it has ended. The operator's key is
// not here.
#ifndef OTR_NODE_ENCLAVE_H_
#define OTR_NODE_ENCLAVE_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "crypto/ed25519.h"
#include "crypto/secp256k1.h"
#include "crypto/x25519.h"
#include "node/evidence.h"
#include "node/signed_claim.h"
#include "protocol/session.h"

namespace otr::node {

struct EnclaveOptions {
  crypto::Address operator_address{};
  Hash model_root{};
  Hash ledger{};  // where the session is to be registered; zero: nowhere
  std::uint64_t epoch = 1;
  std::int64_t not_before = 0;  // unix seconds
  std::uint64_t lifetime_seconds = 86400;
  Hash beacon{};  // recent public randomness; random bytes where there is none
  // Vendors' collateral for the evidence, stapled so that the document can be appraised offline;
  // asked for anew for each document, since it runs out sooner than a session. Empty: none.
  std::function<Result<std::vector<protocol::EvidenceItem>>()> collateral;
};

class Enclave {
 public:
  // Asks `tee` twice: what the machine measures is part of what its evidence then binds. `gpus` may
  // be null. Both must outlive the enclave. Errors as of evidence.h.
  static Result<std::unique_ptr<Enclave>> create(EvidenceSource& tee, GpuEvidenceSource* gpus,
                                                 const EnclaveOptions& options);

  [[nodiscard]] const Hash& id() const { return id_; }
  // Registered when the session began: nonce zero.
  [[nodiscard]] const protocol::SessionDocument& document() const { return document_; }
  // The same session with evidence made for this nonce. Takes as long as the TEE does, which takes
  // one request at a time: whoever calls sees to that.
  [[nodiscard]] Result<protocol::SessionDocument> fresh_document(const Hash& nonce) const;

  // The session's key, for the answers that are given under it.
  [[nodiscard]] const std::shared_ptr<const ClaimSigner>& signer() const { return signer_; }
  [[nodiscard]] const crypto::X25519Key& seal_key() const { return keys_.seal; }
  [[nodiscard]] const crypto::Ed25519Key& receipt_key() const { return keys_.receipt; }

 private:
  struct Keys {
    crypto::PrivateKey session;  // the signer's, once the session has its id
    crypto::X25519Key seal;
    crypto::Ed25519Key receipt;
  };
  Enclave(EvidenceSource& tee, Keys keys) : tee_(tee), keys_(std::move(keys)) {}
  static Result<Keys> new_keys();

  EvidenceSource& tee_;
  Keys keys_;
  std::shared_ptr<const ClaimSigner> signer_;
  Hash ledger_{};
  protocol::Session session_;
  std::vector<protocol::EvidenceItem> gpus_;
  std::function<Result<std::vector<protocol::EvidenceItem>>()> collateral_;
  Hash id_{};
  protocol::SessionDocument document_;
};

}  // namespace otr::node

#endif  // OTR_NODE_ENCLAVE_H_

// ACI's face of a gateway that runs inside a TEE (docs/service.md): evidence of the gateway's own,
// receipts over exact bytes, and the records of its workers' sessions, as any verifier of aci/1
// reads them. What OTR itself promises (SPEC GATE-1 to GATE-11) does not rest on any of it.
//
//   GET /v1/aci/attestation[?nonce=64 digits]     a report over the keyset and the nonce
//   GET /v1/aci/receipts/{id}                     to the API key that asked, and no other
//   GET /v1/aci/sessions[?upstream_name=&model=], /v1/aci/sessions/{id}
//   X-ACI-Version, X-ACI-Keyset-Digest            on every answer of the gateway
//
// The receipt key lives in memory alone: a restart, or the end of a keyset, makes a new one. Keep
// the report beside a receipt that is to be checked later. A gateway of several workers cannot bind
// a request to one of them, so `provider.aci_session_ids` has to name all that might answer.
#ifndef OTR_SERVICE_ACI_H_
#define OTR_SERVICE_ACI_H_

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "node/evidence.h"
#include "service/aci_exchange.h"
#include "service/aci_ledger.h"
#include "service/work_queue.h"

namespace otr::service {

struct AciOptions {
  std::shared_ptr<node::EvidenceSource> tee;
  std::filesystem::path file;  // where receipts and session records are kept: aci.sqlite
  bool sealed = false;         // requests are sealed to the workers (mode 1)
  std::string allow_origin;    // as FrontOptions::allow_origin: verifiers run in browsers too
  std::int64_t keyset_seconds = 30 * 86400;
  std::function<std::int64_t()> unix_seconds;  // env::unix_seconds where empty
};

// What ACI asks of its gateway; called on the threads of Aci and of the server.
struct AciHost {
  // Front::authorize.
  std::function<std::optional<Hash>(const std::shared_ptr<net::Exchange>&)> authorize;
  // Sessions of all workers as they are now.
  std::function<std::vector<std::shared_ptr<const AppraisedSession>>()> sessions;
  // The root of a model by the name it is served under.
  std::function<std::optional<Hash>(std::string_view)> model_root;
};

class Aci {
 public:
  // Asks the TEE once, so that what cannot attest does not start. Errors as of evidence.h and
  // ReceiptStore::open.
  static Result<std::unique_ptr<Aci>> start(AciOptions options);
  ~Aci();
  Aci(const Aci&) = delete;
  Aci& operator=(const Aci&) = delete;

  // The upstream for the front: notes what is forwarded. `inner` must outlive it, and Aci the
  // calls.
  [[nodiscard]] std::unique_ptr<Upstream> watch(Upstream& inner);

  // Any request of the gateway. The exchange to go on with, or null where it is answered already.
  [[nodiscard]] std::shared_ptr<net::Exchange> admit(std::shared_ptr<net::Exchange> exchange,
                                                     const AciHost& host);

 private:
  struct Constraints {
    std::optional<std::string> model;
    std::vector<std::string> sessions;
  };
  explicit Aci(AciOptions options) : options_(std::move(options)) {}
  [[nodiscard]] Result<std::shared_ptr<const AciKeys>> keys();
  [[nodiscard]] Result<std::string> report(const AciKeys& keys,
                                           const std::optional<std::string>& nonce);
  void later(const std::shared_ptr<AciExchange>& exchange, std::function<net::Response()> answer);
  void attestation(const std::shared_ptr<AciExchange>& exchange,
                   const std::shared_ptr<const AciKeys>& keys);
  void receipt(const std::shared_ptr<AciExchange>& exchange, const Hash& api_key);
  void session(const std::shared_ptr<AciExchange>& exchange);
  void list_sessions(const std::shared_ptr<AciExchange>& exchange, const AciHost& host);
  [[nodiscard]] bool prompt(const std::shared_ptr<AciExchange>& exchange, const Hash& api_key,
                            const AciHost& host);
  [[nodiscard]] bool may_serve(const Constraints& asked, const AciHost& host);

  const AciOptions options_;
  std::unique_ptr<ReceiptStore> store_;
  std::shared_ptr<AciLedger> ledger_;
  std::mutex mutex_;
  std::shared_ptr<const AciKeys> keys_;
  std::atomic<std::uint32_t> waiting_ = 0;
  std::unique_ptr<WorkQueue> queue_;  // one thread: a report interface takes one request at a time
};

// For a gateway outside of a TEE: whether the request was one to ACI, which is then answered 503.
[[nodiscard]] bool refuse_aci(const std::shared_ptr<net::Exchange>& exchange);

}  // namespace otr::service

#endif  // OTR_SERVICE_ACI_H_

// The gateway: where clients of any kind come in, and workers of one operator stand behind (SPEC
// GATE-6, GATE-7).
//
// To clients that verify (otr proxy, the client library) it passes on what they signed and what the
// worker answers, and adds the operator's countersignature. For clients that speak only OpenAI's
// format it is the front: it signs the request itself, and they have to trust it for that.
#ifndef OTR_SERVICE_GATEWAY_H_
#define OTR_SERVICE_GATEWAY_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "attest/policy.h"
#include "base/result.h"
#include "node/evidence.h"
#include "service/front_server.h"
#include "service/worker_pool.h"

namespace otr::service {

struct GatewayOptions {
  std::vector<std::string> worker_urls;
  std::string worker_ca_file;  // of workers behind https; empty: the system's authorities
  // By which it takes workers into use; nobody relies on it but the gateway itself.
  attest::Policy policy;
  // Of the gateway itself, for ACI (aci.h); null: outside of a TEE, without ACI.
  std::shared_ptr<node::EvidenceSource> tee;
  // Why no answer could be given now, whatever its worker said; empty: nothing can be wrong. Asked
  // on any thread, must not block.
  std::function<Status()> is_ready = {};
  FrontServerOptions server;
};

class Gateway {
 public:
  // The key "operator" of `home` countersigns. Does not wait for workers.
  static Result<std::unique_ptr<Gateway>> start(const node::Home& home,
                                                std::vector<ServedModel> models,
                                                GatewayOptions options);
  ~Gateway();

  [[nodiscard]] std::uint16_t port() const;
  [[nodiscard]] WorkerPool& workers();
  void stop(std::uint32_t deadline_ms);

 private:
  class Body;
  explicit Gateway(std::unique_ptr<Body> body);
  std::unique_ptr<Body> body_;
};

}  // namespace otr::service

#endif  // OTR_SERVICE_GATEWAY_H_

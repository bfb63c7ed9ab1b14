// The worker's face: its sessions, and submissions in, streams of messages out (SPEC GATE-1 to
// GATE-4, GATE-12, SEAL).
//
// Speaks to gateways only; it knows no API keys, no OpenAI format and no receipts. Whoever reaches
// its port can ask for work, so it listens on loopback or a private network.
#ifndef OTR_SERVICE_WORKER_SERVER_H_
#define OTR_SERVICE_WORKER_SERVER_H_

#include <cstdint>
#include <memory>

#include "base/result.h"
#include "net/server.h"
#include "node/inference.h"
#include "node/sessions.h"

namespace otr::service {

class WorkerServer {
 public:
  // Listens from now on. `sessions` and `inference` must outlive it.
  static Result<std::unique_ptr<WorkerServer>> start(const net::ServerOptions& options,
                                                     node::Sessions& sessions,
                                                     node::InferenceService& inference);
  ~WorkerServer();

  [[nodiscard]] std::uint16_t port() const;
  // Accepts no more; lets answers end until the deadline.
  void stop(std::uint32_t deadline_ms);

 private:
  class Body;
  explicit WorkerServer(std::unique_ptr<Body> body);
  std::unique_ptr<Body> body_;
};

}  // namespace otr::service

#endif  // OTR_SERVICE_WORKER_SERVER_H_

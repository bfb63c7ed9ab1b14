// The HTTP face of a role that runs by itself, for the people and programs of its own house (otr
// fisherman, otr operator; docs/ledger.md). What strangers may read is ledger_server.h's.
//
//   GET  /metrics       Prometheus's text format
//   GET  /health        200, or 503 with why its last look at the ledger failed
//   GET  /livez
//   GET  /v1/operator   whose receipts it takes, as JSON
//   POST /v1/receipts   one receipt: 200 when it is on disk; the same again too
//
// An error of a receipt is final where it is 400 or 422 (error.code says why) and passes where it
// is 429 or 503.
#ifndef OTR_SERVICE_ROLE_SERVER_H_
#define OTR_SERVICE_ROLE_SERVER_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "base/result.h"
#include "net/server.h"

namespace otr::service {

// Null: there is no such route. All are called from any thread and must not throw.
struct RoleRoutes {
  std::function<std::string()> metrics = {};
  std::function<Status()> health = {};  // must not block
  std::function<std::string()> describe = {};
  // kBadInput where it is no receipt, kReject where it is not one to take, both with a code; kIo
  // where it could not be written, anything else where it may be brought again.
  std::function<Status(const std::string& receipt)> take = {};
};

class RoleServer {
 public:
  // Listens from now on.
  static Result<std::unique_ptr<RoleServer>> start(net::ServerOptions options, RoleRoutes routes);
  ~RoleServer();

  [[nodiscard]] std::uint16_t port() const;
  // Accepts no more; lets answers end until the deadline.
  void stop(std::uint32_t deadline_ms);

 private:
  class Body;
  explicit RoleServer(std::unique_ptr<Body> body);
  std::unique_ptr<Body> body_;
};

}  // namespace otr::service

#endif  // OTR_SERVICE_ROLE_SERVER_H_

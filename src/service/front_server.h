// A front with everything it stands on, listening: what gateway and proxy have in common.
#ifndef OTR_SERVICE_FRONT_SERVER_H_
#define OTR_SERVICE_FRONT_SERVER_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "base/result.h"
#include "net/server.h"
#include "node/keys.h"
#include "service/api_keys.h"
#include "service/front.h"
#include "service/log.h"
#include "service/metrics.h"
#include "service/receipt_store.h"
#include "service/request_signer.h"

namespace otr::service {

struct FrontServerOptions {
  net::ServerOptions listen;
  FrontOptions front;
  ApiKeys keys;                       // none on a loopback address: programs of this machine alone
  const char* client_key = "client";  // that of `home` by which it signs requests
  // ReceiptStore::tell_first; empty: nobody.
  std::function<Status(const std::string& receipt)> on_receipt = {};
};

class FrontServer {
 public:
  // A route beside the front's: whether it took the exchange.
  using Route = std::function<bool(FrontServer&, const std::shared_ptr<net::Exchange>&)>;

  // Keys, counters and receipts are in `home`. `upstream` must outlive it. Listens from now on.
  static Result<std::unique_ptr<FrontServer>> start(const node::Home& home,
                                                    std::vector<ServedModel> models,
                                                    Upstream& upstream, FrontServerOptions options,
                                                    Route route = {});
  ~FrontServer();
  FrontServer(const FrontServer&) = delete;
  FrontServer& operator=(const FrontServer&) = delete;

  [[nodiscard]] std::uint16_t port() const { return server_->port(); }
  [[nodiscard]] ReceiptStore& receipts() { return *store_; }
  [[nodiscard]] Front& front() { return *front_; }
  [[nodiscard]] const std::shared_ptr<Metrics>& metrics() { return metrics_; }
  // Takes no more requests; lets answers end until the deadline, then ends them.
  void stop(std::uint32_t deadline_ms);

 private:
  FrontServer() = default;
  void handle(const std::shared_ptr<net::Exchange>& exchange);

  Log log_;
  std::shared_ptr<Metrics> metrics_ = std::make_shared<Metrics>();
  std::unique_ptr<RequestSigner> signer_;
  std::unique_ptr<ReceiptStore> store_;
  bool is_for_this_machine_ = false;
  std::unique_ptr<Front> front_;
  Route route_;
  std::unique_ptr<net::Server> server_;
};

}  // namespace otr::service

#endif  // OTR_SERVICE_FRONT_SERVER_H_

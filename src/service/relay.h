// A gateway's passing on of submissions that a client signed itself (SPEC GATE-5, GATE-6).
//
// What comes from the worker goes to the client message by message; the gateway adds its
// countersignature to the claim. An open answer is verified and its receipt stored before the claim
// goes out (GATE-10); of a sealed one the gateway sees the claim alone and stores that.
#ifndef OTR_SERVICE_RELAY_H_
#define OTR_SERVICE_RELAY_H_

#include <functional>
#include <memory>
#include <vector>

#include "base/bytes.h"
#include "machine/model.h"
#include "net/client.h"
#include "net/server.h"
#include "service/receipt_store.h"
#include "service/worker_pool.h"

namespace otr::service {

struct RelayContext {
  net::Client* client = nullptr;
  WorkerPool* workers = nullptr;
  ReceiptStore* receipts = nullptr;
  // The model of a root; null where it is not served here.
  std::function<const machine::Model*(const Hash& model_root)> model;
  std::function<std::int64_t()> unix_seconds;
};

// Answers POST /v1/otr/requests. All that the context points to must outlive the exchange.
void relay_submission(const RelayContext& context, std::shared_ptr<net::Exchange> exchange,
                      const Hash& api_key);

}  // namespace otr::service

#endif  // OTR_SERVICE_RELAY_H_

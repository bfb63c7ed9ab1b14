#include "service/front_server.h"

#include <utility>

#include "service/local_request.h"

namespace otr::service {

Result<std::unique_ptr<FrontServer>> FrontServer::start(const node::Home& home,
                                                        std::vector<ServedModel> models,
                                                        Upstream& upstream,
                                                        FrontServerOptions options, Route route) {
  std::unique_ptr<FrontServer> made(new FrontServer);
  OTR_TRY_ASSIGN(made->signer_, RequestSigner::open(home, options.client_key));
  OTR_TRY_ASSIGN(made->store_, ReceiptStore::open(home.folder() / "receipts.sqlite"));
  if (options.on_receipt) made->store_->tell_first(std::move(options.on_receipt));
  made->is_for_this_machine_ = options.keys.is_open() && options.front.allow_origin.empty() &&
                               is_loopback(options.listen.address);
  made->front_ = std::make_unique<Front>(std::move(models), std::move(options.keys),
                                         FrontServices{.upstream = upstream,
                                                       .signer = *made->signer_,
                                                       .store = *made->store_,
                                                       .metrics = *made->metrics_,
                                                       .log = made->log_},
                                         options.front);
  made->route_ = std::move(route);
  OTR_TRY_ASSIGN(made->server_,
                 net::Server::start(std::move(options.listen),
                                    [raw = made.get()](std::shared_ptr<net::Exchange> exchange) {
                                      raw->handle(exchange);
                                    }));
  return made;
}

FrontServer::~FrontServer() { stop(0); }

void FrontServer::handle(const std::shared_ptr<net::Exchange>& exchange) {
  if (is_for_this_machine_ && !is_local(exchange->request())) {
    exchange->respond(net::error_response(
        403, "permission_error", "not_local",
        "This server takes requests of this machine's programs alone, under 127.0.0.1 or "
        "localhost: give it --api-keys for others, or --allow-origin for a web page."));
    return;
  }
  if (!route_ || !route_(*this, exchange)) front_->handle(exchange);
}

void FrontServer::stop(std::uint32_t deadline_ms) {
  if (front_) front_->drain();
  if (server_) server_->stop(deadline_ms);
  if (front_) front_->stop();
}

}  // namespace otr::service

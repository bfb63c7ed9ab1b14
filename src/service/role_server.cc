#include "service/role_server.h"

#include <atomic>
#include <string_view>
#include <utility>

#include "protocol/receipt.h"
#include "service/work_queue.h"

namespace otr::service {
namespace {

using net::Exchange;

constexpr unsigned kThreads = 2;
// Receipts under way: each is held in memory.
constexpr unsigned kMaxAtOnce = 64;
constexpr std::string_view kReceipts = "/v1/receipts";

net::Response unavailable(unsigned status, std::string_view code, std::string_view message) {
  net::Response response = net::error_response(
      status, status == 429 ? "rate_limit_error" : "unavailable_error", code, message);
  response.headers.push_back({"Retry-After", "1"});
  return response;
}

net::Response to_response(const Status& taken) {
  if (taken) return net::json_response(200, R"({"status":"taken"})");
  const Error& error = taken.error();
  const std::string_view code = error.code;
  switch (error.kind) {
    case ErrorKind::kBadInput:
      return net::error_response(400, "invalid_request_error", code.empty() ? "MALFORMED" : code,
                                 error.message);
    case ErrorKind::kReject:
      return net::error_response(422, "invalid_request_error", code, error.message);
    case ErrorKind::kIo:
      return unavailable(503, "not_written", error.message);
    default:
      return unavailable(503, code.empty() ? "not_ready" : code, error.message);
  }
}

}  // namespace

class RoleServer::Body {
 public:
  explicit Body(RoleRoutes routes) : routes_(std::move(routes)) {}
  ~Body() {
    server_.reset();
    work_.stop();
  }

  Status start(net::ServerOptions options) {
    options.max_body_bytes = protocol::kMaxReceiptBytes;
    options.max_connections = 64;  // each may bring the longest receipt
    OTR_TRY_ASSIGN(server_, net::Server::start(options, [this](std::shared_ptr<Exchange> exchange) {
                     handle(std::move(exchange));
                   }));
    return {};
  }

  net::Server& server() { return *server_; }

 private:
  void handle(std::shared_ptr<Exchange> exchange) {
    const net::Request& request = exchange->request();
    const char* const method = method_of(request.path);
    if (method == nullptr) {
      exchange->respond(net::error_response(404, "invalid_request_error", "not_found",
                                            "There is no " + request.path + " here."));
    } else if (request.method != method) {
      exchange->respond(net::error_response(405, "invalid_request_error", "method_not_allowed",
                                            request.path + " takes " + method + "."));
    } else if (request.path == kReceipts) {
      take(std::move(exchange));
    } else {
      exchange->respond(answer(request.path));
    }
  }

  // Null where there is no such route.
  const char* method_of(std::string_view path) const {
    if (path == kReceipts) return routes_.take ? "POST" : nullptr;
    const bool is_known = path == "/livez" || (path == "/metrics" && routes_.metrics) ||
                          (path == "/health" && routes_.health) ||
                          (path == "/v1/operator" && routes_.describe);
    return is_known ? "GET" : nullptr;
  }

  net::Response answer(std::string_view path) const {
    if (path == "/metrics") {
      return {.status = 200,
              .headers = {{"Content-Type", "text/plain; version=0.0.4"}},
              .body = routes_.metrics()};
    }
    if (path == "/v1/operator") return net::json_response(200, routes_.describe());
    const Status well = path == "/health" ? routes_.health() : Status();
    if (well) return net::json_response(200, R"({"status":"ok"})");
    return unavailable(503, "not_well", well.error().message);
  }

  // The disk is waited for, and signatures are checked, on another thread.
  void take(std::shared_ptr<Exchange> exchange) {
    if (at_once_.fetch_add(1) >= kMaxAtOnce) {
      --at_once_;
      exchange->respond(unavailable(429, "busy", "Too many receipts at once: try again."));
      return;
    }
    work_.post([this, exchange = std::move(exchange)] {
      const Status taken = routes_.take(exchange->request().body);
      --at_once_;  // before the asker hears of it, who may ask again at once
      exchange->respond(to_response(taken));
    });
  }

  const RoleRoutes routes_;
  std::atomic<unsigned> at_once_ = 0;
  WorkQueue work_{kThreads};
  std::unique_ptr<net::Server> server_;
};

RoleServer::RoleServer(std::unique_ptr<Body> body) : body_(std::move(body)) {}
RoleServer::~RoleServer() = default;

Result<std::unique_ptr<RoleServer>> RoleServer::start(net::ServerOptions options,
                                                      RoleRoutes routes) {
  auto body = std::make_unique<Body>(std::move(routes));
  OTR_TRY(body->start(std::move(options)));
  return std::unique_ptr<RoleServer>(new RoleServer(std::move(body)));
}

std::uint16_t RoleServer::port() const { return body_->server().port(); }
void RoleServer::stop(std::uint32_t deadline_ms) { body_->server().stop(deadline_ms); }

}  // namespace otr::service

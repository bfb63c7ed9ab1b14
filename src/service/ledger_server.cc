#include "service/ledger_server.h"

#include <algorithm>
#include <atomic>
#include <charconv>
#include <mutex>
#include <utility>
#include <vector>

#include "base/hex.h"
#include "ledger/transaction.h"
#include "service/ledger_wire.h"
#include "service/work_queue.h"

namespace otr::service {
namespace {

using net::Exchange;

constexpr unsigned kThreads = 2;
// Requests that wait for an answer or are being answered.
constexpr unsigned kMaxAtOnce = 32;
// Longer answers count until they are written.
constexpr std::size_t kSmallBytes = std::size_t{64} << 10;
// Our own clients wait no longer for an answer (ledger_client.h).
constexpr std::uint32_t kAnswerTimeoutMs = 60'000;
constexpr std::string_view kClaims = "/v1/claims/", kProofs = "/v1/proofs/";

net::Response invalid(std::string_view code, std::string_view message,
                      std::string_view param = {}) {
  return net::error_response(400, "invalid_request_error", code, message, param);
}

net::Response unavailable(const Error& error) {
  return net::error_response(503, "unavailable_error", "ledger_unavailable", error.message);
}

net::Response busy() {
  net::Response response = net::error_response(429, "rate_limit_error", "ledger_busy",
                                               "Too many ask at once: try again in a second.");
  response.headers.push_back({"Retry-After", "1"});
  return response;
}

net::Response binary(std::string body) {
  return {.status = 200,
          .headers = {{"Content-Type", "application/octet-stream"}, {"Cache-Control", "no-store"}},
          .body = std::move(body)};
}

Result<std::uint64_t> parse_after(std::string_view query) {
  OTR_TRY_ASSIGN(const auto members, net::parse_query(query));
  const auto text = net::find_header(members, "after");
  std::uint64_t after = 0;
  if (members.size() == 1 && text) {
    const auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), after);
    if (error == std::errc() && end == text->data() + text->size()) return after;
  }
  return fail(ErrorKind::kBadInput, "The query is after=HEIGHT, a decimal number, and no more.");
}

net::Response genesis(rollup::LedgerPort& ledger) {
  const auto bytes = ledger.genesis();
  return bytes ? binary(std::string(as_text(*bytes))) : unavailable(bytes.error());
}

net::Response rows(rollup::LedgerPort& ledger, std::string_view query) {
  const auto after = parse_after(query);
  if (!after) return invalid("invalid_query", after.error().message, "after");
  const auto found = ledger.rows(*after);
  return found ? binary(encode_rows(*found)) : unavailable(found.error());
}

net::Response submit(rollup::LedgerPort& ledger, const std::string& body) {
  if (body.empty() || body.size() > ledger::kMaxTransactionBytes) {
    return invalid("invalid_transaction", "The body is one transaction, as bytes.");
  }
  const Status taken = ledger.submit(as_bytes(body));
  if (taken) return net::json_response(200, R"({"status":"taken"})");
  const Error& error = taken.error();
  if (error.kind != ErrorKind::kReject && error.kind != ErrorKind::kBadInput) {
    return unavailable(error);
  }
  return net::error_response(422, "invalid_request_error",
                             error.code.empty() ? "MALFORMED" : error.code, error.message);
}

net::Response receipts(rollup::DataPort& data, std::string_view path) {
  const auto root = hash_from_hex(path.substr(kClaims.size()), "batch root");
  if (!root) return invalid("invalid_root", root.error().message);
  const auto found = data.receipts(*root);
  if (!found && found.error().kind != ErrorKind::kBadInput) return unavailable(found.error());
  auto text = found ? encode_receipts(*found) : std::unexpected(found.error());
  if (!text) {
    return net::error_response(404, "invalid_request_error", "no_receipts", text.error().message);
  }
  return {.status = 200,
          .headers = {{"Content-Type", "application/x-ndjson"}},
          .body = *std::move(text)};
}

net::Response proof(rollup::DataPort& data, std::string_view path) {
  const auto digest = hash_from_hex(path.substr(kProofs.size()), "digest");
  if (!digest) return invalid("invalid_digest", digest.error().message);
  const auto found = data.proof(*digest);
  if (found && found->size() <= rollup::kMaxProofBytes) {
    return binary(std::string(as_text(*found)));
  }
  if (!found && found.error().kind != ErrorKind::kBadInput) return unavailable(found.error());
  return net::error_response(404, "invalid_request_error", "no_proof",
                             found ? "The proof is too long." : found.error().message);
}

}  // namespace

class LedgerServer::Body {
 public:
  Body(rollup::LedgerPort* ledger, rollup::DataPort* data, std::size_t max_unwritten_bytes)
      : ledger_(ledger), data_(data), max_unwritten_bytes_(max_unwritten_bytes) {}
  ~Body() {
    server_.reset();
    work_.stop();
  }

  Status start(net::ServerOptions options) {
    options.max_body_bytes = ledger::kMaxTransactionBytes;
    options.answer_timeout_ms = std::min(options.answer_timeout_ms, kAnswerTimeoutMs);
    OTR_TRY_ASSIGN(server_, net::Server::start(options, [this](std::shared_ptr<Exchange> exchange) {
                     handle(std::move(exchange));
                   }));
    return {};
  }

  net::Server& server() { return *server_; }

 private:
  struct Unwritten {
    std::shared_ptr<Exchange> exchange;
    std::size_t bytes = 0;
  };

  void handle(std::shared_ptr<Exchange> exchange) {
    const net::Request& request = exchange->request();
    if (request.path == "/livez" && request.method == "GET") {
      exchange->respond(net::json_response(200, R"({"status":"ok"})"));
      return;
    }
    const char* method = method_of(request.path);
    if (method == nullptr) {
      exchange->respond(net::error_response(404, "invalid_request_error", "not_found",
                                            "There is no " + request.path + " here."));
    } else if (request.method != method) {
      exchange->respond(net::error_response(405, "invalid_request_error", "method_not_allowed",
                                            request.path + " takes " + method + "."));
    } else {
      post(std::move(exchange));
    }
  }

  // Null where there is no such route.
  const char* method_of(std::string_view path) const {
    if (ledger_ != nullptr) {
      if (path == "/v1/ledger/genesis" || path == "/v1/ledger/rows") return "GET";
      if (path == "/v1/ledger/transactions") return "POST";
    }
    const bool is_data = path.starts_with(kClaims) || path.starts_with(kProofs);
    return data_ != nullptr && is_data ? "GET" : nullptr;
  }

  // The disk is waited for, and signatures are checked, on another thread.
  void post(std::shared_ptr<Exchange> exchange) {
    if (at_once_.fetch_add(1) >= kMaxAtOnce) {
      --at_once_;
      exchange->respond(busy());
      return;
    }
    work_.post([this, exchange = std::move(exchange)]() mutable {
      net::Response response = answer(exchange->request());
      --at_once_;  // before the asker hears of it, who may ask again at once
      give(std::move(exchange), std::move(response));
    });
  }

  // `mutex_` is held until it is counted: what is made next sees it.
  void give(std::shared_ptr<Exchange> exchange, net::Response response) {
    const std::lock_guard lock(mutex_);
    const std::size_t bytes = response.body.size();
    if (bytes <= kSmallBytes) {
      exchange->respond(std::move(response));
      return;
    }
    // One that is written in part is held whole.
    std::erase_if(unwritten_,
                  [](const Unwritten& one) { return one.exchange->pending_bytes() == 0; });
    std::size_t held = 0;
    for (const Unwritten& one : unwritten_) held += one.bytes;
    if (bytes > max_unwritten_bytes_ - std::min(held, max_unwritten_bytes_)) {
      exchange->respond(busy());
    } else if (exchange->respond(std::move(response))) {
      unwritten_.push_back({std::move(exchange), bytes});
    }
  }

  net::Response answer(const net::Request& request) {
    if (request.path == "/v1/ledger/genesis") return genesis(*ledger_);
    if (request.path == "/v1/ledger/rows") return rows(*ledger_, request.query);
    if (request.path == "/v1/ledger/transactions") return submit(*ledger_, request.body);
    return request.path.starts_with(kProofs) ? proof(*data_, request.path)
                                             : receipts(*data_, request.path);
  }

  rollup::LedgerPort* const ledger_;
  rollup::DataPort* const data_;
  const std::size_t max_unwritten_bytes_;
  std::atomic<unsigned> at_once_ = 0;
  std::mutex mutex_;
  std::vector<Unwritten> unwritten_;  // under mutex_: longer answers, perhaps written since
  WorkQueue work_{kThreads};
  std::unique_ptr<net::Server> server_;
};

LedgerServer::LedgerServer(std::unique_ptr<Body> body) : body_(std::move(body)) {}
LedgerServer::~LedgerServer() = default;

Result<std::unique_ptr<LedgerServer>> LedgerServer::start(net::ServerOptions options,
                                                          rollup::LedgerPort* ledger,
                                                          rollup::DataPort* data,
                                                          std::size_t max_unwritten_bytes) {
  auto body = std::make_unique<Body>(ledger, data, max_unwritten_bytes);
  OTR_TRY(body->start(std::move(options)));
  return std::unique_ptr<LedgerServer>(new LedgerServer(std::move(body)));
}

std::uint16_t LedgerServer::port() const { return body_->server().port(); }
void LedgerServer::stop(std::uint32_t deadline_ms) { body_->server().stop(deadline_ms); }

}  // namespace otr::service

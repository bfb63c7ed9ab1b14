#include "service/worker_server.h"

#include <atomic>
#include <cmath>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include "base/hex.h"
#include "env/random.h"
#include "net/sse.h"
#include "protocol/sealed.h"
#include "protocol/wire.h"
#include "service/worker_metrics.h"

namespace otr::service {
namespace {

using net::Exchange;
using protocol::StreamMessage;
using protocol::Submission;

// An error before the stream has begun.
net::Response refusal(const Error& error, unsigned retry_after_seconds) {
  switch (error.kind) {
    case ErrorKind::kNetwork: {
      net::Response response =
          net::error_response(429, "rate_limit_error", "worker_busy", error.message);
      response.headers.push_back({"Retry-After", std::to_string(retry_after_seconds)});
      return response;
    }
    case ErrorKind::kCancelled:
      return net::error_response(503, "unavailable_error", "worker_stopping", error.message);
    case ErrorKind::kIo:
      return net::error_response(503, "unavailable_error", "worker_broken", error.message);
    default:
      if (error.code == "session_unknown" ||
          error.code == "other_session") {  // the asker has to ask for the sessions again
        return net::error_response(503, "unavailable_error", error.code, error.message);
      }
      return net::error_response(400, "invalid_request_error",
                                 error.code.empty() ? "invalid_submission" : error.code,
                                 error.message);
  }
}

protocol::ErrorMessage to_message(const Error& error) {
  const bool out_of_range = error.kind == ErrorKind::kOutOfRange;
  const bool stopped = error.kind == ErrorKind::kCancelled;
  return {.status = stopped ? 503U : 500U,
          .type = stopped ? "unavailable_error" : "server_error",
          .code = out_of_range ? "OUT_OF_RANGE"
                  : stopped    ? "worker_stopping"
                               : "worker_failed",
          .message = error.message};
}

// What a sealed submission needs beside the submission inside.
struct OpenedSubmission {
  std::shared_ptr<const node::Enclave> enclave;  // of the session that was asked for
  Submission submission;
  std::optional<protocol::SealedExchange> sealed;
};

// SPEC SEAL-2.
Result<OpenedSubmission> open(const protocol::SealedSubmission& sealed,
                              std::shared_ptr<const node::Enclave> enclave) {
  OTR_TRY_ASSIGN(
      protocol::OpenedRequest opened,
      protocol::open_request(enclave->seal_key(), protocol::seal_context(sealed), sealed.sealed));
  OTR_TRY_ASSIGN(auto inner, protocol::decode_submission(as_text(opened.plaintext)));
  if (!inner.open) return fail(ErrorKind::kBadInput, "A sealed submission holds an open one.");
  const protocol::Request& request = inner.open->request.request;
  const bool same =
      inner.open->session == sealed.session && request.mode == 1 &&
      protocol::digest_of(request, enclave->signer()->ledger) == sealed.request_hash &&
      request.prompt_count == sealed.prompt_count && request.max_tokens == sealed.max_tokens;
  if (!same) {
    return fail(ErrorKind::kBadInput,
                "Inside the sealed submission is another than its outside says (SPEC SEAL-2).");
  }
  return OpenedSubmission{std::move(enclave), *std::move(inner.open), std::move(opened.exchange)};
}

Result<OpenedSubmission> read_submission(const std::string& body, const node::Sessions& sessions) {
  OTR_TRY_ASSIGN(auto any, protocol::decode_submission(body));
  const Hash& asked_for = any.open ? any.open->session : any.sealed->session;
  auto enclave = sessions.find(asked_for);
  if (!enclave) {
    return fail(ErrorKind::kBadInput,
                "This worker has no session " + to_hex(asked_for) +
                    ", or has it no more: ask for the sessions again.",
                "session_unknown");
  }
  if (any.sealed) return open(*any.sealed, std::move(enclave));
  if (any.open->request.request.mode != 0) {
    return fail(ErrorKind::kBadInput, "A request of mode 1 has to be sealed (SPEC SEAL-2).");
  }
  return OpenedSubmission{std::move(enclave), *std::move(any.open), std::nullopt};
}

protocol::TokenLogprob to_message(const node::TokenLogprob& one) {
  return {.id = one.id, .micro_nats = std::llround(one.logprob * 1e6)};
}

protocol::TokenMessage to_message(const node::TokenInfo& token) {
  protocol::TokenMessage message{.id = token.id, .logprobs = {}};
  if (!token.logprobs) return message;
  message.logprobs.push_back(to_message(token.logprobs->chosen));
  for (const node::TokenLogprob& one : token.logprobs->likeliest) {
    message.logprobs.push_back(to_message(one));
  }
  return message;
}

// One answer on its way out. Its callbacks run on the engine thread and must find the stream begun,
// so that all of it is under one lock.
class Answer : public std::enable_shared_from_this<Answer> {
 public:
  Answer(std::shared_ptr<Exchange> exchange, node::InferenceService& inference)
      : exchange_(std::move(exchange)), inference_(inference) {}

  void start(OpenedSubmission opened) {
    const std::lock_guard lock(mutex_);
    if (opened.sealed) {
      Result<Hash> nonce = env::random_32_bytes();
      if (!nonce) return refuse(nonce.error());
      sealer_.emplace(*opened.sealed, *nonce);
      answer_nonce_ = *nonce;
    }
    auto self = shared_from_this();
    const std::string scope = to_hex(opened.submission.request.request.client);
    const auto id = inference_.submit(
        {.signer = opened.enclave->signer(),
         .request = std::move(opened.submission.request),
         .prompt_ids = std::move(opened.submission.prompt_ids),
         .logprobs = opened.submission.logprobs,
         .cache_scope = scope,
         .on_token = [self](const node::TokenInfo& token) { self->token(token); },
         .on_done = [self](Result<node::Finished> done) { self->end(std::move(done)); }});
    if (!id) return refuse(id.error());
    exchange_->begin_stream(200,
                            {{"Content-Type", "text/event-stream"}, {"Cache-Control", "no-store"}});
    if (sealer_) send({.sealed = Bytes(answer_nonce_.begin(), answer_nonce_.end())});
    exchange_->on_disconnect([&inference = inference_, job = *id] { inference.cancel(job); });
  }

 private:
  void refuse(const Error& error) {
    exchange_->respond(refusal(error, inference_.retry_after_seconds()));
  }

  void send(const StreamMessage& message) {
    exchange_->write(net::sse_event(protocol::encode_message(message)));
  }

  // In sealed mode the message travels inside a chunk.
  void send_inside(const StreamMessage& message, bool final) {
    if (!sealer_) return send(message);
    Result<Bytes> chunk = sealer_->seal(as_bytes(protocol::encode_message(message)), final);
    if (!chunk) {
      exchange_->abort();
      return;
    }
    send({.sealed = *std::move(chunk)});
  }

  void token(const node::TokenInfo& token) {
    const std::lock_guard lock(mutex_);
    send_inside({.tokens = {to_message(token)}}, false);
  }

  void end(Result<node::Finished> done) {
    const std::lock_guard lock(mutex_);
    if (!done) {
      send({.error = to_message(done.error())});
    } else {
      send_inside({.trace_path = std::move(done->trace_path)}, true);
      send({.claim = protocol::ClaimMessage{.claim = done->claim,
                                            .signer = done->signer,
                                            .claim_signature = done->claim_signature}});
    }
    exchange_->end();
  }

  std::mutex mutex_;
  std::shared_ptr<Exchange> exchange_;
  node::InferenceService& inference_;
  std::optional<protocol::AnswerSealer> sealer_;
  Hash answer_nonce_{};
};

}  // namespace

class WorkerServer::Body {
 public:
  Body(node::Sessions& sessions, node::InferenceService& inference)
      : sessions_(sessions), inference_(inference) {}
  ~Body() {
    server_.reset();
    if (evidence_thread_.joinable()) evidence_thread_.join();
  }

  Status start(const net::ServerOptions& options) {
    OTR_TRY_ASSIGN(server_, net::Server::start(options, [this](std::shared_ptr<Exchange> exchange) {
                     handle(std::move(exchange));
                   }));
    return {};
  }

  net::Server& server() { return *server_; }

 private:
  void handle(std::shared_ptr<Exchange> exchange) {
    const net::Request& request = exchange->request();
    const bool get = request.method == "GET";
    if (request.path == "/v1/otr/requests") {
      if (request.method == "POST") return answer(std::move(exchange));
    } else if (request.path == "/v1/otr/sessions") {
      if (get) return sessions(exchange);
    } else if (get && (request.path == "/health" || request.path == "/readyz")) {
      return health(*exchange);
    } else if (get && request.path == "/livez") {
      exchange->respond(net::json_response(200, R"({"status":"ok"})"));
      return;
    } else if (get && request.path == "/metrics") {
      exchange->respond({.status = 200,
                         .headers = {{"Content-Type", "text/plain; version=0.0.4"}},
                         .body = worker_metrics(inference_.gauges())});
      return;
    } else {
      exchange->respond(
          net::error_response(404, "invalid_request_error", "not_found",
                              "A worker has no " + request.path + "; clients speak to a gateway."));
      return;
    }
    exchange->respond(net::error_response(405, "invalid_request_error", "method_not_allowed",
                                          request.path + " takes another method."));
  }

  void health(Exchange& exchange) {
    if (!inference_.healthy()) {
      exchange.respond(net::error_response(503, "unavailable_error", "engine_stalled",
                                           "The engine makes no progress: restart the worker."));
    } else if (sessions_.live().empty()) {
      exchange.respond(net::error_response(503, "unavailable_error", "no_session",
                                           "The session is over and no new one could be made."));
    } else {
      exchange.respond(net::json_response(200, R"({"status":"ok"})"));
    }
  }

  void answer(std::shared_ptr<Exchange> exchange) {
    Result<OpenedSubmission> opened = read_submission(exchange->request().body, sessions_);
    if (!opened) {
      exchange->respond(refusal(opened.error(), 1));
      return;
    }
    std::make_shared<Answer>(std::move(exchange), inference_)->start(*std::move(opened));
  }

  static Result<Json> to_json(std::span<const protocol::SessionDocument> documents) {
    Json list = Json::array();
    for (const protocol::SessionDocument& document : documents) {
      OTR_TRY_ASSIGN(Json json, protocol::session_to_json(document));
      list.push_back(std::move(json));
    }
    return Json{{"sessions", std::move(list)}};
  }

  static net::Response to_response(
      const Result<std::vector<protocol::SessionDocument>>& documents) {
    const Result<Json> json = documents ? to_json(*documents) : std::unexpected(documents.error());
    if (json) return net::json_response(200, json->dump());
    return net::error_response(503, "unavailable_error", "no_evidence", json.error().message);
  }

  // As they were registered.
  std::vector<protocol::SessionDocument> documents() const {
    std::vector<protocol::SessionDocument> documents;
    for (const auto& enclave : sessions_.live()) documents.push_back(enclave->document());
    return documents;
  }

  // Fresh evidence takes the hardware up to a second: one asker at a time, on a thread of its own.
  void sessions(std::shared_ptr<Exchange> exchange) {
    const auto query = net::parse_query(exchange->request().query);
    const auto nonce = query ? net::find_header(*query, "nonce") : std::nullopt;
    if (!query || (!nonce && !query->empty())) {
      exchange->respond(net::error_response(400, "invalid_request_error", "invalid_query",
                                            "The query may hold nonce=0x… alone.", "nonce"));
      return;
    }
    if (!nonce) {
      exchange->respond(to_response(documents()));
      return;
    }
    const Result<Hash> hash = hash_from_hex(*nonce, "nonce");
    if (!hash) {
      exchange->respond(net::error_response(400, "invalid_request_error", "invalid_nonce",
                                            hash.error().message, "nonce"));
      return;
    }
    if (collecting_.exchange(true)) {
      net::Response busy = net::error_response(429, "rate_limit_error", "evidence_busy",
                                               "Somebody else is being given fresh evidence.");
      busy.headers.push_back({"Retry-After", "1"});
      exchange->respond(std::move(busy));
      return;
    }
    if (evidence_thread_.joinable()) evidence_thread_.join();
    evidence_thread_ = std::thread([this, exchange, nonce = *hash] {
      net::Response response = to_response(sessions_.fresh_documents(nonce));
      collecting_ = false;  // before the asker hears of it, who may ask again at once
      exchange->respond(std::move(response));
    });
  }

  node::Sessions& sessions_;
  node::InferenceService& inference_;
  std::atomic<bool> collecting_ = false;
  std::thread evidence_thread_;
  std::unique_ptr<net::Server> server_;
};

WorkerServer::WorkerServer(std::unique_ptr<Body> body) : body_(std::move(body)) {}
WorkerServer::~WorkerServer() = default;

Result<std::unique_ptr<WorkerServer>> WorkerServer::start(const net::ServerOptions& options,
                                                          node::Sessions& sessions,
                                                          node::InferenceService& inference) {
  auto body = std::make_unique<Body>(sessions, inference);
  OTR_TRY(body->start(options));
  return std::unique_ptr<WorkerServer>(new WorkerServer(std::move(body)));
}

std::uint16_t WorkerServer::port() const { return body_->server().port(); }
void WorkerServer::stop(std::uint32_t deadline_ms) { body_->server().stop(deadline_ms); }

}  // namespace otr::service

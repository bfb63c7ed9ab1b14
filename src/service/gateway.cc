#include "service/gateway.h"

#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <utility>

#include "base/hex.h"
#include "env/clock.h"
#include "service/aci.h"
#include "service/counted_exchange.h"
#include "service/relay.h"

namespace otr::service {
namespace {

using ExchangePtr = std::shared_ptr<net::Exchange>;

net::Response session_list(const Json& sessions) {
  return net::json_response(200, Json{{"sessions", sessions}}.dump());
}

// Of what the front does not count itself; empty otherwise.
std::string_view route_of(const net::Request& request) {
  const std::string_view path = request.path;
  if (request.method == "POST") return path == "/v1/otr/requests" ? "/v1/otr/requests" : "";
  if (request.method != "GET") return {};
  for (const std::string_view known :
       {"/v1/otr/sessions", "/v1/aci/attestation", "/v1/aci/sessions"}) {
    if (path == known) return known;
  }
  if (path.starts_with("/v1/aci/sessions/")) return "/v1/aci/sessions/{id}";
  if (path.starts_with("/v1/aci/receipts/")) return "/v1/aci/receipts/{id}";
  return {};
}

// Fresh evidence of all workers, asked for side by side; who does not answer is left out, and so is
// a session that this gateway does not use, or not yet: it would take no request for it.
class FreshSessions : public std::enable_shared_from_this<FreshSessions> {
 public:
  FreshSessions(ExchangePtr exchange, std::size_t count)
      : exchange_(std::move(exchange)), bodies_(count), open_(count) {}

  void start(net::Client& client, const WorkerPool& workers) {
    const std::string query = exchange_->request().query;
    for (const auto& worker : workers.workers()) {
      for (const auto& session : worker->sessions()) used_.insert(session->id);
    }
    for (std::size_t i = 0; i < workers.workers().size(); ++i) {
      auto self = shared_from_this();
      client.send({.url = workers.workers()[i]->url() + "/v1/otr/sessions?" + query,
                   .idle_timeout_ms = 30'000},
                  {.on_head = [](unsigned, const net::Headers&) {},
                   .on_body = [self, i](std::string_view part) { self->bodies_[i] += part; },
                   .on_done = [self](const Status&) { self->one_done(); }});
    }
  }

 private:
  bool is_used(const Json& session) const {
    const auto document = protocol::session_from_json(session, "session");
    return document && used_.contains(protocol::session_id(document->session, document->ledger));
  }

  // All calls end on the client's one I/O thread.
  void one_done() {
    if (--open_ > 0) return;
    Json sessions = Json::array();
    for (const std::string& body : bodies_) {
      const Json json = Json::parse(body, nullptr, false);
      if (!json.is_object() || !json.contains("sessions") || !json["sessions"].is_array()) continue;
      for (const Json& session : json["sessions"]) {
        if (is_used(session)) sessions.push_back(session);
      }
    }
    if (sessions.empty()) {
      net::Response busy = net::error_response(503, "unavailable_error", "no_evidence",
                                               "No worker gave fresh evidence; try again.");
      busy.headers.push_back({"Retry-After", "1"});
      exchange_->respond(std::move(busy));
      return;
    }
    exchange_->respond(session_list(sessions));
  }

  ExchangePtr exchange_;
  std::set<Hash> used_;
  std::vector<std::string> bodies_;
  std::size_t open_;
};

// Gives no session, so that nothing is computed, while no answer could be given.
class ReadyUpstream final : public Upstream {
 public:
  ReadyUpstream(Upstream& inner, std::function<Status()> is_ready)
      : inner_(inner), is_ready_(std::move(is_ready)) {}
  std::expected<std::shared_ptr<const AppraisedSession>, UpstreamError> session(
      const Hash& model_root) override {
    if (const Status ready = is_ready_(); !ready) {
      return std::unexpected(UpstreamError{.status = 503,
                                           .type = "unavailable_error",
                                           .code = "not_ready",
                                           .message = ready.error().message});
    }
    return inner_.session(model_root);
  }
  std::shared_ptr<UpstreamCall> submit(const protocol::Submission& submission,
                                       const std::shared_ptr<const AppraisedSession>& session,
                                       UpstreamEvents events) override {
    return inner_.submit(submission, session, std::move(events));
  }

 private:
  Upstream& inner_;
  const std::function<Status()> is_ready_;
};

}  // namespace

class Gateway::Body {
 public:
  static Result<std::unique_ptr<Body>> start(const node::Home& home,
                                             std::vector<ServedModel> models,
                                             GatewayOptions options) {
    auto body = std::make_unique<Body>();
    OTR_TRY_ASSIGN(body->client_, net::Client::create({.ca_file = options.worker_ca_file}));
    OTR_TRY_ASSIGN(crypto::PrivateKey operator_key, home.key("operator"));
    const auto key = std::make_shared<const crypto::PrivateKey>(std::move(operator_key));
    std::vector<std::unique_ptr<HttpUpstream>> workers;
    for (const std::string& url : options.worker_urls) {
      workers.push_back(HttpUpstream::start(
          *body->client_, {.url = url, .policy = options.policy, .operator_key = key}));
    }
    body->workers_ = std::make_unique<WorkerPool>(std::move(workers));
    for (const ServedModel& model : models) {
      body->models_[model.artifact->root()] = model.artifact;
      for (const std::string& name : model.names) body->roots_[name] = model.artifact->root();
    }
    Upstream* upstream = body->workers_.get();
    // SPEC GATE-8: for a client that signs nothing it signs as what it is.
    options.server.client_key = "operator";
    if (options.tee) {
      OTR_TRY_ASSIGN(body->aci_, Aci::start({.tee = std::move(options.tee),
                                             .file = home.folder() / "aci.sqlite",
                                             .sealed = options.server.front.mode != 0,
                                             .allow_origin = options.server.front.allow_origin}));
      body->watched_ = body->aci_->watch(*body->workers_);
      upstream = body->watched_.get();
    }
    if (options.is_ready) {
      body->ready_ = std::make_unique<ReadyUpstream>(*upstream, std::move(options.is_ready));
      upstream = body->ready_.get();
    }
    OTR_TRY_ASSIGN(
        body->server_,
        FrontServer::start(home, std::move(models), *upstream, std::move(options.server),
                           [raw = body.get()](FrontServer& server, const ExchangePtr& exchange) {
                             return raw->handle(server, exchange);
                           }));
    return body;
  }

  ~Body() {
    // Answers end before what they stand on goes.
    server_.reset();
    ready_.reset();
    aci_.reset();
    watched_.reset();
    workers_.reset();
    client_.reset();
  }

  FrontServer& server() { return *server_; }
  WorkerPool& workers() { return *workers_; }

 private:
  bool handle(FrontServer& server, ExchangePtr given) {
    const std::string_view route = route_of(given->request());
    if (!route.empty()) {
      given = std::make_shared<CountedExchange>(std::move(given), server.metrics(), route);
    }
    if (!aci_) return refuse_aci(given) || handle_ours(server, given);
    const ExchangePtr exchange = aci_->admit(
        given,
        {.authorize = [&server](const ExchangePtr& one) { return server.front().authorize(one); },
         .sessions = [this] { return all_sessions(); },
         .model_root = [this](std::string_view name) { return root_of(name); }});
    if (exchange && !handle_ours(server, exchange)) server.front().handle(exchange);
    return true;
  }

  bool handle_ours(FrontServer& server, const ExchangePtr& exchange) {
    const net::Request& request = exchange->request();
    if (request.path == "/v1/otr/sessions" && request.method == "GET") {
      sessions(exchange);
      return true;
    }
    if (request.path != "/v1/otr/requests" || request.method != "POST") return false;
    if (const auto key = server.front().authorize(exchange)) {
      relay_submission({.client = client_.get(),
                        .workers = workers_.get(),
                        .receipts = &server.receipts(),
                        .model = [this](const Hash& root) { return model(root); },
                        .unix_seconds = env::unix_seconds},
                       exchange, *key);
    }
    return true;
  }

  // Sessions are for everybody: whoever wants to know whom he would trust needs no key.
  void sessions(const ExchangePtr& exchange) {
    const auto query = net::parse_query(exchange->request().query);
    if (!query || query->size() > 1 || (query->size() == 1 && query->front().name != "nonce")) {
      exchange->respond(net::error_response(400, "invalid_request_error", "invalid_query",
                                            "The query may hold nonce=0x… alone.", "nonce"));
      return;
    }
    if (!query->empty()) {
      std::make_shared<FreshSessions>(exchange, workers_->workers().size())
          ->start(*client_, *workers_);
      return;
    }
    Json list = Json::array();
    for (const auto& session : all_sessions()) {
      if (auto json = protocol::session_to_json(session->document)) {
        list.push_back(*std::move(json));
      }
    }
    exchange->respond(session_list(list));
  }

  std::vector<std::shared_ptr<const AppraisedSession>> all_sessions() const {
    std::vector<std::shared_ptr<const AppraisedSession>> all;
    for (const auto& worker : workers_->workers()) {
      const auto some = worker->sessions();
      all.insert(all.end(), some.begin(), some.end());
    }
    return all;
  }

  std::optional<Hash> root_of(std::string_view name) const {
    const auto found = roots_.find(name);
    return found == roots_.end() ? std::nullopt : std::optional(found->second);
  }

  const machine::Model* model(const Hash& root) const {
    const auto found = models_.find(root);
    return found == models_.end() ? nullptr : &found->second->view();
  }

  std::unique_ptr<net::Client> client_;
  std::unique_ptr<WorkerPool> workers_;
  std::map<Hash, std::shared_ptr<const model::Artifact>> models_;
  std::map<std::string, Hash, std::less<>> roots_;  // by the names that models are served under
  std::unique_ptr<Aci> aci_;                        // null: outside of a TEE
  std::unique_ptr<Upstream> watched_;
  std::unique_ptr<Upstream> ready_;  // null: always
  std::unique_ptr<FrontServer> server_;
};

Result<std::unique_ptr<Gateway>> Gateway::start(const node::Home& home,
                                                std::vector<ServedModel> models,
                                                GatewayOptions options) {
  if (options.worker_urls.empty()) {
    return fail(ErrorKind::kUsage, "a gateway needs at least one worker: --worker URL");
  }
  OTR_TRY_ASSIGN(auto body, Body::start(home, std::move(models), std::move(options)));
  return std::unique_ptr<Gateway>(new Gateway(std::move(body)));
}

Gateway::Gateway(std::unique_ptr<Body> body) : body_(std::move(body)) {}
Gateway::~Gateway() = default;
std::uint16_t Gateway::port() const { return body_->server().port(); }
WorkerPool& Gateway::workers() { return body_->workers(); }
void Gateway::stop(std::uint32_t deadline_ms) { body_->server().stop(deadline_ms); }

}  // namespace otr::service

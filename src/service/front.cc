#include "service/front.h"

#include <algorithm>

#include "base/check.h"
#include "base/hex.h"
#include "env/clock.h"
#include "env/random.h"
#include "openai/openapi.h"
#include "service/error_answer.h"
#include "service/front_parts.h"
#include "service/front_reply.h"

namespace otr::service {
namespace {

constexpr std::size_t kMaxRequestIdBytes = 128;

// The caller's own, where it can be repeated to it and written into a log.
std::string request_id_of(const net::Request& request) {
  const std::string_view given = request.header("x-request-id").value_or("");
  const bool is_usable =
      given.size() <= kMaxRequestIdBytes && net::is_token(given);  // not empty then
  if (is_usable) return std::string(given);
  const auto made = env::random_32_bytes();
  return "req_" + (made ? to_hex(ByteView(*made).first(16)).substr(2) : "unnamed");
}

struct Route {
  std::string_view path;  // one that ends in '/' has an id after it
  std::string_view method;
  std::string_view name;  // in metrics
  bool is_public = false;
};
constexpr Route kRoutes[] = {
    {"/v1/chat/completions", "POST", "/v1/chat/completions"},
    {"/v1/completions", "POST", "/v1/completions"},
    {"/v1/models", "GET", "/v1/models"},
    {"/v1/models/", "GET", "/v1/models/{id}"},
    {"/tokenize", "POST", "/tokenize"},
    {"/detokenize", "POST", "/detokenize"},
    {"/apply-template", "POST", "/apply-template"},
    {"/v1/otr/receipts", "GET", "/v1/otr/receipts"},
    {"/v1/otr/receipts/", "GET", "/v1/otr/receipts/{id}"},
    {"/health", "GET", "/health", true},
    {"/v1/health", "GET", "/health", true},
    {"/readyz", "GET", "/readyz", true},
    {"/livez", "GET", "/livez", true},
    {"/version", "GET", "/version", true},
    {"/openapi.json", "GET", "/openapi.json", true},
    {"/metrics", "GET", "/metrics"},
};

const Route* find_route(std::string_view given) {
  const std::string_view path = canonical_path(given);
  for (const Route& route : kRoutes) {
    const bool has_id = route.path.ends_with('/');
    if (has_id ? path.size() > route.path.size() && path.starts_with(route.path)
               : path == route.path) {
      return &route;
    }
  }
  return nullptr;
}

// Routes that take their time: disk, template and tokeniser.
net::Response answer_slowly(const FrontParts& parts, const Incoming& incoming) {
  const net::Request& request = incoming.exchange->request();
  if (incoming.route == "/tokenize") return tokenize(parts, request.body);
  if (incoming.route == "/detokenize") return detokenize(parts, request.body);
  if (incoming.route == "/apply-template") return apply_template(parts, request.body);
  if (incoming.route == "/v1/otr/receipts") return list_receipts(parts, incoming);
  constexpr std::string_view kReceipts = "/v1/otr/receipts/";
  return show_receipt(parts, incoming, std::string_view(request.path).substr(kReceipts.size()));
}

std::optional<net::Response> answer_at_once(const FrontParts& parts, const Incoming& incoming) {
  constexpr std::string_view kModels = "/v1/models/";
  const std::string_view route = incoming.route;
  if (route == "/v1/models") return list_models(parts);
  if (route == "/v1/models/{id}") {
    return show_model(parts,
                      std::string_view(incoming.exchange->request().path).substr(kModels.size()));
  }
  if (route == "/health" || route == "/readyz") return show_health(parts);
  if (route == "/livez") return net::json_response(200, R"({"status":"ok"})");
  if (route == "/version") return show_version(parts);
  if (route == "/openapi.json") {
    return net::json_response(200, std::string(openai::openapi_document()));
  }
  if (route == "/metrics") {
    return net::Response{
        200, {{"Content-Type", "text/plain; version=0.0.4"}}, parts.services.metrics.text()};
  }
  return std::nullopt;
}

net::Response preflight(const net::Request& request) {
  return {204,
          {{"access-control-allow-methods", "GET, POST"},
           {"access-control-allow-headers",
            std::string(request.header("access-control-request-headers").value_or("*"))},
           {"access-control-max-age", "600"}},
          {}};
}

void handle_route(const std::shared_ptr<FrontParts>& parts, Incoming incoming) {
  if (incoming.exchange->request().method == "POST" && incoming.route.ends_with("completions")) {
    return handle_generation(parts, std::move(incoming));
  }
  if (auto response = answer_at_once(*parts, incoming)) {
    return send(*parts, incoming, *std::move(response));
  }
  parts->queue->post([parts, incoming = std::move(incoming)] {
    send(*parts, incoming, answer_slowly(*parts, incoming));
  });
}

}  // namespace

std::string_view canonical_path(std::string_view path) {
  for (const std::string_view known : {"/v1/chat/completions", "/v1/completions", "/v1/models"}) {
    if (path == known.substr(3)) return known;
  }
  return path;
}

Result<ServedModel> serve_model(std::shared_ptr<model::Artifact> artifact,
                                std::vector<std::string> names, std::int64_t created,
                                bool gives_back) {
  OTR_TRY_ASSIGN(text::Tokenizer tokenizer, text::Tokenizer::parse(artifact->tokenizer()));
  ServedModel served{.names = std::move(names), .created = created};
  served.size_bytes = artifact->file().size();
  served.tokenizer = std::make_shared<const text::Tokenizer>(std::move(tokenizer));
  // A copy of the views: what is given back vanishes from the artifact's own.
  const machine::Model model = artifact->view();
  std::vector<machine::Matrix> matrices = {model.embed};
  for (const machine::Layer& layer : model.layers) {
    matrices.insert(matrices.end(), {layer.wq, layer.wk, layer.wv, layer.wo, layer.w_gate,
                                     layer.w_up, layer.w_down});
  }
  if (!artifact->config().tied) matrices.push_back(model.head);
  for (const machine::Matrix& matrix : matrices) {
    served.parameters += std::uint64_t{matrix.rows} * matrix.cols;
    if (gives_back && !matrix.weight.empty()) artifact->give_back(matrix.weight);
  }
  served.artifact = std::move(artifact);
  return served;
}

FrontParts::FrontParts(std::vector<ServedModel> served, ApiKeys api_keys, FrontServices with,
                       FrontOptions given)
    : models(std::move(served)),
      keys(std::move(api_keys)),
      services(with),
      options(std::move(given)),
      queue(std::make_shared<WorkQueue>(std::max(1u, options.threads))),
      idempotency(queue, options.idempotency) {
  OTR_CHECK(!models.empty());
  for (const ServedModel& model : models) OTR_CHECK(!model.names.empty());
}

openai::Parsed<const ServedModel*> FrontParts::find_model(std::string_view name) const {
  if (name.empty() && models.size() == 1) return &models[0];
  for (const ServedModel& model : models) {
    if (std::ranges::find(model.names, name) != model.names.end()) return &model;
  }
  if (!name.empty()) return std::unexpected(openai::model_not_found(name));
  return std::unexpected(openai::invalid_request(
      "model", "Several models are served: name one of GET /v1/models.", "missing_model"));
}

net::Headers common_headers(const FrontParts& parts, const Incoming& incoming) {
  net::Headers headers = {{"x-request-id", incoming.request_id}};
  if (!parts.options.allow_origin.empty()) {
    headers.push_back({"access-control-allow-origin", parts.options.allow_origin});
    headers.push_back({"access-control-expose-headers",
                       "x-request-id, x-receipt-id, x-should-retry, retry-after"});
  }
  return headers;
}

void count(const FrontParts& parts, const Incoming& incoming, unsigned status) {
  parts.services.metrics.add("otr_requests_total", 1,
                             {{"route", incoming.route}, {"code", std::to_string(status)}});
  parts.services.metrics.observe("otr_request_seconds",
                                 (env::monotonic_ns() - incoming.began_ns) / 1000,
                                 {{"route", incoming.route}});
}

void send(const FrontParts& parts, const Incoming& incoming, net::Response response) {
  const unsigned status = response.status;
  for (net::Header& header : common_headers(parts, incoming)) {
    response.headers.push_back(std::move(header));
  }
  count(parts, incoming, status);
  incoming.exchange->respond(std::move(response));
}

Front::Front(std::vector<ServedModel> models, ApiKeys keys, FrontServices services,
             FrontOptions options)
    : parts_(std::make_shared<FrontParts>(std::move(models), std::move(keys), services,
                                          std::move(options))) {
  parts_->services.metrics.set("otr_build_info", 1, {{"version", parts_->options.version}});
}

Front::~Front() { stop(); }

void Front::handle(const std::shared_ptr<net::Exchange>& exchange) {
  const net::Request& request = exchange->request();
  Incoming incoming{.exchange = exchange,
                    .route = "other",
                    .request_id = request_id_of(request),
                    .began_ns = env::monotonic_ns()};
  const Route* route = find_route(request.path);
  if (route != nullptr) incoming.route = route->name;
  if (request.method == "OPTIONS" && !parts_->options.allow_origin.empty()) {
    return send(*parts_, incoming, preflight(request));
  }
  if (route == nullptr || !route->is_public) {
    const auto api_key = parts_->keys.check(request);
    if (!api_key) return send(*parts_, incoming, error_answer(openai::unauthorized()));
    incoming.api_key = *api_key;
  }
  if (route == nullptr) {
    return send(
        *parts_, incoming,
        error_answer(openai::not_found("There is nothing at this path: see /openapi.json.")));
  }
  const bool fits =
      request.method == route->method || (request.method == "HEAD" && route->method == "GET");
  if (!fits) {
    net::Response refusal = error_answer(openai::method_not_allowed(request.method, request.path));
    refusal.headers.push_back({"Allow", std::string(route->method)});
    return send(*parts_, incoming, std::move(refusal));
  }
  handle_route(parts_, std::move(incoming));
}

std::optional<Hash> Front::authorize(const std::shared_ptr<net::Exchange>& exchange) {
  const auto api_key = parts_->keys.check(exchange->request());
  if (api_key) return api_key;
  Incoming incoming{.exchange = exchange,
                    .route = "",
                    .request_id = request_id_of(exchange->request()),
                    .began_ns = env::monotonic_ns()};
  net::Response refusal = error_answer(openai::unauthorized());
  // A route of others is theirs to count.
  if (const Route* route = find_route(exchange->request().path)) {
    incoming.route = route->name;
    send(*parts_, incoming, std::move(refusal));
    return std::nullopt;
  }
  for (net::Header& header : common_headers(*parts_, incoming)) {
    refusal.headers.push_back(std::move(header));
  }
  exchange->respond(std::move(refusal));
  return std::nullopt;
}

std::uint32_t Front::running() const {
  const std::lock_guard lock(parts_->mutex);
  return static_cast<std::uint32_t>(parts_->replies.size());
}

void Front::drain() { parts_->drains = true; }

void Front::stop() {
  drain();
  std::vector<std::shared_ptr<Reply>> running;
  {
    const std::lock_guard lock(parts_->mutex);
    for (const auto& [identity, weak] : parts_->replies) {
      if (auto reply = weak.lock()) running.push_back(std::move(reply));
    }
  }
  for (const auto& reply : running) {
    reply->fail(openai::unavailable("The service is being shut down."), "shutdown");
  }
  parts_->queue->stop();
}

}  // namespace otr::service

#include "service/aci.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "base/hex.h"
#include "env/clock.h"
#include "env/random.h"
#include "protocol/session.h"
#include "service/front.h"
#include "text/json.h"

namespace otr::service {
namespace {

using ExchangePtr = std::shared_ptr<net::Exchange>;

constexpr std::string_view kPrefix = "/v1/aci/";
constexpr std::string_view kReceipts = "/v1/aci/receipts/";
constexpr std::string_view kSessions = "/v1/aci/sessions/";
constexpr std::uint32_t kMaxWaiting = 64;
constexpr std::int64_t kRotationSeconds = 86400;  // a keyset is replaced so long before its end
constexpr std::size_t kMaxModelBytes = 256;
constexpr std::size_t kMaxPinned = 256;
constexpr JsonBounds kBodyBounds = {.max_bytes = std::size_t{4} << 20,
                                    .max_values = std::size_t{1} << 18};

bool is_prompt(const net::Request& request) {
  return request.method == "POST" && (canonical_path(request.path) == "/v1/chat/completions" ||
                                      canonical_path(request.path) == "/v1/completions");
}

net::Response bad_request(std::string_view param, std::string_view message) {
  return net::error_response(400, "invalid_request_error", "invalid_value", message, param);
}
net::Response not_found(std::string_view message) {
  return net::error_response(404, "not_found", "not_found", message);
}
net::Response failed(const Error& error) {
  net::Response response =
      net::error_response(503, "unavailable_error", "try_again", error.message);
  response.headers.push_back({"Retry-After", "1"});
  return response;
}

// Value of the one query parameter `name`; an error where there is another.
Result<std::optional<std::string>> one_parameter(std::string_view query, std::string_view name) {
  OTR_TRY_ASSIGN(const net::Headers fields, net::parse_query(query));
  if (fields.empty()) return std::nullopt;
  if (fields.size() > 1 || fields[0].name != name) {
    return fail(ErrorKind::kBadInput, "The query may hold '" + std::string(name) + "' alone.");
  }
  return fields[0].value;
}

}  // namespace

Result<std::unique_ptr<Aci>> Aci::start(AciOptions options) {
  if (!options.unix_seconds) options.unix_seconds = env::unix_seconds;
  std::unique_ptr<Aci> made(new Aci(std::move(options)));
  OTR_TRY_ASSIGN(made->store_, ReceiptStore::open(made->options_.file));
  made->ledger_ = std::make_shared<AciLedger>(*made->store_, made->options_.sealed);
  OTR_TRY_ASSIGN(const auto keys, made->keys());
  OTR_TRY(made->report(*keys, std::nullopt));
  made->queue_ = std::make_unique<WorkQueue>(1);
  return made;
}

Aci::~Aci() {
  if (queue_) queue_->stop();
  // What is queued is still written; exchanges that live on find a store that is closed.
  if (ledger_) ledger_->close();
  store_.reset();
}

std::unique_ptr<Upstream> Aci::watch(Upstream& inner) {
  return std::make_unique<AciUpstream>(inner, ledger_);
}

Result<std::shared_ptr<const AciKeys>> Aci::keys() {
  const std::lock_guard lock(mutex_);
  const std::int64_t now = options_.unix_seconds();
  if (keys_ && now < keys_->not_after - std::min(kRotationSeconds, options_.keyset_seconds / 2)) {
    return keys_;
  }
  OTR_TRY_ASSIGN(const Hash seed, env::random_32_bytes());
  OTR_TRY_ASSIGN(crypto::Ed25519Key key, crypto::Ed25519Key::from_bytes(seed));
  const std::int64_t not_after = now + options_.keyset_seconds;
  Json keyset = aci_keyset(key.public_key(), not_after);
  std::string digest = aci_keyset_digest(keyset);
  keys_ = std::make_shared<const AciKeys>(
      AciKeys{std::move(key), std::move(keyset), std::move(digest), not_after});
  return keys_;
}

Result<std::string> Aci::report(const AciKeys& keys, const std::optional<std::string>& nonce) {
  const node::ReportData data = aci_report_data(keys.digest, nonce);
  OTR_TRY_ASSIGN(const node::CollectedEvidence evidence, options_.tee->collect(data));
  return aci_report(keys.keyset, data, evidence).dump();
}

// Off the I/O thread, in order; with too many before it, refused.
void Aci::later(const std::shared_ptr<AciExchange>& exchange,
                std::function<net::Response()> answer) {
  if (waiting_.fetch_add(1) >= kMaxWaiting) {
    --waiting_;
    exchange->respond(failed({ErrorKind::kNetwork, "Too many ask for evidence; try again.", ""}));
    return;
  }
  queue_->post([this, exchange, answer = std::move(answer)] {
    exchange->respond(answer());
    --waiting_;
  });
}

void Aci::attestation(const std::shared_ptr<AciExchange>& exchange,
                      const std::shared_ptr<const AciKeys>& keys) {
  const auto nonce = one_parameter(exchange->request().query, "nonce");
  if (!nonce || (*nonce && !parse_bare_hash(**nonce))) {
    exchange->respond(bad_request("nonce", "A nonce is exactly 64 lower-case hexadecimal digits."));
    return;
  }
  later(exchange, [this, keys, nonce = *nonce] {
    const Result<std::string> text = report(*keys, nonce);
    return text ? net::json_response(200, *text) : failed(text.error());
  });
}

void Aci::receipt(const std::shared_ptr<AciExchange>& exchange, const Hash& api_key) {
  later(exchange, [this, exchange, api_key] {
    const std::string_view id = std::string_view(exchange->request().path).substr(kReceipts.size());
    const auto text = ledger_->receipt_text(id, api_key);
    if (!text) return failed(text.error());
    if (*text) return net::json_response(200, **text);
    return not_found(
        "No receipt of yours has this id. It is there once its answer has ended whole.");
  });
}

void Aci::session(const std::shared_ptr<AciExchange>& exchange) {
  later(exchange, [this, exchange] {
    const std::string_view id = std::string_view(exchange->request().path).substr(kSessions.size());
    const auto hash = parse_bare_hash(id);
    if (!hash) return not_found("A session's id is 64 lower-case hexadecimal digits.");
    const auto text = ledger_->session_text(*hash);
    if (!text) return failed(text.error());
    return *text ? net::json_response(200, **text) : not_found("There is no such session.");
  });
}

void Aci::list_sessions(const std::shared_ptr<AciExchange>& exchange, const AciHost& host) {
  const auto query = net::parse_query(exchange->request().query);
  if (!query) {
    exchange->respond(bad_request("", query.error().message));
    return;
  }
  const auto upstream = net::find_header(*query, "upstream_name");
  const auto model = net::find_header(*query, "model");
  const bool is_ours = !upstream || *upstream == kAciUpstream;
  const std::optional<Hash> root = model ? host.model_root(*model) : std::nullopt;
  later(exchange, [this, all = host.sessions(), is_ours, by_model = model.has_value(), root] {
    Json list = Json::array();
    const std::int64_t now = options_.unix_seconds();
    for (const auto& one : all) {
      const protocol::Session& session = one->document.session;
      const bool is_asked = is_ours && (!by_model || root == session.model_root);
      if (!is_asked || !protocol::check_live(session, now)) continue;
      if (const auto cited = ledger_->cite(*one, now)) {
        list.push_back((*cited)->session.abbreviated);
      }
    }
    return net::json_response(
        200, Json{{"api_version", kAciVersion}, {"sessions", std::move(list)}}.dump());
  });
}

namespace {

// What the body asks of ACI, where it is JSON; the front judges everything else about it.
Result<Json> provider_of(const Json& body) {
  if (!body.is_object() || !body.contains("provider")) return Json::object();
  const Json& provider = body["provider"];
  if (!provider.is_object()) return Json::object();
  for (const auto& [name, value] : provider.items()) {
    if (!name.starts_with("aci_")) continue;
    if (name == "aci_verified" && value.is_boolean()) continue;
    const bool is_list = name == "aci_session_ids" && value.is_array() && !value.empty() &&
                         value.size() <= kMaxPinned;
    if (!is_list || !std::ranges::all_of(value, [](const Json& id) {
          return id.is_string() && parse_bare_hash(id.get_ref<const std::string&>());
        })) {
      return fail(ErrorKind::kBadInput, "'provider." + name +
                                            "' is not known here, or not of its form: aci_verified "
                                            "is true or false, aci_session_ids a list of ids.");
    }
  }
  if (provider.contains("aci_session_ids") && !provider.value("aci_verified", true)) {
    return fail(ErrorKind::kBadInput, "'provider.aci_session_ids' requires verified serving.");
  }
  return provider;
}

}  // namespace

// All that might be chosen must be among those asked for.
bool Aci::may_serve(const Constraints& asked, const AciHost& host) {
  const std::int64_t now = options_.unix_seconds();
  const std::optional<Hash> root = asked.model ? host.model_root(*asked.model) : std::nullopt;
  bool any = false;
  for (const auto& one : host.sessions()) {
    const protocol::Session& session = one->document.session;
    if ((root && *root != session.model_root) || !protocol::check_live(session, now)) continue;
    const auto cited = ledger_->cite(*one, now);
    if (!cited || std::ranges::find(asked.sessions, (*cited)->session.id) == asked.sessions.end()) {
      return false;
    }
    any = true;
  }
  return any;
}

// False: answered already.
bool Aci::prompt(const std::shared_ptr<AciExchange>& exchange, const Hash& api_key,
                 const AciHost& host) {
  // What is no JSON the front refuses.
  const Json body =
      text::parse_json(exchange->request().body, "The body", kBodyBounds).value_or(Json());
  const auto provider = provider_of(body);
  if (!provider) {
    exchange->respond(bad_request("provider", provider.error().message));
    return false;
  }
  Constraints asked;
  if (body.is_object() && body.contains("model") && body["model"].is_string()) {
    asked.model = body["model"].get<std::string>();
    if (asked.model->size() > kMaxModelBytes) asked.model.reset();
  }
  if (provider->contains("aci_session_ids")) {
    asked.sessions = provider->at("aci_session_ids").get<std::vector<std::string>>();
  }
  exchange->expect_answer(api_key, asked.model, asked.sessions);
  if (asked.sessions.empty() || may_serve(asked, host)) return true;
  constexpr std::string_view kReason =
      "A session that 'provider.aci_session_ids' does not list might serve this request; list all "
      "current ones (GET /v1/aci/sessions).";
  net::Response response =
      net::error_response(412, "session_not_accepted", "session_not_accepted", kReason);
  response.headers.push_back({"x-should-retry", "false"});
  exchange->refuse(std::move(response), std::string(kReason));
  return false;
}

std::shared_ptr<net::Exchange> Aci::admit(ExchangePtr exchange, const AciHost& host) {
  auto current = keys();
  if (!current) {
    exchange->respond(failed(current.error()));
    return nullptr;
  }
  const auto watched =
      std::make_shared<AciExchange>(std::move(exchange), *current, ledger_, options_.allow_origin);
  const net::Request& request = watched->request();
  if (is_prompt(request)) {
    const auto api_key = host.authorize(watched);
    if (!api_key || !prompt(watched, *api_key, host)) return nullptr;
    return watched;
  }
  if (request.method != "GET" || !request.path.starts_with(kPrefix)) return watched;
  if (request.path == "/v1/aci/attestation") {
    attestation(watched, *current);
  } else if (request.path == "/v1/aci/sessions") {
    list_sessions(watched, host);
  } else if (request.path.starts_with(kSessions)) {
    session(watched);
  } else if (request.path.starts_with(kReceipts)) {
    if (const auto api_key = host.authorize(watched)) receipt(watched, *api_key);
  } else {
    return watched;
  }
  return nullptr;
}

bool refuse_aci(const ExchangePtr& exchange) {
  if (!exchange->request().path.starts_with(kPrefix)) return false;
  net::Response response = net::error_response(
      503, "unavailable_error", "no_tee",
      "This gateway runs outside of a TEE: it has no evidence and gives no ACI receipts (otr "
      "gateway --tee). What it serves can be verified without: see /v1/otr/sessions.");
  response.headers.push_back({"x-should-retry", "false"});
  exchange->respond(std::move(response));
  return true;
}

}  // namespace otr::service

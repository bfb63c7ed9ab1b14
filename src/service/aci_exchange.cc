#include "service/aci_exchange.h"

#include <algorithm>
#include <utility>

#include "base/hex.h"
#include "env/clock.h"
#include "env/random.h"
#include "openai/render.h"
#include "service/front.h"

namespace otr::service {
namespace {

constexpr std::string_view kReceiptHeader = "X-Receipt-Id";
constexpr std::string_view kAllowed = "access-control-allow-origin";
constexpr std::string_view kExposed = "access-control-expose-headers";

std::string receipt_header_of(const net::Headers& headers) {
  return std::string(net::find_header(headers, kReceiptHeader).value_or(""));
}

openai::Kind kind_of(std::string_view path) {
  return canonical_path(path) == "/v1/completions" ? openai::Kind::kCompletion
                                                   : openai::Kind::kChat;
}

// The front's words for "there is no session that may be asked": ACI has a type of its own.
bool is_refusal(const net::Response& response, const Json& error) {
  const std::string code = error.value("code", "");
  return response.status == 503 && (code == "no_session" || code == "no_worker");
}

Json error_of(const net::Response& response) {
  if (response.status < 400) return Json::object();
  const Json json = Json::parse(response.body, nullptr, false);
  if (!json.is_object() || !json.contains("error") || !json["error"].is_object()) {
    return Json::object();
  }
  Json error = json["error"];
  if (!error.contains("code") || !error["code"].is_string()) error["code"] = "";
  if (!error.contains("message") || !error["message"].is_string()) error["message"] = "";
  return error;
}

std::string error_body(Json error, std::string_view type) {
  error["type"] = type;
  return Json{{"error", std::move(error)}}.dump(-1, ' ', false, Json::error_handler_t::replace);
}

// How many of the last bytes may be the end of a stream, or the beginning of it.
std::size_t size_of_end(std::string_view bytes) {
  for (std::size_t size = openai::kStreamDone.size(); size > 0; --size) {
    if (bytes.ends_with(openai::kStreamDone.substr(0, size))) return size;
  }
  return 0;
}

}  // namespace

std::vector<Hash> receipt_ids_of(const net::Headers& headers) {
  const std::string text = receipt_header_of(headers);
  std::vector<Hash> ids;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find(", ", at), text.size());
    const auto id = hash_from_hex(std::string_view(text).substr(at, end - at), "a receipt's id");
    if (!id) return {};
    ids.push_back(*id);
    at = end + 2;
  }
  return ids;
}

AciExchange::AciExchange(std::shared_ptr<net::Exchange> inner, std::shared_ptr<const AciKeys> keys,
                         std::shared_ptr<AciLedger> ledger, std::string allow_origin)
    : inner_(std::move(inner)),
      keys_(std::move(keys)),
      ledger_(std::move(ledger)),
      allow_origin_(std::move(allow_origin)) {}

void AciExchange::expect_answer(const Hash& api_key, std::optional<std::string> model,
                                std::vector<std::string> sessions) {
  has_receipt_ = true;
  api_key_ = api_key;
  model_ = std::move(model);
  pinned_ = std::move(sessions);
  request_body_ = crypto::sha256(as_bytes(request().body));
}

// Every answer names protocol and keyset; the receipt's id is the first of the front's, since ACI
// knows one receipt per response.
void AciExchange::dress(net::Headers& headers, const std::string& receipt_id) const {
  if (has_receipt_) {
    std::erase_if(headers, [](const net::Header& header) {
      return net::equal_ignoring_case(header.name, kReceiptHeader);
    });
    if (!receipt_id.empty()) headers.push_back({std::string(kReceiptHeader), receipt_id});
  }
  if (!allow_origin_.empty() && !net::find_header(headers, kAllowed)) {
    headers.push_back({std::string(kAllowed), allow_origin_});
    headers.push_back({std::string(kExposed), "x-receipt-id"});
  }
  for (net::Header& header : headers) {
    if (net::equal_ignoring_case(header.name, kExposed)) {
      header.value += ", x-aci-version, x-aci-keyset-digest";
    }
  }
  headers.push_back({"X-ACI-Version", std::string(kAciVersion)});
  headers.push_back({"X-ACI-Keyset-Digest", keys_->digest});
}

net::Response AciExchange::problem(std::string_view code, std::string_view message) const {
  net::Response response = net::error_response(500, "server_error", code, message);
  response.headers.push_back({"x-should-retry", "false"});
  dress(response.headers, "");
  return response;
}

// Without facts there is no receipt: the front never got to forwarding, or forgot long ago.
Result<AciReceipt> AciExchange::receipt_of(const std::vector<Hash>& ids,
                                           const std::string& chat_unique) const {
  auto answers = ledger_->answers_of(ids);
  if (ids.empty() || !answers) {
    return fail(ErrorKind::kBadInput, "what was forwarded for this answer is not known any more");
  }
  AciReceipt receipt;
  receipt.id = to_hex(ids[0]);
  receipt.chat_id =
      openai::response_id(kind_of(request().path), crypto::sha256(as_bytes(chat_unique)));
  receipt.served_at = answers->front().served_at;
  receipt.answers = *std::move(answers);
  return receipt;
}

// Of what is known by now: a stream begins while its later answers are still being asked for.
bool AciExchange::is_pinned(const std::vector<Hash>& ids) const {
  if (pinned_.empty()) return true;
  return std::ranges::all_of(ids, [this](const Hash& id) {
    const auto answers = ledger_->answers_of({id});
    return !answers || std::ranges::find(pinned_, answers->front().session_id) != pinned_.end();
  });
}

void AciExchange::store(AciReceipt receipt, std::function<void(Status)> done) {
  receipt.model = model_;
  receipt.keyset_digest = keys_->digest;
  receipt.endpoint = request().path;
  receipt.request_body = request_body_;
  const Result<std::string> text = aci_receipt(receipt, keys_->receipt);
  if (!text) return done(std::unexpected(text.error()));
  std::vector<std::string> ids = {receipt.id};
  if (receipt.chat_id) ids.push_back(*receipt.chat_id);
  ledger_->put(
      ids, api_key_, receipt.response_body, *text,
      [ledger = ledger_, answers = receipt.answers, done = std::move(done)](const Status& status) {
        if (!status || ledger->are_stored(answers)) return done(status);
        done(fail(ErrorKind::kIo, "the record of the session could not be stored"));
      });
}

void AciExchange::refuse(net::Response response, const std::string& reason) {
  const auto unique = env::random_32_bytes();
  AciReceipt receipt;
  if (unique) receipt.id = "refused-" + bare_hex(*unique);
  receipt.served_at = env::unix_seconds();
  receipt.response_body = crypto::sha256(as_bytes(response.body));
  receipt.refusal = reason;
  dress(response.headers, receipt.id);
  if (!unique) return static_cast<void>(inner_->respond(std::move(response)));
  store(std::move(receipt), [self = shared_from_this(), response](const Status& stored) {
    self->inner_->respond(
        stored ? response
               : self->problem("receipt_not_stored", "The refusal's receipt could not be kept."));
  });
}

bool AciExchange::respond(net::Response response) {
  const Json error = error_of(response);
  if (!has_receipt_) {
    if (response.status == 401 && request().path.starts_with("/v1/aci/")) {
      response.body = error_body(error, "unauthorized");
    }
    dress(response.headers, "");
    return inner_->respond(std::move(response));
  }
  const std::vector<Hash> ids = receipt_ids_of(response.headers);
  if (ids.empty() && is_refusal(response, error)) {
    response.body = error_body(error, "upstream_verification_failed");
    refuse(std::move(response), error["message"]);
    return !is_gone_;
  }
  if (response.status < 400 && !is_pinned(ids)) {
    return inner_->respond(
        problem("session_not_accepted", "Another session answered than was asked for."));
  }
  auto receipt = receipt_of(ids, receipt_header_of(response.headers));
  if (!receipt && response.status < 400) {
    return inner_->respond(problem("receipt_not_stored", receipt.error().message));
  }
  dress(response.headers, receipt ? receipt->id : "");
  if (!receipt) return inner_->respond(std::move(response));
  if (response.status >= 400) receipt->chat_id.reset();
  receipt->response_body = crypto::sha256(as_bytes(response.body));
  store(*std::move(receipt), [self = shared_from_this(), response](const Status& stored) {
    self->inner_->respond(
        stored ? response
               : self->problem("receipt_not_stored", "The answer's receipt could not be kept."));
  });
  return !is_gone_;
}

void AciExchange::on_disconnect(std::function<void()> call) {
  inner_->on_disconnect([weak = weak_from_this(), call = std::move(call)] {
    if (const auto self = weak.lock()) self->is_gone_ = true;
    call();
  });
}

bool AciExchange::begin_stream(unsigned status, net::Headers headers) {
  if (!has_receipt_) {
    dress(headers, "");
    return inner_->begin_stream(status, std::move(headers));
  }
  const std::vector<Hash> ids = receipt_ids_of(headers);
  const bool is_ours = !ids.empty() && is_pinned(ids);
  {
    const std::lock_guard lock(mutex_);
    ids_ = ids;
    all_ids_ = receipt_header_of(headers);
    is_over_ = !is_ours;
  }
  if (!is_ours) {
    inner_->respond(problem("session_not_accepted", "Another session answers than was asked for."));
    return false;
  }
  dress(headers, to_hex(ids[0]));
  return inner_->begin_stream(status, std::move(headers));
}

bool AciExchange::write(std::string bytes) {
  if (!has_receipt_) return inner_->write(std::move(bytes));
  std::string now;
  {
    const std::lock_guard lock(mutex_);
    if (is_over_) return false;
    hash_.update(as_bytes(bytes));
    now = std::exchange(held_, {}) + bytes;
    held_ = now.substr(now.size() - size_of_end(now));
    now.resize(now.size() - held_.size());
  }
  return now.empty() || inner_->write(std::move(now));
}

bool AciExchange::end() {
  if (!has_receipt_) return inner_->end();
  std::vector<Hash> ids;
  std::string all_ids, rest;
  Hash body;
  {
    const std::lock_guard lock(mutex_);
    if (std::exchange(is_over_, true)) return false;
    ids = ids_;
    all_ids = all_ids_;
    rest = std::exchange(held_, {});
    body = hash_.finish();
  }
  auto receipt = receipt_of(ids, all_ids);
  if (receipt && !is_pinned(ids)) {
    receipt = fail(ErrorKind::kReject, "another session answered than was asked for");
  }
  if (!receipt) {
    finish_stream(std::unexpected(receipt.error()), {});
    return false;
  }
  receipt->response_body = body;
  store(*std::move(receipt), [self = shared_from_this(), rest](const Status& stored) {
    self->finish_stream(stored, rest);
  });
  return !is_gone_;
}

void AciExchange::finish_stream(const Status& status, std::string rest) {
  if (!status) {
    inner_->abort();
    return;
  }
  if (!rest.empty()) inner_->write(std::move(rest));
  inner_->end();
}

bool AciExchange::abort() {
  {
    const std::lock_guard lock(mutex_);
    if (has_receipt_ && std::exchange(is_over_, true)) return false;
  }
  return inner_->abort();
}

}  // namespace otr::service

#include "service/aci_ledger.h"

#include <utility>

#include "base/hex.h"
#include "crypto/sha256.h"
#include "env/clock.h"
#include "protocol/claim.h"
#include "protocol/wire.h"

namespace otr::service {
namespace {

// Where a document stands in the store: receipts and sessions share it and never meet.
Hash place_of(std::string_view kind, std::string_view id) {
  return crypto::sha256({as_bytes(kind), as_bytes(id)});
}
Hash place_of_session(const Hash& id) { return place_of("aci session ", bare_hex(id)); }
Hash place_of_receipt(std::string_view id) { return place_of("aci receipt ", id); }

Status gone() { return fail(ErrorKind::kIo, "the gateway is being shut down"); }

}  // namespace

Result<std::shared_ptr<const AciLedger::Cited>> AciLedger::cite(const AppraisedSession& session,
                                                                std::int64_t now) {
  {
    const std::lock_guard lock(mutex_);
    const auto known = sessions_.find(session.id);
    if (known != sessions_.end() && now < known->second->session.expires_at &&
        !known->second->is_lost) {
      return known->second;
    }
  }
  auto cited = std::make_shared<Cited>();
  OTR_TRY_ASSIGN(cited->session, aci_session(session, sealed_));
  const auto id = parse_bare_hash(cited->session.id);
  const std::lock_guard lock(mutex_);
  if (store_ == nullptr) return std::unexpected(gone().error());
  store_->put({.id = place_of_session(*id), .created = now, .text = cited->session.text},
              [cited](const Status& status) {
                if (!status) cited->is_lost = true;
              });
  std::erase_if(sessions_, [&](const auto& one) { return now >= one.second->session.expires_at; });
  if (sessions_.size() >= kMaxSessions) sessions_.erase(sessions_.begin());
  sessions_[session.id] = cited;
  return cited;
}

Result<std::optional<std::string>> AciLedger::session_text(const Hash& id) {
  const std::lock_guard lock(mutex_);
  for (const auto& [otr_id, cited] : sessions_) {
    if (cited->session.id == bare_hex(id)) return cited->session.text;
  }
  if (store_ == nullptr) return std::unexpected(gone().error());
  return store_->get(place_of_session(id), Hash{});
}

void AciLedger::forwarded(AciAnswer answer, std::shared_ptr<const Cited> cited) {
  const std::lock_guard lock(mutex_);
  const Hash hash = answer.request_hash;
  if (answers_.insert_or_assign(hash, Fact{std::move(answer), std::move(cited)}).second) {
    order_.push_back(hash);
  }
  if (order_.size() <= kMaxAnswers) return;
  answers_.erase(order_.front());
  order_.pop_front();
}

void AciLedger::claimed(const Hash& request_hash, const Hash& claim, const Hash& trace_root) {
  const std::lock_guard lock(mutex_);
  const auto found = answers_.find(request_hash);
  if (found == answers_.end()) return;
  found->second.answer.claim = claim;
  found->second.answer.trace_root = trace_root;
}

std::optional<std::vector<AciAnswer>> AciLedger::answers_of(
    const std::vector<Hash>& request_hashes) const {
  const std::lock_guard lock(mutex_);
  std::vector<AciAnswer> answers;
  for (const Hash& hash : request_hashes) {
    const auto found = answers_.find(hash);
    if (found == answers_.end()) return std::nullopt;
    answers.push_back(found->second.answer);
  }
  return answers;
}

bool AciLedger::are_stored(const std::vector<AciAnswer>& answers) const {
  const std::lock_guard lock(mutex_);
  for (const AciAnswer& answer : answers) {
    const auto found = answers_.find(answer.request_hash);
    if (found != answers_.end() && found->second.cited->is_lost) return false;
  }
  return true;
}

// The same answer given twice differs in nothing but the receipt's own words; the first one stays.
Status AciLedger::check_same(std::string_view id, const Hash& api_key, const Hash& response_body,
                             const Status& status) {
  if (status || status.error().kind != ErrorKind::kBadInput) return status;
  OTR_TRY_ASSIGN(const auto text, receipt_text(id, api_key));
  const bool is_same = text && text->find("{\"body_hash\":\"" + aci_digest(response_body) +
                                          "\",\"type\":\"response.returned\"}") != text->npos;
  return is_same ? Status{} : status;
}

void AciLedger::put(const std::vector<std::string>& ids, const Hash& api_key,
                    const Hash& response_body, std::string text, std::function<void(Status)> done) {
  // Under the mutex, so that the store stays; `done` is called under it only with an error.
  const std::lock_guard lock(mutex_);
  if (store_ == nullptr) return done(gone());
  const std::int64_t now = env::unix_seconds();
  // One thread writes in the order of the calls: when the last is on disk, all are.
  for (std::size_t i = 1; i < ids.size(); ++i) {
    store_->put({.id = place_of_receipt(ids[i]), .api_key = api_key, .created = now, .text = text},
                [](const Status&) {});
  }
  StoredReceipt first{
      .id = place_of_receipt(ids[0]), .api_key = api_key, .created = now, .text = std::move(text)};
  store_->put(std::move(first), [self = shared_from_this(), id = ids[0], api_key, response_body,
                                 done = std::move(done)](const Status& status) {
    done(self->check_same(id, api_key, response_body, status));
  });
}

Result<std::optional<std::string>> AciLedger::receipt_text(std::string_view id,
                                                           const Hash& api_key) {
  const std::lock_guard lock(mutex_);
  if (store_ == nullptr) return std::unexpected(gone().error());
  return store_->get(place_of_receipt(id), api_key);
}

void AciLedger::close() {
  const std::lock_guard lock(mutex_);
  store_ = nullptr;
}

std::shared_ptr<UpstreamCall> AciUpstream::submit(
    const protocol::Submission& submission, const std::shared_ptr<const AppraisedSession>& session,
    UpstreamEvents events) {
  const std::int64_t now = env::unix_seconds();
  auto cited = ledger_->cite(*session, now);
  const auto text = protocol::encode_submission(submission);
  if (!cited || !text) {
    const Error& error = cited ? text.error() : cited.error();
    events.on_done(std::unexpected(UpstreamError{
        .status = 500, .type = "server_error", .code = "not_recorded", .message = error.message}));
    return nullptr;
  }
  const Hash ledger = session->document.ledger;
  AciAnswer answer;
  answer.request_hash = protocol::digest_of(submission.request.request, ledger);
  answer.forwarded = crypto::sha256(as_bytes(*text));
  answer.session_id = (*cited)->session.id;
  answer.model_id = to_hex(submission.request.request.model_root);
  answer.session = session->id;
  answer.served_at = now;
  const Hash request_hash = answer.request_hash;
  ledger_->forwarded(std::move(answer), *std::move(cited));
  auto on_done = [ledger = ledger_, request_hash, hash = session->document.ledger,
                  on_done = std::move(events.on_done)](auto ended) {
    if (ended) {
      const protocol::Claim& claim = ended->claim.claim;
      ledger->claimed(request_hash, protocol::digest_of(claim, hash), claim.trace_root);
    }
    on_done(std::move(ended));
  };
  return inner_.submit(submission, session,
                       {.on_token = std::move(events.on_token), .on_done = std::move(on_done)});
}

}  // namespace otr::service

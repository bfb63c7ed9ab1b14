#include "service/http_upstream.h"

#include <algorithm>
#include <condition_variable>
#include <mutex>
#include <thread>
#include <utility>

#include "base/hex.h"
#include "env/clock.h"
#include "env/random.h"
#include "machine/tables.h"
#include "protocol/attested_session.h"
#include "protocol/sealed.h"
#include "service/submission_call.h"
#include "text/json.h"

namespace otr::service {
namespace {

using SessionPtr = std::shared_ptr<const AppraisedSession>;

// Evidence is long, and most of it is text in a few values.
constexpr JsonBounds kSessionBounds = {.max_bytes = std::size_t{64} << 20,
                                       .max_values = std::size_t{64} << 10};

UpstreamError unavailable(std::string code, std::string message) {
  return {.status = 503,
          .type = "unavailable_error",
          .code = std::move(code),
          .message = std::move(message)};
}

// SPEC SEAL-2: the submission as only the session's enclave can read it.
struct SealedOut {
  std::string body;
  protocol::SealedExchange exchange;
};
Result<SealedOut> seal(const protocol::Submission& submission, const AppraisedSession& session) {
  const protocol::Request& request = submission.request.request;
  protocol::SealedSubmission sealed{
      .session = session.id,
      .request_hash = protocol::digest_of(request, session.document.ledger),
      .prompt_count = request.prompt_count,
      .max_tokens = request.max_tokens,
      .sealed = {}};
  OTR_TRY_ASSIGN(const std::string plaintext, protocol::encode_submission(submission));
  OTR_TRY_ASSIGN(const Hash ephemeral, env::random_32_bytes());
  OTR_TRY_ASSIGN(const auto key, crypto::X25519Key::from_bytes(ephemeral));
  OTR_TRY_ASSIGN(protocol::SealedRequest made,
                 protocol::seal_request(session.document.session.seal_key,
                                        protocol::seal_context(sealed), key, as_bytes(plaintext)));
  sealed.sealed = std::move(made.wire);
  OTR_TRY_ASSIGN(std::string body, protocol::encode_submission(sealed));
  return SealedOut{std::move(body), std::move(made.exchange)};
}

// Messages of a stream, opened where they are sealed, in the order of GATE-3.
class AnswerReader {
 public:
  AnswerReader(UpstreamEvents events, std::optional<protocol::SealedExchange> sealed)
      : events_(std::move(events)), exchange_(std::move(sealed)) {}

  // False for whatever no worker sends.
  bool take(protocol::StreamMessage message) {
    if (message.claim) {
      if (exchange_ && (!opener_ || !opener_->finish())) return false;
      claim_ = *std::move(message.claim);
      return trace_path_.has_value();
    }
    if (!exchange_) return !message.sealed && take_open(std::move(message));
    return message.sealed && message.tokens.empty() && !message.trace_path &&
           take_sealed(*message.sealed);
  }

  void end(std::optional<UpstreamError> error) {
    if (error) return events_.on_done(std::unexpected(*std::move(error)));
    events_.on_done(EndedAnswer{*std::move(claim_), *std::move(trace_path_)});
  }

  // The one place that may still change the claim: a gateway's countersignature.
  protocol::ClaimMessage& claim() { return *claim_; }
  bool has_claim() const { return claim_.has_value(); }

 private:
  bool take_open(protocol::StreamMessage message) {
    if (trace_path_) return false;
    for (const protocol::TokenMessage& token : message.tokens) events_.on_token(token);
    trace_path_ = std::move(message.trace_path);
    return true;
  }

  bool take_sealed(const Bytes& bytes) {
    if (!opener_) {
      Hash nonce;
      if (bytes.size() != nonce.size()) return false;
      std::ranges::copy(bytes, nonce.begin());
      opener_.emplace(*exchange_, nonce);
      return true;
    }
    const auto opened = opener_->open(bytes);
    if (!opened) return false;
    auto inner = protocol::decode_message(as_text(opened->plaintext));
    return inner && !inner->sealed && !inner->claim && !inner->error &&
           take_open(*std::move(inner));
  }

  UpstreamEvents events_;
  std::optional<protocol::SealedExchange> exchange_;
  std::optional<protocol::AnswerOpener> opener_;
  std::optional<std::vector<Hash>> trace_path_;
  std::optional<protocol::ClaimMessage> claim_;
};

}  // namespace

class HttpUpstream::Body {
 public:
  Body(net::Client& client, HttpUpstreamOptions options)
      : client_(client), options_(std::move(options)) {
    if (options_.anchors == nullptr) options_.anchors = &attest::vendor_anchors();
    if (!options_.unix_seconds) options_.unix_seconds = env::unix_seconds;
    if (options_.operator_key) operator_address_ = options_.operator_key->address();
  }

  void start() {
    thread_ = std::thread([this] { keep_fresh(); });
  }

  // Calls may hold the body longer than its owner does, and end on the client's I/O thread, which
  // must never wait for a fetch of its own: so the thread ends with the owner.
  void stop() {
    {
      const std::lock_guard lock(mutex_);
      stopped_ = true;
    }
    wake_.notify_all();
    thread_.join();
  }

  const HttpUpstreamOptions& options() const { return options_; }
  net::Client& client() { return client_; }

  net::Headers headers() const {
    if (options_.api_key.empty()) return {};
    return {{"Authorization", "Bearer " + options_.api_key}};
  }

  std::expected<SessionPtr, UpstreamError> session(const Hash& model_root) {
    const std::vector<SessionPtr> usable = sessions();
    // A worker that renews its session has two for a while.
    SessionPtr newest;
    for (const SessionPtr& one : usable) {
      const protocol::Session& session = one->document.session;
      if (session.model_root != model_root) continue;
      if (!newest || session.expiry > newest->document.session.expiry) newest = one;
    }
    if (newest) return newest;
    want();
    const std::lock_guard lock(mutex_);
    if (usable.empty()) {
      return std::unexpected(unavailable("no_session", options_.url + " has no session that the " +
                                                           "policy accepts. " + trouble_));
    }
    return std::unexpected(UpstreamError{
        .status = 404,
        .type = "invalid_request_error",
        .code = "model_not_found",
        .message =
            options_.url + " has no live session for the model root " + to_hex(model_root) + "."});
  }

  Status refresh() {
    const std::lock_guard one_at_a_time(refresh_mutex_);
    Result<std::vector<SessionPtr>> found = fetch();
    const std::lock_guard lock(mutex_);
    wanted_ = false;
    if (!found) {
      // What was appraised stays in use as long as its verdict holds: an outage is no reason to
      // stop. What a peer shows and we refuse is one.
      trouble_ = found.error().message;
      if (found.error().kind == ErrorKind::kReject) sessions_.clear();
      return std::unexpected(std::move(found).error());
    }
    sessions_ = *std::move(found);
    trouble_ = "The last one has run out.";
    return {};
  }

  // Those whose verdicts hold now.
  std::vector<SessionPtr> sessions() const {
    const std::int64_t now = options_.unix_seconds();
    const std::lock_guard lock(mutex_);
    std::vector<SessionPtr> usable;
    for (const SessionPtr& one : sessions_) {
      if (now <= one->good_until && protocol::check_live(one->document.session, now)) {
        usable.push_back(one);
      }
    }
    return usable;
  }
  std::string trouble() const {
    const std::lock_guard lock(mutex_);
    return trouble_;
  }
  // A peer said that it does not know the session any more, or answered wrongly.
  void want() {
    const std::lock_guard lock(mutex_);
    wanted_ = true;
    wake_.notify_all();
  }

  bool countersign(protocol::ClaimMessage& claim, const Hash& request_hash,
                   const AppraisedSession& session) const {
    if (!options_.operator_key) return true;
    const Hash& ledger = session.document.ledger;
    const Hash digest = protocol::digest_of(claim.claim, ledger);
    const bool ours = claim.claim.request_hash == request_hash &&
                      claim.claim.session == session.id &&
                      claim.signer == session.document.session.key &&
                      protocol::check_signer(digest, claim.claim_signature, claim.signer, "");
    if (!ours) return false;
    claim.operator_address = options_.operator_key->address();
    claim.countersignature =
        options_.operator_key->sign(protocol::countersignature_digest(digest, ledger));
    claim.receipt_id = to_hex(request_hash);
    return true;
  }

 private:
  void keep_fresh() {
    std::unique_lock lock(mutex_);
    while (!stopped_) {
      lock.unlock();
      const bool good = refresh().has_value();
      lock.lock();
      // After a failure soon again, but never in a tight loop, however often a session is wanted.
      const auto pause = std::chrono::seconds(good ? pause_seconds() : 2);
      wake_.wait_for(lock, std::chrono::milliseconds(500), [this] { return stopped_; });
      wake_.wait_for(lock, pause, [this] { return stopped_ || wanted_; });
    }
  }

  // Often enough that the session after this one is known in time: the worker makes it at 3/4 of
  // this one's (SPEC GATE-12). Requires the lock.
  std::int64_t pause_seconds() const {
    std::int64_t pause = options_.refresh_seconds;
    const std::int64_t now = options_.unix_seconds();
    for (const SessionPtr& one : sessions_) {
      const auto expiry = static_cast<std::int64_t>(one->document.session.expiry);
      pause = std::min(pause, (std::min(expiry, one->good_until) - now) / 8);
    }
    return std::max<std::int64_t>(pause, 1);
  }

  Result<std::vector<SessionPtr>> fetch() {
    std::string url = options_.url + "/v1/otr/sessions";
    Hash nonce{};
    if (options_.fresh_evidence) {
      OTR_TRY_ASSIGN(nonce, env::random_32_bytes());
      url += "?nonce=" + to_hex(nonce);
    }
    OTR_TRY_ASSIGN(const net::Response response,
                   net::fetch(client_, {.url = url,
                                        .headers = headers(),
                                        .idle_timeout_ms = 30'000,
                                        .max_response_bytes = kSessionBounds.max_bytes}));
    if (response.status != 200) {
      return fail(ErrorKind::kNetwork, error_of(response.status, response.body, url).message);
    }
    OTR_TRY_ASSIGN(const Json json, text::parse_json(response.body, url, kSessionBounds));
    if (!json.is_object() || !json.contains("sessions") || !json["sessions"].is_array() ||
        json["sessions"].size() > 256) {
      return fail(ErrorKind::kBadInput, url + " did not answer with a list of sessions.");
    }
    std::vector<SessionPtr> sessions;
    std::string refused;
    for (const Json& one : json["sessions"]) {
      Result<SessionPtr> session = appraise(one, nonce);
      if (session) {
        sessions.push_back(*std::move(session));
      } else {
        refused = "Its session was refused: " + session.error().message;
      }
    }
    if (sessions.empty()) {
      return fail(ErrorKind::kReject, refused.empty() ? url + " lists no session." : refused);
    }
    return sessions;
  }

  Result<SessionPtr> appraise(const Json& json, const Hash& nonce) {
    auto session = std::make_shared<AppraisedSession>();
    OTR_TRY_ASSIGN(session->document, protocol::session_from_json(json, "session"));
    OTR_TRY(protocol::check_session(session->document, machine::kSpecHash));
    if (session->document.nonce != nonce) {
      return fail(ErrorKind::kReject, "its evidence was not made for our nonce: a replay?",
                  "EVIDENCE_REFUSED");
    }
    const std::int64_t now = options_.unix_seconds();
    OTR_TRY(protocol::check_live(session->document.session, now));
    if (operator_address_ && session->document.session.operator_address != *operator_address_) {
      return fail(ErrorKind::kReject,
                  "it names the operator " + to_hex(session->document.session.operator_address) +
                      ", this gateway countersigns for " + to_hex(*operator_address_) + ".");
    }
    const protocol::SessionVerdict verdict =
        protocol::appraise_session(session->document, options_.policy, *options_.anchors, now);
    if (verdict.error) return std::unexpected(*verdict.error);
    session->id = protocol::session_id(session->document.session, session->document.ledger);
    session->hardware = verdict.hardware;
    session->description = verdict.description;
    session->appraised_at = now;
    session->good_until = good_until(session->document, now);
    return session;
  }

  // A verdict is a function of evidence, policy and time (SPEC ATT-1), and each thing in it that
  // time changes holds from one moment to another. So the last second for which it is the same can
  // be searched for.
  std::int64_t good_until(const protocol::SessionDocument& document, std::int64_t now) const {
    const auto holds = [&](std::int64_t at) {
      return protocol::appraise_session(document, options_.policy, *options_.anchors, at)
          .accepted();
    };
    std::int64_t good = now, bad = now + kMaxAppraisalSeconds + 1;
    if (holds(bad - 1)) return bad - 1;
    while (bad - good > 1) {
      const std::int64_t middle = good + (bad - good) / 2;
      (holds(middle) ? good : bad) = middle;
    }
    return good;
  }

  net::Client& client_;
  HttpUpstreamOptions options_;
  std::optional<crypto::Address> operator_address_;
  std::mutex refresh_mutex_;
  mutable std::mutex mutex_;
  std::condition_variable wake_;
  bool stopped_ = false, wanted_ = false;
  std::vector<SessionPtr> sessions_;
  std::string trouble_ = "It was not asked yet.";
  std::thread thread_;
};

std::unique_ptr<HttpUpstream> HttpUpstream::start(net::Client& client,
                                                  HttpUpstreamOptions options) {
  auto body = std::make_shared<Body>(client, std::move(options));
  body->start();
  return std::unique_ptr<HttpUpstream>(new HttpUpstream(std::move(body)));
}

HttpUpstream::HttpUpstream(std::shared_ptr<Body> body) : body_(std::move(body)) {}
HttpUpstream::~HttpUpstream() { body_->stop(); }

std::expected<SessionPtr, UpstreamError> HttpUpstream::session(const Hash& model_root) {
  return body_->session(model_root);
}
void HttpUpstream::want_refresh() { body_->want(); }
Status HttpUpstream::refresh() { return body_->refresh(); }
std::vector<SessionPtr> HttpUpstream::sessions() const { return body_->sessions(); }
std::string HttpUpstream::trouble() const { return body_->trouble(); }
const std::string& HttpUpstream::url() const { return body_->options().url; }

bool HttpUpstream::countersign(protocol::ClaimMessage& claim, const Hash& request_hash,
                               const AppraisedSession& session) const {
  return body_->countersign(claim, request_hash, session);
}

std::shared_ptr<UpstreamCall> HttpUpstream::submit(const protocol::Submission& submission,
                                                   const SessionPtr& session,
                                                   UpstreamEvents events) {
  std::optional<protocol::SealedExchange> exchange;
  Result<std::string> body;
  if (submission.request.request.mode == 1) {
    auto sealed = seal(submission, *session);
    if (sealed) {
      body = std::move(sealed->body);
      exchange = std::move(sealed->exchange);
    } else {
      body = std::unexpected(std::move(sealed).error());
    }
  } else {
    body = protocol::encode_submission(submission);
  }
  if (!body) {
    events.on_done(std::unexpected(UpstreamError{.status = 500,
                                                 .type = "server_error",
                                                 .code = "not_sent",
                                                 .message = body.error().message}));
    return nullptr;
  }
  const Hash request_hash =
      protocol::digest_of(submission.request.request, session->document.ledger);
  auto reader = std::make_shared<AnswerReader>(std::move(events), std::move(exchange));
  return post_submission(
      body_->client(), body_->options().url, body_->headers(), *std::move(body),
      {.on_message =
           [this_body = body_, reader, session, request_hash](protocol::StreamMessage message) {
             if (!reader->take(std::move(message))) return false;
             return !reader->has_claim() ||
                    this_body->countersign(reader->claim(), request_hash, *session);
           },
       .on_end =
           [this_body = body_, reader](std::optional<UpstreamError> error) {
             if (error && error->status >= 500) this_body->want();
             reader->end(std::move(error));
           }});
}

}  // namespace otr::service

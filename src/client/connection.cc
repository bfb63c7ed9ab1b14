#include "client/connection.h"

#include <algorithm>
#include <mutex>
#include <utility>

#include "env/clock.h"
#include "service/answer.h"

namespace otr::client {
namespace {

using SessionPtr = std::shared_ptr<const service::AppraisedSession>;

Error to_error(const service::UpstreamError& error) {
  const bool busy = error.status == 408 || error.status == 429;
  const ErrorKind kind = error.status == 499           ? ErrorKind::kCancelled
                         : busy || error.status >= 500 ? ErrorKind::kNetwork
                                                       : ErrorKind::kUsage;
  return {kind, error.message, error.code};
}

// One answer on its way. The upstream holds it; it does not hold the call, which is the asker's.
class Incoming {
 public:
  Incoming(SessionPtr session, protocol::Submission submission, const model::Artifact& artifact,
           AnswerEvents events)
      : session_(std::move(session)),
        submission_(std::move(submission)),
        artifact_(artifact),
        events_(std::move(events)) {}

  // Callbacks may come before there is a call to cancel.
  void keep(const std::shared_ptr<service::UpstreamCall>& call) {
    const std::lock_guard lock(mutex_);
    call_ = call;
    if (is_wrong_ && call) call->cancel();
  }

  void token(const protocol::TokenMessage& token) {
    if (is_wrong_) return;
    if (token.id >= artifact_.view().shape.vocabulary ||
        ids_.size() >= submission_.request.request.max_tokens) {
      return refuse();
    }
    ids_.push_back(token.id);
    // Log-probabilities are nobody's claim: senseless ones are left out, and no reason to refuse.
    const bool has_sense = std::ranges::all_of(token.logprobs, [&](const auto& one) {
      return one.id < artifact_.view().shape.vocabulary;
    });
    events_.on_token(has_sense ? token : protocol::TokenMessage{.id = token.id, .logprobs = {}});
  }

  void done(const std::expected<service::EndedAnswer, service::UpstreamError>& ended) {
    events_.on_done(outcome(ended));
  }

 private:
  // No honest answer goes on like this, so its rest is of no interest.
  void refuse() {
    std::shared_ptr<service::UpstreamCall> call;
    {
      const std::lock_guard lock(mutex_);
      is_wrong_ = true;
      call = call_.lock();
    }
    if (call) call->cancel();
  }

  otr::Result<protocol::Receipt> outcome(
      const std::expected<service::EndedAnswer, service::UpstreamError>& ended) const {
    if (is_wrong_) {
      return fail(ErrorKind::kReject,
                  "The service sent a token that the model does not have, or more tokens than "
                  "were asked for.",
                  "wrong_answer");
    }
    if (!ended) return std::unexpected(to_error(ended.error()));
    OTR_TRY_ASSIGN(
        service::VerifiedAnswer answer,
        service::verify_answer(submission_.request, submission_.prompt_ids, ids_, *ended, *session_,
                               artifact_.view(), artifact_.root(), env::unix_seconds()));
    return std::move(answer.receipt);
  }

  const SessionPtr session_;
  const protocol::Submission submission_;
  const model::Artifact& artifact_;
  const AnswerEvents events_;
  std::vector<std::uint32_t> ids_;
  std::mutex mutex_;
  bool is_wrong_ = false;  // written on the upstream's thread alone, under the mutex
  std::weak_ptr<service::UpstreamCall> call_;
};

}  // namespace

otr::Result<attest::Policy> policy_of(std::string_view name_or_toml) {
  if (const auto built_in = attest::built_in_policy(name_or_toml)) {
    return attest::parse_policy(*built_in);
  }
  if (!name_or_toml.contains('=')) {
    return fail(ErrorKind::kUsage, "'" + std::string(name_or_toml.substr(0, 200)) +
                                       "' is neither the name of a built-in policy, such as "
                                       "genuine, nor the text of one in TOML");
  }
  return attest::parse_policy(name_or_toml);
}

otr::Result<std::unique_ptr<Connection>> Connection::open(ConnectionOptions options) {
  std::unique_ptr<Connection> connection(new Connection(options.policy));
  OTR_TRY_ASSIGN(connection->http_, net::Client::create({.ca_file = options.ca_file}));
  connection->upstream_ =
      service::HttpUpstream::start(*connection->http_, {.url = std::move(options.url),
                                                        .api_key = std::move(options.api_key),
                                                        .policy = std::move(options.policy)});
  OTR_TRY(connection->upstream_->refresh());
  return connection;
}

otr::Result<SessionPtr> Connection::session(const Hash& model_root) const {
  auto session = upstream_->session(model_root);
  if (!session) return fail(ErrorKind::kReject, session.error().message, session.error().code);
  return *std::move(session);
}

std::shared_ptr<service::UpstreamCall> submit(service::Upstream& upstream,
                                              const SessionPtr& session,
                                              protocol::Submission submission,
                                              const model::Artifact& artifact,
                                              AnswerEvents events) {
  const auto incoming =
      std::make_shared<Incoming>(session, submission, artifact, std::move(events));
  auto call =
      upstream.submit(submission, session,
                      {.on_token = [incoming](const auto& token) { incoming->token(token); },
                       .on_done = [incoming](const auto& ended) { incoming->done(ended); }});
  incoming->keep(call);
  return call;
}

}  // namespace otr::client

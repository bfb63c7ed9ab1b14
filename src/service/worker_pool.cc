#include "service/worker_pool.h"

#include <atomic>
#include <optional>

#include "base/hex.h"

namespace otr::service {

struct WorkerPool::Member {
  std::atomic<std::size_t> answers = 0;  // under way
};

namespace {

using SessionPtr = std::shared_ptr<const AppraisedSession>;

UpstreamError unknown_session(const Hash& id) {
  return {.status = 503,
          .type = "unavailable_error",
          .code = "session_unknown",
          .message = "No worker of this gateway has the session " + to_hex(id) +
                     " any more: ask for the sessions again."};
}

}  // namespace

WorkerPool::WorkerPool(std::vector<std::unique_ptr<HttpUpstream>> workers)
    : workers_(std::move(workers)) {
  for (std::size_t i = 0; i < workers_.size(); ++i) members_.push_back(std::make_shared<Member>());
}
WorkerPool::~WorkerPool() = default;

const std::vector<std::unique_ptr<HttpUpstream>>& WorkerPool::workers() const { return workers_; }

std::expected<SessionPtr, UpstreamError> WorkerPool::session(const Hash& model_root) {
  std::optional<SessionPtr> best;
  std::size_t least = 0;
  UpstreamError error{.status = 503,
                      .type = "unavailable_error",
                      .code = "no_worker",
                      .message = "This gateway has no worker."};
  for (std::size_t i = 0; i < workers_.size(); ++i) {
    auto session = workers_[i]->session(model_root);
    const std::size_t load = members_[i]->answers;
    if (!session) {
      error = std::move(session).error();
    } else if (!best || load < least) {
      best = *std::move(session);
      least = load;
    }
  }
  if (best) return *best;
  return std::unexpected(std::move(error));
}

std::expected<WorkerPool::Place, UpstreamError> WorkerPool::place_of(const Hash& session_id) {
  for (std::size_t i = 0; i < workers_.size(); ++i) {
    for (const SessionPtr& session : workers_[i]->sessions()) {
      if (session->id != session_id) continue;
      const std::shared_ptr<Member> member = members_[i];
      ++member->answers;
      // The pointer is for its deleter alone.
      std::shared_ptr<void> load(member.get(), [member](void*) { --member->answers; });
      return Place{workers_[i].get(), session, std::move(load)};
    }
  }
  // Perhaps a worker has begun a new one that was not asked for yet.
  for (const auto& worker : workers_) worker->want_refresh();
  return std::unexpected(unknown_session(session_id));
}

std::shared_ptr<UpstreamCall> WorkerPool::submit(const protocol::Submission& submission,
                                                 const SessionPtr& session, UpstreamEvents events) {
  auto place = place_of(session->id);
  if (!place) {
    events.on_done(std::unexpected(std::move(place).error()));
    return nullptr;
  }
  auto on_done = [load = place->load, on_done = std::move(events.on_done)](auto ended) {
    on_done(std::move(ended));
  };
  return place->worker->submit(
      submission, session, {.on_token = std::move(events.on_token), .on_done = std::move(on_done)});
}

}  // namespace otr::service

// The workers of a gateway as one upstream: whoever asks for a model gets the session of the worker
// with the fewest answers under way.
#ifndef OTR_SERVICE_WORKER_POOL_H_
#define OTR_SERVICE_WORKER_POOL_H_

#include <memory>
#include <vector>

#include "service/http_upstream.h"
#include "service/upstream.h"

namespace otr::service {

class WorkerPool final : public Upstream {
 public:
  explicit WorkerPool(std::vector<std::unique_ptr<HttpUpstream>> workers);
  ~WorkerPool() override;

  std::expected<std::shared_ptr<const AppraisedSession>, UpstreamError> session(
      const Hash& model_root) override;
  std::shared_ptr<UpstreamCall> submit(const protocol::Submission& submission,
                                       const std::shared_ptr<const AppraisedSession>& session,
                                       UpstreamEvents events) override;

  // A worker and its session, for whoever passes a submission on as it is (relay.h).
  struct Place {
    HttpUpstream* worker = nullptr;
    std::shared_ptr<const AppraisedSession> session;
    // Held as long as the answer is under way; counts it.
    std::shared_ptr<void> load;
  };
  [[nodiscard]] std::expected<Place, UpstreamError> place_of(const Hash& session_id);

  [[nodiscard]] const std::vector<std::unique_ptr<HttpUpstream>>& workers() const;

 private:
  struct Member;
  std::vector<std::unique_ptr<HttpUpstream>> workers_;
  std::vector<std::shared_ptr<Member>> members_;
};

}  // namespace otr::service

#endif  // OTR_SERVICE_WORKER_POOL_H_

// otr ask --url: answers of a gateway's workers, each verified here.
#ifndef OTR_APPS_ASK_REMOTE_H_
#define OTR_APPS_ASK_REMOTE_H_

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "attest/policy.h"
#include "base/result.h"
#include "model/artifact.h"
#include "net/client.h"
#include "node/inference.h"
#include "protocol/receipt.h"
#include "service/http_upstream.h"

namespace otr::apps {

struct RemoteFlags {
  std::string url, policy = "genuine", key_file, ca_file;
  bool open = false;  // prompts that the gateway can read
};

class Remote {
 public:
  // Fetches and appraises the gateway's sessions; kReject where the policy accepts none for the
  // model.
  static Result<std::unique_ptr<Remote>> connect(const RemoteFlags& flags,
                                                 const model::Artifact& artifact);

  [[nodiscard]] const attest::Policy& policy() const { return policy_; }

  // on_done: the receipt, verified but for the ladder that the caller prints. Both on the client's
  // thread.
  void submit(const protocol::SignedRequest& request, const std::vector<std::uint32_t>& prompt_ids,
              const std::optional<unsigned>& logprobs,
              std::function<void(const node::TokenInfo&)> on_token,
              std::function<void(Result<protocol::Receipt>)> on_done);
  void cancel();

 private:
  Remote(const model::Artifact& artifact, attest::Policy policy)
      : artifact_(artifact), policy_(std::move(policy)) {}

  const model::Artifact& artifact_;
  attest::Policy policy_;
  std::unique_ptr<net::Client> client_;
  std::unique_ptr<service::HttpUpstream> upstream_;
  std::shared_ptr<const service::AppraisedSession> session_;
  std::vector<std::shared_ptr<service::UpstreamCall>> calls_;
};

}  // namespace otr::apps

#endif  // OTR_APPS_ASK_REMOTE_H_

// A service whose sessions were appraised, and answers of it that were verified: what the library
// and `otr ask --url` both stand on.
#ifndef OTR_CLIENT_CONNECTION_H_
#define OTR_CLIENT_CONNECTION_H_

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "attest/policy.h"
#include "base/result.h"
#include "model/artifact.h"
#include "net/client.h"
#include "protocol/receipt.h"
#include "protocol/wire.h"
#include "service/http_upstream.h"

namespace otr::client {

// The policy of a built-in name, or of a text in TOML; kUsage where it is neither.
[[nodiscard]] otr::Result<attest::Policy> policy_of(std::string_view name_or_toml);

struct ConnectionOptions {
  std::string url, api_key, ca_file;  // as in Options (client.h)
  attest::Policy policy;
};

// Sessions as of HttpUpstream, appraised again while it lives.
class Connection {
 public:
  // Fetches and appraises the service's sessions; kReject where the policy accepts none.
  static otr::Result<std::unique_ptr<Connection>> open(ConnectionOptions options);

  [[nodiscard]] const attest::Policy& policy() const { return policy_; }
  [[nodiscard]] service::HttpUpstream& upstream() const { return *upstream_; }

  // A live one; kReject where the policy accepts none for this model.
  [[nodiscard]] otr::Result<std::shared_ptr<const service::AppraisedSession>> session(
      const Hash& model_root) const;

 private:
  explicit Connection(attest::Policy policy) : policy_(std::move(policy)) {}

  const attest::Policy policy_;
  std::unique_ptr<net::Client> http_;
  std::unique_ptr<service::HttpUpstream> upstream_;
};

struct AnswerEvents {
  // In order; all ids are of the vocabulary, and there are at most as many tokens as asked for.
  std::function<void(const protocol::TokenMessage&)> on_token;
  // Once, last: the receipt, verified (answer.h), whose output ids are those of on_token. Errors:
  // kReject for an answer that is not what was asked for, or not what its claim says; kUsage and
  // kNetwork as the service says; kCancelled.
  std::function<void(otr::Result<protocol::Receipt>)> on_done;
};

// Sends the request to the session of an upstream, and verifies what comes back. Events come on a
// thread of the upstream, also before this returns. `artifact` must outlive the call; letting go of
// what is returned cancels it; it is null where nothing was sent.
[[nodiscard]] std::shared_ptr<service::UpstreamCall> submit(
    service::Upstream& upstream, const std::shared_ptr<const service::AppraisedSession>& session,
    protocol::Submission submission, const model::Artifact& artifact, AnswerEvents events);

}  // namespace otr::client

#endif  // OTR_CLIENT_CONNECTION_H_

// Sessions and answers of one peer over HTTP: a gateway's worker, or a proxy's gateway.
//
// It appraises every session by its owner's own policy before it offers it, and offers it no longer
// than that verdict holds: until certificates or collateral run out, at most an hour (GATE-13). A
// peer whose sessions are refused is not used (GATE-11). Sessions are fetched by a thread of its
// own, the more often the nearer their end, so session() never waits.
#ifndef OTR_SERVICE_HTTP_UPSTREAM_H_
#define OTR_SERVICE_HTTP_UPSTREAM_H_

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "attest/anchors.h"
#include "attest/policy.h"
#include "crypto/secp256k1.h"
#include "net/client.h"
#include "service/upstream.h"

namespace otr::service {

// SPEC GATE-13: for how long evidence that was made for our nonce is relied on.
inline constexpr std::int64_t kMaxAppraisalSeconds = 3600;

struct HttpUpstreamOptions {
  std::string url;      // without a path: "http://127.0.0.1:8080"
  std::string api_key;  // sent as a bearer token; empty: none
  attest::Policy policy;
  const attest::Anchors* anchors = nullptr;  // vendor_anchors() where null
  // Asks for evidence over a nonce of our own, so that an old session cannot be replayed.
  bool fresh_evidence = true;
  std::uint32_t refresh_seconds = 60;  // between two looks at the peer's sessions, at most
  // A gateway's: it countersigns claims (GATE-5), and uses only sessions that name this operator.
  std::shared_ptr<const crypto::PrivateKey> operator_key;
  std::function<std::int64_t()> unix_seconds;  // env::unix_seconds where empty
};

class HttpUpstream final : public Upstream {
 public:
  // Starts without waiting for the peer; `client` must outlive it.
  static std::unique_ptr<HttpUpstream> start(net::Client& client, HttpUpstreamOptions options);
  ~HttpUpstream() override;

  std::expected<std::shared_ptr<const AppraisedSession>, UpstreamError> session(
      const Hash& model_root) override;
  std::shared_ptr<UpstreamCall> submit(const protocol::Submission& submission,
                                       const std::shared_ptr<const AppraisedSession>& session,
                                       UpstreamEvents events) override;

  // Fetches and appraises now, and waits for it; for starting up and for tests.
  Status refresh();
  // Asks again soon: a session was not known any more.
  void want_refresh();
  // All accepted sessions.
  [[nodiscard]] std::vector<std::shared_ptr<const AppraisedSession>> sessions() const;
  // Why nothing is offered: the last error of peer or appraisal, for a person.
  [[nodiscard]] std::string trouble() const;
  [[nodiscard]] const std::string& url() const;

  // SPEC GATE-5: fills in the operator's words if the claim is one that this peer's session made on
  // this request. For whoever passes messages on himself. False: the claim is not what was asked.
  [[nodiscard]] bool countersign(protocol::ClaimMessage& claim, const Hash& request_hash,
                                 const AppraisedSession& session) const;

 private:
  class Body;
  explicit HttpUpstream(std::shared_ptr<Body> body);
  std::shared_ptr<Body> body_;
};

}  // namespace otr::service

#endif  // OTR_SERVICE_HTTP_UPSTREAM_H_

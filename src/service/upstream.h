// Where a front gets its answers from: the worker of a gateway, the gateway of a proxy (SPEC GATE).
//
// An upstream delivers what came over the wire and vouches for nothing but the session: whoever
// holds the ended answer builds the receipt and verifies it (answer.h).
#ifndef OTR_SERVICE_UPSTREAM_H_
#define OTR_SERVICE_UPSTREAM_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "protocol/session.h"
#include "protocol/wire.h"

namespace otr::service {

// A session that this process has checked and appraised by its own policy (SPEC SESS-6, SESS-8).
struct AppraisedSession {
  protocol::SessionDocument document;
  Hash id{};
  bool hardware = false;
  std::string description;        // of the verdict; says SIMULATED where it is
  std::int64_t appraised_at = 0;  // unix seconds
  // The verdict on exactly this evidence holds until then, and the session itself: certificates,
  // revocation lists and collateral run out.
  std::int64_t good_until = INT64_MAX;
};

// The end of an answer, as it was received: nothing in it is verified yet.
struct EndedAnswer {
  protocol::ClaimMessage claim;
  std::vector<Hash> trace_path;
};

// A failure that an HTTP client must learn: status, type and code as OpenAI's errors have them.
using UpstreamError = protocol::ErrorMessage;

struct UpstreamEvents {
  std::function<void(const protocol::TokenMessage&)> on_token;  // in order
  // Once, last. Both may be called on any thread, also within submit(), and must not block long.
  std::function<void(std::expected<EndedAnswer, UpstreamError>)> on_done;
};

class UpstreamCall {
 public:
  virtual ~UpstreamCall() = default;
  // on_done still comes. From any thread. Letting go of a call cancels it too.
  virtual void cancel() = 0;
};

class Upstream {
 public:
  virtual ~Upstream() = default;
  // A live session of the model, appraised before; the one to put into a request's submission.
  // Errors of OpenAI's shape: 404 where no such model is served, 503 where no session is accepted
  // (the message says why, for a person).
  virtual std::expected<std::shared_ptr<const AppraisedSession>, UpstreamError> session(
      const Hash& model_root) = 0;
  // Sends a submission to its session. In sealed mode (request.mode 1) it is sealed here.
  virtual std::shared_ptr<UpstreamCall> submit(
      const protocol::Submission& submission,
      const std::shared_ptr<const AppraisedSession>& session, UpstreamEvents events) = 0;
};

}  // namespace otr::service

#endif  // OTR_SERVICE_UPSTREAM_H_

// One submission on its way: the POST, and its answer as a stream of messages (SPEC GATE-1 to
// GATE-3).
#ifndef OTR_SERVICE_SUBMISSION_CALL_H_
#define OTR_SERVICE_SUBMISSION_CALL_H_

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "net/client.h"
#include "protocol/wire.h"
#include "service/upstream.h"

namespace otr::service {

struct MessageEvents {
  // In order. False ends the call: what came is not what was asked for; on_end then follows with
  // an error.
  std::function<bool(protocol::StreamMessage)> on_message;
  // Once, last: nothing if a `final` came and the stream ended whole; else what went wrong, in
  // words for the one who asked. An {error} message ends here and is not given to on_message.
  std::function<void(std::optional<UpstreamError>)> on_end;
};

// Posts `body` (encode_submission) to `base_url`/v1/otr/requests. Events come on the client's I/O
// thread. `client` must outlive the call.
[[nodiscard]] std::shared_ptr<UpstreamCall> post_submission(net::Client& client,
                                                            const std::string& base_url,
                                                            net::Headers headers, std::string body,
                                                            MessageEvents events);

// The error of a failed HTTP answer in OpenAI's shape; of any other body one that names `what`.
[[nodiscard]] UpstreamError error_of(unsigned status, const std::string& body,
                                     const std::string& what);

}  // namespace otr::service

#endif  // OTR_SERVICE_SUBMISSION_CALL_H_

// What a client does with an ended answer: build the receipt from what it asked and what it
// received, and verify it as if it came from a stranger (SPEC GATE-11).
#ifndef OTR_SERVICE_ANSWER_H_
#define OTR_SERVICE_ANSWER_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "machine/model.h"
#include "protocol/receipt.h"
#include "protocol/request.h"
#include "service/upstream.h"

namespace otr::service {

struct VerifiedAnswer {
  protocol::Receipt receipt;
  std::string receipt_text;  // canonical, with its session
};

// `output_ids` are the tokens of the stream, in order. All checks of SPEC RCPT-2, RCPT-3 and
// RCPT-6, that the claim is of `session` and that it is live at `now`. kReject with the code of the
// first check that fails: what was received then is not an answer.
[[nodiscard]] Result<VerifiedAnswer> verify_answer(const protocol::SignedRequest& request,
                                                   const std::vector<std::uint32_t>& prompt_ids,
                                                   const std::vector<std::uint32_t>& output_ids,
                                                   const EndedAnswer& ended,
                                                   const AppraisedSession& session,
                                                   const machine::Model& model,
                                                   const Hash& model_root, std::int64_t now);

}  // namespace otr::service

#endif  // OTR_SERVICE_ANSWER_H_

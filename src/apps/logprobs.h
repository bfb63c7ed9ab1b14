// Log-probabilities as people read them (node/logprobs.h): always with the words that they are not
// covered by the claim.
#ifndef OTR_APPS_LOGPROBS_H_
#define OTR_APPS_LOGPROBS_H_

#include <span>
#include <string>

#include "base/canonical_json.h"
#include "machine/model.h"
#include "node/logprobs.h"

namespace otr::apps {

// Of the output tokens of an answer, in order.
std::string to_text(std::span<const node::TokenLogprobs> logprobs, const machine::Model& model);
Json to_json(std::span<const node::TokenLogprobs> logprobs, const machine::Model& model);

}  // namespace otr::apps

#endif  // OTR_APPS_LOGPROBS_H_

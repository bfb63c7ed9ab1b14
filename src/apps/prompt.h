// From what a person types to a signed request (SPEC REQ).
#ifndef OTR_APPS_PROMPT_H_
#define OTR_APPS_PROMPT_H_

#include <string>
#include <vector>

#include "base/result.h"
#include "model/artifact.h"
#include "text/tokenizer.h"

namespace otr::apps {

struct Prompt {
  std::vector<std::uint32_t> ids;
  bool templated = false;  // the model's chat template was applied
};

// The prompt's ids: through the chat template, where the model has one and `raw` is off.
Result<Prompt> encode_prompt(const model::Artifact& artifact, const text::Tokenizer& tokenizer,
                             const std::string& question, bool raw);

}  // namespace otr::apps

#endif  // OTR_APPS_PROMPT_H_

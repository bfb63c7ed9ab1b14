// From what a person types to a signed request (SPEC REQ).
#ifndef OTR_APPS_PROMPT_H_
#define OTR_APPS_PROMPT_H_

#include <string>
#include <vector>

#include "base/result.h"
#include "machine/program.h"
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

// What a person says of sampling, as the integers of SPEC chapter 7. Temperature 0 is greedy;
// an empty seed is a new random one, a decimal number stands for itself, 0x and 64 digits for 32
// bytes.
struct SamplingFlags {
  double temperature = 0;
  double top_p = 1;
  double min_p = 0;
  std::uint32_t top_k = 0;
  double presence_penalty = 0;
  double frequency_penalty = 0;
  std::string seed;
};
Result<machine::Sampling> to_sampling(const SamplingFlags& flags);

}  // namespace otr::apps

#endif  // OTR_APPS_PROMPT_H_

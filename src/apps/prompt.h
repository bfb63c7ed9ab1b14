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

// The prompt's ids: through the chat template, where the model has one and `raw` is off; else the
// question as it is, with the BOS where the tokeniser adds one. `system`, where not empty, is the
// system message, for which there must be a template.
//
// With a template the ids are those of the transformers library's apply_chat_template: of the text
// that the template writes, its control tokens recognised, and no BOS but the one it writes. (Where
// a template writes none, llama.cpp adds a BOS if the tokeniser's add_bos asks for it; here as in
// transformers it does not.) What a message spells is text: it never becomes a control token.
Result<Prompt> encode_prompt(const model::Artifact& artifact, const text::Tokenizer& tokenizer,
                             const std::string& question, bool raw, const std::string& system = {});

}  // namespace otr::apps

#endif  // OTR_APPS_PROMPT_H_

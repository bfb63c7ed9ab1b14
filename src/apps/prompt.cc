#include "apps/prompt.h"

#include <algorithm>

#include "text/template.h"

namespace otr::apps {
Result<Prompt> encode_prompt(const model::Artifact& artifact, const text::Tokenizer& tokenizer,
                             const std::string& question, bool raw) {
  Prompt prompt{.templated = !raw && !artifact.chat_template().empty()};
  if (!prompt.templated) {
    OTR_TRY_ASSIGN(prompt.ids, tokenizer.encode(question));
  } else {
    // The template may name control tokens; what the user typed may not.
    OTR_TRY_ASSIGN(const auto typed,
                   tokenizer.encode(question, {.add_special = false, .parse_special = true}));
    if (std::ranges::any_of(typed, [&](std::uint32_t id) { return tokenizer.is_control(id); })) {
      return fail(ErrorKind::kUsage,
                  "the prompt spells a control token of this model; rephrase it, or write the "
                  "whole prompt yourself and use --raw");
    }
    OTR_TRY_ASSIGN(const text::TemplatedText templated,
                   text::apply_template(artifact.chat_template(), question));
    if (templated.bos && tokenizer.bos()) prompt.ids.push_back(*tokenizer.bos());
    OTR_TRY_ASSIGN(const auto ids, tokenizer.encode(templated.text, {.add_special = !templated.bos,
                                                                     .parse_special = true}));
    prompt.ids.insert(prompt.ids.end(), ids.begin(), ids.end());
  }
  if (prompt.ids.empty()) {
    return fail(ErrorKind::kUsage, "the prompt is empty: give some text to answer");
  }
  return prompt;
}

}  // namespace otr::apps

// The members that chat and completions have in one meaning.
#ifndef OTR_OPENAI_GENERATION_H_
#define OTR_OPENAI_GENERATION_H_

#include "openai/fields.h"
#include "openai/parse.h"

namespace otr::openai {

// All but `logprobs`, which the two spell differently, and `unknown`, which only the whole body
// tells.
[[nodiscard]] Parsed<Generation> parse_generation(Fields& fields);

// 400 where a member that would change the answer, and is not done here, says more than nothing.
[[nodiscard]] Parsed<bool> refuse_unsupported(Fields& fields);

// An array of token ids. They may still lie beyond a vocabulary.
[[nodiscard]] Parsed<std::vector<std::uint32_t>> parse_ids(const Json& value,
                                                           const std::string& param);

}  // namespace otr::openai

#endif  // OTR_OPENAI_GENERATION_H_

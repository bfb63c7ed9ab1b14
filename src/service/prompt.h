// From what a person or a client says to the ids that a request is about, the same for the command
// line and every front.
#ifndef OTR_SERVICE_PROMPT_H_
#define OTR_SERVICE_PROMPT_H_

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "chat/template.h"
#include "model/artifact.h"
#include "text/tokenizer.h"

namespace otr::service {

struct ChatOptions {
  bool add_generation_prompt = true;
  std::map<std::string, bool> flags;  // variables of the template, such as enable_thinking
};

// The text that the model's chat template makes of a conversation. kUsage where the model has no
// template, and where the template refuses the conversation.
[[nodiscard]] Result<chat::TemplatedText> apply_chat_template(
    const model::Artifact& artifact, const text::Tokenizer& tokenizer,
    std::span<const chat::ChatMessage> messages, const ChatOptions& options = {});

// The ids of a conversation: those of the transformers library's apply_chat_template, that is, of
// the text that the template writes, its control tokens recognised, and no BOS but the one it
// writes. (Where a template writes none, llama.cpp adds a BOS if the tokeniser's add_bos asks for
// it; here as in transformers it does not.) What a message spells is text: it never becomes a
// control token. kUsage where nothing is left to answer.
[[nodiscard]] Result<std::vector<std::uint32_t>> encode_chat(
    const model::Artifact& artifact, const text::Tokenizer& tokenizer,
    std::span<const chat::ChatMessage> messages, const ChatOptions& options = {});

// The ids of a text to go on with, as it is, with the BOS where the tokeniser adds one.
[[nodiscard]] Result<std::vector<std::uint32_t>> encode_text(const text::Tokenizer& tokenizer,
                                                             const std::string& text);

}  // namespace otr::service

#endif  // OTR_SERVICE_PROMPT_H_

// Chat templates: how a conversation becomes the text a model was trained on.
//
// A template is a stranger's program, in the part of Jinja that chat templates use and with the
// meaning that Python's jinja2 gives it as the transformers library sets it up. What is not
// supported is refused by its name and place, never guessed: the template is under the model root
// (SPEC MODEL-6), and another reading of it would ask another model. Evaluation is bounded in
// steps, memory, depth and output, and depends on nothing but its arguments: there is no clock, so
// `strftime_now` is not defined. Nor are there floating point numbers.
#ifndef OTR_CHAT_TEMPLATE_H_
#define OTR_CHAT_TEMPLATE_H_

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"

namespace otr::chat {

struct ChatMessage {
  std::string role;     // system, user, assistant or tool
  std::string content;  // UTF-8
};

struct TemplateOptions {
  bool add_generation_prompt = true;
  // The texts of these tokens; a variable that is not set is undefined, as where a tokeniser
  // has no such token.
  std::optional<std::string> bos_token, eos_token;
  // More variables, such as enable_thinking.
  std::map<std::string, bool> flags;
  // What an evaluation may use: nodes of the template (and blocks of 32 bytes), and bytes.
  std::uint64_t max_steps = 4'000'000;
  std::uint64_t max_bytes = std::uint64_t{128} << 20;
};

struct TemplatedText {
  std::string text;
  // One byte per byte of the text: 1 where it came from the content of a message, 0 where the
  // template wrote it (EncodeOptions::typed).
  std::string typed;
};

// kUsage where a role or content cannot be used, and where the template itself refuses the
// conversation (raise_exception); kBadInput, with line and column, for what is wrong with the
// template or not supported in it.
[[nodiscard]] Result<TemplatedText> apply_template(std::string_view source,
                                                   std::span<const ChatMessage> messages,
                                                   const TemplateOptions& options);

// Names the first construct of the template that is not supported, if any. A template with one may
// still serve conversations that do not come there.
[[nodiscard]] Status check_template(std::string_view source);

}  // namespace otr::chat

#endif  // OTR_CHAT_TEMPLATE_H_

#include "service/prompt.h"

#include <optional>
#include <utility>

namespace otr::service {
namespace {

std::optional<std::string> name_of(const text::Tokenizer& tokenizer,
                                   std::optional<std::uint32_t> id) {
  return id ? tokenizer.name(*id) : std::nullopt;
}

Result<std::vector<std::uint32_t>> not_empty(Result<std::vector<std::uint32_t>> ids) {
  if (ids && ids->empty()) {
    return fail(ErrorKind::kUsage, "the prompt is empty: give some text to answer");
  }
  return ids;
}

}  // namespace

Result<chat::TemplatedText> apply_chat_template(const model::Artifact& artifact,
                                                const text::Tokenizer& tokenizer,
                                                std::span<const chat::ChatMessage> messages,
                                                const ChatOptions& options) {
  const std::string& source = artifact.chat_template();
  if (source.empty()) {
    return fail(ErrorKind::kUsage,
                "this model has no chat template, so it takes no conversation: give the whole "
                "prompt as one text");
  }
  chat::TemplateOptions given;
  given.add_generation_prompt = options.add_generation_prompt;
  given.bos_token = name_of(tokenizer, tokenizer.bos());
  given.flags = options.flags;
  if (!tokenizer.eos().empty()) given.eos_token = tokenizer.name(tokenizer.eos()[0]);
  OTR_TRY_ASSIGN(chat::TemplatedText result, chat::apply_template(source, messages, given));
  // A model may end on several tokens, and nothing says which of them its template means by
  // eos_token: that must then make no difference.
  for (std::size_t i = 1; i < tokenizer.eos().size(); ++i) {
    given.eos_token = tokenizer.name(tokenizer.eos()[i]);
    OTR_TRY_ASSIGN(const chat::TemplatedText other, chat::apply_template(source, messages, given));
    if (other.text != result.text) {
      return fail(ErrorKind::kBadInput,
                  "the model's chat template writes eos_token, but the model ends on several "
                  "tokens and does not say which it means");
    }
  }
  return result;
}

Result<std::vector<std::uint32_t>> encode_chat(const model::Artifact& artifact,
                                               const text::Tokenizer& tokenizer,
                                               std::span<const chat::ChatMessage> messages,
                                               const ChatOptions& options) {
  OTR_TRY_ASSIGN(const chat::TemplatedText templated,
                 apply_chat_template(artifact, tokenizer, messages, options));
  return not_empty(tokenizer.encode(
      templated.text, {.add_special = false, .parse_special = true, .typed = templated.typed}));
}

Result<std::vector<std::uint32_t>> encode_text(const text::Tokenizer& tokenizer,
                                               const std::string& text) {
  return not_empty(tokenizer.encode(text));
}

}  // namespace otr::service

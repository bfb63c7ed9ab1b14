#include "apps/prompt.h"

#include <utility>

#include "chat/template.h"

namespace otr::apps {
namespace {

std::optional<std::string> name_of(const text::Tokenizer& tokenizer,
                                   std::optional<std::uint32_t> id) {
  return id ? tokenizer.name(*id) : std::nullopt;
}

// The conversation through the template. A model may end on several tokens, and nothing says which
// of them its template means by eos_token: that must then make no difference.
Result<chat::TemplatedText> apply(const std::string& source, const text::Tokenizer& tokenizer,
                                  std::span<const chat::ChatMessage> messages) {
  chat::TemplateOptions options{.bos_token = name_of(tokenizer, tokenizer.bos())};
  if (!tokenizer.eos().empty()) options.eos_token = tokenizer.name(tokenizer.eos()[0]);
  OTR_TRY_ASSIGN(chat::TemplatedText result, chat::apply_template(source, messages, options));
  for (std::size_t i = 1; i < tokenizer.eos().size(); ++i) {
    options.eos_token = tokenizer.name(tokenizer.eos()[i]);
    OTR_TRY_ASSIGN(const chat::TemplatedText other,
                   chat::apply_template(source, messages, options));
    if (other.text != result.text) {
      return fail(ErrorKind::kBadInput,
                  "the model's chat template writes eos_token, but the model ends on several "
                  "tokens and does not say which it means");
    }
  }
  return result;
}

}  // namespace

Result<Prompt> encode_prompt(const model::Artifact& artifact, const text::Tokenizer& tokenizer,
                             const std::string& question, bool raw, const std::string& system) {
  Prompt prompt{.templated = !raw && !artifact.chat_template().empty()};
  if (!prompt.templated) {
    if (!system.empty()) {
      return fail(ErrorKind::kUsage, raw ? "a system message and --raw exclude each other: write "
                                           "it into the prompt"
                                         : "this model has no chat template, so it takes no system "
                                           "message: write it into the prompt");
    }
    OTR_TRY_ASSIGN(prompt.ids, tokenizer.encode(question));
  } else {
    std::vector<chat::ChatMessage> messages;
    if (!system.empty()) messages.push_back({"system", system});
    messages.push_back({"user", question});
    auto templated = apply(artifact.chat_template(), tokenizer, messages);
    if (!templated) {
      templated.error().message += "; to do without the template, give the whole prompt with --raw";
      return std::unexpected(std::move(templated).error());
    }
    OTR_TRY_ASSIGN(prompt.ids, tokenizer.encode(templated->text, {.add_special = false,
                                                                  .parse_special = true,
                                                                  .typed = templated->typed}));
  }
  if (prompt.ids.empty()) {
    return fail(ErrorKind::kUsage, "the prompt is empty: give some text to answer");
  }
  return prompt;
}

}  // namespace otr::apps

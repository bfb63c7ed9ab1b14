#include "chat/template.h"

#include <algorithm>
#include <array>

#include "chat/jinja_evaluator.h"
#include "text/utf8.h"

namespace otr::chat {
namespace {

Result<Value> messages_value(std::span<const ChatMessage> messages) {
  constexpr std::array<std::string_view, 4> kRoles = {"system", "user", "assistant", "tool"};
  std::vector<Value> list;
  for (const ChatMessage& message : messages) {
    if (!among(kRoles, message.role)) {
      return fail(ErrorKind::kUsage, "the role " + quoted(message.role) +
                                         " is not known: it must be system, user, assistant or "
                                         "tool");
    }
    if (const auto offset = text::utf8_error(message.content)) {
      return fail(ErrorKind::kUsage, "the text is not UTF-8 at byte " + std::to_string(*offset));
    }
    Map map;
    map.set(make_text("role"), make_text(message.role));
    map.set(make_text("content"), make_text(MarkedText::from_outside(message.content)));
    OTR_TRY_ASSIGN(Value value, make_map(std::move(map)));
    list.push_back(std::move(value));
  }
  return make_list(std::move(list));
}

}  // namespace

Result<TemplatedText> apply_template(std::string_view source, std::span<const ChatMessage> messages,
                                     const TemplateOptions& options) {
  OTR_TRY_ASSIGN(const Template parsed, parse_template(source));
  Globals globals;
  OTR_TRY_ASSIGN(globals["messages"], messages_value(messages));
  globals["add_generation_prompt"] = {options.add_generation_prompt};
  globals["tools"] = {None{}};
  globals["documents"] = {None{}};
  if (options.bos_token) globals["bos_token"] = make_text(*options.bos_token);
  if (options.eos_token) globals["eos_token"] = make_text(*options.eos_token);
  for (const auto& [name, flag] : options.flags) globals[name] = {flag};
  const Bounds bounds{.max_steps = options.max_steps, .max_bytes_made = options.max_bytes};
  OTR_TRY_ASSIGN(MarkedText written, Evaluator(parsed, std::move(globals), bounds).run());
  return TemplatedText{std::move(written.bytes), std::move(written.typed)};
}

Status check_template(std::string_view source) {
  OTR_TRY_ASSIGN(const Template parsed, parse_template(source));
  if (parsed.unsupported.empty()) return {};
  const auto& first = *std::ranges::min_element(parsed.unsupported);
  return fault(parsed.source, first.first, first.second);
}

}  // namespace otr::chat

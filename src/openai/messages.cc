#include "openai/messages.h"

#include "openai/fields.h"

namespace otr::openai {
namespace {

std::string element(const std::string& param, std::size_t index) {
  return param + "[" + std::to_string(index) + "]";
}

Parsed<std::string> parse_part(const Json& part, const std::string& param) {
  if (!part.is_object()) return std::unexpected(wrong_type(param, "an object", part));
  Fields fields(part, param + ".");
  OTR_TRY_ASSIGN(const auto type, fields.text("type"));
  if (type != "text") {
    return std::unexpected(unsupported(
        fields.param("type"), "'" + fields.param("type") +
                                  "' must be 'text': this model takes no images, audio or files."));
  }
  OTR_TRY_ASSIGN(const auto text, fields.text("text"));
  if (!text) return std::unexpected(wrong_type(fields.param("text"), "a string", Json()));
  return *text;
}

Parsed<std::string> parse_content(const Json& content, const std::string& param) {
  if (content.is_string()) return content.get<std::string>();
  if (!content.is_array()) {
    return std::unexpected(
        wrong_type(param, "a string or an array of parts {\"type\": \"text\"}", content));
  }
  std::string joined;
  for (std::size_t i = 0; i < content.size(); ++i) {
    OTR_TRY_ASSIGN(const std::string part, parse_part(content[i], element(param, i)));
    if (i > 0) joined += '\n';
    joined += part;
  }
  return joined;
}

Parsed<std::string> parse_role(Fields& fields) {
  OTR_TRY_ASSIGN(const auto role, fields.text("role"));
  if (role == "developer") return "system";
  if (role == "system" || role == "user" || role == "assistant") return *role;
  const std::string param = fields.param("role");
  if (role == "tool" || role == "function") {
    return std::unexpected(unsupported(param, "'" + param + "': tools are not supported here."));
  }
  return std::unexpected(invalid_request(
      param, "'" + param + "' must be system, developer, user or assistant.", "invalid_value"));
}

Parsed<chat::ChatMessage> parse_message(const Json& value, const std::string& param) {
  if (!value.is_object()) return std::unexpected(wrong_type(param, "an object", value));
  Fields fields(value, param + ".");
  chat::ChatMessage message;
  OTR_TRY_ASSIGN(message.role, parse_role(fields));
  for (const char* const name : {"tool_calls", "function_call", "audio"}) {
    const Json& member = fields.take(name);
    if (member.is_null() || (member.is_array() && member.empty())) continue;
    return std::unexpected(unsupported(
        fields.param(name), "'" + fields.param(name) + "': only texts are supported here."));
  }
  OTR_TRY_ASSIGN(message.content, parse_content(fields.take("content"), fields.param("content")));
  return message;
}

}  // namespace

Parsed<std::vector<chat::ChatMessage>> parse_messages(const Json& value, const std::string& param) {
  if (!value.is_array()) return std::unexpected(wrong_type(param, "an array of messages", value));
  if (value.empty()) {
    return std::unexpected(invalid_request(
        param, "'" + param + "' is empty: give at least one message.", "invalid_value"));
  }
  std::vector<chat::ChatMessage> messages;
  for (std::size_t i = 0; i < value.size(); ++i) {
    OTR_TRY_ASSIGN(messages.emplace_back(), parse_message(value[i], element(param, i)));
  }
  // As in llama-server, where the last of them would be continued.
  const std::size_t count = messages.size();
  if (count > 1 && messages[count - 1].role == "assistant" &&
      messages[count - 2].role == "assistant") {
    return std::unexpected(invalid_request(
        param, "'" + param + "' ends with two messages of the assistant: nobody asks anything.",
        "invalid_value"));
  }
  return messages;
}

}  // namespace otr::openai

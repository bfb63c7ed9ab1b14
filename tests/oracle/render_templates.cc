// Renders chat templates for comparison with other programs: JSON lines in, JSON lines out.
//
// A line in: {"template": "...", "messages": [{"role","content"}], "options": {"bos_token",
// "eos_token", "add_generation_prompt", and flags}}. A line out: {"text", "typed"} (the marks as
// 0 and 1), or {"error"}.
#include <cstdio>
#include <iostream>
#include <nlohmann/json.hpp>

#include "chat/template.h"

namespace {

using Json = nlohmann::json;

Json render(const Json& one) {
  std::vector<otr::chat::ChatMessage> messages;
  for (const Json& message : one.at("messages")) {
    messages.push_back({message.at("role"), message.at("content")});
  }
  otr::chat::TemplateOptions options;
  for (const auto& [name, value] : one.at("options").items()) {
    if (name == "bos_token") {
      options.bos_token = value;
    } else if (name == "eos_token") {
      options.eos_token = value;
    } else if (name == "add_generation_prompt") {
      options.add_generation_prompt = value;
    } else {
      options.flags[name] = value;
    }
  }
  auto result = otr::chat::apply_template(one.at("template").get<std::string>(), messages, options);
  if (!result) return {{"error", result.error().message}};
  for (char& mark : result->typed) mark = mark == 0 ? '0' : '1';
  return {{"text", result->text}, {"typed", result->typed}};
}

}  // namespace

int main() {
  for (std::string line; std::getline(std::cin, line);) {
    std::cout << render(Json::parse(line)).dump() << '\n';
  }
  return 0;
}

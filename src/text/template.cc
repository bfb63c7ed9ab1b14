#include "text/template.h"

namespace otr::text {
namespace {

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view kSpace = " \t\r\n";
  const auto begin = text.find_first_not_of(kSpace);
  if (begin == text.npos) return {};
  return text.substr(begin, text.find_last_not_of(kSpace) - begin + 1);
}

std::unexpected<Error> unsupported(std::string_view what, std::size_t offset) {
  return fail(ErrorKind::kBadInput,
              "the model's chat template uses '" + std::string(what.substr(0, 60)) +
                  "' at offset " + std::to_string(offset) +
                  ", which is not supported yet; write the whole prompt yourself and use --raw");
}

// Where the next tag begins: `{{`, `{%` or `{#`.
std::size_t find_tag(std::string_view source, std::size_t at) {
  for (; at + 1 < source.size(); ++at) {
    const char next = source[at + 1];
    if (source[at] == '{' && (next == '{' || next == '%' || next == '#')) return at;
  }
  return source.size();
}

}  // namespace

Result<TemplatedText> apply_template(std::string_view source, std::string_view question) {
  if (source.ends_with('\n')) source.remove_suffix(1);  // Jinja drops one line feed at the end
  TemplatedText result;
  for (std::size_t at = 0; at < source.size();) {
    const std::size_t open = find_tag(source, at);
    result.text += source.substr(at, open - at);
    if (open == source.size()) break;
    const std::size_t close = source.find("}}", open);
    if (source[open + 1] != '{' || close == source.npos) {
      return unsupported(source.substr(open), open);
    }
    const std::string_view expression = trimmed(source.substr(open + 2, close - open - 2));
    if (expression == "bos_token" && open == 0) {
      result.bos = true;
    } else if (expression == "messages[0]['content']") {
      result.text += question;
    } else {
      return unsupported(expression, open);
    }
    at = close + 2;
  }
  return result;
}

}  // namespace otr::text

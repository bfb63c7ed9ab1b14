// A stranger's chat template over a conversation, within tight bounds: it ends, quickly, with a
// text or with an error that says why. Input: a question, a line feed, and the template.
#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/check.h"
#include "chat/template.h"
#include "text/utf8.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace otr;
  using namespace otr::chat;
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  const std::size_t line = std::min(input.find('\n'), input.size());
  const std::string question(input.substr(0, line));
  const std::string_view source = input.substr(std::min(line + 1, input.size()));
  const auto checked = check_template(source);
  OTR_CHECK(checked || !checked.error().message.empty());
  const std::vector<ChatMessage> messages = {
      {"system", "Be brief."}, {"user", question}, {"assistant", " <e>\n"}, {"user", "Bye"}};
  const TemplateOptions options{.bos_token = "<s>",
                                .eos_token = "</s>",
                                .flags = {{"enable_thinking", false}},
                                .max_steps = 20'000,
                                .max_bytes = std::uint64_t{1} << 20};
  const auto result = apply_template(source, messages, options);
  if (!result) {
    OTR_CHECK(!result.error().message.empty() && result.error().message.size() < 2000);
    OTR_CHECK(!text::utf8_error(result.error().message));
    return 0;
  }
  OTR_CHECK(result->text.size() == result->typed.size() &&
            result->text.size() <= options.max_bytes);
  OTR_CHECK(!text::utf8_error(result->text));
  return 0;
}

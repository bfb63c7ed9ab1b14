// A stranger's body through the parsers of the service: each gives a request that is within the
// bounds of a signed one, or an error that a client can read.
#include <cstdint>
#include <string_view>

#include "base/check.h"
#include "openai/parse.h"
#include "protocol/request.h"
#include "text/utf8.h"

namespace {

using namespace otr;
using namespace otr::openai;

void check_error(const ApiError& error) {
  OTR_CHECK(error.status == 400 || error.status == 413);
  OTR_CHECK(!error.message.empty() && error.message.size() < 1000);
  OTR_CHECK(!text::utf8_error(to_json(error).dump()));
}

void check_generation(Generation generation) {
  const protocol::Request request{.prompt_count = 1,
                                  .max_tokens = generation.max_tokens.value_or(1),
                                  .sampling = generation.sampling,
                                  .stop = generation.stop};
  OTR_CHECK(protocol::check_ranges(request).has_value());
  OTR_CHECK(generation.n >= 1 && generation.n <= kMaxAnswers);
  const machine::Shape shape{.vocabulary = 1000, .context = 100};
  const auto max_tokens = fit_to_model(generation, {1, 2, 3}, shape, "prompt");
  if (!max_tokens) return check_error(max_tokens.error());
  OTR_CHECK(*max_tokens >= 1 && *max_tokens <= 97);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view body(reinterpret_cast<const char*>(data), size);
  if (const auto chat = parse_chat(body)) {
    OTR_CHECK(!chat->messages.empty());
    check_generation(chat->generation);
  } else {
    check_error(chat.error());
  }
  if (const auto completion = parse_completion(body)) {
    OTR_CHECK(!completion->prompts.empty());
    OTR_CHECK(completion->prompts.size() * completion->generation.n <= kMaxAnswers);
    check_generation(completion->generation);
  } else {
    check_error(completion.error());
  }
  if (const auto tokenize = parse_tokenize(body); !tokenize) check_error(tokenize.error());
  if (const auto detokenize = parse_detokenize(body); !detokenize) check_error(detokenize.error());
  return 0;
}

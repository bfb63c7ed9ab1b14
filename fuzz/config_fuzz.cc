// The JSON files beside a stranger's weights: config.json as a description of a model, and all of
// them as what a tokeniser says of itself. What is accepted is within the limits of the SPEC.
#include <cmath>
#include <cstddef>
#include <cstdint>

#include "base/check.h"
#include "convert/huggingface_config.h"
#include "text/document.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace otr;
  const std::string_view text = as_text(ByteView(data, size));
  const auto read = convert::parse_huggingface_config(text, "the input");
  if (!read) {
    OTR_CHECK(!read.error().message.empty());
  } else {
    const convert::FloatConfig& config = read->config;
    const machine::Shape& shape = config.shape;
    OTR_CHECK(shape.hidden <= machine::kMaxHidden && shape.vocabulary <= machine::kMaxVocabulary);
    OTR_CHECK(shape.kv_heads >= 1 && shape.heads % shape.kv_heads == 0);
    OTR_CHECK(shape.context <= machine::kMaxContext && shape.window < shape.context);
    OTR_CHECK(config.rope_frequency.size() == shape.head_dim / 2);
    for (const double frequency : config.rope_frequency) {
      OTR_CHECK(std::isfinite(frequency) && frequency >= 0);
    }
    OTR_CHECK(std::isfinite(config.score_scale) && config.eps >= 0);
  }
  // A tokeniser that is always good, so that only what is said beside it is in question.
  constexpr std::string_view kTokenizer =
      R"({"model":{"type":"BPE","vocab":{"a":0,"b":1},"merges":[]},)"
      R"("added_tokens":[{"id":2,"content":"<s>","special":true}],)"
      R"("pre_tokenizer":{"type":"ByteLevel","add_prefix_space":false,"use_regex":true},)"
      R"("decoder":{"type":"ByteLevel"}})";
  static const bool good =
      text::document_from_huggingface({.tokenizer_json = kTokenizer}).has_value();
  OTR_CHECK(good);
  const auto document = text::document_from_huggingface({.tokenizer_json = kTokenizer,
                                                         .tokenizer_config_json = text,
                                                         .generation_config_json = text,
                                                         .config_json = text});
  OTR_CHECK(document || !document.error().message.empty());
  return 0;
}

// The tokeniser documents of strangers, and texts through whatever tokeniser they make.
//
// Input: a document, a line feed, and a text. Or 'P', a byte n, n bytes of text and a SentencePiece
// file. A document that is well-formed JSON but not canonical is made so and tried again, or almost
// every mutation would end at the first check.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "text/document.h"
#include "text/json.h"
#include "text/tokenizer.h"
#include "text/utf8.h"

namespace {

void require(bool condition) {
  if (!condition) std::abort();
}

void use(const otr::text::Tokenizer& tokenizer, std::string_view text) {
  for (const bool parse_special : {false, true}) {
    const auto ids = tokenizer.encode(text, {.add_special = false, .parse_special = parse_special});
    require(ids.has_value() || !ids.error().message.empty());
    if (!ids) continue;
    std::string bytes;
    for (const std::uint32_t id : *ids) {
      require(id < tokenizer.vocabulary_size());
      bytes += tokenizer.token_bytes(id);
    }
    require(bytes == tokenizer.decode(*ids));
    otr::text::Utf8Stream stream;
    std::string printed;
    for (const char c : bytes) printed += stream.push({&c, 1});
    printed += stream.finish();
    require(printed == otr::text::utf8_lossy(bytes) && !otr::text::utf8_error(printed));
  }
}

void use_document(std::string_view document, std::string_view text) {
  const auto tokenizer = otr::text::Tokenizer::parse(document);
  if (tokenizer) return use(*tokenizer, text);
  const auto json = otr::text::parse_json(document, "document");
  if (!json) return;
  const auto canonical = otr::dump_canonical_json(*json, "document");
  if (!canonical) return;
  if (const auto again = otr::text::Tokenizer::parse(*canonical)) use(*again, text);
  const auto inner = json->is_object() ? otr::text::member(*json, "document").dump() : "";
  if (const auto made = otr::text::document_from_huggingface({.tokenizer_json = inner})) {
    require(otr::text::Tokenizer::parse(*made).has_value());
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  if (input.size() >= 2 && input[0] == 'P') {
    const std::size_t text_size = static_cast<std::uint8_t>(input[1]);
    const std::string_view text = input.substr(2, text_size);
    const std::string_view file = input.substr(2 + text.size());
    const auto document = otr::text::document_from_sentencepiece(otr::as_bytes(file));
    if (document) use_document(*document, text);
    return 0;
  }
  const std::size_t line = std::min(input.find('\n'), input.size());
  use_document(input.substr(0, line), input.substr(std::min(line + 1, input.size())));
  return 0;
}

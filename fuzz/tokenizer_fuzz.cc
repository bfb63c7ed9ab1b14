// The tokeniser documents of strangers, and texts through whatever tokeniser they make.
//
// Input: a document, a line feed, and a text. Or 'P', a byte n, n bytes of text and a SentencePiece
// file. Or 'G', a byte n, n bytes of text and the metadata of a GGUF file: below. A document that
// is well-formed JSON but not canonical is made so and tried again, or almost every mutation would
// end at the first check.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "text/document.h"
#include "text/gguf_document.h"
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

void add_token(otr::text::GgufTokenizer& gguf, const std::string& token, std::int32_t type) {
  gguf.tokens.push_back(token);
  gguf.types.push_back(type);
  gguf.score_bits.push_back(0xC0000000u + static_cast<std::uint32_t>(gguf.tokens.size()));
}

void add_byte_alphabet(otr::text::GgufTokenizer& gguf) {
  for (unsigned byte = 0, next = 0x100; byte < 256; ++byte) {
    const bool printable = (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte != 0xAD);
    std::string symbol;
    otr::text::append_utf8(symbol, printable ? byte : next++);
    add_token(gguf, symbol, 1);
  }
}

void add_byte_pieces(otr::text::GgufTokenizer& gguf) {
  constexpr std::string_view kDigits = "0123456789ABCDEF";
  for (unsigned byte = 0; byte < 256; ++byte) {
    add_token(gguf, {'<', '0', 'x', kDigits[byte >> 4], kDigits[byte & 15], '>'}, 6);
  }
}

void set_number(otr::text::GgufTokenizer& gguf, char key, std::uint32_t number) {
  if (key == 'b') gguf.bos_id = number;
  if (key == 'e') gguf.eos_id = number;
  if (key == 'u') gguf.unknown_id = number;
  if (key == 'o') gguf.eot_id = number;
  if (key == 'l') gguf.eog_ids.push_back(number);
  if (key == 'B') gguf.add_bos = number != 0;
  if (key == 'E') gguf.add_eos = number != 0;
  if (key == 'S') gguf.add_space_prefix = number != 0;
  if (key == 'W') gguf.remove_extra_whitespaces = number != 0;
  if (key == 's' && !gguf.score_bits.empty()) gguf.score_bits.back() = number;
}

// Lines of a letter for the key and a value. 'a' is the whole byte-level alphabet and 'f' all byte
// pieces, or no mutation would ever get as far as a vocabulary; 't' a type and a token.
otr::text::GgufTokenizer read_gguf(std::string_view input) {
  otr::text::GgufTokenizer gguf;
  while (!input.empty()) {
    const std::string_view line = input.substr(0, input.find('\n'));
    input.remove_prefix(std::min(line.size() + 1, input.size()));
    if (line.empty()) continue;
    const std::string value(line.substr(1));
    if (line[0] == 'm') gguf.model = value;
    if (line[0] == 'p') gguf.pre = value;
    if (line[0] == 'r') gguf.merges.push_back(value);
    if (line[0] == 'a') add_byte_alphabet(gguf);
    if (line[0] == 'f') add_byte_pieces(gguf);
    if (line[0] == 't' && !value.empty()) add_token(gguf, value.substr(1), value[0] - '0');
    set_number(gguf, line[0], static_cast<std::uint32_t>(std::strtoul(value.c_str(), nullptr, 10)));
  }
  return gguf;
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
  if (input.size() >= 2 && input[0] == 'G') {
    const std::string_view text = input.substr(2, static_cast<std::uint8_t>(input[1]));
    const auto document = otr::text::document_from_gguf(read_gguf(input.substr(2 + text.size())));
    require(document.has_value() || !document.error().message.empty());
    if (!document) return 0;
    const auto tokenizer = otr::text::Tokenizer::parse(*document);
    require(tokenizer.has_value());
    use(*tokenizer, text);
    return 0;
  }
  const std::size_t line = std::min(input.find('\n'), input.size());
  use_document(input.substr(0, line), input.substr(std::min(line + 1, input.size())));
  return 0;
}

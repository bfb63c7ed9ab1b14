// Small tokenisers of our own, for tests.
#ifndef OTR_TEXT_TEST_DOCUMENTS_H_
#define OTR_TEXT_TEST_DOCUMENTS_H_

#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "text/json.h"
#include "text/normalizer.h"
#include "text/sentencepiece_model.h"
#include "text/tokenizer.h"
#include "text/utf8.h"

namespace otr::text {

inline constexpr const char* kQwenPattern =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}|)"
    R"( ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";

using Merges = std::vector<std::pair<std::string, std::string>>;

inline std::string byte_token(unsigned byte) {
  constexpr std::string_view kDigits = "0123456789ABCDEF";
  return {'<', '0', 'x', kDigits[byte >> 4], kDigits[byte & 15], '>'};
}

// A tokenizer.json with the symbols of `vocab`, then the result of each merge in turn.
inline Json bpe_json(Json vocab, const Merges& merges) {
  Json list = Json::array();
  std::size_t next = vocab.size();
  for (const auto& [left, right] : merges) {
    list.push_back(left + " " + right);
    if (!vocab.contains(left + right)) vocab[left + right] = next++;
  }
  return {{"version", "1.0"},
          {"added_tokens", Json::array()},
          {"normalizer", nullptr},
          {"model", {{"type", "BPE"}, {"vocab", vocab}, {"merges", list}}}};
}

// Byte-level; the id of a byte is its value, the first merge is 256.
inline Json byte_level_json(const Merges& merges) {
  Json vocab;
  char32_t next = 0x100;
  for (unsigned byte = 0; byte < 256; ++byte) {
    const bool printable = (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte != 0xAD);
    std::string symbol;
    append_utf8(symbol, printable ? byte : next++);
    vocab[symbol] = byte;
  }
  Json json = bpe_json(vocab, merges);
  json["pre_tokenizer"] = {{"type", "ByteLevel"}, {"add_prefix_space", false}};
  json["decoder"] = {{"type", "ByteLevel"}};
  return json;
}

// With byte fallback: <unk> <s> </s>, 256 bytes from id 3, `characters` from 259, then merges.
inline Json fallback_json(const std::vector<std::string>& characters, const Merges& merges) {
  Json vocab = {{"<unk>", 0}, {"<s>", 1}, {"</s>", 2}};
  for (unsigned byte = 0; byte < 256; ++byte) vocab[byte_token(byte)] = 3 + byte;
  for (const std::string& character : characters) vocab[character] = vocab.size();
  Json json = bpe_json(vocab, merges);
  json["model"]["unk_token"] = "<unk>";
  json["model"]["byte_fallback"] = true;
  json["model"]["fuse_unk"] = true;
  for (const char* name : {"<unk>", "<s>", "</s>"}) {
    json["added_tokens"].push_back(
        {{"id", vocab[name]}, {"content", name}, {"special", true}, {"normalized", false}});
  }
  json["normalizer"] = {
      {"type", "Sequence"},
      {"normalizers",
       {{{"type", "Prepend"}, {"prepend", kSpaceMark}},
        {{"type", "Replace"}, {"pattern", {{"String", " "}}}, {"content", kSpaceMark}}}}};
  json["decoder"] = {
      {"type", "Sequence"},
      {"decoders",
       {{{"type", "Replace"}, {"pattern", {{"String", kSpaceMark}}}, {"content", " "}},
        {{"type", "ByteFallback"}},
        {{"type", "Fuse"}},
        {{"type", "Strip"}, {"content", " "}, {"start", 1}, {"stop", 0}}}}};
  return json;
}

inline std::string to_document(const Json& tokenizer_json, const Json& bos = nullptr,
                               const Json& eos = Json::array()) {
  return Json{{"kind", "hf-tokenizer-json"},
              {"document", tokenizer_json},
              {"bos_id", bos},
              {"eos_ids", eos},
              {"add_bos", !bos.is_null()}}
      .dump();
}

inline Tokenizer make(const std::string& document) {
  auto tokenizer = Tokenizer::parse(document);
  if (!tokenizer) {
    ADD_FAILURE() << tokenizer.error().message;
    std::abort();
  }
  return *std::move(tokenizer);
}

// A SentencePiece BPE model: <unk> <s> </s>, 256 bytes, characters, merged pieces. A later piece
// has a lower score.
inline SentencePieceModel small_sentencepiece(PieceModel model) {
  SentencePieceModel result{.model = model, .byte_fallback = true};
  const auto add = [&](std::string text, PieceType type) {
    // -(2^k) for the k-th block of 64 pieces and a mantissa that grows within it.
    const auto id = static_cast<std::uint32_t>(result.pieces.size());
    result.pieces.push_back({std::move(text), 0xC0000000u + (id << 15), type});
  };
  add("<unk>", PieceType::kUnknown);
  add("<s>", PieceType::kControl);
  add("</s>", PieceType::kControl);
  for (unsigned byte = 0; byte < 256; ++byte) add(byte_token(byte), PieceType::kByte);
  for (const char* piece : {"\xE2\x96\x81h", "he", "ll", "hello", "\xE2\x96\x81hello"}) {
    add(piece, PieceType::kNormal);
  }
  for (const char* piece : {"\xE2\x96\x81", "h", "e", "l", "o"}) add(piece, PieceType::kNormal);
  return result;
}

}  // namespace otr::text

#endif  // OTR_TEXT_TEST_DOCUMENTS_H_

#include "text/gguf_document.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>

#include "text/test_documents.h"

namespace otr::text {
namespace {

using Ids = std::vector<std::uint32_t>;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;

constexpr std::int32_t kNormal = 1, kUnknown = 2, kControl = 3, kUserDefined = 4, kUnused = 5;

// The byte-level vocabulary of test_documents.h as a GGUF file holds it, with these further tokens.
GgufTokenizer byte_level(const Merges& merges, const std::string& pre,
                         const std::vector<std::pair<std::string, std::int32_t>>& more = {}) {
  GgufTokenizer gguf{.model = "gpt2", .pre = pre};
  const Json json = byte_level_json(merges);
  gguf.tokens.resize(json["model"]["vocab"].size());
  for (const auto& [token, id] : json["model"]["vocab"].items()) gguf.tokens[id] = token;
  for (const auto& merge : json["model"]["merges"]) gguf.merges.push_back(merge);
  gguf.types.assign(gguf.tokens.size(), kNormal);
  for (const auto& [token, type] : more) {
    gguf.tokens.push_back(token);
    gguf.types.push_back(type);
  }
  return gguf;
}

GgufTokenizer sentencepiece() {
  GgufTokenizer gguf{.model = "llama"};
  for (const Piece& piece : small_sentencepiece(PieceModel::kBpe).pieces) {
    gguf.tokens.push_back(piece.text);
    gguf.score_bits.push_back(piece.score_bits);
    gguf.types.push_back(static_cast<std::int32_t>(piece.type));
  }
  gguf.bos_id = 1;
  gguf.eos_id = 2;
  return gguf;
}

void add(GgufTokenizer& gguf, const std::string& token, std::int32_t type) {
  gguf.tokens.push_back(token);
  gguf.types.push_back(type);
  if (!gguf.score_bits.empty()) gguf.score_bits.push_back(0);
}

Tokenizer make(const GgufTokenizer& gguf) {
  const auto document = document_from_gguf(gguf);
  if (!document) {
    ADD_FAILURE() << document.error().message;
    std::abort();
  }
  return text::make(*document);
}

std::string error_of(const GgufTokenizer& gguf) {
  const auto document = document_from_gguf(gguf);
  if (document) return "accepted";
  EXPECT_EQ(document.error().kind, ErrorKind::kBadInput);
  return document.error().message;
}

std::vector<std::string> words(const GgufTokenizer& gguf, const std::string& text) {
  std::vector<std::string> found;
  const Tokenizer tokenizer = make(gguf);
  for (const std::uint32_t id : tokenizer.encode(text, {.add_special = false}).value()) {
    found.emplace_back(tokenizer.token_bytes(id));
  }
  return found;
}

const Merges kMerges = {{"1", "2"}, {"12", "3"}, {"l", "l"}, {"'", "ll"}, {"'", "L"}};

TEST(GgufDocument, EveryRuleCutsAsItsTokenizerJsonDoes) {
  const auto cut = [](const std::string& pre, const std::string& text) {
    return words(byte_level(kMerges, pre), text);
  };
  EXPECT_THAT(cut("gpt-2", "123'll"), ElementsAre("123", "'ll"));
  EXPECT_THAT(cut("gpt-2", "'L"), ElementsAre("'", "L")) << "only small contractions";
  EXPECT_THAT(cut("qwen2", "123'L"), ElementsAre("1", "2", "3", "'L"));
  EXPECT_THAT(cut("smollm", "123"), ElementsAre("1", "2", "3"));
  EXPECT_THAT(cut("llama-bpe", "0123"), ElementsAre("0", "12", "3")) << "three digits a word";
  EXPECT_THAT(cut("tekken", "12"), ElementsAre("1", "2"));
  EXPECT_THAT(cut("default", "12312"), ElementsAre("123", "12"));
  EXPECT_THAT(cut("default", "'ll"), ElementsAre("'", "ll")) << "punctuation goes first";
  EXPECT_THAT(cut("", "'ll"), ElementsAre("'", "ll")) << "as default";
}

TEST(GgufDocument, QwenComposesCharactersFirst) {
  EXPECT_EQ(make(byte_level(kMerges, "qwen2")).encode("e\u0301").value(), (Ids{0xC3, 0xA9}));
  EXPECT_EQ(make(byte_level(kMerges, "gpt-2")).encode("e\u0301").value(), (Ids{'e', 0xCC, 0x81}));
}

TEST(GgufDocument, WholeWordsGoBeforeMerges) {
  GgufTokenizer gguf = byte_level({{"a", "b"}, {"b", "c"}}, "llama-bpe");
  add(gguf, "abc", kNormal);
  EXPECT_EQ(make(gguf).encode("abc").value(), Ids{258});
  gguf.pre = "qwen2";
  EXPECT_EQ(make(gguf).encode("abc").value(), (Ids{256, 'c'}));
}

TEST(GgufDocument, KindsOfTokens) {
  GgufTokenizer gguf = byte_level(kMerges, "gpt-2",
                                  {{"<|im_end|>", kControl},
                                   {"<think>", kUserDefined},
                                   {"[PAD258]", kUnused},
                                   {"", kUnused},
                                   {"<|endoftext|>", kNormal},
                                   {"<last>", kControl}});
  gguf.bos_id = 266;
  const Tokenizer t = make(gguf);
  EXPECT_EQ(t.encode("<think>").value(), Ids{262});
  EXPECT_EQ(t.token_bytes(262), "<think>");
  EXPECT_EQ(t.encode("<|im_end|>").value().size(), 10u) << "no control token from what is typed";
  EXPECT_EQ(t.encode("<|im_end|>", {.parse_special = true}).value(), Ids{261});
  EXPECT_EQ(t.encode("[PAD258]", {.parse_special = true}).value().size(), 8u);
  EXPECT_TRUE(t.is_control(263) && t.is_control(264)) << "unused ids are free";
  EXPECT_THAT(t.eos(), ElementsAre(261, 265)) << "by name, whatever the type";
  EXPECT_TRUE(t.is_control(265));
  EXPECT_EQ(t.bos(), 266u);
  EXPECT_FALSE(t.add_bos());
}

TEST(GgufDocument, BeginningAndEnds) {
  GgufTokenizer gguf = byte_level(kMerges, "llama-bpe",
                                  {{"<b>", kControl},
                                   {"<e>", kControl},
                                   {"<t>", kControl},
                                   {"<m>", kControl},
                                   {"<x>", kControl}});
  EXPECT_FALSE(make(gguf).add_bos()) << "there is none";
  gguf.bos_id = 261;
  gguf.eos_id = 262;
  gguf.eot_id = 263;
  gguf.eom_id = 264;
  gguf.eog_ids = {265, 262};
  EXPECT_TRUE(make(gguf).add_bos()) << "as llama.cpp has it for this rule";
  EXPECT_THAT(make(gguf).eos(), ElementsAre(262, 263, 264, 265));
  gguf.add_bos = false;
  EXPECT_FALSE(make(gguf).add_bos());
  gguf.pre = "qwen2";
  gguf.add_bos = std::nullopt;
  EXPECT_FALSE(make(gguf).add_bos());
  gguf.bos_id = std::nullopt;
  gguf.add_bos = true;
  EXPECT_THAT(error_of(gguf), HasSubstr("tokenizer.ggml.bos_token_id is missing"));
}

TEST(GgufDocument, SentencePieceIsTheModelItWasMadeFrom) {
  const std::string file = serialize(small_sentencepiece(PieceModel::kBpe));
  GgufTokenizer gguf = sentencepiece();
  const Tokenizer t = make(gguf);
  EXPECT_TRUE(t.add_bos());
  EXPECT_EQ(t.bos(), 1u);
  EXPECT_THAT(t.eos(), ElementsAre(2));
  EXPECT_EQ(t.decode(t.encode("hello  \xF0\x9F\x98\x80").value()), " hello  \xF0\x9F\x98\x80");
  gguf.bos_id = gguf.eos_id = std::nullopt;
  EXPECT_EQ(document_from_gguf(gguf).value(), document_from_gguf(sentencepiece()).value())
      << "llama.cpp's own ids where the file has none";
  gguf.add_space_prefix = false;
  EXPECT_EQ(make(gguf).decode(make(gguf).encode("hello").value()), "hello");
  gguf.remove_extra_whitespaces = true;
  EXPECT_EQ(make(gguf).decode(make(gguf).encode("hello  he").value()), "hello he");
}

TEST(GgufDocument, SentencePieceKindsOfTokens) {
  GgufTokenizer gguf = sentencepiece();
  const auto first = static_cast<std::uint32_t>(gguf.tokens.size());
  add(gguf, "[INST]", kControl);
  add(gguf, "a b", kUserDefined);
  add(gguf, "", kUnused);
  add(gguf, "<other unknown>", kUnknown);
  add(gguf, "<|im_end|>", kUserDefined);
  const Tokenizer t = make(gguf);
  EXPECT_EQ(t.token_bytes(first + 1), "a b");
  EXPECT_THAT(t.encode("a b").value(), testing::Contains(first + 1));
  EXPECT_EQ(t.encode("[INST]", {.add_special = false, .parse_special = true}).value(), Ids{first});
  EXPECT_TRUE(t.is_control(first + 3));
  EXPECT_THAT(t.eos(), ElementsAre(2, first + 4));
  gguf.unknown_id = first + 3;
  EXPECT_TRUE(make(gguf).is_control(0));
}

// One thing wrong in each, and the key that the error names.
struct Wrong {
  std::function<void(GgufTokenizer&)> spoil;
  std::string key;
  std::string reason;
};

void expect_refused(const GgufTokenizer& good, const std::vector<Wrong>& wrongs) {
  EXPECT_EQ(error_of(good), "accepted");
  for (const Wrong& wrong : wrongs) {
    GgufTokenizer gguf = good;
    wrong.spoil(gguf);
    EXPECT_THAT(error_of(gguf),
                AllOf(HasSubstr("tokenizer.ggml." + wrong.key), HasSubstr(wrong.reason)));
  }
}

TEST(GgufDocument, RefusesInAnyModel) {
  const std::vector<Wrong> wrongs = {
      {[](auto& g) { g.model = ""; }, "model", "no tokeniser"},
      {[](auto& g) { g.model = "bert"; }, "model", "'bert'"},
      {[](auto& g) { g.model = "t5"; }, "model", "'t5'"},
      {[](auto& g) { g.model = "rwkv"; }, "model", "'rwkv'"},
      {[](auto& g) { g.tokens.clear(); }, "tokens", "missing"},
      {[](auto& g) { g.tokens.resize((1 << 18) + 1); }, "tokens", "262145"},
      {[](auto& g) { g.tokens[7] = std::string(33 << 20, 'a'); }, "tokens", "32 MiB"},
      {[](auto& g) { g.tokens[7] = "a\xFF"; }, "tokens[7]", "UTF-8 at its byte 1"},
      {[](auto& g) { g.tokens[7] = g.tokens[9]; }, "tokens[9]", "[7]"},
      {[](auto& g) { g.types.pop_back(); }, "token_type", "values"},
      {[](auto& g) { g.types[5] = 7; }, "token_type[5]", "7"},
      {[](auto& g) { g.types[5] = -1; }, "token_type[5]", "-1"},
      {[](auto& g) { g.score_bits.assign(3, 0); }, "scores", "3 values"},
      {[](auto& g) { g.bos_id = 1u << 31; }, "bos_token_id", "2147483648"},
      {[](auto& g) { g.eos_id = 100000; }, "eos_token_id", "100000"},
      {[](auto& g) { g.unknown_id = 100000; }, "unknown_token_id", "100000"},
      {[](auto& g) { g.eot_id = 100000; }, "eot_token_id", "100000"},
      {[](auto& g) { g.eom_id = 100000; }, "eom_token_id", "100000"},
      {[](auto& g) { g.padding_id = 100000; }, "padding_token_id", "100000"},
      {[](auto& g) { g.eog_ids = {1, 100000}; }, "eos_token_ids", "100000"},
      {[](auto& g) {
         for (unsigned i = 3; i < 20; ++i) g.eog_ids.push_back(i);
       },
       "eos_token_ids", "at most 16"},
      {[](auto& g) { g.add_eos = true; }, "add_eos_token", "not supported"},
  };
  expect_refused(byte_level(kMerges, "qwen2"), wrongs);
  expect_refused(sentencepiece(), wrongs);
}

TEST(GgufDocument, RefusesByteLevel) {
  expect_refused(
      byte_level(kMerges, "qwen2", {{"<c>", kControl}}),
      {{[](auto& g) { g.pre = "command-r"; }, "pre", "'command-r'"},
       {[](auto& g) { g.pre = std::string(100000, 'x'); }, "pre", "known are default"},
       {[](auto& g) { g.merges.clear(); }, "merges", "missing"},
       {[](auto& g) { g.merges[1] = "ab"; }, "merges[1]", "'ab'"},
       {[](auto& g) { g.merges[1] = ""; }, "merges[1]", "two tokens"},
       {[](auto& g) { g.merges[1] = " "; }, "merges[1]", "two tokens"},
       {[](auto& g) { g.merges[1] = "a "; }, "merges[1]", "two tokens"},
       {[](auto& g) { g.merges[1] = "a nowhere"; }, "merges[1]", "'nowhere'"},
       {[](auto& g) { g.merges[1] = "a b"; }, "merges[1]", "'ab'"},
       {[](auto& g) { g.merges[1] = "a \xFF"; }, "merges[1]", "tokenizer.ggml.tokens"},
       {[](auto& g) { g.merges.assign((1 << 21) + 1, "a b"); }, "merges", "2097153"},
       {[](auto& g) { g.add_space_prefix = true; }, "add_space_prefix", "not supported"},
       {[](auto& g) { g.types[256] = kControl; }, "*", "a merge gives the special token 256"},
       {[](auto& g) {
          g.types['a'] = kControl;
          g.merges.push_back("a a");
          add(g, "aa", kNormal);
        },
        "*", "can be spelt by plain text"},
       {[](auto& g) { g.tokens.back() = std::string(1 << 20, 'x'); }, "tokens[261]", "1024"}});
}

TEST(GgufDocument, RefusesSentencePiece) {
  expect_refused(
      sentencepiece(),
      {{[](auto& g) { g.has_charsmap = true; }, "precompiled_charsmap", "not supported"},
       {[](auto& g) { g.score_bits.clear(); }, "scores", "missing"},
       {[](auto& g) { g.score_bits[9] = 0x7FC00000; }, "scores[9]", "number"},
       {[](auto& g) { g.score_bits[9] = 0xFF800000; }, "scores[9]", "number"},
       {[](auto& g) { g.types.clear(); }, "token_type", "missing"},
       {[](auto& g) { g.types[0] = kNormal; }, "token_type", "unknown token"},
       {[](auto& g) { g.types[3] = kNormal; }, "*", "byte"},
       {[](auto& g) { g.tokens[262] = std::string(1 << 20, 'x'); }, "tokens[262]", "1024"},
       {[](auto& g) { g.tokens[262] = std::string("a\0b", 3); }, "tokens[262]", "NUL"}});
}

TEST(GgufDocument, LargestVocabularyIsRead) {
  GgufTokenizer gguf = byte_level(kMerges, "gpt-2");
  while (gguf.tokens.size() < 1 << 18)
    gguf.tokens.push_back("t" + std::to_string(gguf.tokens.size()));
  gguf.types.assign(gguf.tokens.size(), kNormal);
  EXPECT_EQ(make(gguf).vocabulary_size(), 1u << 18);
}

}  // namespace
}  // namespace otr::text

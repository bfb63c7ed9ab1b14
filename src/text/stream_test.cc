// Whatever ids a model gives, their bytes can be shown as they come (tokenizer.h, utf8.h).
#include <gtest/gtest.h>

#include <random>

#include "base/bytes.h"
#include "text/document.h"
#include "text/gguf_document.h"
#include "text/test_documents.h"

namespace otr::text {
namespace {

// Characters of one to four bytes, and tokens that end or begin inside of one.
const Merges kMerges = {{"\xC3\xB0", "\xC5\x81"}, {"a", "b"}, {"\xC3\xA2", "\xC4\xB8"}};

std::vector<std::pair<std::string, Tokenizer>> tokenizers() {
  std::vector<std::pair<std::string, Tokenizer>> all;
  all.emplace_back("byte-level", make(to_document(byte_level_json(kMerges))));
  const std::vector<std::string> characters = {
      "a", "b", "\xC3\xA9", "\xE2\x98\x83", "\xF0\x9F\x98\x80", std::string(kSpaceMark)};
  all.emplace_back("byte fallback",
                   make(to_document(fallback_json(characters, {{"a", "b"}}), 1, Json{2})));
  for (const PieceModel model : {PieceModel::kBpe, PieceModel::kUnigram}) {
    const std::string file = serialize(small_sentencepiece(model));
    all.emplace_back("SentencePiece", make(document_from_sentencepiece(as_bytes(file)).value()));
  }
  GgufTokenizer gguf{.model = "gpt2", .pre = "llama-bpe"};
  const Json json = byte_level_json(kMerges);
  gguf.tokens.resize(json["model"]["vocab"].size());
  for (const auto& [token, id] : json["model"]["vocab"].items()) gguf.tokens[id] = token;
  for (const auto& merge : json["model"]["merges"]) gguf.merges.push_back(merge);
  all.emplace_back("GGUF", make(document_from_gguf(gguf).value()));
  return all;
}

TEST(Stream, ShowsAllButAnUnfinishedCharacter) {
  std::mt19937 random(7);
  for (const auto& [name, tokenizer] : tokenizers()) {
    for (int round = 0; round < 2000; ++round) {
      Utf8Stream stream;
      std::string bytes, shown;
      for (unsigned left = random() % 20; left > 0; --left) {
        const std::string_view token =
            tokenizer.token_bytes(random() % tokenizer.vocabulary_size());
        bytes += token;
        shown += stream.push(token);
        const std::string all = utf8_lossy(bytes);
        ASSERT_TRUE(all.starts_with(shown)) << name;
        const std::string held = all.substr(shown.size());
        ASSERT_TRUE(held.empty() || held == "\xEF\xBF\xBD") << name << ": held back " << held;
      }
      shown += stream.finish();
      ASSERT_EQ(shown, utf8_lossy(bytes)) << name;
    }
  }
}

// A text that was encoded comes back whole, with no character shown in halves.
TEST(Stream, TextsComeBackCharacterByCharacter) {
  const std::string text =
      "ab \xC3\xA9\xE2\x98\x83 \xF0\x9F\x98\x80 e\xCC\x81 \xE4\xBD\xA0\xE5\xA5\xBD";
  for (const auto& [name, tokenizer] : tokenizers()) {
    Utf8Stream stream;
    std::string shown;
    for (const std::uint32_t id : tokenizer.encode(text).value()) {
      shown += stream.push(tokenizer.token_bytes(id));
      ASSERT_FALSE(shown.contains("\xEF\xBF\xBD")) << name;
    }
    EXPECT_EQ(stream.finish(), "") << name;
    EXPECT_TRUE(shown == text || shown == " " + text) << name << ": " << shown;
  }
}

}  // namespace
}  // namespace otr::text

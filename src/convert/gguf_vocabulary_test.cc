// The vocabularies in real GGUF files against the ids that llama.cpp's own tests expect. The files
// are no part of this repository: they lie in ../shared/models where the developers keep them.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>
#include <string>

#include "convert/source.h"
#include "text/document.h"
#include "text/tokenizer.h"

namespace otr::convert {
namespace {

using Ids = std::vector<std::uint32_t>;

const std::filesystem::path kModels = OTR_SOURCE_DIR "/../shared/models";

std::string read(const std::string& name) {
  std::ifstream file(kModels / name, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

class GgufVocabulary : public testing::Test {
 protected:
  void SetUp() override {
    if (!std::filesystem::exists(kModels)) {
      GTEST_SKIP() << "SKIPPED: no real vocabularies at " << kModels << ": nothing was compared";
    }
  }

  static text::Tokenizer open(const std::string& name) {
    auto files = open_tokenizer(kModels / name, std::nullopt);
    if (!files) {
      ADD_FAILURE() << files.error().message;
      std::abort();
    }
    return text::Tokenizer::parse(files->document).value();
  }

  // Texts are separated by lines of their own; ids are one line for each text.
  static void expect_ids(const text::Tokenizer& tokenizer, const std::string& name) {
    constexpr std::string_view kSeparator = "\n__ggml_vocab_test__\n";
    const std::string texts = read(name + ".inp");
    std::istringstream lines(read(name + ".out"));
    std::string line;
    std::size_t count = 0;
    for (std::size_t at = 0; std::getline(lines, line); ++count) {
      const std::size_t end = std::min(texts.find(kSeparator, at), texts.size());
      const std::string text = texts.substr(at, end - at);
      std::istringstream numbers(line);
      Ids ids;
      for (std::uint32_t id; numbers >> id;) ids.push_back(id);
      EXPECT_EQ(tokenizer.encode(text, {.add_special = false}).value(), ids) << text;
      at = end + kSeparator.size();
    }
    EXPECT_GT(count, 40u);
  }
};

TEST_F(GgufVocabulary, Gpt2) {
  const text::Tokenizer tokenizer = open("ggml-vocab-gpt-2.gguf");
  EXPECT_EQ(tokenizer.vocabulary_size(), 50257u);
  EXPECT_FALSE(tokenizer.add_bos());
  EXPECT_EQ(tokenizer.eos(), Ids{50256});
  EXPECT_TRUE(tokenizer.is_control(50256));
  expect_ids(tokenizer, "ggml-vocab-gpt-2.gguf");
  const std::string book = read("war-and-peace-part.txt");
  EXPECT_EQ(tokenizer.decode(tokenizer.encode(book).value()), book);
}

TEST_F(GgufVocabulary, Llama2) {
  const text::Tokenizer tokenizer = open("ggml-vocab-llama-spm.gguf");
  EXPECT_EQ(tokenizer.vocabulary_size(), 32000u);
  EXPECT_TRUE(tokenizer.add_bos());
  EXPECT_EQ(tokenizer.bos(), 1u);
  EXPECT_EQ(tokenizer.eos(), Ids{2});
  expect_ids(tokenizer, "ggml-vocab-llama-spm.gguf");
}

// The file that Meta published and the GGUF file made of it are one tokeniser.
TEST_F(GgufVocabulary, Llama2IsItsSentencePieceFile) {
  const text::Tokenizer gguf = open("ggml-vocab-llama-spm.gguf");
  const std::string file = read("llama2-tokenizer.model");
  const text::Tokenizer original =
      text::Tokenizer::parse(text::document_from_sentencepiece(as_bytes(file)).value()).value();
  for (std::uint32_t id = 0; id < original.vocabulary_size(); ++id) {
    ASSERT_EQ(gguf.token_bytes(id), original.token_bytes(id)) << id;
    ASSERT_EQ(gguf.is_control(id), original.is_control(id)) << id;
  }
  const std::string book = read("war-and-peace-part.txt");
  EXPECT_EQ(gguf.encode(book).value(), original.encode(book).value());
}

}  // namespace
}  // namespace otr::convert

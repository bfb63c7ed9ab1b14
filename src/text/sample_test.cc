// Real vocabularies against the ids that llama.cpp's tests expect. The files are no part of this
// repository: they lie in ../shared/models where the developers keep them. GGUF files are compared
// where their reader is (convert/gguf_vocabulary_test.cc).
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>

#include "text/document.h"
#include "text/test_documents.h"

namespace otr::text {
namespace {

using Ids = std::vector<std::uint32_t>;

const std::filesystem::path kModels = OTR_SOURCE_DIR "/../shared/models";

std::string read(const std::string& name) {
  std::ifstream file(kModels / name, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

Tokenizer make(const Result<std::string>& document) {
  if (!document) {
    ADD_FAILURE() << document.error().message;
    std::abort();
  }
  return text::make(*document);
}

struct Case {
  std::string text;
  Ids ids;
};

// Texts are separated by lines of their own; ids are one line for each text.
std::vector<Case> read_cases(const std::string& name) {
  constexpr std::string_view kSeparator = "\n__ggml_vocab_test__\n";
  const std::string texts = read(name + ".inp");
  std::istringstream lines(read(name + ".out"));
  std::vector<Case> cases;
  std::string line;
  for (std::size_t at = 0; std::getline(lines, line);) {
    const std::size_t end = std::min(texts.find(kSeparator, at), texts.size());
    Case next{texts.substr(at, end - at), {}};
    std::istringstream numbers(line);
    for (std::uint32_t id; numbers >> id;) next.ids.push_back(id);
    cases.push_back(next);
    at = end + kSeparator.size();
  }
  return cases;
}

void expect_ids(const Tokenizer& tokenizer, const std::vector<Case>& cases) {
  ASSERT_GT(cases.size(), 40u);
  for (const Case& one : cases) {
    EXPECT_EQ(tokenizer.encode(one.text, {.add_special = false}).value(), one.ids) << one.text;
  }
}

class SampleTest : public testing::Test {
 protected:
  void SetUp() override {
    if (!std::filesystem::exists(kModels)) {
      GTEST_SKIP() << "SKIPPED: no real tokenisers at " << kModels << ": nothing was compared";
    }
  }
};

TEST_F(SampleTest, Llama2SentencePiece) {
  const std::string model = read("llama2-tokenizer.model");
  const Tokenizer t = make(document_from_sentencepiece(as_bytes(model)));
  EXPECT_EQ(t.vocabulary_size(), 32000u);
  expect_ids(t, read_cases("ggml-vocab-llama-spm.gguf"));
}

TEST_F(SampleTest, Llama2FromLlama2c) {
  const std::string file = read("llama2-tokenizer.bin");
  expect_ids(make(document_from_llama2c(as_bytes(file), 32000)),
             read_cases("ggml-vocab-llama-spm.gguf"));
}

// SentencePiece's own vocabulary as the tokenizer.json that Hugging Face makes of it: every cut of
// a piece into two pieces is a merge, ranked by the score of the piece. Scores are zero or
// negative: greater bits are lower scores.
TEST_F(SampleTest, Llama2ByMerges) {
  const std::string file = read("llama2-tokenizer.model");
  const SentencePieceModel model = parse_sentencepiece(file).value();
  Json vocab;
  for (std::size_t id = 0; id < model.pieces.size(); ++id) vocab[model.pieces[id].text] = id;
  struct Ranked {
    std::uint32_t rank, left, right;
    Json merge;
  };
  std::vector<Ranked> merges;
  for (std::uint32_t id = 259; id < model.pieces.size(); ++id) {
    const std::string& piece = model.pieces[id].text;
    for (std::size_t cut = 1; cut < piece.size(); ++cut) {
      const auto left = vocab.find(piece.substr(0, cut));
      const auto right = vocab.find(piece.substr(cut));
      if (left == vocab.end() || right == vocab.end()) continue;
      merges.push_back(
          {model.pieces[id].score_bits, *left, *right, {piece.substr(0, cut), piece.substr(cut)}});
    }
  }
  std::ranges::sort(merges, {},
                    [](const Ranked& m) { return std::tuple(m.rank, m.left, m.right); });
  Json json = fallback_json({}, {});
  json["model"]["vocab"] = vocab;
  for (const Ranked& merge : merges) json["model"]["merges"].push_back(merge.merge);
  const Tokenizer by_merges = make(to_document(json));
  expect_ids(by_merges, read_cases("ggml-vocab-llama-spm.gguf"));
  const Tokenizer by_pieces = make(document_from_sentencepiece(as_bytes(file)));
  for (std::uint32_t id = 0; id < by_pieces.vocabulary_size(); ++id) {
    ASSERT_EQ(by_merges.token_bytes(id), by_pieces.token_bytes(id)) << id;
  }
  const std::string book = read("war-and-peace-part.txt").substr(0, 100000);
  EXPECT_EQ(by_merges.encode(book).value(), by_pieces.encode(book, {.add_special = false}).value());
}

TEST_F(SampleTest, Stories260k) {
  const std::string file = read("tok512.bin");
  const Tokenizer t = make(document_from_llama2c(as_bytes(file), 512));
  const std::string story = read("tinystories-excerpt.txt");
  const Ids ids = t.encode(story).value();
  EXPECT_EQ(t.decode(ids), " " + story);
  EXPECT_LT(ids.size(), story.size() / 2) << "merges are used";
}

}  // namespace
}  // namespace otr::text

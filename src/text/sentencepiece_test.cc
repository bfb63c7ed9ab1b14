#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "text/document.h"
#include "text/sentencepiece_encoder.h"
#include "text/test_documents.h"

namespace otr::text {
namespace {

using testing::HasSubstr;
using Ids = std::vector<std::uint32_t>;

std::string error_of(std::string_view file) {
  const auto model = parse_sentencepiece(file);
  return model ? "" : model.error().message;
}

std::string error_of(const SentencePieceModel& model) { return error_of(serialize(model)); }

Tokenizer tokenizer_of(const SentencePieceModel& model) {
  return make(document_from_sentencepiece(as_bytes(serialize(model))).value());
}

TEST(SentencePiece, BpeMergesByScore) {
  const Tokenizer t = tokenizer_of(small_sentencepiece(PieceModel::kBpe));
  EXPECT_EQ(t.vocabulary_size(), 269u);
  EXPECT_EQ(t.bos(), 1u);
  EXPECT_EQ(t.eos(), Ids({2}));
  EXPECT_TRUE(t.add_bos());
  EXPECT_EQ(t.encode("he").value(), Ids({1, 259, 266})) << "the space takes the h first";
  EXPECT_EQ(t.encode("ll", {.add_special = false}).value(), Ids({264, 261}));
  EXPECT_EQ(t.token_bytes(259), " h");
  EXPECT_EQ(t.token_bytes(1), "");
  EXPECT_EQ(t.token_bytes(3 + 0xE2), "\xE2");
  EXPECT_EQ(t.decode(t.encode("hell o\xF0\x9F\xA6\x99").value()), " hell o\xF0\x9F\xA6\x99");
}

TEST(SentencePiece, UnigramTakesTheBestSum) {
  const Tokenizer t = tokenizer_of(small_sentencepiece(PieceModel::kUnigram));
  EXPECT_EQ(t.encode("hello", {.add_special = false}).value(), Ids({263}));
  EXPECT_EQ(t.decode(t.encode("hello \xC3\xA9").value()), " hello \xC3\xA9");
}

TEST(SentencePiece, ControlPiecesOnlyOnRequest) {
  const Tokenizer t = tokenizer_of(small_sentencepiece(PieceModel::kUnigram));
  EXPECT_EQ(t.encode("<s>hello</s>hello", {.add_special = false, .parse_special = true}).value(),
            Ids({1, 263, 2, 263}));
  for (const std::uint32_t id : t.encode("<s>hello</s>", {.add_special = false}).value()) {
    EXPECT_FALSE(t.is_control(id));
  }
  // What was typed stays text, whatever the template around it names.
  const std::string typed = {1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0};
  const Ids ids =
      t.encode("<s>hello</s>", {.add_special = false, .parse_special = true, .typed = typed})
          .value();
  EXPECT_EQ(std::ranges::count(ids, 1u), 0);
  EXPECT_EQ(ids.back(), 2u);
}

TEST(SentencePiece, WritesWhatItReads) {
  const SentencePieceModel model = small_sentencepiece(PieceModel::kBpe);
  const std::string file = serialize(model);
  EXPECT_EQ(serialize(parse_sentencepiece(file).value()), file);
}

TEST(SentencePiece, RefusesEveryTruncation) {
  const std::string file = serialize(small_sentencepiece(PieceModel::kBpe));
  std::vector<std::size_t> accepted;
  for (std::size_t size = 0; size < file.size(); ++size) {
    if (parse_sentencepiece(file.substr(0, size))) accepted.push_back(size);
  }
  // Three cuts come before the first byte piece and leave a whole, smaller model; the last leaves
  // out the normalizer, whose values are the defaults.
  EXPECT_THAT(accepted, testing::ElementsAre(16, 30, 45, file.size() - 8));
}

TEST(SentencePiece, NamesWhatItDoesNotSupport) {
  const SentencePieceModel good = small_sentencepiece(PieceModel::kBpe);
  EXPECT_EQ(error_of(good), "");
  SentencePieceModel model = good;
  model.pieces[264].text = "he";
  EXPECT_THAT(error_of(model), HasSubstr("piece 264 is there twice"));
  model = good;
  model.pieces[264].text = "";
  EXPECT_THAT(error_of(model), HasSubstr("piece 264 must be"));
  model.pieces[264].text = std::string("a\0b", 3);
  EXPECT_THAT(error_of(model), HasSubstr("piece 264 must be"));
  model.pieces[264].text = "\xFF";
  EXPECT_THAT(error_of(model), HasSubstr("piece 264 must be"));
  model.pieces[264].text = std::string(kMaxPieceBytes + 1, 'x');
  EXPECT_THAT(error_of(model), HasSubstr("piece 264 must be"));
  for (const std::uint32_t bits : {0x7F800000u, 0xFF800000u, 0x7FC00000u, 0x53800000u}) {
    model = good;
    model.pieces[264].score_bits = bits;
    EXPECT_THAT(error_of(model), HasSubstr("score of piece 264"));
  }
  model = good;
  model.pieces[264].type = PieceType::kUnknown;
  EXPECT_THAT(error_of(model), HasSubstr("exactly one piece of type unknown"));
  model = good;
  model.pieces[5].type = PieceType::kNormal;
  EXPECT_THAT(error_of(model), HasSubstr("all 256"));
  model = good;
  model.pieces[264].type = PieceType::kByte;
  EXPECT_THAT(error_of(model), HasSubstr("of type byte"));
  model = good;
  model.byte_fallback = false;
  EXPECT_THAT(error_of(model), HasSubstr("byte_fallback"));
  model = good;
  model.model = static_cast<PieceModel>(3);
  EXPECT_THAT(error_of(model), HasSubstr("unigram and BPE"));
  const std::string file = serialize(good);
  EXPECT_THAT(error_of(file + "\x1A\x03\x12\x01x"), HasSubstr("character map"));
  EXPECT_THAT(error_of(file + "\x2A\x03\x12\x01x"), HasSubstr("character map"));
  EXPECT_THAT(error_of(file + std::string("\x1A\x02\x28\0", 4)), HasSubstr("escape_whitespaces"));
  EXPECT_THAT(error_of(file + "\x12\x03\xC0\x01\x01"), HasSubstr("suffix"));
  EXPECT_THAT(error_of(file + "\x0B"), HasSubstr("near byte " + std::to_string(file.size() + 1)));
  EXPECT_THAT(error_of(file + "\x12\xFF\xFF\xFF\xFF\x0F"), HasSubstr("protobuf"));
  EXPECT_THAT(error_of(file + std::string(11, '\xFF')), HasSubstr("protobuf"));
  EXPECT_THAT(error_of(file + std::string("\x08\x01", 2)), HasSubstr("wire type"));
  EXPECT_EQ(error_of(file + std::string("\xF8\x07\x01", 3)), "") << "foreign fields are skipped";
}

TEST(SentencePiece, TheUnknownTokenCanBeWritten) {
  const Tokenizer t = tokenizer_of(small_sentencepiece(PieceModel::kBpe));
  const std::uint32_t unknown = t.find("<unk>").value();
  const EncodeOptions special{.add_special = false, .parse_special = true};
  EXPECT_THAT(t.encode("<unk>", special).value(), testing::ElementsAre(unknown));
  EXPECT_THAT(t.encode("<unk>", {.add_special = false}).value(),
              testing::Not(testing::Contains(unknown)));
}

TEST(SentencePiece, LongHostileTexts) {
  constexpr std::size_t kLength = 1 << 18;
  for (const PieceModel kind : {PieceModel::kBpe, PieceModel::kUnigram}) {
    const Tokenizer t = tokenizer_of(small_sentencepiece(kind));
    for (const char c : {'l', ' ', 'z', '\0'}) {
      EXPECT_TRUE(t.encode(std::string(kLength, c))) << static_cast<int>(c);
    }
  }
}

}  // namespace
}  // namespace otr::text

#include "text/huggingface.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "text/test_documents.h"

namespace otr::text {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using Ids = std::vector<std::uint32_t>;

const std::string kMark(kSpaceMark);
const std::string kG = "\xC4\xA0";  // U+0120: the space, as ByteLevel writes it

std::string error_of(const Json& tokenizer_json) {
  const auto tokenizer = Tokenizer::parse(to_document(tokenizer_json));
  return tokenizer ? "" : tokenizer.error().message;
}

Json added(std::uint32_t id, const char* content, bool special, bool normalized = false) {
  return {{"id", id}, {"content", content}, {"special", special}, {"normalized", normalized}};
}

TEST(ByteLevel, MergesByRankNotByLength) {
  // "abc": (b, c) is more urgent than (a, b), and "abc" comes from (a, bc).
  const Tokenizer t = make(to_document(byte_level_json({{"b", "c"}, {"a", "b"}, {"a", "bc"}})));
  EXPECT_EQ(t.encode("abc").value(), Ids({258}));
  EXPECT_EQ(t.encode("ab").value(), Ids({257}));
  EXPECT_EQ(t.encode("abab").value(), Ids({257, 257}));
  EXPECT_EQ(t.encode("bcc").value(), Ids({256, 'c'}));
  EXPECT_EQ(t.vocabulary_size(), 259u);
}

TEST(ByteLevel, EqualRanksMergeFromTheLeft) {
  const Tokenizer t = make(to_document(byte_level_json({{"a", "a"}})));
  EXPECT_EQ(t.encode("aaa").value(), Ids({256, 'a'}));
  EXPECT_EQ(t.encode("aaaaa").value(), Ids({256, 256, 'a'}));
}

TEST(ByteLevel, AnyTextComesBack) {
  const Tokenizer t = make(to_document(byte_level_json({{"h", "i"}, {kG, "hi"}})));
  std::string text = " hi\thi  hi\n\n \xC3\xA9\xE2\x82\xAC\xF0\x9F\xA6\x99 99";
  for (char c = 1; c < 127; ++c) text += c;
  text += '\0';
  const Ids ids = t.encode(text).value();
  EXPECT_EQ(t.decode(ids), text);
  EXPECT_EQ(ids[0], 257u) << "a word takes the space before it";
  EXPECT_EQ(t.token_bytes(257), " hi");
  EXPECT_EQ(t.token_bytes(0xC3), "\xC3");
  EXPECT_TRUE(t.encode("").value().empty());
}

TEST(ByteLevel, PatternsCutWords) {
  Json json = byte_level_json({{"1", "2"}, {"12", "3"}, {"123", "4"}, {"(", "a"}, {"'", "S"}});
  EXPECT_EQ(make(to_document(json)).encode("1234").value(), Ids({258})) << "GPT-2: any run";
  EXPECT_EQ(make(to_document(json)).encode("(a").value(), Ids({'(', 'a'}));
  const auto split = [&](const std::string& pattern) {
    json["pre_tokenizer"] = {
        {"type", "Sequence"},
        {"pretokenizers",
         {{{"type", "Split"}, {"pattern", {{"Regex", pattern}}}, {"behavior", "Isolated"}},
          {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"use_regex", false}}}}};
    return make(to_document(json));
  };
  EXPECT_EQ(split(kQwenPattern).encode("1234(a'S").value(), Ids({'1', '2', '3', '4', 259, 260}))
      << "Qwen: single digits, one sign before letters, any case of 's";
  std::string llama = kQwenPattern;
  llama.replace(llama.find("|\\p{N}| "), 6, "|\\p{N}{1,3}");
  EXPECT_EQ(split(llama).encode("1234").value(), Ids({257, '4'})) << "Llama 3: three digits";
  json["pre_tokenizer"] = {
      {"type", "Sequence"},
      {"pretokenizers",
       {{{"type", "Digits"}, {"individual_digits", true}},
        {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"use_regex", true}}}}};
  EXPECT_EQ(make(to_document(json)).encode("12").value(), Ids({'1', '2'})) << "SmolLM";
}

TEST(ByteLevel, WhiteSpaceIsThatOfUnicode) {
  // U+180E is no white space since Unicode 6.3, though PCRE2 takes it for such; U+0085 is.
  const auto words = [](std::string_view text) {
    const WordPattern pattern =
        WordPattern::find(
            R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)")
            .value();
    std::vector<std::string_view> result;
    EXPECT_TRUE(pattern.split(text, result));
    return result;
  };
  EXPECT_THAT(words("!\xE1\xA0\x8E!"), ElementsAre("!\xE1\xA0\x8E!"));
  EXPECT_THAT(words("!\xC2\x85!"), ElementsAre("!", "\xC2\x85", "!"));
  EXPECT_THAT(words("!\xE3\x80\x80\v!"), ElementsAre("!", "\xE3\x80\x80", "\v", "!"));
  EXPECT_THAT(words("I'll  go"), ElementsAre("I", "'ll", " ", " go"));
}

TEST(ByteLevel, IgnoreMergesTakesWholeWords) {
  Json json = byte_level_json({});
  json["model"]["vocab"]["hey"] = 256;
  EXPECT_EQ(make(to_document(json)).encode("hey").value(), Ids({'h', 'e', 'y'}));
  json["model"]["ignore_merges"] = true;
  EXPECT_EQ(make(to_document(json)).encode("hey").value(), Ids({256}));
  json["added_tokens"] = Json::array({added(256, "hey", true)});
  EXPECT_EQ(make(to_document(json)).encode("hey").value(), Ids({'h', 'e', 'y'}))
      << "a special token is no word";
}

TEST(ByteLevel, NamesTheMissingByte) {
  Json json = byte_level_json({});
  json["model"]["vocab"].erase("x");
  const auto ids = make(to_document(json)).encode("ax");
  ASSERT_FALSE(ids);
  EXPECT_THAT(ids.error().message, HasSubstr("<0x78>"));
}

TEST(AddedTokens, SpecialOnesOnlyOnRequest) {
  Json json = byte_level_json({});
  json["added_tokens"] = Json::array(
      {added(256, "<|end|>", true), added(257, "<tool>", false), added(258, "<tool>>", false)});
  const Tokenizer t = make(to_document(json));
  const auto special = [&](std::string_view text) {
    return t.encode(text, {.parse_special = true}).value();
  };
  EXPECT_EQ(special("a<|end|><|end|>"), Ids({'a', 256, 256}));
  EXPECT_EQ(t.encode("<|end|>").value().size(), 7u);
  EXPECT_EQ(t.encode("<tool><tool>>b").value(), Ids({257, 258, 'b'})) << "the longest wins";
  EXPECT_EQ(special("<tool"), Ids({'<', 't', 'o', 'o', 'l'}));
  EXPECT_EQ(t.token_bytes(256), "");
  EXPECT_EQ(t.token_bytes(257), "<tool>");
  EXPECT_TRUE(t.is_control(256));
  EXPECT_FALSE(t.is_control(257));
  EXPECT_EQ(t.find("<|end|>"), 256u);
  EXPECT_EQ(t.find("<|none|>"), std::nullopt);
}

TEST(AddedTokens, PlainTextCannotSpellSpecialOnes) {
  Json json = byte_level_json({{"a", "b"}});
  json["added_tokens"] = Json::array({added(256, "ab", true)});
  EXPECT_THAT(error_of(json), HasSubstr("a merge gives the special token 256"));
  json = byte_level_json({});
  json["added_tokens"] = Json::array({added('x', "x", true)});
  EXPECT_THAT(error_of(json), HasSubstr("can be spelt by plain text"));
}

TEST(Nfc, ComposesBeforeWordsAreCut) {
  Json json = byte_level_json({});
  json["normalizer"] = {{"type", "NFC"}};
  const Tokenizer t = make(to_document(json));
  const auto nfc = [&](std::string_view text) { return t.decode(t.encode(text).value()); };
  EXPECT_EQ(nfc("e\xCC\x81"), "\xC3\xA9");
  EXPECT_EQ(nfc("\xC3\xA9 plain"), "\xC3\xA9 plain");
  EXPECT_EQ(nfc("\xE2\x84\xAB"), "\xC3\x85") << "the sign for angstrom is a singleton";
  EXPECT_EQ(nfc("\xE1\x84\x92\xE1\x85\xA1\xE1\x86\xAB"), "\xED\x95\x9C") << "Hangul";
  EXPECT_EQ(nfc("q\xCC\x87\xCC\xA3"), "q\xCC\xA3\xCC\x87") << "marks in canonical order";
  EXPECT_EQ(nfc("\xEF\xAC\x81"), "\xEF\xAC\x81") << "no compatibility mappings";
}

// An added token marked "normalized" is looked for after normalization only.
TEST(Nfc, NormalizedAddedTokens) {
  Json json = byte_level_json({});
  json["normalizer"] = {{"type", "NFC"}};
  json["added_tokens"] =
      Json::array({added(256, "a>", false, false), added(257, "b>", false, true)});
  const Tokenizer t = make(to_document(json));
  EXPECT_EQ(t.encode("a>\xCC\xB8").value()[0], 256u);
  EXPECT_EQ(t.encode("b>\xCC\xB8").value()[0], std::uint32_t{'b'});
  EXPECT_EQ(t.encode("b>").value(), Ids({257}));
}

TEST(Fallback, WritesSpacesAsMarks) {
  const Json json = fallback_json({kMark, "h", "i"}, {{"h", "i"}, {kMark, "hi"}});
  const Tokenizer t = make(to_document(json, 1, {2}));
  EXPECT_EQ(t.encode("hi hi").value(), Ids({1, 263, 263}));
  EXPECT_EQ(t.encode("hi", {.add_special = false}).value(), Ids({263}));
  EXPECT_EQ(t.encode("\xC3\xA9").value(), Ids({1, 259, 3 + 0xC3, 3 + 0xA9}));
  EXPECT_EQ(t.decode(t.encode("hi \xC3\xA9").value()), " hi \xC3\xA9");
  EXPECT_EQ(t.token_bytes(3 + 0xA9), "\xA9");
  EXPECT_EQ(t.encode("").value(), Ids({1}));
  EXPECT_EQ(t.encode("<s>hi", {.add_special = false, .parse_special = true}).value(),
            Ids({1, 263}));
}

TEST(Fallback, MetaspacePutsMarks) {
  Json json = fallback_json({kMark, "h", "i"}, {{kMark, kMark}, {"h", "i"}, {kMark, "hi"}});
  json["normalizer"] = nullptr;
  const auto with = [&](const char* scheme, bool split) {
    json["pre_tokenizer"] = {{"type", "Metaspace"},
                             {"replacement", kMark},
                             {"prepend_scheme", scheme},
                             {"split", split}};
    return make(to_document(json));
  };
  EXPECT_EQ(with("always", false).encode("hi").value(), Ids({264}));
  EXPECT_EQ(with("never", false).encode("hi").value(), Ids({263}));
  EXPECT_EQ(with("never", false).encode("  hi").value(), Ids({262, 263}));
  EXPECT_EQ(with("never", true).encode("  hi").value(), Ids({259, 264}));
  EXPECT_EQ(with("always", true).encode(" hi").value(), Ids({264}));
  const EncodeOptions special{.parse_special = true};
  EXPECT_EQ(with("first", false).encode("hi<s>hi", special).value(), Ids({264, 1, 263}));
  EXPECT_EQ(with("first", false).encode("<s>hi", special).value(), Ids({1, 263}));
  EXPECT_EQ(with("always", false).encode("<s>hi", special).value(), Ids({1, 264}));
}

TEST(Fallback, UnknownCharacters) {
  Json json = fallback_json({kMark, "a"}, {});
  json["model"]["byte_fallback"] = false;
  json["normalizer"] = nullptr;
  EXPECT_EQ(make(to_document(json)).encode("xxa?").value(), Ids({0, 260, 0})) << "fused";
  json["model"]["fuse_unk"] = false;
  EXPECT_EQ(make(to_document(json)).encode("xxa").value(), Ids({0, 0, 260}));
  json["model"]["unk_token"] = nullptr;
  EXPECT_FALSE(make(to_document(json)).encode("xxa"));
}

// Every construct that is not run here is refused by its name.
TEST(HuggingFace, EncodesWholeWhateverTrainingDid) {
  Json json = byte_level_json({{"a", "a"}});
  json["truncation"] = {{"max_length", 2}, {"direction", "Right"}};
  json["padding"] = {{"pad_id", 0}};
  EXPECT_EQ(make(to_document(json)).encode("aaaaa").value(), (Ids{256, 256, 'a'}));
}

TEST(HuggingFace, NamesWhatItDoesNotSupport) {
  const auto error_with = [](const char* pointer, const Json& value) {
    Json json = byte_level_json({{"a", "b"}});
    json[Json::json_pointer(pointer)] = value;
    return error_of(json);
  };
  EXPECT_EQ(error_with("/version", "1.0"), "");
  EXPECT_THAT(error_with("/extra", 1), HasSubstr("'extra'"));
  EXPECT_THAT(error_with("/normalizer", {{"type", "Lowercase"}}), HasSubstr("Lowercase"));
  EXPECT_THAT(error_with("/normalizer", "NFC"), HasSubstr("normalizer"));
  EXPECT_THAT(error_with("/pre_tokenizer", {{"type", "Whitespace"}}), HasSubstr("Whitespace"));
  EXPECT_THAT(error_with("/pre_tokenizer", {{"type", "ByteLevel"}}), HasSubstr("add_prefix_space"));
  EXPECT_THAT(error_with("/decoder", nullptr), HasSubstr("decoder"));
  EXPECT_THAT(error_with("/model/type", "Unigram"), HasSubstr("model.type"));
  EXPECT_THAT(error_with("/model/dropout", 1), HasSubstr("dropout"));
  EXPECT_THAT(error_with("/model/end_of_word_suffix", "</w>"), HasSubstr("end_of_word_suffix"));
  EXPECT_THAT(error_with("/model/unk_token", "<u>"), HasSubstr("<u>"));
  EXPECT_THAT(error_with("/model/byte_fallback", true), HasSubstr("byte_fallback"));
  EXPECT_THAT(error_with("/model/merges/0", "a b c"), HasSubstr("merges[0]"));
  EXPECT_THAT(error_with("/model/merges/0", "ab"), HasSubstr("merges[0]"));
  EXPECT_THAT(error_with("/model/merges/0", {"a", "x"}), HasSubstr("merges[0]"));
  EXPECT_EQ(error_with("/model/merges/0", {"a", "b"}), "");
  EXPECT_THAT(error_with("/model/vocab/a", 98), HasSubstr("id 98"));
  EXPECT_THAT(error_with("/model/vocab/a", -1), HasSubstr("id of 'a'"));
  EXPECT_THAT(error_with("/model/vocab/a", 262144), HasSubstr("id of 'a'"));
  EXPECT_THAT(error_with("/added_tokens/0", {{"id", 5}, {"content", "<x>"}}),
              HasSubstr("already in use"));
  EXPECT_THAT(error_with("/added_tokens/0", {{"id", 300}, {"content", "ab"}}),
              HasSubstr("another id"));
  EXPECT_THAT(error_with("/added_tokens/0", {{"id", 300}, {"content", ""}}),
              HasSubstr("1 to 1024"));
  EXPECT_THAT(error_with("/added_tokens/0", {{"id", 300}, {"content", "x"}, {"lstrip", true}}),
              HasSubstr("lstrip"));
  const Json pattern = {
      {"type", "Split"}, {"pattern", {{"Regex", "(a+)+$"}}}, {"behavior", "Isolated"}};
  EXPECT_THAT(error_with("/pre_tokenizer", pattern), HasSubstr("(a+)+$"));
}

// Time must not be quadratic: under sanitizers, minutes would pass.
TEST(HuggingFace, LongHostileTexts) {
  constexpr std::size_t kLength = 1 << 20;
  Merges doubling;
  std::string a = "a";
  for (int i = 0; i < 10; ++i, a += a) doubling.emplace_back(a, a);
  const Tokenizer bytes = make(to_document(byte_level_json(doubling)));
  EXPECT_EQ(bytes.encode(std::string(kLength, 'a')).value().size(), kLength >> 10);
  EXPECT_EQ(bytes.encode(std::string(kLength, ' ') + "x").value().size(), kLength + 1);
  const Tokenizer fallback =
      make(to_document(fallback_json({"a", kMark}, {{"a", "a"}, {"aa", "aa"}})));
  EXPECT_EQ(fallback.encode(std::string(kLength, 'a')).value().size(), kLength / 4 + 1);
  Json json = byte_level_json({});
  json["normalizer"] = {{"type", "NFC"}};
  std::string marks;
  while (marks.size() < kLength) marks += "\xCC\x81\xCC\xA3";  // classes 230 and 220
  const Tokenizer nfc = make(to_document(json));
  EXPECT_EQ(nfc.encode(marks).value().size(), marks.size());
}

// Runs of whatever a pattern could go over again and again: a quadratic one would not end.
TEST(HuggingFace, NoPatternIsSlow) {
  constexpr std::size_t kLength = 1 << 17;
  const auto split = [](std::string_view pattern) -> Json {
    return {{"type", "Split"}, {"pattern", {{"Regex", pattern}}}, {"behavior", "Isolated"}};
  };
  std::vector<Json> cuts;
  for (const auto pattern :
       {kGpt2Pattern, kLlama3Pattern, kQwen2Pattern, kQwen35Pattern, kTekkenPattern}) {
    cuts.push_back(Json::array({split(pattern)}));
  }
  cuts.push_back(Json::array());
  for (const auto pattern : kDefaultPatterns) cuts.back().push_back(split(pattern));
  for (const bool one : {false, true}) {
    cuts.push_back(Json::array({{{"type", "Digits"}, {"individual_digits", one}}}));
  }
  for (Json cut : cuts) {
    cut.push_back({{"type", "ByteLevel"}, {"add_prefix_space", false}, {"use_regex", false}});
    Json json = byte_level_json({{"a", "a"}});
    json["pre_tokenizer"] = {{"type", "Sequence"}, {"pretokenizers", cut}};
    const Tokenizer t = make(to_document(json));
    for (const std::string unit : {"a", "A", "Aa", " ", "\n", " \n", "\t a", "1", "\xCC\x81", "!",
                                   "'", "'s", "/", "\xE2\x80\x83", "\xF0\x9F\x98\x80"}) {
      std::string text;
      while (text.size() < kLength) text += unit;
      const auto ids = t.encode(text);
      ASSERT_TRUE(ids.has_value()) << unit << ": " << ids.error().message;
      ASSERT_EQ(t.decode(*ids), text) << unit;
    }
  }
}

}  // namespace
}  // namespace otr::text

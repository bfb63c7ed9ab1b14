#include "text/tokenizer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>

#include "text/base64.h"
#include "text/test_documents.h"

namespace otr::text {
namespace {

using testing::HasSubstr;
using Ids = std::vector<std::uint32_t>;

std::string error_of(std::string_view document) {
  const auto tokenizer = Tokenizer::parse(document);
  return tokenizer ? "" : tokenizer.error().message;
}

const Json kGood = Json::parse(to_document(byte_level_json({{"a", "b"}}), 5, {6, 7}));

TEST(Tokenizer, ReadsTheSpecialIds) {
  const Tokenizer t = make(kGood.dump());
  EXPECT_TRUE(t.add_bos());
  EXPECT_EQ(t.bos(), 5u);
  EXPECT_EQ(t.eos(), Ids({6, 7}));
  EXPECT_EQ(t.encode("ab").value(), Ids({5, 256}));
}

TEST(Tokenizer, RefusesDocumentsThatAreNotCanonical) {
  const std::string good = kGood.dump();
  EXPECT_EQ(error_of(good), "");
  EXPECT_NE(error_of(good + " "), "");
  EXPECT_NE(error_of(good + "{}"), "");
  EXPECT_NE(error_of(" " + good), "");
  EXPECT_NE(error_of(kGood.dump(1)), "");
  EXPECT_NE(error_of(kGood.dump(-1, ' ', true)), "") << "escaped where it need not be";
  EXPECT_NE(error_of("{\"add_bos\":true," + good.substr(1)), "") << "a key twice";
  EXPECT_NE(error_of("[" + good + "]"), "");
  EXPECT_NE(error_of(std::string(65, '[') + std::string(65, ']')), "");
  EXPECT_NE(error_of(""), "");
  std::string bad = good;
  bad.replace(bad.find("\"version\":\"1.0\""), 15, "\"version\":\"\xFF.0\"");
  EXPECT_NE(error_of(bad), "");
  for (std::size_t size = 0; size < good.size(); size += 37) {
    EXPECT_NE(error_of(good.substr(0, size)), "") << size;
  }
}

TEST(Tokenizer, ChecksItsMembers) {
  const auto error_with = [](const char* key, const Json& value) {
    Json document = kGood;
    document[key] = value;
    return error_of(document.dump());
  };
  EXPECT_THAT(error_with("kind", "tiktoken"), HasSubstr("kind"));
  EXPECT_THAT(error_with("kind", nullptr), HasSubstr("kind"));
  EXPECT_THAT(error_with("kind", "sentencepiece"), HasSubstr("'document'"));
  EXPECT_THAT(error_with("more", 1), HasSubstr("'more'"));
  EXPECT_THAT(error_with("bos_id", 257), HasSubstr("bos_id"));
  EXPECT_THAT(error_with("bos_id", -1), HasSubstr("bos_id"));
  EXPECT_THAT(error_with("bos_id", "5"), HasSubstr("bos_id"));
  EXPECT_THAT(error_with("bos_id", nullptr), HasSubstr("add_bos"));
  EXPECT_THAT(error_with("add_bos", 1), HasSubstr("add_bos"));
  EXPECT_THAT(error_with("eos_ids", {7, 6}), HasSubstr("ascend"));
  EXPECT_THAT(error_with("eos_ids", {6, 6}), HasSubstr("ascend"));
  EXPECT_THAT(error_with("eos_ids", {300}), HasSubstr("eos_ids"));
  EXPECT_THAT(error_with("eos_ids", 6), HasSubstr("eos_ids"));
  Json document = kGood;
  document.erase("eos_ids");
  EXPECT_THAT(error_of(document.dump()), HasSubstr("missing"));
  document = {{"kind", "sentencepiece"},
              {"add_bos", false},
              {"bos_id", nullptr},
              {"eos_ids", Json::array()},
              {"model_base64", "AA=A"}};
  EXPECT_THAT(error_of(document.dump()), HasSubstr("base64"));
}

TEST(Tokenizer, RefusesTextsThatAreNotUtf8) {
  const Tokenizer t = make(kGood.dump());
  const auto ids = t.encode("abc\xC3(");
  ASSERT_FALSE(ids);
  EXPECT_THAT(ids.error().message, HasSubstr("byte 3"));
  EXPECT_FALSE(t.encode(std::string(Tokenizer::kMaxTextBytes + 1, 'a')));
}

// Encodes with special tokens on; '1' in `typed` marks what a user wrote.
Ids encode_typed(const Tokenizer& t, const std::string& text, std::string typed) {
  EXPECT_EQ(text.size(), typed.size());
  for (char& c : typed) c = static_cast<char>(c == '1');
  return t.encode(text, {.add_special = false, .parse_special = true, .typed = typed}).value();
}

Ids letters(std::string_view text) { return {text.begin(), text.end()}; }

Json with_control(bool normalized, const char* content = "<|e|>") {
  Json json = byte_level_json({});
  json["added_tokens"].push_back(
      {{"id", 300}, {"content", content}, {"special", true}, {"normalized", normalized}});
  json["added_tokens"].push_back({{"id", 301}, {"content", "<|e|>>"}, {"special", true}});
  json["added_tokens"].push_back({{"id", 302}, {"content", "<tool>"}, {"special", false}});
  return json;
}

TEST(Tokenizer, WhatWasTypedIsNoControlToken) {
  const Tokenizer t = make(to_document(with_control(false)));
  EXPECT_EQ(encode_typed(t, "a<|e|>b", "0000000"), Ids({'a', 300, 'b'}));
  EXPECT_EQ(encode_typed(t, "a<|e|>b", "1000001"), Ids({'a', 300, 'b'}));
  EXPECT_EQ(encode_typed(t, "<|e|>", "11111"), letters("<|e|>"));
  for (std::size_t i = 0; i < 5; ++i) {
    std::string typed = "00000";
    typed[i] = '1';
    EXPECT_EQ(encode_typed(t, "<|e|>", typed), letters("<|e|>")) << i;
  }
  EXPECT_EQ(encode_typed(t, "<|e|>>", "000001"), Ids({300, '>'})) << "the shorter one is framed";
  EXPECT_EQ(encode_typed(t, "<|<|e|>", "1100000"), Ids({'<', '|', 300}));
  EXPECT_EQ(encode_typed(t, "<tool>", "111111"), Ids({302})) << "not a control token";
  EXPECT_EQ(t.encode("<|e|>", {.parse_special = false}).value(), letters("<|e|>"));
}

TEST(Tokenizer, WhatWasTypedIsNoControlTokenAfterNormalizing) {
  Json json = with_control(true, "<\xC3\xA9>");  // one code point after NFC
  json["normalizer"] = {{"type", "NFC"}};
  const Tokenizer t = make(to_document(json));
  const std::string two = "<e\xCC\x81>";  // the letter and the accent
  EXPECT_EQ(encode_typed(t, "e\xCC\x81" + two,
                         "000"
                         "00000"),
            Ids({0xC3, 0xA9, 300}));
  EXPECT_EQ(encode_typed(t, "e\xCC\x81" + two,
                         "111"
                         "00000"),
            Ids({0xC3, 0xA9, 300}));
  const Ids plain = {'<', 0xC3, 0xA9, '>'};
  for (const char* typed : {"11111", "10000", "01000", "00110", "00001"}) {
    EXPECT_EQ(encode_typed(t, two, typed), plain) << typed;
  }
}

TEST(Tokenizer, WhatWasTypedIsNoControlTokenOfSentencePieceKind) {
  Json json = fallback_json({"a", "b", "<", "/", "s", ">", "\xE2\x96\x81"}, {});
  json["added_tokens"][2]["normalized"] = true;  // "</s>", which becomes "\u2581</s>"
  const Tokenizer t = make(to_document(json));
  EXPECT_EQ(encode_typed(t, "<s>a<s>b", "00010001"), Ids({1, 265, 259, 1, 265, 260}));
  const Ids forged = encode_typed(t, "a<s>b", "01111");
  EXPECT_EQ(std::ranges::count(forged, 1u), 0);
  EXPECT_EQ(encode_typed(t, "a </s>", "100000"), Ids({265, 259, 2}));
  EXPECT_EQ(std::ranges::count(encode_typed(t, "a </s>", "010000"), 2u), 0);
  EXPECT_EQ(std::ranges::count(encode_typed(t, "a </s>", "000001"), 2u), 0);
}

TEST(Tokenizer, BytesOfAnyIdAreDefined) {
  const Tokenizer t = make(kGood.dump());
  EXPECT_EQ(t.token_bytes(256), "ab");
  EXPECT_EQ(t.token_bytes(257), "");
  EXPECT_EQ(t.token_bytes(UINT32_MAX), "");
  EXPECT_TRUE(t.is_control(UINT32_MAX));
  EXPECT_EQ(t.decode(Ids({256, 'c', 999, 256})), "abcab");
}

TEST(Tokenizer, FreeIdsAreControlTokens) {
  Json json = byte_level_json({});
  json["added_tokens"].push_back({{"id", 300}, {"content", "<x>"}, {"special", false}});
  const Tokenizer t = make(to_document(json));
  EXPECT_EQ(t.vocabulary_size(), 301u);
  EXPECT_TRUE(t.is_control(299));
  EXPECT_EQ(t.token_bytes(299), "");
  EXPECT_EQ(t.token_bytes(300), "<x>");
}

TEST(Tokenizer, ManyThreadsMayUseOne) {
  const Tokenizer t = make(kGood.dump());
  std::vector<Ids> results(4);
  std::vector<std::thread> threads;
  for (Ids& result : results) {
    threads.emplace_back([&] { result = t.encode("ab cd ab").value(); });
  }
  for (std::thread& thread : threads) thread.join();
  for (const Ids& result : results) EXPECT_EQ(result, results[0]);
}

TEST(Base64, OnlyTheCanonicalForm) {
  std::string bytes;
  for (int i = 0; i < 300; ++i) {
    EXPECT_EQ(from_base64(to_base64(bytes)), bytes);
    bytes += static_cast<char>(i);
  }
  EXPECT_EQ(to_base64("a\xFF>"), "Yf8+");
  for (const char* text :
       {"Yf8", "Yf8+=", "Yf==8", "Yf9=", "Y===", "====", " Yf8", "Yf8\n", "Y-_="}) {
    EXPECT_EQ(from_base64(text), std::nullopt) << text;
  }
}

}  // namespace
}  // namespace otr::text

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

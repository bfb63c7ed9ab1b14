#include "text/document.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "text/json.h"
#include "text/test_documents.h"

namespace otr::text {
namespace {

using testing::HasSubstr;
using Ids = std::vector<std::uint32_t>;

Json llama_json() { return fallback_json({std::string(kSpaceMark), "a"}, {}); }

Json bos_template(const char* token) {
  return {{"type", "TemplateProcessing"},
          {"single",
           {{{"SpecialToken", {{"id", token}, {"type_id", 0}}}},
            {{"Sequence", {{"id", "A"}, {"type_id", 0}}}}}}};
}

TEST(Document, TakesIdsFromTheConfigs) {
  const std::string json = llama_json().dump(2);
  const auto document = document_from_huggingface(
      {.tokenizer_json = json,
       .tokenizer_config_json =
           R"({"bos_token":{"content":"<s>"},"eos_token":"</s>","add_bos_token":true})",
       .generation_config_json = R"({"eos_token_id":[9,4],"temperature":0.5})",
       .config_json = R"({"eos_token_id":7,"rms_norm_eps":1e-05})"});
  ASSERT_TRUE(document) << document.error().message;
  const Tokenizer t = make(*document);
  EXPECT_EQ(t.bos(), 1u);
  EXPECT_TRUE(t.add_bos());
  EXPECT_EQ(t.eos(), Ids({2, 4, 9}));
  EXPECT_EQ(Json::parse(*document).dump(), *document);
  EXPECT_EQ(Json::parse(*document)["document"], llama_json()) << "unchanged";
}

TEST(Document, FallsBackToTheModelConfig) {
  const std::string json = llama_json().dump();
  const Tokenizer t =
      make(document_from_huggingface(
               {.tokenizer_json = json, .config_json = R"({"eos_token_id":7,"bos_token_id":1})"})
               .value());
  EXPECT_EQ(t.bos(), 1u);
  EXPECT_FALSE(t.add_bos());
  EXPECT_EQ(t.eos(), Ids({7}));
  // Qwen: the tokeniser says that there is no BOS, whatever the model says.
  const Tokenizer qwen =
      make(document_from_huggingface({.tokenizer_json = json,
                                      .tokenizer_config_json = R"({"bos_token":null})",
                                      .config_json = R"({"bos_token_id":1})"})
               .value());
  EXPECT_EQ(qwen.bos(), std::nullopt);
}

TEST(Document, ReadsTheTemplate) {
  Json json = llama_json();
  json["post_processor"] = bos_template("<s>");
  const auto add_bos = [&](const char* config) {
    const std::string source = json.dump();
    const auto document =
        document_from_huggingface({.tokenizer_json = source, .tokenizer_config_json = config});
    return document ? make(*document).add_bos() ? "yes" : "no" : document.error().message;
  };
  EXPECT_EQ(add_bos(""), "yes");
  EXPECT_EQ(add_bos(R"({"add_bos_token":false})"), "no");
  EXPECT_THAT(add_bos(R"({"bos_token":"</s>"})"), HasSubstr("another token"));
  EXPECT_THAT(add_bos(R"({"bos_token":"<none>"})"), HasSubstr("bos_token names no token"));
  EXPECT_THAT(add_bos(R"({"add_eos_token":true})"), HasSubstr("add_eos_token"));
  json["post_processor"] = {{"type", "Sequence"},
                            {"processors", {{{"type", "ByteLevel"}}, bos_template("<s>")}}};
  EXPECT_EQ(add_bos(""), "yes");
  json["post_processor"]["processors"][0] = bos_template("<s>");
  EXPECT_THAT(add_bos(""), HasSubstr("post_processor"));
  json["post_processor"] = bos_template("<s>");
  json["post_processor"]["single"].push_back(json["post_processor"]["single"][0]);
  EXPECT_THAT(add_bos(""), HasSubstr("post_processor"));
  json["post_processor"] = {{"type", "BertProcessing"}};
  EXPECT_THAT(add_bos(""), HasSubstr("post_processor"));
}

TEST(Document, NamesTheFileAtFault) {
  const std::string json = llama_json().dump();
  const auto error_of = [](const HuggingFaceFiles& files) {
    const auto document = document_from_huggingface(files);
    return document ? "" : document.error().message;
  };
  EXPECT_THAT(error_of({}), HasSubstr("neither tokenizer.json nor tokenizer.model"));
  EXPECT_THAT(error_of({.tokenizer_json = "{"}), HasSubstr("tokenizer.json"));
  EXPECT_THAT(error_of({.tokenizer_json = std::string(70, '[')}), HasSubstr("deeper than 64"));
  EXPECT_THAT(error_of({.tokenizer_json = json, .config_json = "[]"}), HasSubstr("config.json"));
  EXPECT_THAT(error_of({.tokenizer_json = json, .tokenizer_config_json = "{\"eos_token\":3}"}),
              HasSubstr("eos_token"));
  EXPECT_THAT(error_of({.tokenizer_json = json, .config_json = "{\"eos_token_id\":\"2\"}"}),
              HasSubstr("eos_token_id"));
  EXPECT_THAT(error_of({.tokenizer_json = json, .config_json = "{\"eos_token_id\":70000}"}),
              HasSubstr("below the vocabulary size"));
  Json fraction = llama_json();
  fraction["version"] = 1.5;
  const std::string source = fraction.dump();
  EXPECT_THAT(error_of({.tokenizer_json = source}), HasSubstr("not a 64-bit integer"));
}

TEST(Document, FromSentencePiece) {
  const std::string file = serialize(small_sentencepiece(PieceModel::kBpe));
  const Tokenizer own = make(document_from_huggingface({.tokenizer_model = file}).value());
  EXPECT_EQ(own.bos(), 1u);
  EXPECT_TRUE(own.add_bos());
  EXPECT_EQ(own.eos(), Ids({2}));
  const Tokenizer told =
      make(document_from_huggingface({.tokenizer_model = file,
                                      .tokenizer_config_json = R"({"add_bos_token":false})",
                                      .generation_config_json = R"({"eos_token_id":7})"})
               .value());
  EXPECT_FALSE(told.add_bos());
  EXPECT_EQ(told.eos(), Ids({7}));
}

TEST(Document, AddedTokensMustBeInTheSentencePieceModel) {
  const std::string file = serialize(small_sentencepiece(PieceModel::kBpe));
  const auto error_of = [&](std::string_view added, std::string_view config) -> std::string {
    const auto made = document_from_huggingface(
        {.tokenizer_model = file, .added_tokens_json = added, .tokenizer_config_json = config});
    return made ? "" : made.error().message;
  };
  EXPECT_EQ(error_of(R"({"<s>": 1})", R"({"added_tokens_decoder": {"2": {"content": "</s>"}}})"),
            "");
  EXPECT_THAT(error_of(R"({"<|im_start|>": 9000})", ""), HasSubstr("added_tokens.json: the added"));
  EXPECT_THAT(error_of(R"({"<s>": 2})", ""), HasSubstr("'<s>' (id 2) is not in tokenizer.model"));
  EXPECT_THAT(error_of(R"({"<s>": "1x"})", ""), HasSubstr("is not in"));
  EXPECT_THAT(error_of("", R"({"added_tokens_decoder": {"7777": {"content": "<|im_end|>"}}})"),
              HasSubstr("tokenizer_config.json: the added token '<|im_end|>' (id 7777)"));
  EXPECT_THAT(error_of("", R"({"added_tokens_decoder": {"x": 1}})"), HasSubstr("'?' (id x)"));
  EXPECT_THAT(error_of("", R"({"add_eos_token": true})"), HasSubstr("add_eos_token"));
}

TEST(Document, NoKeyTwice) {
  const auto twice =
      parse_json(R"({"a": 1, "b": {"a": 2, "c": [{"a": 3}, {"a": 4}], "a": 5}})", "x");
  ASSERT_FALSE(twice);
  EXPECT_EQ(twice.error().message, "x has the key 'a' twice in one object");
  EXPECT_TRUE(parse_json(R"({"a": 1, "b": {"a": 2, "c": [{"a": 3}, {"a": 4}]}})", "x"));
}

TEST(Document, FromLlama2c) {
  const SentencePieceModel model = small_sentencepiece(PieceModel::kBpe);
  Bytes file;
  append_le<std::uint32_t>(file, 8);
  for (const Piece& piece : model.pieces) {
    std::string text = piece.text;
    replace_all(text, kSpaceMark, " ");
    if (text == "<s>" || text == "</s>") text = "\n" + text + "\n";
    append_le(file, piece.score_bits);
    append_le(file, static_cast<std::uint32_t>(text.size()));
    append(file, as_bytes(text));
  }
  const Tokenizer t = make(document_from_llama2c(file, model.pieces.size()).value());
  const Tokenizer same = make(document_from_sentencepiece(as_bytes(serialize(model))).value());
  EXPECT_EQ(t.encode("hello hell").value(), same.encode("hello hell").value());
  EXPECT_EQ(t.bos(), 1u);
  EXPECT_EQ(t.eos(), Ids({2}));
  EXPECT_FALSE(document_from_llama2c(file, model.pieces.size() - 1)) << "trailing bytes";
  EXPECT_FALSE(document_from_llama2c(file, model.pieces.size() + 1));
  EXPECT_FALSE(document_from_llama2c({}, 300));
  for (std::size_t size = 0; size < file.size(); ++size) {
    EXPECT_FALSE(document_from_llama2c(ByteView(file).first(size), model.pieces.size())) << size;
  }
}

}  // namespace
}  // namespace otr::text

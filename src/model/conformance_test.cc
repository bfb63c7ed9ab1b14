// The vectors of SPEC chapter MODEL, which spec/oracle.py makes.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>

#include "base/canonical_json.h"
#include "base/hex.h"
#include "crypto/sha256.h"
#include "model/artifact.h"

namespace otr::model {
namespace {

std::string read(const std::string& name) {
  std::ifstream file(std::string(OTR_SOURCE_DIR "/spec/vectors/") + name, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

// The file of a case with its splices.
Bytes bytes_of(const Json& in) {
  const std::string file = read(in.at("file"));
  EXPECT_FALSE(file.empty()) << in.at("file");
  Bytes bytes(file.begin(), file.end());
  for (const Json& splice : in.value("splices", Json::array())) {
    const std::string hex = splice.at("insert").get<std::string>();
    const Bytes piece = from_hex(hex, hex.size() / 2 - 1, "insert").value();
    const auto at = bytes.begin() + splice.at("at").get<std::int64_t>();
    const auto rest = bytes.erase(at, at + splice.at("remove").get<std::int64_t>());
    const auto times = splice.at("times").get<std::size_t>();
    Bytes insert;
    insert.reserve(piece.size() * times);
    for (std::size_t i = 0; i < times; ++i) append(insert, piece);
    bytes.insert(rest, insert.begin(), insert.end());
  }
  return bytes;
}

std::string tagged_hash(std::string_view tag, std::string_view text) {
  return to_hex(crypto::sha256({as_bytes(tag), as_bytes(text)}));
}

void expect_accepted(const Artifact& artifact, const Json& out) {
  EXPECT_EQ(Json(to_hex(artifact.root())), out.at("model_root"));
  if (!out.contains("tensors")) return;
  EXPECT_EQ(Json(tagged_hash("OTR.conf", encode_config(artifact.config()))), out.at("config"));
  EXPECT_EQ(Json(tagged_hash("OTR.toks", artifact.tokenizer())), out.at("tokenizer"));
  EXPECT_EQ(Json(tagged_hash("OTR.tmpl", artifact.chat_template())), out.at("template"));
  Json tensors = Json::array();
  for (const Tensor& tensor : artifact.tensors()) {
    tensors.push_back({tensor.spec.name, to_hex(tensor.root)});
  }
  EXPECT_EQ(tensors, out.at("tensors"));
}

void expect_text(const Artifact& artifact, const Json& ids, const Json& expected) {
  const machine::Model& model = artifact.view();
  Bytes text;
  for (const std::uint32_t id : ids) {
    const std::uint32_t begin = model.token_offsets[id];
    append(text, model.token_bytes.subspan(begin, model.token_offsets[id + 1] - begin));
  }
  EXPECT_EQ(Json(to_hex(text)), expected);
}

TEST(ModelConformance, EveryVector) {
  const Json vectors = Json::parse(read("model.json"));
  ASSERT_GE(vectors.at("cases").size(), 100U);
  for (const Json& test : vectors.at("cases")) {
    SCOPED_TRACE(test.at("name").get<std::string>());
    const Json& in = test.at("in");
    const Result<Artifact> artifact = parse_artifact(bytes_of(in));
    if (test.contains("reject")) {
      EXPECT_EQ(Json(artifact ? "accepted" : artifact.error().code), test.at("reject"))
          << (artifact ? "" : artifact.error().message);
      continue;
    }
    if (!artifact) {
      ADD_FAILURE() << artifact.error().message;
    } else if (in.contains("ids")) {
      expect_text(*artifact, in.at("ids"), test.at("out").at("text"));
    } else {
      expect_accepted(*artifact, test.at("out"));
    }
  }
}

// The writer makes the oracle's files byte for byte.
TEST(ModelConformance, TheWriterMakesTheSameFiles) {
  std::size_t count = 0;
  for (const auto& entry : std::filesystem::directory_iterator(OTR_SOURCE_DIR "/spec/vectors")) {
    if (entry.path().extension() != ".safetensors") continue;
    const std::string file = read(entry.path().filename());
    const Result<Artifact> artifact = parse_artifact(Bytes(file.begin(), file.end()));
    ASSERT_TRUE(artifact) << entry.path() << artifact.error().message;
    ArtifactContents contents{.config = artifact->config(),
                              .tokenizer = artifact->tokenizer(),
                              .chat_template = artifact->chat_template(),
                              .data = {},
                              .token_bytes = artifact->view().token_bytes.size()};
    for (const Tensor& tensor : artifact->tensors().subspan(1)) {
      append(contents.data, tensor.data);
    }
    EXPECT_EQ(as_text(encode_artifact(std::move(contents)).value()), file) << entry.path();
    ++count;
  }
  EXPECT_GE(count, 5U);
}

}  // namespace
}  // namespace otr::model

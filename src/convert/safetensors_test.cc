#include "convert/safetensors.h"

#include <gtest/gtest.h>

#include <cmath>

#include "convert/checkpoint.h"
#include "convert/test_models.h"
#include "env/file.h"

namespace otr::convert {
namespace {

namespace fs = std::filesystem;

std::string header_refusal(const char* text, std::uint64_t data_bytes) {
  const auto header = parse_safetensors_header(text, data_bytes, "f");
  return header ? "accepted" : header.error().message;
}

TEST(Safetensors, HeadersOfStrangers) {
  EXPECT_EQ(header_refusal(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})", 8),
            "accepted");
  EXPECT_EQ(header_refusal(R"({"a":{"dtype":"I64","shape":"?"}})", 8), "accepted");
  const std::pair<const char*, const char*> cases[] = {
      {"[]", "no JSON object"},
      {"{", "JSON"},
      {R"({"a":1})", "no JSON object"},
      {R"({"a":{"shape":[2],"data_offsets":[0,8]}})", "'dtype'"},
      {R"({"a":{"dtype":"F32","data_offsets":[0,8]}})", "'shape'"},
      {R"({"a":{"dtype":"F32","shape":[-2],"data_offsets":[0,8]}})", "'shape'"},
      {R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[8]}})", "'data_offsets'"},
      {R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[8,0]}})", "cut short"},
      {R"({"a":{"dtype":"F32","shape":[4],"data_offsets":[0,16]}})", "cut short"},
      {R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,8]}})", "shape and dtype"},
      {R"({"a":{"dtype":"F16","shape":[4294967296,4294967296,2],"data_offsets":[0,8]}})",
       "shape and dtype"},
      {R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},)"
       R"("b":{"dtype":"F16","shape":[2],"data_offsets":[2,6]}})",
       "overlap: 'a' and 'b'"},
  };
  for (const auto& [text, part] : cases) {
    EXPECT_NE(header_refusal(text, 8).find(part), std::string::npos)
        << text << header_refusal(text, 8);
  }
}

TEST(Safetensors, WidensExactly) {
  const Bytes half = {0x00, 0x3c, 0x01, 0x00, 0xff, 0x83, 0xff, 0x7b, 0x00, 0x80, 0x00, 0x7c};
  std::vector<float> out(6);
  widen(FloatType::kF16, half, out);
  EXPECT_EQ(out[0], 1.0F);
  EXPECT_EQ(out[1], std::ldexp(1.0F, -24));
  EXPECT_EQ(out[2], -1023 * std::ldexp(1.0F, -24));
  EXPECT_EQ(out[3], 65504.0F);
  EXPECT_TRUE(out[4] == 0 && std::signbit(out[4]));
  EXPECT_TRUE(std::isinf(out[5]));
  std::vector<float> one(1);
  widen(FloatType::kBF16, Bytes{0xc0, 0xbf}, one);
  EXPECT_EQ(one[0], -1.5F);
}

TEST(Checkpoint, EveryTruncationIsAnError) {
  const TemporaryFolder folder;
  write_model(random_model("LlamaForCausalLM", 31), folder.path());
  const fs::path path = folder.path() / "model.safetensors";
  const Bytes file = env::read_file(path, 1 << 30).value();
  const auto header_bytes = load_le<std::uint64_t>(file.data());
  for (const std::size_t size :
       {std::size_t{0}, std::size_t{7}, std::size_t{8}, 8 + header_bytes / 2, 8 + header_bytes - 1,
        8 + header_bytes, file.size() / 2, file.size() - 1}) {
    write_text(path, as_text(ByteView(file).first(size)));
    const auto model = load_float_model(folder.path());
    ASSERT_FALSE(model) << size;
    EXPECT_NE(model.error().message.find("model.safetensors"), std::string::npos);
  }
}

TEST(Checkpoint, IndexesStayInTheFolder) {
  const TemporaryFolder folder;
  TestModel model = random_model("LlamaForCausalLM", 32);
  model.shards = 2;
  write_model(model, folder.path());
  ASSERT_TRUE(load_float_model(folder.path()));
  const fs::path index = folder.path() / "model.safetensors.index.json";
  for (const char* text :
       {"{}", "[]", "", R"({"weight_map":{}})", R"({"weight_map":{"a":"../secret"}})",
        R"({"weight_map":{"a":3}})", R"({"weight_map":{"a":"absent.safetensors"}})",
        R"({"weight_map":{"a":"."}})", R"({"weight_map":{"a":"model-0.safetensors"}})"}) {
    write_text(index, text);
    EXPECT_FALSE(load_float_model(folder.path())) << text;
  }
  fs::remove(index);
  const auto none = load_float_model(folder.path());
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().kind, ErrorKind::kUsage);
}

}  // namespace
}  // namespace otr::convert

#include "convert/source_kind.h"

#include <gtest/gtest.h>

#include "base/bytes.h"
#include "convert/source.h"
#include "convert/test_gguf.h"
#include "convert/test_models.h"

namespace otr::convert {
namespace {

namespace fs = std::filesystem;

std::string answer(const fs::path& path) {
  const auto kind = source_kind(path);
  if (!kind) return kind.error().message;
  return *kind == SourceKind::kGguf ? "GGUF" : "Hugging Face";
}

void expect_answer(const fs::path& path, const std::string& part) {
  const std::string message = answer(path);
  EXPECT_NE(message.find(part), std::string::npos) << message << "\n  lacks: " << part;
}

std::string integers(std::initializer_list<std::int32_t> values) {
  Bytes out;
  for (const std::int32_t value : values) append_le(out, value);
  return std::string(as_text(out));
}

TEST(SourceKind, FilesByTheirFirstBytes) {
  const TemporaryFolder folder;
  const fs::path path = folder.path() / "blob";
  const std::string header = R"({"__metadata__":{"otr.config":"{}","otr.format":"1"}})";
  const std::string other = R"({"a":{"dtype":"F32","shape":[0],"data_offsets":[0,0]}})";
  const std::string lora = R"({"base.lora_A.weight":{}})";
  const auto safetensors = [](const std::string& json) {
    Bytes out;
    append_le<std::uint64_t>(out, json.size());
    append(out, as_bytes(json));
    return std::string(as_text(out));
  };
  const std::pair<std::string, const char*> cases[] = {
      {"GGUF\3", "GGUF"},
      {"", "is empty"},
      {"x", "is no model in a known format. A model to import is a GGUF file, or"},
      {safetensors(header), "is a model artifact already"},
      {safetensors(other), "name the folder that holds it with config.json and tokenizer.json"},
      {safetensors(lora), "is a LoRA adapter"},
      {"tjgg\1\0\0\0", "ggjt"},
      {"algg\1\0\0\0", "adapter"},
      {"PK\3\4....", "PyTorch's weights (.bin, .pt, .pth)"},
      {std::string("\x80\2}q\0", 5), "never read"},
      {"\x1f\x8b\x08", "unpack it first"},
      {"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"},
      {"<!DOCTYPE html>", "the download went wrong"},
      {"{\"architectures\": []}", "name the folder"},
      {integers({288, 768, 6, 6, 6, 32000, 256, 0}), "tools/llama2c_to_hf.py"},
      {integers({288, 768, 6, 6, 6, -32000, 256, 0}), "tools/llama2c_to_hf.py"},
      {integers({288, 768, 6, 7, 6, -32000, 256, 0}), "no model in a known format"},
  };
  for (const auto& [bytes, part] : cases) {
    write_text(path, bytes);
    expect_answer(path, part);
  }
}

TEST(SourceKind, FoldersByTheirNames) {
  const std::pair<std::vector<const char*>, const char*> cases[] = {
      {{}, "is a folder without a model"},
      {{"model.safetensors", "config.json"}, "Hugging Face"},
      {{"model.safetensors.index.json", "config.json"}, "Hugging Face"},
      {{"model.safetensors"}, "no config.json"},
      {{"config.json", "tokenizer.json", "m-q4.gguf"}, "name the file itself, such as "},
      {{"adapter_config.json", "adapter_model.safetensors"}, "LoRA adapter"},
      {{"config.json", "pytorch_model.bin"}, "(pytorch_model.bin)"},
      {{"params.json", "consolidated.00.pth"}, "params.json"},
      {{"config.json", "weights.safetensors"}, "neither model.safetensors nor"},
      {{"tokenizer.json"}, "Hugging Face"},
  };
  for (const auto& [names, part] : cases) {
    const TemporaryFolder folder;
    for (const char* name : names) write_text(folder.path() / name, "{}");
    expect_answer(folder.path(), part);
  }
  expect_answer("/nonexistent/model", "does not exist. A model to import is");
}

TEST(SourceKind, BothWaysLeadThroughIt) {
  const TemporaryFolder folder;
  const fs::path none = folder.path() / "none";
  EXPECT_EQ(open_source(none).error().kind, ErrorKind::kUsage);
  EXPECT_EQ(open_tokenizer(none, {}).error().kind, ErrorKind::kUsage);
  // A blob without a name's ending, as Ollama keeps it; without weights, its tokeniser works.
  TestGguf file = gguf_of(random_model("LlamaForCausalLM", 1));
  file.tensors.clear();
  file.write(folder.path() / "sha256-abc");
  EXPECT_NE(open_source(folder.path() / "sha256-abc").error().message.find("only a vocabulary"),
            std::string::npos);
  const auto tokens = open_tokenizer(folder.path() / "sha256-abc", {});
  ASSERT_TRUE(tokens) << tokens.error().message;
  EXPECT_EQ(tokens->chat_template, "{{ messages }}");
  EXPECT_EQ(tokens->eos_ids, std::vector<std::uint32_t>{7});
  EXPECT_EQ(tokens->tokens.bytes[65], 65);
}

}  // namespace
}  // namespace otr::convert

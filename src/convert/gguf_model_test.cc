// A model read from a GGUF file is the model read from Hugging Face's files, float by float.
#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <random>

#include "base/hex.h"
#include "convert/import.h"
#include "convert/source.h"
#include "convert/test_gguf.h"
#include "env/file.h"
#include "model/artifact.h"

namespace otr::convert {
namespace {

namespace fs = std::filesystem;

void expect_same(const FloatMatrix& a, const FloatMatrix& b, const std::string& what) {
  EXPECT_EQ(a.rows, b.rows) << what;
  EXPECT_EQ(a.cols, b.cols) << what;
  EXPECT_TRUE(a.weight == b.weight) << what;
  EXPECT_TRUE(a.bias == b.bias) << what << ".bias";
}

void expect_same(const FloatConfig& a, const FloatConfig& b) {
  EXPECT_EQ(a.shape.hidden, b.shape.hidden);
  EXPECT_EQ(a.shape.heads, b.shape.heads);
  EXPECT_EQ(a.shape.kv_heads, b.shape.kv_heads);
  EXPECT_EQ(a.shape.head_dim, b.shape.head_dim);
  EXPECT_EQ(a.shape.ffn, b.shape.ffn);
  EXPECT_EQ(a.shape.layers, b.shape.layers);
  EXPECT_EQ(a.shape.vocabulary, b.shape.vocabulary);
  EXPECT_EQ(a.shape.context, b.shape.context);
  EXPECT_EQ(a.shape.window, b.shape.window);
  EXPECT_EQ(a.shape.qk_norm, b.shape.qk_norm);
  EXPECT_EQ(a.eps, b.eps);
  EXPECT_EQ(a.eps_qk, b.eps_qk);
  EXPECT_EQ(a.score_scale, b.score_scale);
  ASSERT_EQ(a.rope_frequency.size(), b.rope_frequency.size());
  for (std::size_t i = 0; i < a.rope_frequency.size(); ++i) {
    // Llama 3's divisors are binary32 in a GGUF file.
    EXPECT_NEAR(a.rope_frequency[i], b.rope_frequency[i], 1e-7 * a.rope_frequency[i]) << i;
  }
  EXPECT_EQ(a.tied, b.tied);
  EXPECT_EQ(a.qkv_bias, b.qkv_bias);
  EXPECT_EQ(a.o_bias, b.o_bias);
}

void expect_same(const FloatModel& a, const FloatModel& b) {
  expect_same(a.config, b.config);
  expect_same(a.embed, b.embed, "embed");
  expect_same(a.head, b.head, "head");
  EXPECT_EQ(a.final_norm, b.final_norm);
  ASSERT_EQ(a.layers.size(), b.layers.size());
  for (std::size_t l = 0; l < a.layers.size(); ++l) {
    const FloatLayer& x = a.layers[l];
    const FloatLayer& y = b.layers[l];
    EXPECT_EQ(x.attn_norm, y.attn_norm);
    EXPECT_EQ(x.mlp_norm, y.mlp_norm);
    EXPECT_EQ(x.q_norm, y.q_norm);
    EXPECT_EQ(x.k_norm, y.k_norm);
    expect_same(x.wq, y.wq, "wq");
    expect_same(x.wk, y.wk, "wk");
    expect_same(x.wv, y.wv, "wv");
    expect_same(x.wo, y.wo, "wo");
    expect_same(x.w_gate, y.w_gate, "w_gate");
    expect_same(x.w_up, y.w_up, "w_up");
    expect_same(x.w_down, y.w_down, "w_down");
  }
}

void expect_same_model(const TestModel& model) {
  const TemporaryFolder folder;
  write_model(model, folder.path());
  gguf_of(model).write(folder.path() / "model.gguf");
  const auto a = load_float_model(folder.path());
  const auto b = load_float_model(folder.path() / "model.gguf");
  ASSERT_TRUE(a) << a.error().message;
  ASSERT_TRUE(b) << b.error().message;
  expect_same(*a, *b);
}

std::string refusal(const TestGguf& file) {
  const TemporaryFolder folder;
  const fs::path path = folder.path() / "model.gguf";
  file.write(path);
  const auto source = open_source(path);
  if (!source) return source.error().message;
  const auto tokens = open_tokenizer(path, source->config.shape.vocabulary);
  if (!tokens) return tokens.error().message;
  const auto model = load_float_model(path);
  return model ? "accepted" : model.error().message;
}

void expect_refusal(const TestGguf& file, const std::string& part) {
  const std::string message = refusal(file);
  EXPECT_NE(message.find(part), std::string::npos) << message << "\n  lacks: " << part;
}

TEST(GgufModel, EveryFamilyIsTheSameModel) {
  for (const char* architecture :
       {"LlamaForCausalLM", "MistralForCausalLM", "Qwen2ForCausalLM", "Qwen3ForCausalLM"}) {
    SCOPED_TRACE(architecture);
    expect_same_model(random_model(architecture, 1));
  }
}

TEST(GgufModel, EveryOptionIsTheSameModel) {
  TestModel tied = random_model("LlamaForCausalLM", 2);
  tied.config["tie_word_embeddings"] = true;
  tied.tensors.erase("lm_head.weight");
  expect_same_model(tied);
  TestModel window = random_model("MistralForCausalLM", 4);
  window.config["sliding_window"] = 3;
  expect_same_model(window);
  TestModel yarn = random_model("Qwen3ForCausalLM", 5);
  yarn.config["rope_scaling"] = {
      {"rope_type", "yarn"}, {"factor", 4.0}, {"original_max_position_embeddings", 32}};
  expect_same_model(yarn);
  TestModel linear = random_model("Qwen2ForCausalLM", 6);
  linear.config["rope_scaling"] = {{"type", "linear"}, {"factor", 2.5}};
  linear.config["rope_theta"] = 1e6;
  expect_same_model(linear);
  TestModel llama3 = random_model("LlamaForCausalLM", 7);
  llama3.config["rope_theta"] = 500000.0;
  llama3.config["rope_scaling"] = {{"rope_type", "llama3"},
                                   {"factor", 8.0},
                                   {"low_freq_factor", 1.0},
                                   {"high_freq_factor", 4.0},
                                   {"original_max_position_embeddings", 64}};
  expect_same_model(llama3);
  TestModel biased = random_model("LlamaForCausalLM", 8);
  biased.config["attention_bias"] = true;
  for (const std::string layer : {"model.layers.0.", "model.layers.1."}) {
    for (const auto& [name, size] :
         {std::pair{"q", 48}, std::pair{"k", 24}, std::pair{"v", 24}, std::pair{"o", 48}}) {
      TestTensor bias{{static_cast<std::uint64_t>(size)}, {}};
      for (int i = 0; i < size; ++i) bias.values.push_back(static_cast<float>(i) / 8);
      biased.tensors[layer + "self_attn." + name + "_proj.bias"] = bias;
    }
  }
  expect_same_model(biased);
}

// Name and root of every tensor of the artifact that an import makes, but for the tokens, which
// the two forms of a test model have not in common.
std::map<std::string, std::string> imported(const fs::path& source, const fs::path& out) {
  const auto report = import_model(source, out);
  EXPECT_TRUE(report) << report.error().message;
  auto bytes = env::read_file(out, std::size_t{1} << 30);
  EXPECT_TRUE(bytes);
  const auto artifact = model::parse_artifact(*std::move(bytes));
  EXPECT_TRUE(artifact) << artifact.error().message;
  std::map<std::string, std::string> roots;
  for (const model::Tensor& tensor : artifact->tensors()) {
    if (!tensor.spec.name.starts_with("token")) roots[tensor.spec.name] = to_hex(tensor.root);
  }
  return roots;
}

TEST(GgufModel, EveryFamilyBecomesTheSameArtifact) {
  for (const char* architecture : {"LlamaForCausalLM", "Qwen2ForCausalLM", "Qwen3ForCausalLM"}) {
    TestModel model = random_model(architecture, 14);
    model.config["eos_token_id"] = 7;
    const TemporaryFolder folder;
    write_model(model, folder.path());
    gguf_of(model).write(folder.path() / "model.gguf");
    const auto a = imported(folder.path(), folder.path() / "a");
    const auto b = imported(folder.path() / "model.gguf", folder.path() / "b");
    EXPECT_GT(a.size(), 20U);
    EXPECT_EQ(a, b) << architecture;
  }
}

TEST(GgufModel, RowsInPartsAreTheRows) {
  const TemporaryFolder folder;
  const fs::path path = folder.path() / "model.gguf";
  gguf_of(random_model("LlamaForCausalLM", 9)).write(path);
  const auto source = open_source(path);
  ASSERT_TRUE(source) << source.error().message;
  EXPECT_EQ(source->format, "GGUF version 3");
  const Checkpoint& checkpoint = *source->checkpoint;
  for (const auto& [name, shape] : {std::pair<std::string, std::vector<std::uint64_t>>{
                                        "model.layers.1.self_attn.k_proj.weight", {24, 48}},
                                    {"model.layers.0.mlp.down_proj.weight", {48, 56}},
                                    {"model.norm.weight", {48}}}) {
    const auto all = checkpoint.read(name, shape);
    ASSERT_TRUE(all) << all.error().message;
    std::vector<float> joined;
    for (std::uint64_t begin = 0; begin < shape[0]; begin += 5) {
      const auto some =
          checkpoint.read_rows(name, shape, begin, std::min<std::uint64_t>(shape[0], begin + 5));
      ASSERT_TRUE(some);
      joined.insert(joined.end(), some->begin(), some->end());
    }
    EXPECT_EQ(joined, *all) << name;
  }
  EXPECT_EQ(checkpoint.type_of("model.norm.weight"), "F32");
  EXPECT_FALSE(checkpoint.read("model.norm.weight", {47}));
  EXPECT_FALSE(checkpoint.read("blk.0.attn_q.weight", {48, 48}));
}

TEST(GgufModel, PartsOfASplitModel) {
  const TestModel model = random_model("Qwen2ForCausalLM", 10);
  TestGguf whole = gguf_of(model);
  const TemporaryFolder folder;
  write_model(model, folder.path());
  std::vector<TestGguf> parts(3);
  parts[0].metadata = whole.metadata;
  for (std::size_t i = 0; i < whole.tensors.size(); ++i) {
    parts[i % 3].tensors.push_back(whole.tensors[i]);
  }
  const auto name = [&](int i) {
    return folder.path() / ("m-0000" + std::to_string(i + 1) + "-of-00003.gguf");
  };
  for (int i = 0; i < 3; ++i) {
    TestGguf& part = parts[static_cast<std::size_t>(i)];
    const auto u16 = [&](const char* key, std::uint16_t value) {
      part.metadata.push_back({key, 2, gguf_number_bytes(value)});
    };
    u16("split.no", static_cast<std::uint16_t>(i));
    u16("split.count", 3);
    part.metadata.push_back({"split.tensors.count", 5,
                             gguf_number_bytes(static_cast<std::int32_t>(whole.tensors.size()))});
    part.write(name(i));
  }
  const auto a = load_float_model(folder.path());
  const auto b = load_float_model(name(0));
  ASSERT_TRUE(b) << b.error().message;
  expect_same(*a, *b);
  EXPECT_EQ(open_source(name(0))->format, "GGUF version 3, 3 parts");
  const auto error_of = [](const fs::path& path) {
    const auto source = open_source(path);
    return source ? "accepted" : source.error().message;
  };
  EXPECT_NE(error_of(name(1)).find("part 2 of 3"), std::string::npos) << error_of(name(1));
  fs::rename(name(2), folder.path() / "aside");
  EXPECT_NE(error_of(name(0)).find("00003-of-00003.gguf is missing"), std::string::npos);
  fs::copy(name(1), name(2));
  EXPECT_NE(error_of(name(0)).find("says that it is part 2 of 3"), std::string::npos);
  fs::rename(folder.path() / "aside", name(2));
  parts[2].tensors.pop_back();
  parts[2].write(name(2));
  EXPECT_NE(error_of(name(0)).find("split.tensors.count"), std::string::npos);
  parts[2].tensors.push_back(parts[1].tensors[0]);
  parts[2].write(name(2));
  EXPECT_NE(error_of(name(0)).find(" too."), std::string::npos) << error_of(name(0));
  fs::rename(name(0), folder.path() / "renamed.gguf");
  EXPECT_NE(error_of(folder.path() / "renamed.gguf").find("give them their names back"),
            std::string::npos);
}

TEST(GgufModel, NamesMetadataAtFault) {
  const TestGguf good = gguf_of(random_model("LlamaForCausalLM", 11));
  EXPECT_EQ(refusal(good), "accepted");
  const auto with = [&](const std::string& key, auto value, const std::string& part) {
    TestGguf file = good;
    file.erase(key);
    file.add(key, value);
    expect_refusal(file, part);
  };
  const auto without = [&](const std::string& key, const std::string& part) {
    TestGguf file = good;
    file.erase(key);
    expect_refusal(file, part);
  };
  with("general.architecture", "gemma3", "is 'gemma3', which is not supported. The architectures");
  without("general.architecture", "no 'general.architecture'");
  with("general.architecture", "qwen2", "only 'llama.embedding_length' of another architecture");
  with("general.type", "adapter", "with the adapter merged into it");
  without("llama.block_count", "no 'llama.block_count'");
  without("llama.attention.layer_norm_rms_epsilon", "layer_norm_rms_epsilon");
  with("llama.block_count", 0U, "in [1, 256]");
  with("llama.block_count", "two", "is string; it must be a whole number");
  with("llama.block_count", 3U, "no tensor 'blk.2.attn_norm.weight'");
  with("llama.block_count", 1U, "tensors are not understood");
  with("llama.embedding_length", 1U << 30, "in [1, 16384]");
  with("llama.feed_forward_length", 55U,
       "'blk.0.ffn_gate.weight' has the dimensions [48, 56]; the metadata makes them [48, 55]");
  with("llama.attention.head_count", 5U, "must be a multiple");
  with("llama.attention.head_count_kv", 3U, "multiple of that of key/value heads (3)");
  with("llama.attention.key_length", 11U, "the head size is 11");
  with("llama.attention.value_length", 24U, "different sizes are not supported");
  with("llama.rope.dimension_count", 6U, "is 6 of 12 elements of a head: a partial rotation");
  with("llama.rope.scaling.type", "longrope", "'longrope'");
  with("llama.rope.scaling.factor", 0.5F, "less than 1");
  with("llama.rope.freq_base", 1.0F, "in [2, 1e+15]");
  with("llama.rope.freq_base", NAN, "is nan; it must be a number");
  with("llama.attention.layer_norm_rms_epsilon", -1.0F, "in [0, 1]");
  with("llama.expert_count", 8U, "a mixture of experts");
  with("llama.attention.scale", 0.5F, "scale of the attention");
  with("llama.attention.causal", false, "attention.causal");
  with("llama.attention.sliding_window_pattern", 2U, "in some layers only");
  without("tokenizer.ggml.tokens", "holds no vocabulary");
  with("tokenizer.ggml.model", "no_vocab", "holds no vocabulary");
  with("tokenizer.ggml.model", "rwkv", "rwkv");
  with("tokenizer.ggml.eos_token_id", "x", "token id of 32 bits");
  with("tokenizer.chat_template", "\xff", "is not UTF-8");
}

TEST(GgufModel, NamesTensorsAtFault) {
  const TestGguf good = gguf_of(random_model("LlamaForCausalLM", 12));
  const auto with = [&](TestGgufTensor tensor, const std::string& part) {
    TestGguf file = good;
    file.tensors.push_back(std::move(tensor));
    expect_refusal(file, part);
  };
  with({"blk.0.attn_qkv.weight", {1}, 0, Bytes(4)}, "q, k and v in one matrix");
  with({"blk.0.ffn_gate_exps.weight", {1}, 0, Bytes(4)}, "a mixture of experts");
  with({"blk.0.attn_q_norm.weight", {12}, 0, Bytes(48)}, "'blk.0.attn_q_norm.weight'");
  with({"model.norm.weight", {48}, 0, Bytes(192)}, "'model.norm.weight'");
  with({"rope_freqs.weight", {6}, 0, Bytes(24)}, "not in [0.25, 1e9], at index 0");
  with({"rope_freqs.weight", {5}, 0, Bytes(20)}, "must be 6 elements");
  with({"extra.weight", {32}, 20, Bytes(18)}, "1 of 22 tensors have a type that cannot");
  TestGguf missing = good;
  missing.erase_tensor("blk.1.ffn_up.weight");
  expect_refusal(missing, "no tensor 'blk.1.ffn_up.weight'");
  TestGguf none = good;
  none.tensors.clear();
  expect_refusal(none, "holds only a vocabulary, no weights");
  TestGguf odd = good;
  const float nan = NAN;
  std::memcpy(odd.tensor("blk.1.attn_k.weight").data.data() + 4 * 50, &nan, 4);
  expect_refusal(odd, "'blk.1.attn_k.weight' (F32) holds a number that is not finite: element 50");
}

// Blocks of Q8_0 in a matrix whose rows are reordered: whole rows move.
TEST(GgufModel, QuantisedRows) {
  TestModel model = random_model("LlamaForCausalLM", 13);
  TestGguf file = gguf_of(model);
  std::mt19937 random(1);
  for (const auto& [name, rows] : {std::pair{"blk.0.ffn_down.weight", 48}}) {
    TestGgufTensor& tensor = file.tensor(name);
    tensor.type = 8;
    tensor.dims = {64, static_cast<std::uint64_t>(rows)};
    tensor.data.clear();
    for (int block = 0; block < 2 * rows; ++block) {
      append_le(tensor.data, static_cast<std::uint16_t>(0x2000));  // 2^-7
      for (int i = 0; i < 32; ++i) tensor.data.push_back(static_cast<std::uint8_t>(random()));
    }
  }
  file.erase("llama.feed_forward_length");
  file.add("llama.feed_forward_length", 64U);
  for (const std::string name : {"blk.0.ffn_up.weight", "blk.0.ffn_gate.weight",
                                 "blk.1.ffn_up.weight", "blk.1.ffn_gate.weight"}) {
    file.tensor(name).dims = {48, 64};
    file.tensor(name).data.resize(std::size_t{48} * 64 * 4);
  }
  file.tensor("blk.1.ffn_down.weight").dims = {64, 48};
  file.tensor("blk.1.ffn_down.weight").data.resize(std::size_t{48} * 64 * 4);
  const TemporaryFolder folder;
  file.write(folder.path() / "q");
  const auto loaded = load_float_model(folder.path() / "q");
  ASSERT_TRUE(loaded) << loaded.error().message;
  const Bytes& data = file.tensor("blk.0.ffn_down.weight").data;
  EXPECT_EQ(loaded->layers[0].w_down.weight[64 * 3 + 40],
            static_cast<float>(static_cast<std::int8_t>(data[(2 * 3 + 1) * 34 + 2 + 8])) / 128);
  store_le<std::uint16_t>(file.tensor("blk.0.ffn_down.weight").data.data() + 34 * 5, 0x7c00);
  expect_refusal(file, "element 160, in block 5 at offset 0x");
}

}  // namespace
}  // namespace otr::convert

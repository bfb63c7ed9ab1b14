// Hugging Face folders of our own, for tests: random models of every supported family.
#ifndef OTR_EVAL_TEST_CHECKPOINTS_H_
#define OTR_EVAL_TEST_CHECKPOINTS_H_

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <random>
#include <string>
#include <vector>

#include "convert/float_model.h"
#include "convert/huggingface_config.h"
#include "convert/import.h"
#include "text/test_documents.h"

namespace otr::eval {

// A fresh folder for one test.
inline std::filesystem::path test_folder(const std::string& name) {
  std::filesystem::path folder = std::filesystem::path(testing::TempDir()) / ("otr_eval_" + name);
  std::filesystem::remove_all(folder);
  std::filesystem::create_directories(folder);
  return folder;
}

inline void write_text(const std::filesystem::path& path, const std::string& text) {
  std::ofstream(path, std::ios::binary) << text;
}

inline std::string read_text(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

// The tensors of a model as a safetensors file of F32.
class WeightsFile {
 public:
  void add(const std::string& name, const std::vector<std::uint64_t>& shape,
           const std::vector<float>& values) {
    if (values.empty()) return;
    const std::size_t begin = data_.size();
    data_.append(reinterpret_cast<const char*>(values.data()), values.size() * sizeof(float));
    header_[name] = {{"dtype", "F32"}, {"shape", shape}, {"data_offsets", {begin, data_.size()}}};
  }
  void add(const std::string& name, const convert::FloatMatrix& matrix) {
    add(name + ".weight", {matrix.rows, matrix.cols}, matrix.weight);
    add(name + ".bias", {matrix.rows}, matrix.bias);
  }
  void write(const std::filesystem::path& path) const {
    const std::string header = header_.dump();
    const std::uint64_t size = header.size();
    write_text(path, std::string(reinterpret_cast<const char*>(&size), 8) + header + data_);
  }

 private:
  Json header_ = Json::object();
  std::string data_;
};

inline void write_weights(const convert::FloatModel& model, const std::filesystem::path& path) {
  WeightsFile file;
  const auto gain = [&](const std::string& name, const std::vector<float>& values) {
    file.add(name + ".weight", {values.size()}, values);
  };
  file.add("model.embed_tokens", model.embed);
  for (std::size_t l = 0; l < model.layers.size(); ++l) {
    const std::string prefix = "model.layers." + std::to_string(l) + ".";
    const convert::FloatLayer& layer = model.layers[l];
    gain(prefix + "input_layernorm", layer.attn_norm);
    file.add(prefix + "self_attn.q_proj", layer.wq);
    file.add(prefix + "self_attn.k_proj", layer.wk);
    file.add(prefix + "self_attn.v_proj", layer.wv);
    gain(prefix + "self_attn.q_norm", layer.q_norm);
    gain(prefix + "self_attn.k_norm", layer.k_norm);
    file.add(prefix + "self_attn.o_proj", layer.wo);
    gain(prefix + "post_attention_layernorm", layer.mlp_norm);
    file.add(prefix + "mlp.gate_proj", layer.w_gate);
    file.add(prefix + "mlp.up_proj", layer.w_up);
    file.add(prefix + "mlp.down_proj", layer.w_down);
  }
  gain("model.norm", model.final_norm);
  file.add("lm_head", model.head);
  file.write(path);
}

// Normal numbers, the same on every machine with this standard library.
class Dice {
 public:
  explicit Dice(std::uint32_t seed) : engine_(seed) {}
  std::vector<float> normal(std::size_t count, double mean, double deviation) {
    std::normal_distribution<double> distribution(mean, deviation);
    std::vector<float> out(count);
    for (float& value : out) value = static_cast<float>(distribution(engine_));
    return out;
  }
  std::vector<std::uint32_t> ids(std::size_t count, std::uint32_t vocabulary) {
    std::vector<std::uint32_t> out(count);
    for (std::uint32_t& id : out) id = static_cast<std::uint32_t>(engine_() % vocabulary);
    return out;
  }
  // Rows that turn a normed input into numbers of about the size `gain`.
  convert::FloatMatrix matrix(std::uint32_t rows, std::uint32_t cols, double gain, double bias) {
    convert::FloatMatrix out{
        rows, cols, normal(std::size_t{rows} * cols, 0, gain / std::sqrt(cols)), {}};
    if (bias > 0) out.bias = normal(rows, 0, bias);
    return out;
  }

 private:
  std::mt19937 engine_;
};

// A model with the sizes and options of a parsed config.json.
inline convert::FloatModel random_model(const convert::FloatConfig& config, std::uint32_t seed) {
  Dice dice(seed);
  const machine::Shape& shape = config.shape;
  const std::uint32_t d = shape.hidden;
  const double qkv_bias = config.qkv_bias ? 0.5 : 0;
  convert::FloatModel model;
  model.config = config;
  model.embed = dice.matrix(shape.vocabulary, d, 2, 0);
  for (std::uint32_t l = 0; l < shape.layers; ++l) {
    convert::FloatLayer layer;
    layer.attn_norm = dice.normal(d, 1, 0.3);
    layer.wq = dice.matrix(shape.q_width(), d, 1.5, qkv_bias);
    layer.wk = dice.matrix(shape.kv_width(), d, 1.5, qkv_bias);
    layer.wv = dice.matrix(shape.kv_width(), d, 1, qkv_bias);
    if (shape.qk_norm) {
      layer.q_norm = dice.normal(shape.head_dim, 1.5, 0.4);
      layer.k_norm = dice.normal(shape.head_dim, 1.5, 0.4);
    }
    layer.wo = dice.matrix(d, shape.q_width(), 1, config.o_bias ? 0.2 : 0);
    layer.mlp_norm = dice.normal(d, 1, 0.3);
    layer.w_gate = dice.matrix(shape.ffn, d, 1.5, 0);
    layer.w_up = dice.matrix(shape.ffn, d, 1.5, 0);
    layer.w_down = dice.matrix(d, shape.ffn, 1, 0);
    model.layers.push_back(std::move(layer));
  }
  model.final_norm = dice.normal(d, 1, 0.3);
  if (!config.tied) model.head = dice.matrix(shape.vocabulary, d, 2, 0);
  return model;
}

// config.json of a small model; `changes` are merged into it.
inline Json small_config(const std::string& architecture, const Json& changes) {
  Json config = {{"architectures", {architecture}},
                 {"hidden_act", "silu"},
                 {"hidden_size", 48},
                 {"intermediate_size", 80},
                 {"num_hidden_layers", 2},
                 {"num_attention_heads", 4},
                 {"num_key_value_heads", 2},
                 {"vocab_size", 300},
                 {"max_position_embeddings", 256},
                 {"rms_norm_eps", 1e-5},
                 {"rope_theta", 10000.0},
                 {"tie_word_embeddings", true},
                 {"eos_token_id", 7}};
  config.merge_patch(changes);
  return config;
}

// Writes config.json, a byte-level tokeniser and random weights.
inline void write_random_folder(const std::filesystem::path& folder, const Json& config,
                                std::uint32_t seed) {
  write_text(folder / "config.json", config.dump());
  write_text(folder / "tokenizer.json", text::byte_level_json({{"a", "b"}}).dump());
  const auto parsed = convert::parse_huggingface_config(config.dump(), "config.json");
  ASSERT_TRUE(parsed) << parsed.error().message;
  write_weights(random_model(parsed->config, seed), folder / "model.safetensors");
}

// The families and options that the importer knows, each with something the others have not.
struct Family {
  std::string name;
  Json config;
};
inline std::vector<Family> families() {
  return {
      {"llama_plain", small_config("LlamaForCausalLM", {{"num_key_value_heads", 4}})},
      {"llama_gqa_llama3_rope",
       small_config("LlamaForCausalLM", {{"num_key_value_heads", 1},
                                         {"rope_theta", 500.0},
                                         {"rope_scaling",
                                          {{"rope_type", "llama3"},
                                           {"factor", 8.0},
                                           {"low_freq_factor", 1.0},
                                           {"high_freq_factor", 4.0},
                                           {"original_max_position_embeddings", 32}}}})},
      {"llama_biases_untied_linear_rope",
       small_config("LlamaForCausalLM",
                    {{"attention_bias", true},
                     {"head_dim", 16},
                     {"tie_word_embeddings", false},
                     {"rope_scaling", {{"rope_type", "linear"}, {"factor", 4.0}}}})},
      {"mistral_window", small_config("MistralForCausalLM", {{"sliding_window", 7}})},
      {"qwen2_biases_window", small_config("Qwen2ForCausalLM", {{"use_sliding_window", true},
                                                                {"sliding_window", 9},
                                                                {"max_window_layers", 0},
                                                                {"rms_norm_eps", 1e-6}})},
      {"qwen3_norms_untied_yarn_rope",
       small_config(
           "Qwen3ForCausalLM",
           {{"head_dim", 16},
            {"tie_word_embeddings", false},
            {"rms_norm_eps", 1e-6},
            {"rope_scaling",
             {{"rope_type", "yarn"}, {"factor", 4.0}, {"original_max_position_embeddings", 64}}}})},
  };
}

}  // namespace otr::eval

#endif  // OTR_EVAL_TEST_CHECKPOINTS_H_

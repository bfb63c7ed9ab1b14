#include "convert/test_models.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <cmath>
#include <fstream>
#include <numeric>
#include <random>
#include <tuple>

#include "base/bytes.h"
#include "text/test_documents.h"

namespace otr::convert {
namespace {

namespace fs = std::filesystem;

std::uint16_t to_half(float value) {  // for |value| < 65504
  int exponent = 0;
  std::ignore = std::frexp(value, &exponent);  // |value| is in [0.5, 1) · 2^exponent
  exponent = std::max(exponent, -13);          // below: subnormal
  // 1024 to 2048 for a normal number, whose leading one adds the last unit of the exponent.
  const auto bits = std::lround(std::ldexp(std::abs(value), 11 - exponent));
  const auto magnitude = static_cast<unsigned>((exponent + 13) * 1024 + bits);
  return static_cast<std::uint16_t>((value < 0 ? 0x8000U : 0U) | magnitude);
}

Bytes raw_values(const TestTensor& tensor, const std::string& dtype) {
  Bytes out;
  for (const float value : tensor.values) {
    const auto bits = std::bit_cast<std::uint32_t>(value);
    if (dtype == "F32") append_le(out, bits);
    if (dtype == "BF16") append_le(out, static_cast<std::uint16_t>(bits >> 16));
    if (dtype == "F16") append_le(out, to_half(value));
  }
  return out;
}

void write_safetensors(const fs::path& path, const TestModel& model,
                       const std::vector<std::string>& names) {
  Json header;
  header["__metadata__"] = {{"format", "pt"}};
  Bytes data;
  for (const std::string& name : names) {
    const std::size_t begin = data.size();
    append(data, raw_values(model.tensors.at(name), model.dtype));
    header[name] = {{"dtype", model.dtype},
                    {"shape", model.tensors.at(name).shape},
                    {"data_offsets", {begin, data.size()}}};
  }
  const std::string text = header.dump();
  Bytes file;
  append_le<std::uint64_t>(file, text.size());
  append(file, as_bytes(text));
  append(file, data);
  write_text(path, as_text(file));
}

std::vector<double> multiply(const FloatMatrix& matrix, std::span<const double> x) {
  std::vector<double> y(matrix.rows);
  for (std::uint32_t n = 0; n < matrix.rows; ++n) {
    y[n] = matrix.bias.empty() ? 0 : matrix.bias[n];
    for (std::uint32_t j = 0; j < matrix.cols; ++j) {
      y[n] += matrix.weight[std::size_t{n} * matrix.cols + j] * x[j];
    }
  }
  return y;
}

void norm(std::span<double> x, const std::vector<float>& gain, double eps) {
  double squares = 0;
  for (const double value : x) squares += value * value;
  const double root = 1 / std::sqrt(squares / static_cast<double>(x.size()) + eps);
  for (std::size_t j = 0; j < x.size(); ++j) x[j] *= root * gain[j];
}

void rotate(std::span<double> head, double position, const std::vector<double>& frequency) {
  const std::size_t half = head.size() / 2;
  for (std::size_t i = 0; i < half; ++i) {
    const double c = std::cos(position * frequency[i]);
    const double s = std::sin(position * frequency[i]);
    const double a = head[i];
    const double b = head[i + half];
    head[i] = a * c - b * s;
    head[i + half] = b * c + a * s;
  }
}

struct Cache {
  std::vector<std::vector<double>> keys, values;
};

std::vector<double> attend(const FloatConfig& config, std::span<const double> q,
                           const Cache& cache) {
  const machine::Shape& shape = config.shape;
  const std::size_t count = cache.keys.size();
  const std::size_t first = shape.window > 0 && count > shape.window ? count - shape.window : 0;
  std::vector<double> out(shape.q_width(), 0.0);
  for (std::uint32_t h = 0; h < shape.heads; ++h) {
    const std::size_t kv = std::size_t{shape.kv_head_of(h)} * shape.head_dim;
    std::vector<double> weights;
    for (std::size_t u = first; u < count; ++u) {
      double dot = 0;
      for (std::uint32_t j = 0; j < shape.head_dim; ++j) {
        dot += q[h * shape.head_dim + j] * cache.keys[u][kv + j];
      }
      weights.push_back(std::exp(dot * config.score_scale));
    }
    const double sum = std::reduce(weights.begin(), weights.end());
    for (std::size_t u = first; u < count; ++u) {
      for (std::uint32_t j = 0; j < shape.head_dim; ++j) {
        out[h * shape.head_dim + j] += weights[u - first] / sum * cache.values[u][kv + j];
      }
    }
  }
  return out;
}

void apply_layer(const FloatConfig& config, const FloatLayer& layer, Cache& cache,
                 std::vector<double>& x) {
  const machine::Shape& shape = config.shape;
  const auto position = static_cast<double>(cache.keys.size());
  std::vector<double> a = x;
  norm(a, layer.attn_norm, config.eps);
  std::vector<double> q = multiply(layer.wq, a);
  std::vector<double> k = multiply(layer.wk, a);
  const auto prepare = [&](std::vector<double>& heads, const std::vector<float>& gain) {
    for (std::size_t at = 0; at < heads.size(); at += shape.head_dim) {
      const auto head = std::span(heads).subspan(at, shape.head_dim);
      if (shape.qk_norm) norm(head, gain, config.eps_qk);
      rotate(head, position, config.rope_frequency);
    }
  };
  prepare(q, layer.q_norm);
  prepare(k, layer.k_norm);
  cache.keys.push_back(std::move(k));
  cache.values.push_back(multiply(layer.wv, a));
  const auto add = [&x](const std::vector<double>& y) {
    for (std::size_t j = 0; j < x.size(); ++j) x[j] += y[j];
  };
  add(multiply(layer.wo, attend(config, q, cache)));
  std::vector<double> m = x;
  norm(m, layer.mlp_norm, config.eps);
  std::vector<double> gate = multiply(layer.w_gate, m);
  const std::vector<double> up = multiply(layer.w_up, m);
  for (std::size_t i = 0; i < gate.size(); ++i) gate[i] *= up[i] / (1 + std::exp(-gate[i]));
  add(multiply(layer.w_down, gate));
}

}  // namespace

TemporaryFolder::TemporaryFolder() {
  std::string name = testing::TempDir() + "otr convert XXXXXX";
  EXPECT_NE(::mkdtemp(name.data()), nullptr);
  path_ = name;
}

TemporaryFolder::~TemporaryFolder() {
  std::error_code ignored;
  fs::remove_all(path_, ignored);
}

void write_text(const fs::path& path, std::string_view text) {
  std::ofstream file(path, std::ios::binary);
  file.write(text.data(), static_cast<std::streamsize>(text.size()));
  EXPECT_TRUE(file.good()) << path;
}

TestModel random_model(const std::string& architecture, std::uint64_t seed) {
  const bool qwen3 = architecture == "Qwen3ForCausalLM";
  const bool qkv_bias = architecture == "Qwen2ForCausalLM";
  const std::uint64_t d = 48, ffn = 56, head_dim = qwen3 ? 10 : 12, vocabulary = 260;
  const std::uint64_t q = 4 * head_dim, kv = 2 * head_dim;
  TestModel model;
  model.config = {{"architectures", {architecture}},
                  {"hidden_size", d},
                  {"num_attention_heads", 4},
                  {"num_key_value_heads", 2},
                  {"intermediate_size", ffn},
                  {"num_hidden_layers", 2},
                  {"vocab_size", vocabulary},
                  {"max_position_embeddings", 128},
                  {"rms_norm_eps", 1e-5},
                  {"eos_token_id", {7, 3}}};
  if (qwen3) model.config["head_dim"] = head_dim;
  std::mt19937_64 random(seed);
  std::normal_distribution<float> normal;
  const auto add = [&](const std::string& name, std::vector<std::uint64_t> shape, float mean,
                       float deviation) {
    TestTensor tensor{shape, {}};
    std::uint64_t count = 1;
    for (const std::uint64_t size : shape) count *= size;
    for (std::uint64_t i = 0; i < count; ++i) {
      tensor.values.push_back(mean + deviation * normal(random));
    }
    model.tensors[name] = std::move(tensor);
  };
  add("model.embed_tokens.weight", {vocabulary, d}, 0, 1);
  for (const std::string layer : {"model.layers.0.", "model.layers.1."}) {
    add(layer + "input_layernorm.weight", {d}, 1, 0.5F);
    add(layer + "post_attention_layernorm.weight", {d}, 1, 0.5F);
    add(layer + "self_attn.q_proj.weight", {q, d}, 0, 0.15F);
    add(layer + "self_attn.k_proj.weight", {kv, d}, 0, 0.15F);
    add(layer + "self_attn.v_proj.weight", {kv, d}, 0, 0.3F);
    add(layer + "self_attn.o_proj.weight", {d, q}, 0, 0.3F);
    add(layer + "mlp.gate_proj.weight", {ffn, d}, 0, 0.2F);
    add(layer + "mlp.up_proj.weight", {ffn, d}, 0, 0.2F);
    add(layer + "mlp.down_proj.weight", {d, ffn}, 0, 0.2F);
    if (qkv_bias) {
      add(layer + "self_attn.q_proj.bias", {q}, 0, 0.5F);
      add(layer + "self_attn.k_proj.bias", {kv}, 0, 0.5F);
      add(layer + "self_attn.v_proj.bias", {kv}, 0, 0.5F);
    }
    if (qwen3) {
      add(layer + "self_attn.q_norm.weight", {head_dim}, 1, 0.3F);
      add(layer + "self_attn.k_norm.weight", {head_dim}, 1, 0.3F);
    }
  }
  add("model.norm.weight", {d}, 1, 0.5F);
  add("lm_head.weight", {vocabulary, d}, 0, 0.3F);
  return model;
}

void write_model(const TestModel& model, const fs::path& folder) {
  write_text(folder / "config.json", model.config.dump(1));
  write_text(folder / "tokenizer.json", text::byte_level_json({}).dump());
  write_text(folder / "tokenizer_config.json", R"({"chat_template": "{{ messages }}"})");
  std::vector<std::vector<std::string>> shards(static_cast<std::size_t>(model.shards));
  std::size_t next = 0;
  for (const auto& [name, tensor] : model.tensors) {
    shards[next++ % shards.size()].push_back(name);
  }
  if (model.shards == 1) {
    write_safetensors(folder / "model.safetensors", model, shards[0]);
    return;
  }
  Json map;
  for (std::size_t i = 0; i < shards.size(); ++i) {
    const std::string file = "model-" + std::to_string(i) + ".safetensors";
    write_safetensors(folder / file, model, shards[i]);
    for (const std::string& name : shards[i]) map[name] = file;
  }
  write_text(folder / "model.safetensors.index.json", Json{{"weight_map", map}}.dump());
}

std::vector<double> float_logits(const FloatModel& model, std::span<const std::uint32_t> ids) {
  const FloatConfig& config = model.config;
  std::vector<Cache> caches(model.layers.size());
  std::vector<double> x;
  for (const std::uint32_t id : ids) {
    const auto row = std::span(model.embed.weight)
                         .subspan(std::size_t{id} * config.shape.hidden, config.shape.hidden);
    x.assign(row.begin(), row.end());
    for (std::size_t l = 0; l < model.layers.size(); ++l) {
      apply_layer(config, model.layers[l], caches[l], x);
    }
  }
  norm(x, model.final_norm, config.eps);
  return multiply(model.head_matrix(), x);
}

double relative_distance(std::span<const double> a, std::span<const double> b) {
  const auto size = static_cast<double>(a.size());
  const double mean_a = std::reduce(a.begin(), a.end()) / size;
  const double mean_b = std::reduce(b.begin(), b.end()) / size;
  double difference = 0;
  double energy = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    difference += std::pow(a[i] - mean_a - (b[i] - mean_b), 2);
    energy += std::pow(a[i] - mean_a, 2);
  }
  return std::sqrt(difference / energy);
}

}  // namespace otr::convert

#include "convert/test_gguf.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numbers>

#include "text/test_documents.h"

namespace otr::convert {
namespace {

constexpr std::uint32_t kU32 = 4, kF32 = 6, kBool = 7, kString = 8, kArray = 9;

// The rows of q or k for a rotation of neighbours: of each head, the halves in turn.
std::vector<float> interleaved(const TestTensor& tensor, std::uint64_t head_dim) {
  const std::uint64_t width = tensor.shape.size() > 1 ? tensor.shape[1] : 1;
  std::vector<float> out(tensor.values.size());
  for (std::uint64_t row = 0; row < tensor.shape[0]; ++row) {
    const std::uint64_t head = row / head_dim, pair = row % head_dim / 2, second = row % 2;
    const std::uint64_t from = head * head_dim + second * head_dim / 2 + pair;
    std::copy_n(tensor.values.begin() + static_cast<std::ptrdiff_t>(from * width), width,
                out.begin() + static_cast<std::ptrdiff_t>(row * width));
  }
  return out;
}

std::string gguf_name(std::string name) {
  const std::pair<std::string_view, std::string_view> kNames[] = {
      {"model.embed_tokens", "token_embd"},
      {"model.norm", "output_norm"},
      {"lm_head", "output"},
      {"model.layers.", "blk."},
      {"input_layernorm", "attn_norm"},
      {"post_attention_layernorm", "ffn_norm"},
      {"self_attn.q_proj", "attn_q"},
      {"self_attn.k_proj", "attn_k"},
      {"self_attn.v_proj", "attn_v"},
      {"self_attn.o_proj", "attn_output"},
      {"self_attn.q_norm", "attn_q_norm"},
      {"self_attn.k_norm", "attn_k_norm"},
      {"mlp.gate_proj", "ffn_gate"},
      {"mlp.up_proj", "ffn_up"},
      {"mlp.down_proj", "ffn_down"}};
  for (const auto& [from, to] : kNames) {
    if (const auto at = name.find(from); at != name.npos) name.replace(at, from.size(), to);
  }
  return name;
}

void add_scaling(const Json& config, const std::string& prefix, std::uint64_t half,
                 TestGguf& file) {
  if (!config.contains("rope_scaling")) return;
  const Json& rules = config["rope_scaling"];
  const std::string type = rules.value("rope_type", rules.value("type", ""));
  if (type == "llama3") {  // a divisor for each frequency
    TestGgufTensor freqs{"rope_freqs.weight", {half}, 0, {}};
    const double factor = rules["factor"], low = rules["low_freq_factor"],
                 high = rules["high_freq_factor"],
                 original = rules["original_max_position_embeddings"];
    for (std::uint64_t i = 0; i < half; ++i) {
      const double base = config.value("rope_theta", 10000.0);
      const double turns = original *
                           std::pow(base, -static_cast<double>(i) / static_cast<double>(half)) /
                           (2 * std::numbers::pi);
      const double kept = std::clamp((turns - low) / (high - low), 0.0, 1.0);
      append(freqs.data, gguf_number_bytes(static_cast<float>(1 / ((1 - kept) / factor + kept))));
    }
    file.tensors.push_back(std::move(freqs));
    return;
  }
  file.add(prefix + "rope.scaling.type", std::string_view(type));
  file.add(prefix + "rope.scaling.factor", rules["factor"].get<float>());
  if (rules.contains("original_max_position_embeddings")) {
    file.add(prefix + "rope.scaling.original_context_length",
             rules["original_max_position_embeddings"].get<std::uint32_t>());
  }
}

void add_tokenizer(TestGguf& file) {
  std::vector<std::string> tokens(257);
  const Json vocabulary = text::byte_level_json({{"a", "b"}})["model"]["vocab"];
  for (const auto& [token, id] : vocabulary.items()) tokens[id.get<std::size_t>()] = token;
  Bytes types;
  for (int i = 0; i < 257; ++i) append_le(types, 1);
  for (int i = 257; i < 260; ++i) {
    tokens.push_back("[PAD" + std::to_string(i) + "]");
    append_le(types, 5);
  }
  file.add("tokenizer.ggml.model", "gpt2");
  file.add("tokenizer.ggml.pre", "gpt-2");
  file.add("tokenizer.ggml.tokens", tokens);
  file.metadata.push_back(
      {"tokenizer.ggml.token_type", kArray, gguf_array(GgufValueType::kI32, tokens.size(), types)});
  file.add("tokenizer.ggml.merges", std::vector<std::string>{"a b"});
  file.add("tokenizer.ggml.eos_token_id", std::uint32_t{7});
  file.add("tokenizer.ggml.add_bos_token", false);
  file.add("tokenizer.chat_template", "{{ messages }}");
}

}  // namespace

Bytes gguf_string(std::string_view text) {
  Bytes out;
  append_le<std::uint64_t>(out, text.size());
  append(out, as_bytes(text));
  return out;
}

Bytes gguf_array(GgufValueType element, std::uint64_t count, ByteView elements) {
  Bytes out;
  append_le(out, static_cast<std::uint32_t>(element));
  append_le(out, count);
  append(out, elements);
  return out;
}

Bytes gguf_strings(const std::vector<std::string>& texts) {
  Bytes all;
  for (const std::string& text : texts) append(all, gguf_string(text));
  return gguf_array(GgufValueType::kString, texts.size(), all);
}

void TestGguf::add(const std::string& key, std::string_view text) {
  metadata.push_back({key, kString, gguf_string(text)});
}
void TestGguf::add(const std::string& key, bool value) {
  metadata.push_back({key, kBool, {static_cast<std::uint8_t>(value)}});
}
void TestGguf::add(const std::string& key, std::uint32_t value) {
  metadata.push_back({key, kU32, gguf_number_bytes(value)});
}
void TestGguf::add(const std::string& key, float value) {
  metadata.push_back({key, kF32, gguf_number_bytes(value)});
}
void TestGguf::add(const std::string& key, const std::vector<std::string>& texts) {
  metadata.push_back({key, kArray, gguf_strings(texts)});
}

void TestGguf::erase(const std::string& key) {
  std::erase_if(metadata, [&](const TestEntry& entry) { return entry.key == key; });
}

TestGgufTensor& TestGguf::tensor(const std::string& name) {
  const auto found = std::ranges::find(tensors, name, &TestGgufTensor::name);
  EXPECT_NE(found, tensors.end()) << name;
  return *found;
}

void TestGguf::erase_tensor(const std::string& name) {
  std::erase_if(tensors, [&](const TestGgufTensor& tensor) { return tensor.name == name; });
}

Bytes TestGguf::encode() const {
  Bytes out;
  append(out, as_bytes("GGUF"));
  append_le(out, version);
  append_le<std::uint64_t>(out, tensors.size());
  append_le<std::uint64_t>(out, metadata.size());
  for (const TestEntry& entry : metadata) {
    append(out, gguf_string(entry.key));
    append_le(out, entry.type);
    append(out, entry.value);
  }
  std::uint64_t offset = 0;
  for (const TestGgufTensor& tensor : tensors) {
    append(out, gguf_string(tensor.name));
    append_le(out, static_cast<std::uint32_t>(tensor.dims.size()));
    for (const std::uint64_t size : tensor.dims) append_le(out, size);
    append_le(out, tensor.type);
    append_le(out, offset);
    offset += (tensor.data.size() + alignment - 1) / alignment * alignment;
  }
  for (const TestGgufTensor& tensor : tensors) {
    out.resize((out.size() + alignment - 1) / alignment * alignment);
    append(out, tensor.data);
  }
  out.resize((out.size() + alignment - 1) / alignment * alignment);
  return out;
}

void TestGguf::write(const std::filesystem::path& path) const {
  write_text(path, as_text(encode()));
}

TestGguf gguf_of(const TestModel& model) {
  const Json& config = model.config;
  const std::string architecture = config["architectures"][0];
  const std::string name = architecture.starts_with("Qwen2")   ? "qwen2"
                           : architecture.starts_with("Qwen3") ? "qwen3"
                                                               : "llama";
  const std::string prefix = name + ".";
  const std::uint32_t hidden = config["hidden_size"], heads = config["num_attention_heads"];
  const std::uint32_t head_dim = config.value("head_dim", hidden / heads);
  TestGguf file;
  const auto size = [&](const char* key, const char* from) {
    file.add(prefix + key, config[from].get<std::uint32_t>());
  };
  file.add("general.architecture", std::string_view(name));
  file.add("general.name", "random");
  size("context_length", "max_position_embeddings");
  size("embedding_length", "hidden_size");
  size("block_count", "num_hidden_layers");
  size("feed_forward_length", "intermediate_size");
  size("attention.head_count", "num_attention_heads");
  size("attention.head_count_kv", "num_key_value_heads");
  if (config.contains("head_dim")) {
    file.add(prefix + "attention.key_length", head_dim);
    file.add(prefix + "attention.value_length", head_dim);
  }
  file.add(prefix + "attention.layer_norm_rms_epsilon", config["rms_norm_eps"].get<float>());
  file.add(prefix + "rope.freq_base", config.value("rope_theta", 10000.0F));
  if (config.contains("sliding_window")) size("attention.sliding_window", "sliding_window");
  add_scaling(config, prefix, head_dim / 2, file);
  add_tokenizer(file);
  const bool tied = config.value("tie_word_embeddings", false);
  for (const auto& [from, tensor] : model.tensors) {
    if (tied && from == "lm_head.weight") continue;
    const bool rotated = name == "llama" && (from.contains("q_proj") || from.contains("k_proj"));
    TestGgufTensor out{gguf_name(from), {}, 0, {}};
    out.dims.assign(tensor.shape.rbegin(), tensor.shape.rend());
    for (const float value : rotated ? interleaved(tensor, head_dim) : tensor.values) {
      append(out.data, gguf_number_bytes(value));
    }
    file.tensors.push_back(std::move(out));
  }
  return file;
}

GgufInput memory_input(ByteView bytes) {
  return {bytes.size(), [bytes](std::uint64_t offset, std::span<std::uint8_t> to) -> Status {
            EXPECT_LE(offset + to.size(), bytes.size());
            std::ranges::copy(bytes.subspan(offset, to.size()), to.begin());
            return {};
          }};
}

Result<GgufHeader> parse_bytes(const Bytes& bytes) {
  return parse_gguf_header(memory_input(bytes), "test.gguf");
}

}  // namespace otr::convert

#include "prover/hand_model.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "base/bytes.h"
#include "base/check.h"

namespace otr::prover {
namespace {

constexpr std::int64_t kOneHot = 64;

void append_as(Bytes& to, merkle::Type type, std::int64_t v) {
  switch (type) {
    case merkle::Type::kI8:
      return append_le(to, static_cast<std::int8_t>(v));
    case merkle::Type::kU8:
      return append_le(to, static_cast<std::uint8_t>(v));
    case merkle::Type::kU16:
      return append_le(to, static_cast<std::uint16_t>(v));
    case merkle::Type::kI32:
      return append_le(to, static_cast<std::int32_t>(v));
    case merkle::Type::kU32:
      return append_le(to, static_cast<std::uint32_t>(v));
    default:
      return append_le(to, static_cast<std::uint64_t>(v));
  }
}

int one_hot_exponent(const machine::Shape& shape, std::string_view name) {
  if (name.ends_with("norm")) return 0;
  if (name == "embed") return shape.residual_frac_bits;
  if (name == "head") return 16;
  if (name.ends_with(".wq") || name.ends_with(".wk")) return shape.qk_frac_bits;
  if (name.ends_with(".wv")) return 30;
  if (name.ends_with(".w_gate") || name.ends_with(".w_up")) return 15;
  return 22;
}

}  // namespace

HandModel::HandModel(const machine::Shape& shape, bool biases) {
  config.shape = shape;
  config.tied = false;
  config.qk_bias = config.o_bias = biases;
  set_bits(16);
  for (const std::string& name : model::exponent_names(config)) {
    config.exponents[name] = one_hot_exponent(shape, name);
  }
  for (const model::TensorSpec& spec : model::tensor_layout(config, shape.vocabulary)) {
    std::uint64_t size = 1;
    for (const std::uint64_t n : spec.shape) size *= n;
    tensors[spec.name].assign(size, spec.name.ends_with(".scale") ? 1 : 0);
  }
  auto& offsets = tensors["tokens.offsets"];
  for (std::size_t j = 0; j < offsets.size(); ++j) offsets[j] = static_cast<std::int64_t>(j);
}

void HandModel::fill(std::uint64_t seed) {
  std::mt19937_64 random(seed);
  for (auto& [name, values] : tensors) {
    const auto draw = [&](std::int64_t low, std::int64_t high) {
      const auto size = static_cast<std::uint64_t>(high - low + 1);
      for (std::int64_t& v : values) v = low + static_cast<std::int64_t>(random() % size);
    };
    if (name.ends_with(".weight")) draw(-127, 127);
    if (name.ends_with(".scale")) draw(1, 4095);
    if (name.ends_with(".gain")) draw(-(1 << 16), 1 << 16);
    if (name.ends_with(".bias")) draw(-1000, 1000);
    if (name == "rope.steps") draw(0, std::int64_t{1} << 61);
  }
}

void HandModel::make_one_hot() {
  const std::uint32_t tokens = config.shape.vocabulary;
  OTR_CHECK(tokens == config.shape.hidden);
  for (std::uint32_t j = 0; j < tokens; ++j) set("embed", j, j, kOneHot);
  for (auto& [name, values] : tensors) {
    if (name.ends_with(".gain")) std::ranges::fill(values, 1);
  }
}

void HandModel::set_bits(int bits) {
  const std::vector<int> all(config.shape.layers, bits);
  config.act_bits = {.attn = all, .o = all, .mlp = all, .down = all, .head = bits};
}

void HandModel::set(const std::string& matrix, std::int64_t weight, std::int64_t scale) {
  std::ranges::fill(tensors.at(matrix + ".weight"), weight);
  std::ranges::fill(tensors.at(matrix + ".scale"), scale);
}

void HandModel::set(const std::string& matrix, std::uint32_t n, std::uint32_t k,
                    std::int64_t weight, std::int64_t scale) {
  auto& scales = tensors.at(matrix + ".scale");
  auto& weights = tensors.at(matrix + ".weight");
  weights.at(n * (weights.size() / scales.size()) + k) = weight;
  scales.at(n) = scale;
}

void HandModel::set_exponent(std::string_view end, int exponent) {
  for (auto& [name, value] : config.exponents) {
    if (name.ends_with(end)) value = exponent;
  }
}

model::Artifact HandModel::artifact() const {
  model::ArtifactContents contents{
      config, R"({"for":"tests"})", "{{ messages }}", {}, config.shape.vocabulary};
  for (const auto& spec : model::tensor_layout(config, contents.token_bytes)) {
    if (spec.name == "numbers") continue;
    for (const std::int64_t v : tensors.at(spec.name)) append_as(contents.data, spec.type, v);
  }
  auto bytes = model::encode_artifact(std::move(contents));
  EXPECT_TRUE(bytes) << bytes.error().message;
  auto artifact = model::parse_artifact(*std::move(bytes));
  EXPECT_TRUE(artifact) << artifact.error().message;
  return *std::move(artifact);
}

machine::Shape hand_shape(std::uint32_t hidden, std::uint32_t heads, std::uint32_t kv_heads,
                          std::uint32_t head_dim, std::uint32_t ffn, std::uint32_t layers,
                          std::uint32_t vocabulary) {
  return {.hidden = hidden,
          .heads = heads,
          .kv_heads = kv_heads,
          .head_dim = head_dim,
          .ffn = ffn,
          .layers = layers,
          .vocabulary = vocabulary,
          .context = 400,
          .residual_frac_bits = 16,
          .qk_frac_bits = 8};
}

HandModel random_model(std::uint64_t seed, const machine::Shape& sizes, bool biases) {
  machine::Shape shape = sizes;
  shape.qk_frac_bits = 13;
  shape.eps = 1 << 20;
  HandModel model(shape, biases);
  for (auto& [name, exponent] : model.config.exponents) exponent = name.ends_with("norm") ? 16 : 22;
  model.fill(seed);
  return model;
}

}  // namespace otr::prover

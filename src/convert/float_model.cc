#include "convert/float_model.h"

#include <cmath>
#include <map>
#include <numbers>
#include <string_view>

#include "base/check.h"
#include "convert/source.h"

namespace otr::convert {
namespace {

std::string layer_prefix(std::uint32_t layer) {
  return "model.layers." + std::to_string(layer) + ".";
}

Result<FloatMatrix> load_matrix(const Checkpoint& checkpoint, const std::string& name,
                                std::uint32_t rows, std::uint32_t cols, bool has_bias) {
  FloatMatrix matrix{rows, cols, {}, {}};
  OTR_TRY_ASSIGN(matrix.weight, checkpoint.read(name + ".weight", {rows, cols}));
  if (has_bias) {
    OTR_TRY_ASSIGN(matrix.bias, checkpoint.read(name + ".bias", {rows}));
  }
  return matrix;
}

FloatMatrix to_float(const machine::Matrix& matrix, int bias_frac_bits) {
  FloatMatrix out{matrix.rows, matrix.cols, {}, {}};
  out.weight.reserve(matrix.weight.size());
  for (std::uint32_t n = 0; n < matrix.rows; ++n) {
    const double scale = std::ldexp(matrix.scale[n], -matrix.exponent);
    for (const std::int8_t weight : matrix.row(n)) {
      out.weight.push_back(static_cast<float>(weight * scale));
    }
  }
  for (const std::int32_t bias : matrix.bias) {
    out.bias.push_back(static_cast<float>(std::ldexp(bias, -bias_frac_bits)));
  }
  return out;
}

std::vector<float> to_float(const machine::Gain& gain) {
  std::vector<float> out;
  const double root = std::sqrt(static_cast<double>(gain.gain.size()));
  for (const std::int32_t value : gain.gain) {
    out.push_back(static_cast<float>(std::ldexp(value, -gain.exponent) / root));
  }
  return out;
}

FloatLayer to_float(const machine::Layer& layer, const machine::Shape& shape) {
  return {.attn_norm = to_float(layer.attn_norm),
          .wq = to_float(layer.wq, shape.qk_frac_bits),
          .wk = to_float(layer.wk, shape.qk_frac_bits),
          .wv = to_float(layer.wv, 0),
          .q_norm = to_float(layer.q_norm),
          .k_norm = to_float(layer.k_norm),
          .wo = to_float(layer.wo, shape.residual_frac_bits),
          .mlp_norm = to_float(layer.mlp_norm),
          .w_gate = to_float(layer.w_gate, 0),
          .w_up = to_float(layer.w_up, 0),
          .w_down = to_float(layer.w_down, 0)};
}

}  // namespace

Result<FloatLayer> load_layer(const Checkpoint& checkpoint, const FloatConfig& config,
                              std::uint32_t layer) {
  const machine::Shape& shape = config.shape;
  const std::uint32_t d = shape.hidden;
  const std::string prefix = layer_prefix(layer);
  const auto matrix = [&](const char* name, std::uint32_t rows, std::uint32_t cols, bool bias) {
    return load_matrix(checkpoint, prefix + name, rows, cols, bias);
  };
  const auto gain = [&](const char* name, std::uint32_t size) {
    return checkpoint.read(prefix + name, {size});
  };
  FloatLayer out;
  OTR_TRY_ASSIGN(out.attn_norm, gain("input_layernorm.weight", d));
  OTR_TRY_ASSIGN(out.wq, matrix("self_attn.q_proj", shape.q_width(), d, config.qkv_bias));
  OTR_TRY_ASSIGN(out.wk, matrix("self_attn.k_proj", shape.kv_width(), d, config.qkv_bias));
  OTR_TRY_ASSIGN(out.wv, matrix("self_attn.v_proj", shape.kv_width(), d, config.qkv_bias));
  if (shape.qk_norm) {
    OTR_TRY_ASSIGN(out.q_norm, gain("self_attn.q_norm.weight", shape.head_dim));
    OTR_TRY_ASSIGN(out.k_norm, gain("self_attn.k_norm.weight", shape.head_dim));
  }
  OTR_TRY_ASSIGN(out.wo, matrix("self_attn.o_proj", d, shape.q_width(), config.o_bias));
  OTR_TRY_ASSIGN(out.mlp_norm, gain("post_attention_layernorm.weight", d));
  OTR_TRY_ASSIGN(out.w_gate, matrix("mlp.gate_proj", shape.ffn, d, false));
  OTR_TRY_ASSIGN(out.w_up, matrix("mlp.up_proj", shape.ffn, d, false));
  OTR_TRY_ASSIGN(out.w_down, matrix("mlp.down_proj", d, shape.ffn, false));
  return out;
}

Result<std::vector<float>> load_vocabulary_rows(const Checkpoint& checkpoint,
                                                const FloatConfig& config, const std::string& name,
                                                std::uint64_t begin, std::uint64_t end) {
  return checkpoint.read_rows(name + ".weight", {config.shape.vocabulary, config.shape.hidden},
                              begin, end);
}

Result<std::vector<float>> load_final_norm(const Checkpoint& checkpoint,
                                           const FloatConfig& config) {
  return checkpoint.read("model.norm.weight", {config.shape.hidden});
}

Status check_names(const Checkpoint& checkpoint, const FloatConfig& config) {
  // A tied model may carry the head as a copy, which readers ignore; so do they the frequencies
  // that old files hold.
  std::set<std::string> known = {"model.embed_tokens.weight", "model.norm.weight",
                                 "lm_head.weight"};
  for (std::uint32_t l = 0; l < config.shape.layers; ++l) {
    const std::string prefix = layer_prefix(l);
    for (const char* name :
         {"input_layernorm.weight", "self_attn.q_proj.weight", "self_attn.k_proj.weight",
          "self_attn.v_proj.weight", "self_attn.o_proj.weight", "post_attention_layernorm.weight",
          "mlp.gate_proj.weight", "mlp.up_proj.weight", "mlp.down_proj.weight",
          "self_attn.rotary_emb.inv_freq"}) {
      known.insert(prefix + name);
    }
    if (config.qkv_bias) {
      for (const char* name :
           {"self_attn.q_proj.bias", "self_attn.k_proj.bias", "self_attn.v_proj.bias"}) {
        known.insert(prefix + name);
      }
    }
    if (config.o_bias) known.insert(prefix + "self_attn.o_proj.bias");
    if (config.shape.qk_norm) {
      known.insert(prefix + "self_attn.q_norm.weight");
      known.insert(prefix + "self_attn.k_norm.weight");
    }
  }
  return checkpoint.check_no_others(known);
}

std::string source_name(const std::string& name) {
  if (name == "embed") return "model.embed_tokens.weight";
  if (name == "final_norm") return "model.norm.weight";
  if (name == "head") return "lm_head.weight";
  static const std::map<std::string_view, const char*> kNames = {
      {"attn_norm", "input_layernorm"}, {"wq", "self_attn.q_proj"},
      {"wk", "self_attn.k_proj"},       {"wv", "self_attn.v_proj"},
      {"q_norm", "self_attn.q_norm"},   {"k_norm", "self_attn.k_norm"},
      {"wo", "self_attn.o_proj"},       {"mlp_norm", "post_attention_layernorm"},
      {"w_gate", "mlp.gate_proj"},      {"w_up", "mlp.up_proj"},
      {"w_down", "mlp.down_proj"}};
  const std::size_t dot = name.rfind('.');
  OTR_CHECK(dot != name.npos);
  return "model." + name.substr(0, dot + 1) + kNames.at(std::string_view(name).substr(dot + 1)) +
         ".weight";
}

Result<FloatModel> load_float_model(const std::filesystem::path& path) {
  OTR_TRY_ASSIGN(Source source, open_source(path));
  const Checkpoint& checkpoint = *source.checkpoint;
  FloatModel model;
  model.config = std::move(source.config);
  const std::uint32_t vocabulary = model.config.shape.vocabulary,
                      hidden = model.config.shape.hidden;
  OTR_TRY_ASSIGN(model.embed,
                 load_matrix(checkpoint, "model.embed_tokens", vocabulary, hidden, false));
  for (std::uint32_t l = 0; l < model.config.shape.layers; ++l) {
    OTR_TRY_ASSIGN(FloatLayer layer, load_layer(checkpoint, model.config, l));
    model.layers.push_back(std::move(layer));
  }
  OTR_TRY_ASSIGN(model.final_norm, load_final_norm(checkpoint, model.config));
  if (!model.config.tied) {
    OTR_TRY_ASSIGN(model.head, load_matrix(checkpoint, "lm_head", vocabulary, hidden, false));
  }
  return model;
}

FloatModel float_model_from_artifact(const model::Artifact& artifact) {
  const machine::Model& view = artifact.view();
  const machine::Shape& shape = view.shape;
  FloatModel out;
  out.config.shape = shape;
  out.config.eps =
      std::ldexp(static_cast<double>(shape.eps), -2 * shape.residual_frac_bits) / shape.hidden;
  out.config.eps_qk =
      std::ldexp(static_cast<double>(shape.eps_qk), -2 * shape.qk_frac_bits) / shape.head_dim;
  out.config.score_scale = std::numbers::ln2;
  for (const std::uint64_t step : view.rope_steps) {
    out.config.rope_frequency.push_back(std::ldexp(static_cast<double>(step), -64) * 2 *
                                        std::numbers::pi);
  }
  out.config.tied = artifact.config().tied;
  out.config.qkv_bias = artifact.config().qk_bias;
  out.config.o_bias = artifact.config().o_bias;
  out.embed = to_float(view.embed, 0);
  for (const machine::Layer& layer : view.layers) out.layers.push_back(to_float(layer, shape));
  out.final_norm = to_float(view.final_norm);
  if (!out.config.tied) out.head = to_float(view.head, 0);
  return out;
}

}  // namespace otr::convert

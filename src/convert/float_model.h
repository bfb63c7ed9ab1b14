// A model in float32, as the paper that describes it says: what an import is measured against.
//
// RMSNorm x̂_j = x_j·gain_j / sqrt(mean(x²) + eps); rotation by rotate_half (pair i, i + D/2) with
// the angle position·rope_frequency[i]; attention weights softmax(score_scale·q·k) over the last
// `window` positions (0: all); silu(gate)·up; logits of head_matrix(). Matrices are row-major,
// rows × cols, y = W·x + bias.
#ifndef OTR_CONVERT_FLOAT_MODEL_H_
#define OTR_CONVERT_FLOAT_MODEL_H_

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "base/result.h"
#include "convert/checkpoint.h"
#include "machine/model.h"
#include "model/artifact.h"

namespace otr::convert {

struct FloatMatrix {
  std::uint32_t rows = 0;
  std::uint32_t cols = 0;
  std::vector<float> weight;
  std::vector<float> bias;  // rows, or empty
};

struct FloatLayer {
  std::vector<float> attn_norm;
  FloatMatrix wq, wk, wv;
  std::vector<float> q_norm, k_norm;  // head_dim each; empty where there are none
  FloatMatrix wo;
  std::vector<float> mlp_norm;
  FloatMatrix w_gate, w_up, w_down;
};

struct FloatConfig {
  machine::Shape
      shape;  // sizes, window and qk_norm; the integers' eps and fraction bits stay unset
  double eps = 0;
  double eps_qk = 0;
  double score_scale = 0;              // natural logarithm's units: softmax(score_scale·q·k)
  std::vector<double> rope_frequency;  // head_dim / 2, radians for each position
  bool tied = false;
  bool qkv_bias = false;
  bool o_bias = false;
};

struct FloatModel {
  FloatConfig config;
  FloatMatrix embed;
  std::vector<FloatLayer> layers;
  std::vector<float> final_norm;
  FloatMatrix head;  // empty where tied

  const FloatMatrix& head_matrix() const { return config.tied ? embed : head; }
};

// The tensors of one layer.
[[nodiscard]] Result<FloatLayer> load_layer(const Checkpoint& checkpoint, const FloatConfig& config,
                                            std::uint32_t layer);
// Rows [begin, end) of "model.embed_tokens" or "lm_head", vocabulary × hidden: too large to be read
// as a whole by whoever needs little memory.
[[nodiscard]] Result<std::vector<float>> load_vocabulary_rows(const Checkpoint& checkpoint,
                                                              const FloatConfig& config,
                                                              const std::string& name,
                                                              std::uint64_t begin,
                                                              std::uint64_t end);
[[nodiscard]] Result<std::vector<float>> load_final_norm(const Checkpoint& checkpoint,
                                                         const FloatConfig& config);
// That the checkpoint has no tensor beside those that `config` explains.
[[nodiscard]] Status check_names(const Checkpoint& checkpoint, const FloatConfig& config);

// The name in a checkpoint of the matrix or gain that an artifact's configuration calls `name`
// (model/config.h): "model.layers.3.self_attn.q_proj.weight" for "layers.3.wq".
[[nodiscard]] std::string source_name(const std::string& name);

// All of a model that open_source (source.h) understands.
[[nodiscard]] Result<FloatModel> load_float_model(const std::filesystem::path& path);

// The same function as the artifact's with exact arithmetic: its weights, gains and steps as real
// numbers. Base-2 scores become score_scale = ln 2, and the √d leaves the gains.
[[nodiscard]] FloatModel float_model_from_artifact(const model::Artifact& artifact);

}  // namespace otr::convert

#endif  // OTR_CONVERT_FLOAT_MODEL_H_

#include "convert/equalise.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numbers>

#include "convert/test_models.h"

namespace otr::convert {
namespace {

const std::vector<std::uint32_t> kIds = {72, 105, 32, 200, 3, 259, 32};

FloatModel load(const TestModel& model) {
  const TemporaryFolder folder;
  write_model(model, folder.path());
  Result<FloatModel> loaded = load_float_model(folder.path());
  EXPECT_TRUE(loaded) << (loaded ? "" : loaded.error().message);
  return *std::move(loaded);
}

// All changes together, without any rounding to integers: only float32 rounding is left.
TEST(Equalise, KeepsTheFunction) {
  for (const char* architecture : {"LlamaForCausalLM", "Qwen2ForCausalLM", "Qwen3ForCausalLM"}) {
    FloatModel model = load(random_model(architecture, 21));
    for (float& bias : model.layers[0].wk.bias)
      bias *= 300;  // so that there is something to balance
    for (FloatMatrix* wq : {&model.layers[0].wq}) {
      if (wq->bias.empty()) continue;
      for (float& value : wq->weight) value /= 300;
      for (float& value : wq->bias) value /= 300;
    }
    const std::vector<double> before = float_logits(model, kIds);
    for (FloatLayer& layer : model.layers) {
      const std::vector<double> o_bias = fold_value_bias(layer, model.config.shape);
      EXPECT_EQ(o_bias.empty(), layer.wv.bias.empty());
      layer.wv.bias.clear();
      layer.wo.bias.assign(o_bias.begin(), o_bias.end());
      fold_score_scale(layer, model.config.score_scale);
      equalise_ffn(layer.w_up, layer.w_down);
      equalise_values(layer, model.config.shape);
      equalise_norm(layer.attn_norm, {&layer.wq, &layer.wk, &layer.wv});
      equalise_norm(layer.mlp_norm, {&layer.w_gate, &layer.w_up});
      balance_queries_and_keys(layer, model.config.shape);
    }
    equalise_norm(model.final_norm, {&model.head});
    model.config.score_scale = std::numbers::ln2;
    EXPECT_LT(relative_distance(before, float_logits(model, kIds)), 2e-5) << architecture;
  }
}

TEST(Equalise, ColumnsBecomeEqualAndTheirMeanStays) {
  std::vector<float> gain = {1, 2, 0, 4, 8};
  FloatMatrix matrix{2, 5, {1, 100, 5, 0, 0.01F, -1, 100, 7, 0, 0.01F}, {}};
  equalise_norm(gain, {&matrix});
  EXPECT_EQ(matrix.weight[2], 0);  // silenced by the gain, so it must not set the row's scale
  EXPECT_EQ(gain[3], 4);           // a column of zeros stays as it is
  EXPECT_NEAR(matrix.weight[1], matrix.weight[0], 1e-6);
  EXPECT_NEAR(matrix.weight[4], matrix.weight[0], 1e-6);
  EXPECT_NEAR(matrix.weight[0], 1.0 / 1.0, 1e-6);  // the geometric mean of 1, 100 and 0.01
  EXPECT_NEAR(gain[1], 200, 1e-3);
}

TEST(Equalise, ALargeValueChannelIsBroughtBack) {
  FloatModel model = load(random_model("LlamaForCausalLM", 23));
  FloatLayer& layer = model.layers[0];
  const machine::Shape& shape = model.config.shape;
  equalise_values(layer, shape);
  const std::vector<float> values = layer.wv.weight;
  const std::vector<float> outputs = layer.wo.weight;
  // Channel 1 of the last key/value head, and the columns of all query heads that read it.
  const std::uint32_t row = (shape.kv_heads - 1) * shape.head_dim + 1;
  for (float& weight : std::span(layer.wv.weight).subspan(row * layer.wv.cols, layer.wv.cols)) {
    weight *= 100;
  }
  for (std::uint32_t head = 0; head < shape.heads; ++head) {
    if (shape.kv_head_of(head) != shape.kv_heads - 1) continue;
    for (std::uint32_t n = 0; n < layer.wo.rows; ++n) {
      layer.wo.weight[n * layer.wo.cols + head * shape.head_dim + 1] /= 100;
    }
  }
  equalise_values(layer, shape);
  // Up to the mean of all columns, which the small one has moved.
  const float factor = layer.wv.weight[0] / values[0];
  for (std::size_t i = 0; i < values.size(); ++i) {
    EXPECT_NEAR(layer.wv.weight[i], values[i] * factor, 1e-5 * std::abs(values[i]) + 1e-9);
  }
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    EXPECT_NEAR(layer.wo.weight[i], outputs[i] / factor, 1e-4 * std::abs(outputs[i]) + 1e-9);
  }
}

TEST(Equalise, LargeKeysAreScaledByAPowerOfTwo) {
  FloatModel model = load(random_model("Qwen2ForCausalLM", 22));
  FloatLayer& layer = model.layers[0];
  fold_score_scale(layer, model.config.score_scale);
  const std::vector<float> before = layer.wk.bias;
  EXPECT_LT(balance_queries_and_keys(layer, model.config.shape), 64);
  EXPECT_EQ(layer.wk.bias, before);
  for (float& bias : layer.wk.bias) bias *= 1024;
  EXPECT_LT(balance_queries_and_keys(layer, model.config.shape), 256);
  const double factor = std::log2(before[0] * 1024 / layer.wk.bias[0]);
  EXPECT_GE(factor, 1);
  EXPECT_EQ(factor, std::round(factor));
}

}  // namespace
}  // namespace otr::convert

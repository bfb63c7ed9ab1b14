// The forward pass of convert::FloatModel as the papers and Hugging Face's Llama say it: what the
// exact engine is measured against, so it is plain rather than fast.
//
// Values between the operations are float32; sums are taken in double, so that the result is the
// model's and not that of one order of additions. It shares no arithmetic with the exact engine.
#ifndef OTR_EVAL_FLOAT_FORWARD_H_
#define OTR_EVAL_FLOAT_FORWARD_H_

#include <cstdint>
#include <span>
#include <vector>

#include "convert/float_model.h"
#include "engine/pool.h"

namespace otr::eval {

class FloatForward {
 public:
  // `model` must outlive the engine; threads >= 1.
  FloatForward(const convert::FloatModel& model, unsigned threads);

  // Forgets all positions: the next token is that of position 0.
  void reset();

  // Runs the positions that follow, one for each token, through all layers. Requires at least one
  // token and ids below the vocabulary.
  void run(std::span<const std::uint32_t> tokens);

  // The logits after position `index` of the last run; valid until the next call.
  [[nodiscard]] std::span<const float> logits(std::size_t index);

 private:
  struct LayerCache {
    std::vector<float> k, v;  // [position][kv_width], k after its rotation
  };

  [[nodiscard]] std::vector<float> norm_rows(std::span<const float> x,
                                             const std::vector<float>& gain, double eps) const;
  // W·x + bias for every row x of `input`.
  [[nodiscard]] std::vector<float> multiply(const convert::FloatMatrix& matrix,
                                            std::span<const float> input);
  void rotate(std::span<float> rows, std::size_t width) const;
  void attend(std::span<const float> q, const LayerCache& cache, std::size_t position,
              std::uint32_t head, std::span<float> out) const;
  void attention(const convert::FloatLayer& layer, LayerCache& cache);
  void feed_forward(const convert::FloatLayer& layer);

  const convert::FloatModel& model_;
  engine::Pool pool_;
  std::size_t first_ = 0;      // position of the last run's first token
  std::size_t positions_ = 0;  // of the last run
  std::vector<float> x_;       // [position][hidden]
  std::vector<LayerCache> caches_;
  std::vector<float> logits_;
};

}  // namespace otr::eval

#endif  // OTR_EVAL_FLOAT_FORWARD_H_

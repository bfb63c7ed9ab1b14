// The Llama architecture in floating point, forward and backward, for tools/train only.
//
// The model is exactly Hugging Face's LlamaForCausalLM with tied embeddings:
//   x = embed[token]
//   per layer:  x += attention(rmsnorm(x)) * o^T ;  x += (silu(gate) * up) * down^T
//   logits = rmsnorm(x) * embed^T
// RoPE rotates the pairs (j, j + head_dim/2) of each query and key head by position *
// theta^(-2j/d); query head h reads key/value head h / (heads / kv_heads).
//
// A batch is a row of whole documents. Positions restart and attention stops at each document's
// start, so the model sees in training what it sees when asked: one document from position 0.
// Matrices are row-major; a weight has the shape [outputs, inputs], as Hugging Face stores it.
#ifndef OTR_TOOLS_TRAIN_LLAMA_H_
#define OTR_TOOLS_TRAIN_LLAMA_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace otr::train {

struct Shape {
  int layers = 0;
  int hidden = 0;
  int heads = 0;
  int kv_heads = 0;
  int head_dim = 0;
  int ffn = 0;
  int vocab = 0;
  int context = 0;
  double rope_theta = 10000.0;
  double rms_eps = 1e-5;

  int q_width() const { return heads * head_dim; }
  int kv_width() const { return kv_heads * head_dim; }
  int qkv_width() const { return q_width() + 2 * kv_width(); }
};

// Where one layer's weights begin in the flat parameter array. Query, key and value are adjacent
// and serve as one matrix of qkv_width() rows, gate and up as one of 2 * ffn rows.
struct LayerOffsets {
  size_t attention_norm, qkv, o, mlp_norm, gate_up, down;
};

struct Layout {
  explicit Layout(const Shape& shape);
  size_t embed = 0;
  std::vector<LayerOffsets> layers;
  size_t final_norm = 0;
  size_t size = 0;
};

// One tensor under its Hugging Face name; cols is 0 for a vector.
struct NamedTensor {
  std::string name;
  size_t offset;
  int rows;
  int cols;
};
std::vector<NamedTensor> named_tensors(const Shape& shape);

// Documents end to end. starts holds each document's first index and, last, the token count.
// The loss of position i is weights[i] * -log p(targets[i]); a weight of 0 leaves it out.
struct Batch {
  std::vector<int> tokens;
  std::vector<int> targets;
  std::vector<float> weights;
  std::vector<int> starts;
};

// Gaussian weights of deviation 0.02 (divided by sqrt(2 * layers) where a matrix writes into the
// residual), norms of 1.
template <class Real>
void initialise(const Shape& shape, uint64_t seed, std::vector<Real>& params);

// Activations and gradients of one batch. Real is float for training and double for the gradient
// check. Not thread-safe; each thread has its own.
template <class Real>
class Network {
 public:
  explicit Network(const Shape& shape);

  // Returns the weighted sum of losses. Keeps what backward needs.
  double forward(const Real* params, const Batch& batch);

  // Adds the gradient of the last forward's loss, times scale, to grads. Destroys the logits'
  // probabilities, so at most once per forward.
  void backward(const Real* params, const Batch& batch, Real scale, Real* grads);

  // Probabilities over the vocabulary at position index of the last forward.
  const Real* probabilities(size_t index) const { return &probs_[index * vocab_size()]; }

 private:
  struct LayerState {
    std::vector<Real> x_in, inv1, n1, qkv, scores, ctx, x_mid, inv2, n2, gate_up, act;
  };
  size_t vocab_size() const { return static_cast<size_t>(shape_.vocab); }
  void make_rope(int positions);
  void layer_forward(const Real* params, const LayerOffsets& at, LayerState& s, const Batch& batch);
  void layer_backward(const Real* params, const LayerOffsets& at, LayerState& s, const Batch& batch,
                      Real* grads);
  void rotate(Real* qkv, const Batch& batch, Real direction) const;
  void attention_forward(LayerState& s, const Batch& batch);
  void attention_backward(LayerState& s, const Batch& batch);

  Shape shape_;
  Layout layout_;
  std::vector<LayerState> layers_;
  std::vector<Real> x_, inv_, normed_, probs_;
  std::vector<Real> dx_, dnormed_, dqkv_, dctx_, dgate_up_, dact_, dscores_;
  std::vector<Real> rope_cos_, rope_sin_;  // [position][head_dim / 2]
};

extern template class Network<float>;
extern template class Network<double>;
extern template void initialise<float>(const Shape&, uint64_t, std::vector<float>&);
extern template void initialise<double>(const Shape&, uint64_t, std::vector<double>&);

}  // namespace otr::train

#endif  // OTR_TOOLS_TRAIN_LLAMA_H_

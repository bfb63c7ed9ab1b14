// What a program runs on: the shape and the weights of one model, as views (SPEC MODEL, OP).
//
// The views own nothing; the module `model` holds the bytes of an artifact and hands these out.
// Ranges are those of SPEC MODEL-4 and LIM-1: whoever makes a Model has checked them.
#ifndef OTR_MACHINE_MODEL_H_
#define OTR_MACHINE_MODEL_H_

#include <cstdint>
#include <span>
#include <vector>

namespace otr::machine {

// Limits of SPEC LIM-1.
inline constexpr std::uint32_t kMaxHidden = 16384;
inline constexpr std::uint32_t kMaxFfn = 65536;
inline constexpr std::uint32_t kMaxContext = 131072;
inline constexpr std::uint32_t kMaxVocabulary = 262144;
inline constexpr std::uint32_t kMaxLayers = 256;
inline constexpr std::uint32_t kMaxHeads = 256;
inline constexpr std::uint32_t kMaxHeadDim = 256;
inline constexpr std::uint32_t kMaxHeadsTimesDim = 32768;

// A matrix of int8 weights: the real weight is weight[n][k] · scale[n] · 2^-exponent.
struct Matrix {
  std::span<const std::int8_t> weight;   // rows × cols, row-major, in [-127, 127]
  std::span<const std::uint16_t> scale;  // rows, in [1, 4095]
  std::span<const std::int32_t> bias;    // rows, or empty where the model has none
  std::uint32_t rows = 0;
  std::uint32_t cols = 0;
  int exponent = 0;  // in [0, 33]

  std::span<const std::int8_t> row(std::uint32_t n) const {
    return weight.subspan(std::size_t{n} * cols, cols);
  }
};

// A norm's gain, √d already folded in: the real gain is gain[j] · 2^-exponent.
struct Gain {
  std::span<const std::int32_t> gain;  // |gain| <= 2^23 - 1
  int exponent = 0;                    // in [0, 22]
};

// Bound of a committed row of 16 or 8 act_bits (SPEC OP-18): 32639 or 127.
struct RowBounds {
  std::int32_t attn = 32639;  // input of wq, wk, wv
  std::int32_t o = 32639;     // input of wo
  std::int32_t mlp = 32639;   // input of w_gate, w_up
  std::int32_t down = 32639;  // input of w_down
};

struct Layer {
  Gain attn_norm;
  Matrix wq, wk, wv;
  Gain q_norm, k_norm;  // empty where Shape::qk_norm is false
  Matrix wo;
  Gain mlp_norm;
  Matrix w_gate, w_up, w_down;
  RowBounds bounds;
};

struct Shape {
  std::uint32_t hidden = 0;      // d
  std::uint32_t heads = 0;       // H
  std::uint32_t kv_heads = 0;    // G, divides H
  std::uint32_t head_dim = 0;    // D, even
  std::uint32_t ffn = 0;         // n_ff
  std::uint32_t layers = 0;      // L
  std::uint32_t vocabulary = 0;  // V
  std::uint32_t context = 0;     // C
  std::uint32_t window = 0;      // W, 0: none
  int residual_frac_bits = 0;    // F_x, in [8, 20]
  int qk_frac_bits = 0;          // F_q, in [8, 13]
  std::int64_t eps = 0;          // ε of OP-4
  std::int64_t eps_qk = 0;       // ε_q of OP-5
  bool qk_norm = false;

  std::uint32_t q_width() const { return heads * head_dim; }
  std::uint32_t kv_width() const { return kv_heads * head_dim; }
  std::uint32_t kv_head_of(std::uint32_t head) const { return head / (heads / kv_heads); }
};

struct Model {
  Shape shape;
  Matrix embed;
  std::vector<Layer> layers;
  Gain final_norm;
  Matrix head;  // the embedding matrix where the model is tied
  std::int32_t head_bound = 32639;
  std::span<const std::uint64_t> rope_steps;  // head_dim / 2
  std::span<const std::uint32_t> eos_ids;     // ascending
  // SPEC MODEL-7: bytes of token j are token_bytes[token_offsets[j], token_offsets[j + 1]).
  std::span<const std::uint32_t> token_offsets;
  std::span<const std::uint8_t> token_bytes;
};

}  // namespace otr::machine

#endif  // OTR_MACHINE_MODEL_H_

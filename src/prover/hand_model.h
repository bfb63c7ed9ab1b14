// Models whose every number a test sets, as artifacts: so what is tested is what SPEC MODEL-4
// allows and nothing else.
#ifndef OTR_PROVER_HAND_MODEL_H_
#define OTR_PROVER_HAND_MODEL_H_

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "model/artifact.h"

namespace otr::prover {

struct HandModel {
  // All weights, gains, biases and angles are 0, all scales 1, all row bounds of 16 bits; the
  // exponents are those of a one-hot model (below). Two layers have the same.
  explicit HandModel(const machine::Shape& shape, bool biases = false);

  // Fills every tensor from a seed, as model::random_artifact does.
  void fill(std::uint64_t seed);
  // Token j has the residual row 64·2^-F_x at element j and 0 elsewhere, and all gains are 1: so
  // the norm rows of layer 0 are 2^14 at j with exponent 14, and with the exponents as they are
  // a token's y of q and k is w·m of its column j, so is its v (as long as it needs no more than
  // 7 bits) and its g, and a logit is w·m where the residual row still is that of the token.
  // Requires as many hidden as tokens.
  void make_one_hot();
  void set_bits(int bits);  // of all rows

  std::vector<std::int64_t>& operator[](const std::string& tensor) { return tensors.at(tensor); }
  // Of the matrix of that name, such as "layers.0.wq": all elements, or w[n][k] and m[n].
  void set(const std::string& matrix, std::int64_t weight, std::int64_t scale);
  void set(const std::string& matrix, std::uint32_t n, std::uint32_t k, std::int64_t weight,
           std::int64_t scale = 1);
  // Exponent of every matrix or gain whose name ends so.
  void set_exponent(std::string_view end, int exponent);

  // Fails the test where the model is not valid.
  [[nodiscard]] model::Artifact artifact() const;

  model::Config config;
  std::map<std::string, std::vector<std::int64_t>> tensors;  // by their names of SPEC MODEL-3
};

// A shape of the sizes given, with F_x = 16, F_q = 8, and ε = 0.
machine::Shape hand_shape(std::uint32_t hidden, std::uint32_t heads, std::uint32_t kv_heads,
                          std::uint32_t head_dim, std::uint32_t ffn, std::uint32_t layers,
                          std::uint32_t vocabulary);

// Everything random, with F_q = 13, ε = 2^20 and exponents that give an answer.
HandModel random_model(std::uint64_t seed, const machine::Shape& sizes, bool biases = false);

}  // namespace otr::prover

#endif  // OTR_PROVER_HAND_MODEL_H_

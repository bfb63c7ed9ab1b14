// A small valid artifact from a seed, for tests: every kind of tensor, odd sizes.
#ifndef OTR_MODEL_RANDOM_ARTIFACT_H_
#define OTR_MODEL_RANDOM_ARTIFACT_H_

#include <cstdint>

#include "model/artifact.h"

namespace otr::model {

struct RandomArtifactOptions {
  std::uint64_t seed = 1;
  bool tied = true;
  bool biases = false;
  bool qk_norm = false;
  std::uint32_t hidden = 10;
  std::uint32_t layers = 2;
  std::uint32_t heads = 2;
  std::uint32_t kv_heads = 1;
  std::uint32_t head_dim = 4;
  std::uint32_t ffn = 15;
  std::uint32_t window = 0;
  bool mixed_act_bits = false;  // half of the inputs of products have 8 bits instead of 16
  int exponent = 22;  // of matrices of layers: the smaller, the more passes leave their ranges
};

// The contents from which encode_artifact makes the file. The vocabulary has 17 tokens, of which
// token j is the one byte 'a' + j and the last is empty.
[[nodiscard]] ArtifactContents random_artifact(const RandomArtifactOptions& options);

}  // namespace otr::model

#endif  // OTR_MODEL_RANDOM_ARTIFACT_H_

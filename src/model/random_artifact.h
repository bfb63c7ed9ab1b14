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
};

// The contents from which encode_artifact makes the file. Two heads share one key/value head; the
// vocabulary has 17 tokens, of which token j is the one byte 'a' + j and the last is empty.
[[nodiscard]] ArtifactContents random_artifact(const RandomArtifactOptions& options);

}  // namespace otr::model

#endif  // OTR_MODEL_RANDOM_ARTIFACT_H_

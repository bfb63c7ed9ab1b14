// A proof of a receipt of a tiny random model, for tests and fuzzing: the same bytes on every run.
#ifndef OTR_NODE_TOY_PROOF_H_
#define OTR_NODE_TOY_PROOF_H_

#include "base/bytes.h"
#include "model/artifact.h"

namespace otr::node {

struct ToyProof {
  model::Artifact artifact;
  Bytes file;
  std::size_t outputs = 0;
};

struct ToyOptions {
  std::uint64_t counter = 1;  // of the request
  std::uint8_t beacon = 0;    // in all its bytes
};

[[nodiscard]] model::Artifact toy_artifact(std::uint64_t seed);
[[nodiscard]] ToyProof toy_proof(const ToyOptions& options = {});

}  // namespace otr::node

#endif  // OTR_NODE_TOY_PROOF_H_

// Another model in the clothes of the one that was asked for: what cheap workers would like to run.
#ifndef OTR_SIM_SUBSTITUTE_H_
#define OTR_SIM_SUBSTITUTE_H_

#include <cstdint>
#include <functional>
#include <span>

#include "model/artifact.h"
#include "model/random_artifact.h"
#include "rollup/pass.h"

namespace otr::sim {

class Substitute {
 public:
  // Of the world's model, with its contents changed. Requires that a valid model remains.
  explicit Substitute(const std::function<void(model::ArtifactContents&)>& change,
                      const model::RandomArtifactOptions& options = {});
  Substitute(const Substitute&) = delete;
  Substitute& operator=(const Substitute&) = delete;
  [[nodiscard]] const rollup::Weights& weights() const { return weights_; }

 private:
  model::Artifact artifact_;
  engine::PackedModel packed_;
  rollup::Weights weights_;
};

// All weights of layers lose their lowest three bits.
void quantise(model::ArtifactContents& contents);
// Turns the sign of weight `index` of the third matrix of the first layer, which makes V rows.
void flip(model::ArtifactContents& contents, std::uint64_t index);

}  // namespace otr::sim

#endif  // OTR_SIM_SUBSTITUTE_H_

#include "sim/substitute.h"

#include <string>
#include <utility>

#include "base/check.h"

namespace otr::sim {
namespace {

model::Artifact changed(const std::function<void(model::ArtifactContents&)>& change,
                        const model::RandomArtifactOptions& options) {
  model::ArtifactContents contents = model::random_artifact(options);
  if (change) change(contents);
  auto file = model::encode_artifact(std::move(contents));
  OTR_CHECK(file.has_value());
  auto artifact = model::parse_artifact(*std::move(file));
  OTR_CHECK(artifact.has_value());
  return *std::move(artifact);
}

// The weights of matrices of layers, in the order of the contents, which hold no `numbers`.
std::vector<std::span<std::uint8_t>> matrices(model::ArtifactContents& contents) {
  const auto layout = model::tensor_layout(contents.config, contents.token_bytes);
  std::vector<std::span<std::uint8_t>> found;
  std::uint64_t offset = 0;
  for (const auto& spec : layout) {
    if (spec.name == "numbers") continue;
    const bool is_weight = spec.type == merkle::Type::kI8 && spec.shape.size() == 2 &&
                           spec.name.starts_with("layers.");
    if (is_weight) found.push_back(std::span(contents.data).subspan(offset, spec.size_bytes));
    offset += spec.size_bytes;
  }
  OTR_CHECK(!found.empty() && offset == contents.data.size());
  return found;
}

}  // namespace

Substitute::Substitute(const std::function<void(model::ArtifactContents&)>& change,
                       const model::RandomArtifactOptions& options)
    : artifact_(changed(change, options)),
      packed_(artifact_.view()),
      weights_{artifact_, packed_, 1} {}

void quantise(model::ArtifactContents& contents) {
  for (const auto matrix : matrices(contents)) {
    for (std::uint8_t& weight : matrix) {
      const int value = static_cast<std::int8_t>(weight) / 8 * 8;
      weight = static_cast<std::uint8_t>(value);
    }
  }
}

void flip(model::ArtifactContents& contents, std::uint64_t index) {
  const auto matrix = matrices(contents).at(2);
  std::uint8_t& weight = matrix[index % matrix.size()];
  const int value = static_cast<std::int8_t>(weight);
  weight = static_cast<std::uint8_t>(value == 0 ? 64 : -value);
}

}  // namespace otr::sim

// Import of somebody's model (source.h) as a model artifact: one file. The function of
// the artifact is the model's but for the rounding of its weights to int8, and of the rows that
// choose_act_bits gives 8 bits; nothing else is calibrated.
#ifndef OTR_CONVERT_IMPORT_H_
#define OTR_CONVERT_IMPORT_H_

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "model/artifact.h"

namespace otr::convert {

struct ImportOptions {
  int residual_frac_bits = 16;  // F_x in [8, 20]; lowered where the embedding needs it
  int qk_frac_bits = 13;        // F_q in [8, 13]
  bool equalise = true;         // off only to measure what it is worth
  // Chooses the act_bits (SPEC OP-18) of the finished artifact, which has 16 everywhere. Its error
  // ends the import. Without it, 16 they stay.
  std::function<Result<model::ActBits>(const model::Artifact&)> choose_act_bits = {};
  // Called before each part with the number of parts done and of all.
  std::function<void(std::string_view part, std::uint64_t done, std::uint64_t total)> progress;
};

// What became of one matrix.
struct MatrixReport {
  std::string name;
  double error = 0;  // sqrt(Σ (w - ŵ)² / Σ w²)
  int exponent = 0;
  std::uint32_t least_scale = 0, greatest_scale = 0;
};

struct ImportReport {
  Hash model_root = {};
  std::uint64_t source_bytes = 0;
  std::uint64_t artifact_bytes = 0;
  int residual_frac_bits = 0;
  std::vector<MatrixReport> matrices;
  std::vector<std::string> warnings;
};

// Needs memory for the artifact and one layer in float32. On an error nothing is left at `out`.
[[nodiscard]] Result<ImportReport> import_model(const std::filesystem::path& path,
                                                const std::filesystem::path& out,
                                                const ImportOptions& options = {});

}  // namespace otr::convert

#endif  // OTR_CONVERT_IMPORT_H_

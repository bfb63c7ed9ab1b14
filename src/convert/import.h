// Import of somebody's model (source.h) as a model artifact: one file. The function of
// the artifact is the model's but for the rounding of its weights to int8, and of the rows that
// choose_act_bits gives 8 bits; nothing else is calibrated.
//
// First a plan, which reads what the files say of themselves and no weights; then the import, which
// streams: it holds one layer in float32, never the model or the artifact.
#ifndef OTR_CONVERT_IMPORT_H_
#define OTR_CONVERT_IMPORT_H_

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "convert/artifact_writer.h"
#include "convert/source.h"
#include "model/artifact.h"

namespace otr::convert {

// What an import of a model would make.
struct ImportPlan {
  std::filesystem::path path;
  Source source;
  // The artifact's configuration. Its exponents are not known before the weights are read, nor
  // whether the embedding needs another number of residual fraction bits, which changes eps.
  model::Config config;
  ArtifactTexts texts;
  TokenTable tokens;
  std::uint64_t source_bytes = 0;
  std::uint64_t artifact_bytes = 0;          // exact but for a few
  std::map<std::string, std::size_t> types;  // how the source stores its matrices: type -> count
};

// Opens a model and checks that every tensor is there with its shape and a type that can be read.
// The errors of open_source and open_tokenizer.
[[nodiscard]] Result<ImportPlan> plan_import(const std::filesystem::path& path,
                                             int residual_frac_bits = 16, int qk_frac_bits = 13);

// The integers eps and eps_qk (SPEC OP-4 and OP-5) for the fraction bits that `shape` has.
// kBadInput if they would be too large.
[[nodiscard]] Status set_eps(const FloatConfig& source, machine::Shape& shape);

struct ImportOptions {
  bool equalise = true;  // off only to measure what it is worth
  // Chooses the act_bits (SPEC OP-18) of the finished artifact, which has 16 everywhere and is held
  // in memory for it. Its error ends the import. Without it, 16 they stay.
  std::function<Result<model::ActBits>(const model::Artifact&)> choose_act_bits = {};
  // Called before each part and while it is worked on, with the bytes of the artifact that are
  // written, or in the part "checking" those that are checked. False stops with kCancelled.
  std::function<bool(std::string_view part, std::uint64_t done, std::uint64_t total)> progress = {};
};

// What became of one matrix. Errors and outliers are those of the weights as they were rounded,
// after their columns were equalised, against the floats that the source's type stands for.
struct MatrixReport {
  std::string name;         // as in an artifact's exponents: "layers.0.wq"
  std::string source_type;  // "BF16", "Q4_K"
  double error = 0;         // sqrt(Σ (w - ŵ)² / Σ w²)
  double peak = 0;          // greatest |w| over the root of their mean square
  double outliers = 0;      // share of weights beyond six times that root
  int exponent = 0;
  std::uint32_t least_scale = 0, greatest_scale = 0;
};

struct ImportReport {
  Hash model_root = {};
  std::uint64_t source_bytes = 0;
  std::uint64_t artifact_bytes = 0;
  model::Config config;
  std::vector<MatrixReport> matrices;
  std::vector<std::string> warnings;
};

// Writes the artifact to `out`. Needs memory for one layer in float32. On an error nothing is left
// at `out`, or what was there before. kUsage if `out` is a file of the source.
[[nodiscard]] Result<ImportReport> import_model(const ImportPlan& plan,
                                                const std::filesystem::path& out,
                                                const ImportOptions& options = {});
[[nodiscard]] Result<ImportReport> import_model(const std::filesystem::path& path,
                                                const std::filesystem::path& out,
                                                const ImportOptions& options = {});

}  // namespace otr::convert

#endif  // OTR_CONVERT_IMPORT_H_

// Fidelity on a trained model, stories260K, which is no part of the repository: it lies in
// ../shared/models where the developers keep it. The bounds are the project's targets.
#include <gtest/gtest.h>

#include <cstdlib>

#include "env/file.h"
#include "eval/fidelity.h"
#include "eval/test_checkpoints.h"

namespace otr::eval {
namespace {

namespace fs = std::filesystem;
using convert::FloatModel;

const fs::path kModels = OTR_SOURCE_DIR "/../shared/models";
// Drawn from the model itself, so its loss is the model's entropy; and real stories.
const char* const kTexts[] = {"selfgen-stories260K.txt", "tinystories-excerpt.txt"};

void run_python(const std::string& script, const std::vector<fs::path>& arguments) {
  std::string command = "python3 '" OTR_SOURCE_DIR "/" + script + "'";
  for (const fs::path& argument : arguments) command += " '" + argument.string() + "'";
  ASSERT_EQ(std::system(command.c_str()), 0) << command;
}

Result<model::Artifact> import(const fs::path& folder) {
  OTR_TRY_ASSIGN(const auto report, convert::import_model(folder, folder / "artifact"));
  OTR_TRY_ASSIGN(Bytes bytes, env::read_file(folder / "artifact", std::size_t{1} << 30));
  return model::parse_artifact(std::move(bytes));
}

struct Bounds {
  double perplexity;              // against the original
  double dequantised_perplexity;  // against the artifact's own weights in float
  double kl;                      // against the original
};

void expect_fidelity(const fs::path& folder, const FloatModel& original, const Bounds& bounds,
                     const FidelityOptions& options = {}) {
  const auto artifact = import(folder);
  ASSERT_TRUE(artifact) << artifact.error().message;
  const FloatModel dequantised = convert::float_model_from_artifact(*artifact);
  for (const char* name : kTexts) {
    SCOPED_TRACE(name);
    const std::string source = read_text(kModels / name);
    const auto against_original = evaluate(*artifact, original, source, options);
    ASSERT_TRUE(against_original) << against_original.error().message;
    const auto against_dequantised = evaluate(*artifact, dequantised, source, options);
    ASSERT_TRUE(against_dequantised) << against_dequantised.error().message;
    std::cout << name << ", against the original:\n"
              << to_text(*against_original) << "against the artifact's own weights:\n"
              << to_text(*against_dequantised) << '\n';
    EXPECT_GT(against_original->tokens, 2500U);
    EXPECT_LT(against_original->float_perplexity, 4) << "this is not the model that was trained";
    EXPECT_LT(against_original->kl_mean, bounds.kl);
    EXPECT_LT(std::abs(against_original->perplexity_change()), bounds.perplexity);
    EXPECT_LT(std::abs(against_dequantised->perplexity_change()), bounds.dequantised_perplexity);
    EXPECT_GE(against_original->top1_agreement, 0.98);
  }
}

class Stories : public testing::Test {
 protected:
  void SetUp() override {
    if (!fs::exists(kModels / "stories260K.bin")) {
      GTEST_SKIP() << "NOT TESTED: " << kModels << " has no stories260K.bin.";
    }
    folder_ = test_folder("stories260K");
    run_python("tools/llama2c_to_hf.py",
               {kModels / "stories260K.bin", kModels / "tok512.bin", folder_});
    auto original = convert::load_float_model(folder_);
    ASSERT_TRUE(original) << original.error().message;
    original_ = *std::move(original);
  }

  void expect_fidelity_with_outliers(int factor, const Bounds& bounds) {
    const fs::path folder = test_folder("outliers");
    run_python("tools/stress_hf.py", {folder_, folder, std::to_string(factor)});
    // Part of the text is enough here and keeps the test short under sanitizers.
    expect_fidelity(folder, original_, bounds, {.max_tokens = 4000});
  }

  fs::path folder_;
  FloatModel original_;
};

TEST_F(Stories, Original) { expect_fidelity(folder_, original_, {0.005, 0.0005, 1e-3}); }

TEST_F(Stories, OutliersOf100) { expect_fidelity_with_outliers(100, {0.005, 0.0005, 5e-3}); }

TEST_F(Stories, OutliersOf1000) { expect_fidelity_with_outliers(1000, {0.02, 0.003, 3e-2}); }

}  // namespace
}  // namespace otr::eval

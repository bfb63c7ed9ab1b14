// The exact engine against the float reference on random models of every family: catches what an
// importer or an op gets wrong in the features that no trained model at hand has.
#include <gtest/gtest.h>

#include "env/file.h"
#include "eval/fidelity.h"
#include "eval/test_checkpoints.h"

namespace otr::eval {
namespace {

Result<model::Artifact> import(const std::filesystem::path& folder) {
  OTR_TRY_ASSIGN(const auto report, convert::import_model(folder, folder / "artifact", {}));
  OTR_TRY_ASSIGN(Bytes bytes, env::read_file(folder / "artifact", std::size_t{1} << 30));
  return model::parse_artifact(std::move(bytes));
}

TEST(Families, ExactIsCloseToFloat) {
  for (const Family& family : families()) {
    SCOPED_TRACE(family.name);
    const auto folder = test_folder("exact_" + family.name);
    write_random_folder(folder, family.config, 21);
    const auto reference = convert::load_float_model(folder);
    ASSERT_TRUE(reference) << reference.error().message;
    const auto artifact = import(folder);
    ASSERT_TRUE(artifact) << artifact.error().message;
    const std::vector<Window> windows = {Dice(8).ids(250, 300), Dice(9).ids(100, 300)};
    const auto original = compare(artifact->view(), *reference, windows);
    ASSERT_TRUE(original) << original.error().message;
    const auto dequantised =
        compare(artifact->view(), convert::float_model_from_artifact(*artifact), windows);
    ASSERT_TRUE(dequantised) << dequantised.error().message;
    std::cout << family.name << "\n  original: " << to_json(*original)
              << "\n  dequantised: " << to_json(*dequantised) << "\n";
    EXPECT_LT(original->kl_mean, 5e-3);
    EXPECT_LT(dequantised->kl_mean, 1e-3);
    EXPECT_GT(original->top1_agreement, 0.9);
  }
}

}  // namespace
}  // namespace otr::eval

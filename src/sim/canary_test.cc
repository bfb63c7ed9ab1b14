// A bug that a flag compiles into the operator: it acknowledges a receipt before the disk has it.
// The fixed seeds of seed_test.cc must find it, or they find nothing.
#include <gtest/gtest.h>

#include <algorithm>

#include "sim/seed_run.h"

namespace otr::sim {
namespace {

TEST(Canary, IsFoundByTheFixedSeeds) {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    const SeedReport report = run_seed(seed);
    const auto is_lost = [](const std::string& failure) {
      return failure.ends_with("was never posted");
    };
    if (std::ranges::any_of(report.failures, is_lost)) return;
  }
  FAIL() << "No seed has found the canary.";
}

}  // namespace
}  // namespace otr::sim

// Whole networks from seeds: a fixed set, and a few that nobody has seen (printed, so that they can
// be played again by `otr sim --seed N`).
#include <gtest/gtest.h>

#include <chrono>
#include <cstdio>

#include "sim/seed_run.h"

namespace otr::sim {
namespace {

constexpr std::uint64_t kWithCanaries = 4;

void expect_holds(std::uint64_t seed) {
  const SeedReport report = run_seed(seed);
  EXPECT_TRUE(report.failures.empty()) << describe(report) << "\n  again: otr sim --seed " << seed;
}

class FixedSeed : public ::testing::TestWithParam<std::uint64_t> {};

TEST_P(FixedSeed, EveryRuleHolds) { expect_holds(GetParam()); }

INSTANTIATE_TEST_SUITE_P(Seeds, FixedSeed, ::testing::Range<std::uint64_t>(1, 21));

TEST(Seed, TheSameTwiceGivesTheSameLedger) {
  const SeedReport once = run_seed(8), again = run_seed(8), other = run_seed(17);
  EXPECT_EQ(once.tip, again.tip);
  EXPECT_EQ(once.digest, again.digest);
  EXPECT_EQ(describe(once), describe(again));
  EXPECT_NE(once.tip, other.tip);
}

// The fixed ones meet canaries, too.
TEST(Seed, SomeHaveCanaries) { EXPECT_GT(run_seed(kWithCanaries).canaries, 0u); }

TEST(Seed, FreshOnesHoldToo) {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  const auto first = static_cast<std::uint64_t>(
      std::chrono::duration_cast<std::chrono::milliseconds>(now).count());
  for (std::uint64_t seed = first; seed < first + 3; ++seed) {
    std::printf("fresh seed %llu\n", static_cast<unsigned long long>(seed));
    expect_holds(seed);
  }
}

}  // namespace
}  // namespace otr::sim

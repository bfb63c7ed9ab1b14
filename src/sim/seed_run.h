// One seed, one world: who is honest, who cheats and how, what breaks when, and what is asked, all
// follow from it; then the rules that must hold whatever happens are checked (SPEC INV-1 to
// INV-7). The same seed gives the same ledger, byte for byte.
//
// Faults are bounded as the SPEC's word "honest" demands: whoever is honest is never away for as
// long as a window or clock of the ledger lasts.
#ifndef OTR_SIM_SEED_RUN_H_
#define OTR_SIM_SEED_RUN_H_

#include <cstdint>
#include <string>
#include <vector>

#include "base/bytes.h"

namespace otr::sim {

struct SeedReport {
  std::uint64_t seed = 0;
  std::vector<std::string> failures;  // empty: everything held
  Hash tip{};
  Hash digest{};
  std::uint64_t height = 0;
  std::uint64_t virtual_ms = 0;
  std::uint32_t operators = 0, cheats = 0, fishermen = 0;
  std::uint32_t true_claims = 0, false_claims = 0;
  std::uint32_t games = 0, refuted = 0, upheld = 0;
  std::uint32_t slashed = 0;
  std::uint32_t canaries = 0;
  std::uint32_t kills = 0, cuts = 0;
};

[[nodiscard]] SeedReport run_seed(std::uint64_t seed);

// On one line: the seed, what happened, what failed.
[[nodiscard]] std::string describe(const SeedReport& report);

}  // namespace otr::sim

#endif  // OTR_SIM_SEED_RUN_H_

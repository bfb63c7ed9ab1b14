// All attacks, in the order in which they are listed.
#ifndef OTR_SIM_CATALOGUE_H_
#define OTR_SIM_CATALOGUE_H_

#include <string_view>
#include <vector>

#include "sim/attack.h"

namespace otr::sim {

[[nodiscard]] std::vector<Attack> catalogue();
// Plays it. One that breaks the stage, such as a missing game, went wrong and stops no other.
[[nodiscard]] Outcome run(const Attack& attack, std::uint64_t seed);
// Null where there is none.
[[nodiscard]] const Attack* find_attack(std::span<const Attack> all, std::string_view id);

}  // namespace otr::sim

#endif  // OTR_SIM_CATALOGUE_H_

// For each constraint of a circuit a lie that breaks it alone (SPEC PT-2): what the constraint is
// there for. For tests.
#ifndef OTR_PROVER_LIES_H_
#define OTR_PROVER_LIES_H_

#include <optional>
#include <string>

#include "prover/forgery.h"

namespace otr::prover {

// A lie in which the constraint of this name (Scene::constraints) is wrong and nothing else, if one
// is found among those that this file knows to try.
[[nodiscard]] std::optional<Lie> find_lie(const Scene& scene, const std::string& constraint);

// Numbers that are not all 0 and by which the rows of the matrix sum to 0; empty where there are
// none.
[[nodiscard]] std::vector<zk::Felt> null_vector(std::vector<std::vector<zk::Felt>> matrix);

// Passes that together have such a lie for every constraint.
[[nodiscard]] const std::vector<Play>& plays();

}  // namespace otr::prover

#endif  // OTR_PROVER_LIES_H_

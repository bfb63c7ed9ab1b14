// Sampling parameters as the vectors write them, for the tests of several modules.
#ifndef OTR_MACHINE_TEST_SAMPLING_H_
#define OTR_MACHINE_TEST_SAMPLING_H_

#include <nlohmann/json.hpp>
#include <vector>

#include "machine/program.h"

namespace otr::machine {

inline std::vector<LogitBias> logit_bias_of(const nlohmann::json& pairs) {
  std::vector<LogitBias> list;
  for (const auto& pair : pairs) list.push_back({pair.at(0), pair.at(1)});
  return list;
}

}  // namespace otr::machine

#endif  // OTR_MACHINE_TEST_SAMPLING_H_

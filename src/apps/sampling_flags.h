// From what a person says of sampling to the integers of a request (SPEC SAMP).
#ifndef OTR_APPS_SAMPLING_FLAGS_H_
#define OTR_APPS_SAMPLING_FLAGS_H_

#include <cstdint>
#include <string>

#include "base/result.h"
#include "machine/program.h"

namespace otr::apps {

// What a person says of sampling, as the integers of SPEC chapter 7. Temperature 0 is greedy;
// an empty seed is a new random one, a decimal number stands for itself, 0x and 64 digits for 32
// bytes.
struct SamplingFlags {
  double temperature = 0;
  double top_p = 1;
  double min_p = 0;
  std::uint32_t top_k = 0;
  double presence_penalty = 0;
  double frequency_penalty = 0;
  std::string seed;
};
Result<machine::Sampling> to_sampling(const SamplingFlags& flags);

}  // namespace otr::apps

#endif  // OTR_APPS_SAMPLING_FLAGS_H_

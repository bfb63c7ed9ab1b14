// From what a person says of sampling on the command line to the integers of a request (SPEC SAMP);
// the numbers themselves are openai/sampling.h.
#ifndef OTR_APPS_SAMPLING_FLAGS_H_
#define OTR_APPS_SAMPLING_FLAGS_H_

#include <CLI/CLI.hpp>
#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "machine/program.h"

namespace otr::apps {

// Real numbers as OpenAI's API and llama.cpp have them: one unit of a penalty or bias is one unit
// of a logit. Temperature 0 is greedy; an empty seed is a new random one, a decimal number stands
// for itself, 0x and 64 digits for 32 bytes.
struct SamplingFlags {
  double temperature = 0;
  double top_p = 1;
  double min_p = 0;
  std::uint32_t top_k = 0;
  double presence_penalty = 0;
  double frequency_penalty = 0;
  std::vector<std::string> logit_bias;  // each ID=VALUE, of a decimal from -100 to 100
  std::string seed;
};

// Adds the flags to a command; `flags` must outlive it.
void add_sampling_flags(CLI::App& command, SamplingFlags& flags);

// kUsage, naming the flag and what it takes, where a number is none or out of range.
Result<machine::Sampling> to_sampling(const SamplingFlags& flags);

// The sampling of answer i of n to one prompt (SPEC REQ-7). Errors: kUsage where all n would be the
// same, being greedy.
Result<std::vector<machine::Sampling>> of_answers(const machine::Sampling& sampling,
                                                  std::uint32_t n);

}  // namespace otr::apps

#endif  // OTR_APPS_SAMPLING_FLAGS_H_

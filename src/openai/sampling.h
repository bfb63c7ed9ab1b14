// From what a person or a client says of sampling, in real numbers as OpenAI's API and llama.cpp
// have them, to the integers of a request (SPEC SAMP). The one place where they are converted: the
// command line and the gateway give the same integers for the same numbers.
#ifndef OTR_OPENAI_SAMPLING_H_
#define OTR_OPENAI_SAMPLING_H_

#include <cstdint>
#include <expected>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "machine/program.h"

namespace otr::openai {

// One unit of a penalty or bias is one unit of a logit.
struct SamplingNumbers {
  struct Bias {
    std::uint32_t id = 0;
    double value = 0;
  };
  double temperature = 0;  // 0: greedy
  double top_p = 1;
  double min_p = 0;
  std::uint32_t top_k = 0;  // 0: off
  double presence_penalty = 0;
  double frequency_penalty = 0;
  std::vector<Bias> logit_bias;  // in any order
  Hash seed{};                   // of no effect where greedy
};

// `field` is a member of SamplingNumbers and `why` goes on after its name, in whatever way that is
// shown: "temperature must be ...", "--temperature must be ...".
struct SamplingRefusal {
  std::string field;
  std::string why;
};

// Refuses numbers out of range, a bias of one id twice and more than machine::kMaxLogitBiases.
[[nodiscard]] std::expected<machine::Sampling, SamplingRefusal> to_sampling(
    const SamplingNumbers& numbers);

// The bytes of a seed that is given as a number.
[[nodiscard]] Hash seed_of_number(std::uint64_t number);

}  // namespace otr::openai

#endif  // OTR_OPENAI_SAMPLING_H_

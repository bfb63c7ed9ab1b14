#include "openai/sampling.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "base/result.h"

namespace otr::openai {
namespace {

constexpr double kUnit = 65536;  // 2^16: one of the request's integers

std::unexpected<SamplingRefusal> refuse(const char* field, std::string why) {
  return std::unexpected(SamplingRefusal{field, std::move(why)});
}

// number · 2^16 as an integer.
std::expected<std::int64_t, SamplingRefusal> scaled(const char* field, double number, double low,
                                                    double high) {
  if (!(number >= low && number <= high)) {
    return refuse(field,
                  "must lie between " + std::to_string(low) + " and " + std::to_string(high));
  }
  return std::llround(number * kUnit);
}

// Ascending; a value that is 0 changes nothing and is left out (SPEC chapter 7).
std::expected<std::vector<machine::LogitBias>, SamplingRefusal> to_biases(
    const std::vector<SamplingNumbers::Bias>& numbers) {
  std::vector<machine::LogitBias> biases;
  for (const SamplingNumbers::Bias& bias : numbers) {
    if (!(bias.value >= -100 && bias.value <= 100)) {
      return refuse("logit_bias",
                    "must give the id " + std::to_string(bias.id) + " a number from -100 to 100");
    }
    biases.push_back({bias.id, static_cast<std::int32_t>(std::llround(bias.value * kUnit))});
  }
  std::ranges::sort(biases, {}, &machine::LogitBias::id);
  const auto twice = std::ranges::adjacent_find(biases, {}, &machine::LogitBias::id);
  if (twice != biases.end()) {
    return refuse("logit_bias",
                  "gives the id " + std::to_string(twice->id) + " twice: give it once");
  }
  std::erase_if(biases, [](const machine::LogitBias& bias) { return bias.value == 0; });
  if (biases.size() > machine::kMaxLogitBiases) {
    return refuse("logit_bias", "may be given for at most 300 ids");
  }
  return biases;
}

}  // namespace

std::expected<machine::Sampling, SamplingRefusal> to_sampling(const SamplingNumbers& numbers) {
  machine::Sampling sampling;
  if (numbers.temperature != 0) {
    if (!(numbers.temperature >= 0.006 && numbers.temperature <= 100)) {
      return refuse("temperature", "must be 0 (greedy) or lie between 0.006 and 100");
    }
    sampling.inv_t =
        static_cast<std::uint32_t>(std::llround(kUnit * std::numbers::log2e / numbers.temperature));
    sampling.seed = numbers.seed;
  }
  OTR_TRY_ASSIGN(const std::int64_t top_p, scaled("top_p", numbers.top_p, 0, 1));
  OTR_TRY_ASSIGN(const std::int64_t min_p, scaled("min_p", numbers.min_p, 0, 1));
  OTR_TRY_ASSIGN(const std::int64_t presence,
                 scaled("presence_penalty", numbers.presence_penalty, -16, 16));
  OTR_TRY_ASSIGN(const std::int64_t frequency,
                 scaled("frequency_penalty", numbers.frequency_penalty, -16, 16));
  sampling.top_k = numbers.top_k;
  sampling.top_p = static_cast<std::uint32_t>(std::max<std::int64_t>(1, top_p));
  sampling.min_p = static_cast<std::uint32_t>(min_p);
  sampling.presence = static_cast<std::int32_t>(presence);
  sampling.frequency = static_cast<std::int32_t>(frequency);
  OTR_TRY_ASSIGN(sampling.logit_bias, to_biases(numbers.logit_bias));
  return sampling;
}

Hash seed_of_number(std::uint64_t number) {
  Hash seed{};
  store_le(seed.data(), number);
  return seed;
}

}  // namespace otr::openai

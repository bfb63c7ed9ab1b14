#include "apps/sampling_flags.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <numbers>

#include "base/hex.h"
#include "env/random.h"
#include "protocol/request.h"

namespace otr::apps {
namespace {

// flag · scale as an integer, or an error that names the flag and its range.
Result<std::int64_t> scaled(const char* flag, double value, double low, double high) {
  if (!(value >= low && value <= high)) {
    return fail(ErrorKind::kUsage, std::string(flag) + " must lie between " + std::to_string(low) +
                                       " and " + std::to_string(high));
  }
  return std::llround(value * 65536);
}

Result<Hash> parse_seed(const std::string& text) {
  if (text.empty()) return env::random_32_bytes();
  if (text.starts_with("0x")) return hash_from_hex(text, "--seed");
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size()) {
    return fail(ErrorKind::kUsage,
                "--seed must be a decimal number below 2^64, or 0x and 64 hexadecimal digits");
  }
  Hash seed{};
  store_le(seed.data(), number);
  return seed;
}

// One ID=VALUE of --logit-bias.
Result<machine::LogitBias> parse_bias(const std::string& text) {
  const auto bad = [&] {
    return fail(ErrorKind::kUsage,
                "--logit-bias must be ID=VALUE, a token's id and a number from "
                "-100 to 100, like 15043=-100; not \"" +
                    text + "\" (otr tokenize shows ids)");
  };
  const char* const end = text.data() + text.size();
  machine::LogitBias bias;
  const auto id = std::from_chars(text.data(), end, bias.id);
  if (id.ec != std::errc() || id.ptr == end || *id.ptr != '=') return bad();
  std::string_view digits(id.ptr + 1, end);
  if (digits.starts_with('+') && !digits.starts_with("+-")) digits.remove_prefix(1);
  double value = 0;
  const auto number = std::from_chars(digits.data(), end, value);
  if (number.ec != std::errc() || number.ptr != end) return bad();
  if (!(value >= -100 && value <= 100)) return bad();
  bias.value = static_cast<std::int32_t>(std::llround(value * 65536));
  return bias;
}

// Ascending; a value that is 0 changes nothing and is left out (SPEC chapter 7).
Result<std::vector<machine::LogitBias>> parse_biases(const std::vector<std::string>& texts) {
  std::vector<machine::LogitBias> biases;
  for (const std::string& text : texts) {
    OTR_TRY_ASSIGN(const machine::LogitBias bias, parse_bias(text));
    biases.push_back(bias);
  }
  std::ranges::sort(biases, {}, &machine::LogitBias::id);
  const auto twice = std::ranges::adjacent_find(biases, {}, &machine::LogitBias::id);
  if (twice != biases.end()) {
    return fail(ErrorKind::kUsage,
                "--logit-bias gives the id " + std::to_string(twice->id) + " twice: give it once");
  }
  std::erase_if(biases, [](const machine::LogitBias& bias) { return bias.value == 0; });
  if (biases.size() > machine::kMaxLogitBiases) {
    return fail(ErrorKind::kUsage, "--logit-bias may be given for at most 300 ids");
  }
  return biases;
}

}  // namespace

void add_sampling_flags(CLI::App& command, SamplingFlags& flags) {
  command
      .add_option("--temperature,--temp", flags.temperature,
                  "0 takes the likeliest token each time; else 0.006 to 100")
      ->capture_default_str();
  command.add_option("--seed", flags.seed,
                     "Reproduces a sampled answer: a number, or 0x and 64 digits");
  command.add_option("--top-k", flags.top_k, "Keep the k likeliest tokens; 0 is all")
      ->capture_default_str();
  command.add_option("--top-p", flags.top_p, "Keep the likeliest tokens of this mass")
      ->capture_default_str();
  command
      .add_option("--min-p", flags.min_p,
                  "Drop tokens less likely than this share of the likeliest")
      ->capture_default_str();
  command
      .add_option("--presence-penalty", flags.presence_penalty,
                  "Taken from the logit of tokens already written, -16 to 16")
      ->capture_default_str();
  command
      .add_option("--frequency-penalty", flags.frequency_penalty,
                  "The same for each time one was written, -16 to 16")
      ->capture_default_str();
  command
      .add_option("--logit-bias", flags.logit_bias,
                  "Add VALUE, -100 (never) to 100 (always), to the logit of the token ID; give it "
                  "for up to 300 ids (otr tokenize shows them)")
      ->type_name("ID=VALUE")
      ->allow_extra_args(false);
}

Result<machine::Sampling> to_sampling(const SamplingFlags& flags) {
  machine::Sampling sampling;
  OTR_TRY_ASSIGN(const Hash seed, parse_seed(flags.seed));  // a wrong one is told even if not used
  if (flags.temperature != 0) {
    if (!(flags.temperature >= 0.006 && flags.temperature <= 100)) {
      return fail(ErrorKind::kUsage,
                  "--temperature must be 0 (greedy) or lie between 0.006 and 100");
    }
    sampling.inv_t =
        static_cast<std::uint32_t>(std::llround(65536 * std::numbers::log2e / flags.temperature));
    sampling.seed = seed;
  }
  OTR_TRY_ASSIGN(const std::int64_t top_p, scaled("--top-p", flags.top_p, 0, 1));
  OTR_TRY_ASSIGN(const std::int64_t min_p, scaled("--min-p", flags.min_p, 0, 1));
  OTR_TRY_ASSIGN(const std::int64_t presence,
                 scaled("--presence-penalty", flags.presence_penalty, -16, 16));
  OTR_TRY_ASSIGN(const std::int64_t frequency,
                 scaled("--frequency-penalty", flags.frequency_penalty, -16, 16));
  sampling.top_k = flags.top_k;
  sampling.top_p = static_cast<std::uint32_t>(std::max<std::int64_t>(1, top_p));
  sampling.min_p = static_cast<std::uint32_t>(min_p);
  sampling.presence = static_cast<std::int32_t>(presence);
  sampling.frequency = static_cast<std::int32_t>(frequency);
  OTR_TRY_ASSIGN(sampling.logit_bias, parse_biases(flags.logit_bias));
  return sampling;
}

Result<std::vector<machine::Sampling>> of_answers(const machine::Sampling& sampling,
                                                  std::uint32_t n) {
  if (n > 1 && sampling.greedy()) {
    return fail(ErrorKind::kUsage,
                "--n " + std::to_string(n) + " with --temperature 0 would give the same answer " +
                    std::to_string(n) + " times: give a --temperature above 0, such as 0.8");
  }
  std::vector<machine::Sampling> all(n, sampling);
  for (std::uint32_t i = 0; i < n; ++i) {
    all[i].seed = protocol::seed_of_answer(sampling.seed, i);
  }
  return all;
}

}  // namespace otr::apps

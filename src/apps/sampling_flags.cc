#include "apps/sampling_flags.h"

#include <algorithm>
#include <charconv>

#include "base/hex.h"
#include "env/random.h"
#include "openai/sampling.h"
#include "protocol/request.h"

namespace otr::apps {
namespace {

Result<Hash> parse_seed(const std::string& text) {
  if (text.empty()) return env::random_32_bytes();
  if (text.starts_with("0x")) return hash_from_hex(text, "--seed");
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size()) {
    return fail(ErrorKind::kUsage,
                "--seed must be a decimal number below 2^64, or 0x and 64 hexadecimal digits");
  }
  return openai::seed_of_number(number);
}

// One ID=VALUE of --logit-bias.
Result<openai::SamplingNumbers::Bias> parse_bias(const std::string& text) {
  const auto bad = [&] {
    return fail(ErrorKind::kUsage,
                "--logit-bias must be ID=VALUE, a token's id and a number from "
                "-100 to 100, like 15043=-100; not \"" +
                    text + "\" (otr tokenize shows ids)");
  };
  const char* const end = text.data() + text.size();
  openai::SamplingNumbers::Bias bias;
  const auto id = std::from_chars(text.data(), end, bias.id);
  if (id.ec != std::errc() || id.ptr == end || *id.ptr != '=') return bad();
  std::string_view digits(id.ptr + 1, end);
  if (digits.starts_with('+') && !digits.starts_with("+-")) digits.remove_prefix(1);
  const auto number = std::from_chars(digits.data(), end, bias.value);
  if (number.ec != std::errc() || number.ptr != end) return bad();
  if (!(bias.value >= -100 && bias.value <= 100)) return bad();
  return bias;
}

// "logit_bias must ..." as it is said of a flag.
std::unexpected<Error> refuse(openai::SamplingRefusal refusal) {
  std::ranges::replace(refusal.field, '_', '-');
  return fail(ErrorKind::kUsage, "--" + refusal.field + " " + refusal.why);
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
  openai::SamplingNumbers numbers{.temperature = flags.temperature,
                                  .top_p = flags.top_p,
                                  .min_p = flags.min_p,
                                  .top_k = flags.top_k,
                                  .presence_penalty = flags.presence_penalty,
                                  .frequency_penalty = flags.frequency_penalty};
  OTR_TRY_ASSIGN(numbers.seed, parse_seed(flags.seed));  // a wrong one is told even if not used
  for (const std::string& text : flags.logit_bias) {
    OTR_TRY_ASSIGN(numbers.logit_bias.emplace_back(), parse_bias(text));
  }
  auto sampling = openai::to_sampling(numbers);
  if (!sampling) return refuse(std::move(sampling).error());
  return *std::move(sampling);
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

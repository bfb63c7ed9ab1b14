#include "apps/prompt.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <numbers>

#include "base/hex.h"
#include "env/random.h"
#include "text/template.h"

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

}  // namespace

Result<Prompt> encode_prompt(const model::Artifact& artifact, const text::Tokenizer& tokenizer,
                             const std::string& question, bool raw) {
  Prompt prompt{.templated = !raw && !artifact.chat_template().empty()};
  if (!prompt.templated) {
    OTR_TRY_ASSIGN(prompt.ids, tokenizer.encode(question));
  } else {
    // The template may name control tokens; what the user typed may not.
    OTR_TRY_ASSIGN(const auto typed,
                   tokenizer.encode(question, {.add_special = false, .parse_special = true}));
    if (std::ranges::any_of(typed, [&](std::uint32_t id) { return tokenizer.is_control(id); })) {
      return fail(ErrorKind::kUsage,
                  "the prompt spells a control token of this model; rephrase it, or write the "
                  "whole prompt yourself and use --raw");
    }
    OTR_TRY_ASSIGN(const text::TemplatedText templated,
                   text::apply_template(artifact.chat_template(), question));
    if (templated.bos && tokenizer.bos()) prompt.ids.push_back(*tokenizer.bos());
    OTR_TRY_ASSIGN(const auto ids, tokenizer.encode(templated.text, {.add_special = !templated.bos,
                                                                     .parse_special = true}));
    prompt.ids.insert(prompt.ids.end(), ids.begin(), ids.end());
  }
  if (prompt.ids.empty()) {
    return fail(ErrorKind::kUsage, "the prompt is empty: give some text to answer");
  }
  return prompt;
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
  return sampling;
}

}  // namespace otr::apps

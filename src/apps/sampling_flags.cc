#include "apps/sampling_flags.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <numbers>

#include "base/hex.h"
#include "env/random.h"

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

#include "ledger/parameters.h"

#include <algorithm>
#include <string>

#include "ledger/reject.h"

namespace otr::ledger {
namespace {

__extension__ using Wide = unsigned __int128;

constexpr std::uint64_t kSecond = 1000;
constexpr std::uint64_t kMinute = 60 * kSecond;
constexpr std::uint64_t kDay = 1440 * kMinute;
// Games against one operator count in its challengers' bonds up to here, so no bond overflows.
constexpr std::uint64_t kMaxCountedGames = std::uint64_t{1} << 16;
constexpr std::uint64_t kMaxBond = std::uint64_t{1} << 40;

struct Bound {
  const char* name;
  std::uint64_t value, least, greatest;
};

Status in_bounds(const Bound& bound) {
  if (bound.value >= bound.least && bound.value <= bound.greatest) return {};
  return refuse(Refusal::kBadParameters, std::string("The parameter ") + bound.name + " is " +
                                             std::to_string(bound.value) + ", but must lie in [" +
                                             std::to_string(bound.least) + ", " +
                                             std::to_string(bound.greatest) + "].");
}

}  // namespace

Parameters example_parameters(bool trial) {
  Parameters parameters;
  parameters.window = trial ? 4 * kSecond : 30 * kMinute;
  parameters.post = trial ? 2 * kSecond : 10 * kMinute;
  parameters.force = trial ? 4 * kSecond : 20 * kMinute;
  parameters.draw = trial ? 2 * kSecond : 30 * kMinute;
  parameters.report = trial ? kSecond : 10 * kMinute;
  parameters.beacon_interval = trial ? kSecond : 5 * kMinute;
  parameters.beacon_dead = trial ? kMinute : kDay;
  parameters.worker_clock = trial ? kMinute : 30 * kMinute;
  parameters.challenger_clock = trial ? kMinute : 30 * kMinute;
  parameters.max_demands = 100;
  parameters.draw_ppm = 50'000;
  parameters.burn_ppm = 500'000;
  parameters.reporter_ppm = 300'000;
  parameters.detection_ppm = 50'000;
  parameters.stretch = 4;
  parameters.max_count = kMaxBatch;
  parameters.min_stake = 1'000'000;
  parameters.challenge_bond = 10'000;
  parameters.force_bond = 1'000;
  parameters.model_bond = 100'000;
  parameters.fee = 1;
  set_least_waits(parameters);
  return parameters;
}

// SPEC SET-9.
Status check(const Parameters& p, bool trial) {
  const std::uint64_t shortest = trial ? kSecond : 10 * kMinute;
  const std::uint64_t month = 30 * kDay;
  // An honest worker's clock bears all the demands that a challenger may make.
  const std::uint64_t reveal = trial ? kSecond / 2 : 10 * kSecond;
  const std::uint64_t most_demands =
      std::min<std::uint64_t>(dispute::kMaxDemands, p.worker_clock / reveal);
  const Bound bounds[] = {
      {"window", p.window, shortest, month},
      {"post", p.post, shortest, month},
      {"force", p.force, p.post, month},
      {"draw", p.draw, shortest, month},
      {"report", p.report, shortest, month},
      {"beaconInterval", p.beacon_interval, kSecond, kDay},
      {"beaconDead", p.beacon_dead, std::max(kMinute, 3 * p.beacon_interval + p.draw), month},
      {"maxDemands", p.max_demands, dispute::kMinDemands, most_demands},
      {"drawPpm", p.draw_ppm, 0, kMillion},
      {"burnPpm", p.burn_ppm, kMillion / 5, kMillion},
      {"reporterPpm", p.reporter_ppm, 0, kMillion - std::min(p.burn_ppm, kMillion)},
      {"detectionPpm", p.detection_ppm, 1, kMillion},
      {"stretch", p.stretch, 1, 16},
      {"maxCount", p.max_count, 1, kMaxBatch},
      {"minStake", p.min_stake, 1, kMaxSupply},
      {"challengeBond", p.challenge_bond, 1, kMaxBond},
      {"forceBond", p.force_bond, 1, p.challenge_bond},
      {"modelBond", p.model_bond, 0, kMaxBond},
      {"fee", p.fee, 0, kMaxBond},
  };
  for (const Bound& bound : bounds) OTR_TRY(in_bounds(bound));
  OTR_TRY(dispute::check(game_parameters(p)));
  OTR_TRY(in_bounds({"unbond", p.unbond, longest_ms(p), 100 * month}));
  return in_bounds({"close", p.close, longest_ms(p) + p.beacon_dead, 100 * month});
}

dispute::Parameters game_parameters(const Parameters& parameters) {
  return {.worker_clock_ms = parameters.worker_clock,
          .challenger_clock_ms = parameters.challenger_clock,
          .max_demands = parameters.max_demands};
}

std::uint64_t longest_ms(const Parameters& p) {
  return p.post + p.force + p.stretch * p.window + p.draw + p.report + p.worker_clock +
         dispute::longest_ms(game_parameters(p));
}

void set_least_waits(Parameters& p) {
  p.unbond = longest_ms(p);
  p.close = p.unbond + p.beacon_dead;
}

// SPEC SET-21.
std::optional<std::uint64_t> reserve_of(const Parameters& parameters, std::uint64_t value) {
  const Wide divisor = Wide{parameters.burn_ppm} * parameters.detection_ppm;
  const Wide reserve = (Wide{value} * kMillion * kMillion + divisor - 1) / divisor;
  if (reserve > kMaxSupply) return std::nullopt;
  return static_cast<std::uint64_t>(reserve);
}

std::uint64_t v_max(const Parameters& parameters, std::uint64_t stake) {
  const Wide share = Wide{parameters.burn_ppm} * parameters.detection_ppm;
  return static_cast<std::uint64_t>(share * stake / (Wide{kMillion} * kMillion));
}

// SPEC SET-33.
Split split_of(const Parameters& parameters, std::uint64_t amount) {
  Split split;
  split.burned =
      static_cast<std::uint64_t>((Wide{amount} * parameters.burn_ppm + kMillion - 1) / kMillion);
  split.reporter = static_cast<std::uint64_t>(
      std::min<Wide>(Wide{amount} * parameters.reporter_ppm / kMillion, amount - split.burned));
  split.client = amount - split.burned - split.reporter;
  return split;
}

// SPEC SET-32.
std::uint64_t challenge_bond(const Parameters& parameters, std::uint64_t open) {
  return parameters.challenge_bond +
         parameters.challenge_bond * std::min(open, kMaxCountedGames) / 4;
}

}  // namespace otr::ledger

// The numbers that rule batches, draws, games and slashes (SPEC SET-9, SET-21, SET-33). A batch
// keeps those it was posted under; the bounds are in code and no role can leave them.
#ifndef OTR_LEDGER_PARAMETERS_H_
#define OTR_LEDGER_PARAMETERS_H_

#include <cstdint>
#include <optional>

#include "base/result.h"
#include "dispute/game.h"

namespace otr::ledger {

inline constexpr std::uint64_t kMaxSupply = std::uint64_t{1} << 62;
inline constexpr std::uint64_t kMaxValue = std::uint64_t{1} << 40;   // of one claim
inline constexpr std::uint64_t kMaxTariff = std::uint64_t{1} << 30;  // of one token
inline constexpr std::uint32_t kMillion = 1'000'000;
inline constexpr std::uint32_t kMaxBatch = 4096;

struct Parameters {
  // Milliseconds.
  std::uint64_t window = 0;           // in which a claim may be challenged
  std::uint64_t post = 0;             // from a claim to its batch
  std::uint64_t force = 0;            // from a force to its answer
  std::uint64_t draw = 0;             // from a beacon to the answers of the drawn
  std::uint64_t report = 0;           // from then on a miss may be reported
  std::uint64_t beacon_interval = 0;  // least time between two reveals
  std::uint64_t beacon_dead = 0;      // after which nobody waits for a beacon any more
  std::uint64_t unbond = 0;
  std::uint64_t close = 0;  // of a channel
  std::uint64_t worker_clock = 0;
  std::uint64_t challenger_clock = 0;
  std::uint32_t max_demands = 0;
  // Parts in a million.
  std::uint32_t draw_ppm = 0;
  std::uint32_t burn_ppm = 0;
  std::uint32_t reporter_ppm = 0;
  std::uint32_t detection_ppm = 0;  // least probability that a lie is found
  std::uint32_t stretch = 0;        // of the window, in an emergency
  std::uint32_t max_count = 0;      // claims of a batch
  // Smallest units.
  std::uint64_t min_stake = 0;
  std::uint64_t challenge_bond = 0;
  std::uint64_t force_bond = 0;
  std::uint64_t model_bond = 0;
  std::uint64_t fee = 0;

  template <class V>
  void each(V& visit) {
    visit("window", window);
    visit("post", post);
    visit("force", force);
    visit("draw", draw);
    visit("report", report);
    visit("beaconInterval", beacon_interval);
    visit("beaconDead", beacon_dead);
    visit("unbond", unbond);
    visit("close", close);
    visit("workerClock", worker_clock);
    visit("challengerClock", challenger_clock);
    visit("maxDemands", max_demands);
    visit("drawPpm", draw_ppm);
    visit("burnPpm", burn_ppm);
    visit("reporterPpm", reporter_ppm);
    visit("detectionPpm", detection_ppm);
    visit("stretch", stretch);
    visit("maxCount", max_count);
    visit("minStake", min_stake);
    visit("challengeBond", challenge_bond);
    visit("forceBond", force_bond);
    visit("modelBond", model_bond);
    visit("fee", fee);
  }
  friend bool operator==(const Parameters&, const Parameters&) = default;
};

// Numbers that fit a ledger for trials, or, with `trial` false, a real one.
[[nodiscard]] Parameters example_parameters(bool trial);

// BAD_PARAMETERS with the name of the first that is out of its bounds.
[[nodiscard]] Status check(const Parameters& parameters, bool trial);

[[nodiscard]] dispute::Parameters game_parameters(const Parameters& parameters);

// The longest time from posting to the end of everything about a batch but a late beacon.
[[nodiscard]] std::uint64_t longest_ms(const Parameters& parameters);
// Sets unbond and close to the least that SET-9 allows beside the others.
void set_least_waits(Parameters& parameters);

// What one claim of this value reserves (SPEC SET-21), rounded up; nothing beyond kMaxSupply.
[[nodiscard]] std::optional<std::uint64_t> reserve_of(const Parameters& parameters,
                                                      std::uint64_t value);
// V_max = beta * S * p (SPEC SET-21), rounded down: what unfinal claims may carry together.
[[nodiscard]] std::uint64_t v_max(const Parameters& parameters, std::uint64_t stake);

// How a slash is split (SPEC SET-33). The parts sum to `amount`.
struct Split {
  std::uint64_t burned = 0;
  std::uint64_t reporter = 0;
  std::uint64_t client = 0;
};
[[nodiscard]] Split split_of(const Parameters& parameters, std::uint64_t amount);

// The bond of a challenge where `open` games stand against the operator (SPEC SET-32).
[[nodiscard]] std::uint64_t challenge_bond(const Parameters& parameters, std::uint64_t open);

}  // namespace otr::ledger

#endif  // OTR_LEDGER_PARAMETERS_H_

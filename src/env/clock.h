// The time of day and a stop watch. Modules that judge take time as an argument and never call
// these.
#ifndef OTR_ENV_CLOCK_H_
#define OTR_ENV_CLOCK_H_

#include <cstdint>

namespace otr::env {

// Seconds since 1970-01-01 UTC. May jump when somebody sets the clock.
[[nodiscard]] std::int64_t unix_seconds();
// The same in milliseconds, as a ledger counts (spec/SETTLEMENT.md).
[[nodiscard]] std::uint64_t unix_ms();

// Nanoseconds since some fixed moment; never runs backwards. For durations only.
[[nodiscard]] std::int64_t monotonic_ns();

}  // namespace otr::env

#endif  // OTR_ENV_CLOCK_H_

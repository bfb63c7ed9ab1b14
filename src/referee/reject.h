// Why a proof or a move is rejected: codes 30 to 49, which continue those of base/reject.h (SPEC
// chapters 24 to 26). A rejection is never a verdict on the claim.
#ifndef OTR_REFEREE_REJECT_H_
#define OTR_REFEREE_REJECT_H_

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace otr::referee {

enum class MoveReject : std::uint8_t {
  kStepUnknown = 30,
  kNotRefuted = 31,
  kWitnessIncomplete = 32,
  kWitnessSurplus = 33,
  kAnswerMismatch = 34,
  kAnswerBound = 35,
  kDemandInvalid = 36,
  kDemandLimit = 37,
  kMoveOutOfTurn = 38,
  kStateMismatch = 39,
  kClockExpired = 40,
  kClockRunning = 41,
  kGameOver = 42,
  kParametersInvalid = 43,
};

inline constexpr std::array<std::string_view, 14> kMoveRejectNames = {
    "STEP_UNKNOWN",  "NOT_REFUTED",    "WITNESS_INCOMPLETE", "WITNESS_SURPLUS",   "ANSWER_MISMATCH",
    "ANSWER_BOUND",  "DEMAND_INVALID", "DEMAND_LIMIT",       "MOVE_OUT_OF_TURN",  "STATE_MISMATCH",
    "CLOCK_EXPIRED", "CLOCK_RUNNING",  "GAME_OVER",          "PARAMETERS_INVALID"};

constexpr std::string_view name_of(MoveReject reject) {
  return kMoveRejectNames[static_cast<std::size_t>(reject) - 30];
}

inline std::unexpected<Error> reject(MoveReject code, std::string message) {
  return fail(ErrorKind::kReject, std::move(message), std::string(name_of(code)));
}

}  // namespace otr::referee

#endif  // OTR_REFEREE_REJECT_H_

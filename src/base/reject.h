// The numbered reasons for which a verifier refuses (SPEC REJ-1). Numbers never change; an Error
// carries the name in `code`.
#ifndef OTR_BASE_REJECT_H_
#define OTR_BASE_REJECT_H_

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

namespace otr {

enum class Reject : std::uint8_t {
  kMalformed = 1,
  kNotCanonical = 2,
  kLimitExceeded = 3,
  kSpecMismatch = 4,
  kModelInvalid = 5,
  kModelRootMismatch = 6,
  kRequestInvalid = 7,
  kTaskIdMismatch = 8,
  kPromptRootMismatch = 9,
  kRequestSignature = 10,
  kRequestHashMismatch = 11,
  kCountMismatch = 12,
  kClaimSignature = 13,
  kCountersignature = 14,
  kEvidenceMismatch = 15,
  kTextMismatch = 16,
  kFinishMismatch = 17,
  kTokenMismatch = 18,
  kOutOfRange = 19,
  kTraceRootMismatch = 20,
  kPathInvalid = 21,
  kStepMismatch = 22,
  kTokenPathMismatch = 23,
  kProofInvalid = 24,
  kSessionInvalid = 25,
  kSessionSignature = 26,
  kSessionMismatch = 27,
  kSessionExpired = 28,
  kEvidenceRefused = 29,
};

inline constexpr std::array<std::string_view, 29> kRejectNames = {
    "MALFORMED",         "NOT_CANONICAL",         "LIMIT_EXCEEDED",
    "SPEC_MISMATCH",     "MODEL_INVALID",         "MODEL_ROOT_MISMATCH",
    "REQUEST_INVALID",   "TASK_ID_MISMATCH",      "PROMPT_ROOT_MISMATCH",
    "REQUEST_SIGNATURE", "REQUEST_HASH_MISMATCH", "COUNT_MISMATCH",
    "CLAIM_SIGNATURE",   "COUNTERSIGNATURE",      "EVIDENCE_MISMATCH",
    "TEXT_MISMATCH",     "FINISH_MISMATCH",       "TOKEN_MISMATCH",
    "OUT_OF_RANGE",      "TRACE_ROOT_MISMATCH",   "PATH_INVALID",
    "STEP_MISMATCH",     "TOKEN_PATH_MISMATCH",   "PROOF_INVALID",
    "SESSION_INVALID",   "SESSION_SIGNATURE",     "SESSION_MISMATCH",
    "SESSION_EXPIRED",   "EVIDENCE_REFUSED"};

constexpr std::string_view name_of(Reject reject) {
  return kRejectNames[static_cast<std::size_t>(reject) - 1];
}

// The reject of a name, as an Error carries it; nothing for any other text.
constexpr std::optional<Reject> reject_named(std::string_view name) {
  for (std::size_t i = 0; i < kRejectNames.size(); ++i) {
    if (kRejectNames[i] == name) return static_cast<Reject>(i + 1);
  }
  return std::nullopt;
}

}  // namespace otr

#endif  // OTR_BASE_REJECT_H_

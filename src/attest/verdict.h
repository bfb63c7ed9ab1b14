// What was found out about a piece of evidence: a list of checks that a person can read (SPEC
// ATT-1, ATT-2).
//
// Three stages write into one list: *parse* (bytes to fields), *verify* (signatures, chains,
// revocation, collateral at the evaluation time) and *appraise* (measurements and policy). A check
// that was not made never counts as passed: evidence is accepted only if it was appraised and no
// check failed or is missing. Pure: time, collateral and trust anchors are arguments.
#ifndef OTR_ATTEST_VERDICT_H_
#define OTR_ATTEST_VERDICT_H_

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "attest/reject.h"
#include "base/canonical_json.h"
#include "base/result.h"

namespace otr::attest {

using Time = std::int64_t;  // seconds since 1970-01-01 UTC

// "2026-03-20T00:00:00Z".
[[nodiscard]] std::string to_text(Time time);
// That form, a date alone (midnight UTC), or decimal seconds.
[[nodiscard]] Result<Time> parse_time(std::string_view text);

enum class Kind { kTdx, kSgx, kSevSnp, kNvidiaGpu, kNvidiaSwitch, kNrasToken, kNitro, kSimulated };
[[nodiscard]] std::string_view name_of(Kind kind);  // "Intel TDX", "NVIDIA GPU", "SIMULATED TEE"

enum class Stage { kParse, kVerify, kAppraise };
enum class Outcome { kPass, kFail, kNotChecked, kNotApplicable };

struct Check {
  Stage stage = Stage::kParse;
  std::string name;  // what was checked, in a few words: "PCK certificate is not revoked"
  Outcome outcome = Outcome::kNotChecked;
  std::optional<Code> code;  // of a failure
  std::string value;         // what was found; of a failure also what was expected and what to do
};

// The failure that a verdict is called by: the first, but a debug guest before what is only missing
// or out of date, which more collateral would cure. nullptr if nothing failed.
[[nodiscard]] const Check* first_failure(std::span<const Check> checks);

struct Verdict {
  Kind kind = Kind::kSimulated;
  // Whether the signature chain ends in a vendor's hardware root. Never true of kSimulated.
  bool hardware = false;
  std::vector<Check> checks;
  Json facts = Json::object();  // for reports: everything read from the evidence, hex and text
  // What the policy calls this platform, empty where it was refused: "hardware", "hardware-weak",
  // "simulated" (policy.h).
  std::string assurance;

  [[nodiscard]] const Check* failure() const;  // first_failure
  // No check failed or was left out (kNotChecked), and at least one was an appraisal.
  [[nodiscard]] bool accepted() const;
};

// Writes checks of one stage; the spine of every verifier. Names and values may quote strangers:
// they are kept as one printable line each (encoding.h).
class Checks {
 public:
  Checks(Verdict& verdict, Stage stage) : verdict_(&verdict), stage_(stage) {}

  void pass(std::string_view name, const std::string& value = {});
  // Returns false, so that a verifier can say `return checks.fail(…)`.
  bool fail(Code code, std::string_view name, const std::string& value);
  void not_checked(std::string_view name, const std::string& why);
  void not_applicable(std::string_view name, const std::string& why);
  // Passes with `value` or fails with `code` and `value`; returns `good`.
  bool require(bool good, Code code, std::string_view name, const std::string& value);
  // Passes, or fails with the code that the error names (else `code`) and its message.
  bool require(const Status& status, Code code, std::string_view name,
               const std::string& value = {});

 private:
  Verdict* verdict_;
  Stage stage_;
};

}  // namespace otr::attest

#endif  // OTR_ATTEST_VERDICT_H_

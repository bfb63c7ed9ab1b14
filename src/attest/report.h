// An appraisal as a person reads it, and as programs do (SPEC ATT-2).
#ifndef OTR_ATTEST_REPORT_H_
#define OTR_ATTEST_REPORT_H_

#include <string>
#include <string_view>

#include "attest/bundle.h"

namespace otr::attest {

// What somebody who met this code can do, in one sentence.
[[nodiscard]] std::string_view advice(Code code);

// One line for each piece of evidence, what it means, and what it does not prove; with `explain`
// every check with its value. Only printable characters and line feeds. Every line about simulated
// evidence says SIMULATED.
[[nodiscard]] std::string to_text(const Appraisal& appraisal, const Policy& policy, Time at,
                                  bool explain);
[[nodiscard]] Json to_json(const Appraisal& appraisal, const Policy& policy, Time at);

// Facts as indented lines, "name: value", with nothing judged; for `otr attest show`.
[[nodiscard]] std::string facts_text(const Json& facts, std::string_view indent);

}  // namespace otr::attest

#endif  // OTR_ATTEST_REPORT_H_

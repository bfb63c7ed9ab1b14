// Simulated reports from outside: the parser answers every one, and whatever it reads is never
// called hardware, nor accepted by a policy that names no root.
#include <cstdlib>

#include "attest/simulated.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace otr::attest;
  const auto report = parse_simulated({data, size});
  if (!report) {
    if (code_named(report.error().code).has_value()) return 0;
    std::abort();  // a refusal without a code
  }
  Policy policy;
  policy.simulated.emplace().measurement.any = true;
  Verdict verdict;
  verify_simulated(verdict, *report, 1767225600);
  appraise_simulated(verdict, *report, policy, {});
  if (verdict.accepted() || verdict.hardware || verdict.kind != Kind::kSimulated) std::abort();
  return 0;
}

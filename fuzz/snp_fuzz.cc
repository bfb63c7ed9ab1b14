// SEV-SNP reports from outside, each with a certificate behind it: the parser answers every one,
// and what it reads is verified and appraised, but never accepted, because nobody here has AMD's
// keys.
#include <algorithm>
#include <cstdlib>

#include "attest/snp.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace otr::attest;
  const otr::ByteView input(data, size);
  const std::size_t report_bytes = std::min<std::size_t>(size, 1184);
  const auto report = parse_snp_report(input.first(report_bytes));
  if (!report) {
    if (code_named(report.error().code).has_value()) return 0;
    std::abort();  // a refusal without a code
  }
  if (report->signed_part.size() != 672) std::abort();
  SnpCollateral collateral;
  if (const auto leaf = Certificate::from_der(input.subspan(report_bytes))) {
    collateral.certificates.push_back(*leaf);
  }
  Policy policy;
  policy.snp.emplace().measurement.any = true;
  Verdict verdict;
  if (verify_snp(verdict, *report, collateral, vendor_anchors(), 1767225600)) std::abort();
  appraise_snp(verdict, *report, {.product = "Milan", .signer = "VCEK"}, policy, {});
  if (verdict.accepted() || verdict.hardware) std::abort();
  return 0;
}

// Any bytes as the report of a GPU or switch. What is accepted is wholly accounted for.
#include <cstddef>
#include <cstdint>

#include "attest/nvidia.h"
#include "base/check.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace otr::attest;
  const otr::Result<GpuReport> report = parse_gpu_report({data, size});
  if (!report) {
    OTR_CHECK(code_named(report.error().code).has_value());
    return 0;
  }
  OTR_CHECK(report->signed_part.size() + report->r_s.size() == size);
  std::size_t accounted = 45 + report->measurements.size() * 55 + 34;
  for (const auto& [type, value] : report->opaque) accounted += 4 + value.size();
  OTR_CHECK(accounted == report->signed_part.size());
  OTR_CHECK(!report->vbios_version.empty() && rim_names(*report, "GH100").size() <= 2);

  // Nobody's key, nobody's reference values: never accepted, never a crash.
  Verdict verdict;
  Checks checks(verdict, Stage::kVerify);
  OTR_CHECK(!compare_measurements(checks, *report, nullptr, nullptr));
  static_cast<void>(check_topology(checks, {&*report, 1}, {&*report, 1}));
  GpuPolicy policy;
  policy.models.any = policy.modes.any = true;
  policy.min_driver = policy.min_vbios = "0";
  appraise_gpu(verdict, *report, {.mode = report->mode(), .driver = report->driver_version}, policy,
               {});
  OTR_CHECK(!verify_gpu(verdict, *report, {}, vendor_anchors(), policy, 0).has_value());
  return 0;
}

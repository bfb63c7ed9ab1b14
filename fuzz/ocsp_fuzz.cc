// Any bytes as an OCSP response; one that can be read is judged for a vendor's root.
#include <cstddef>
#include <cstdint>

#include "attest/anchors.h"
#include "attest/ocsp.h"
#include "base/check.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace otr::attest;
  const otr::Result<OcspResponse> response = OcspResponse::from_der({data, size});
  if (!response) {
    OTR_CHECK(code_named(response.error().code).has_value());
    return 0;
  }
  const Certificate& root = vendor_anchors().nvidia_device.front();
  Verdict verdict;
  Checks checks(verdict, Stage::kVerify);
  OTR_CHECK(
      !check_ocsp(checks, "certificate", root, root, {&*response, 1}, {}, response->this_update()));
  OTR_CHECK(verdict.checks.size() == 1 && verdict.failure() != nullptr);
  return 0;
}

// Any text as a reference manifest, and as XML: the canonical form is a fixed point.
#include <cstddef>
#include <cstdint>
#include <string>

#include "attest/anchors.h"
#include "attest/rim.h"
#include "attest/xml.h"
#include "base/check.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace otr::attest;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto root = parse_xml(text);
  const otr::Result<Rim> rim = parse_rim(text);
  if (!root) {
    OTR_CHECK(root.error().code == "MALFORMED" && !rim);
    return 0;
  }
  const std::string once = canonical_xml(**root, nullptr);
  const auto again = parse_xml(once);
  // A text near the greatest size may grow beyond it in its canonical form.
  OTR_CHECK(again || once.size() > kMaxXmlBytes);
  if (again) OTR_CHECK(canonical_xml(**again, nullptr) == once);
  if (!rim) {
    OTR_CHECK(code_named(rim.error().code).has_value());
    return 0;
  }
  OTR_CHECK(rim->digest.size() == 48 && rim->signature.size() == 96 && !rim->chain.empty());
  Verdict verdict;
  Checks checks(verdict, Stage::kVerify);
  static_cast<void>(
      verify_rim(checks, "RIM", *rim, vendor_anchors().nvidia_rim, 1767225600, nullptr));
  OTR_CHECK(verdict.checks.size() >= 2);
  return 0;
}

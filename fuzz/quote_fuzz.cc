// Quotes from anybody, judged as far as they go without collateral.
#include "attest/dcap.h"
#include "base/check.h"

using namespace otr;
using namespace otr::attest;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto quote = parse_quote(ByteView(data, size));
  if (!quote) {
    OTR_CHECK(code_named(quote.error().code).has_value());
    return 0;
  }
  Policy policy;
  policy.tdx.emplace();
  policy.sgx.emplace();
  Verdict verdict;
  const Time at = 1767225600;
  const auto found = verify_quote(verdict, *quote, {}, vendor_anchors(), at);
  if (found) appraise_quote(verdict, *quote, *found, policy, {}, at);
  OTR_CHECK(!verdict.accepted());
  return 0;
}

// Nitro documents from outside: the parser answers every one; what it reads is never accepted,
// because nobody here has AWS's keys.
#include <cstdlib>

#include "attest/anchors.h"
#include "attest/nitro.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace otr::attest;
  const auto document = parse_nitro({data, size});
  if (!document) {
    if (code_named(document.error().code).has_value()) return 0;
    std::abort();  // a refusal without a code
  }
  if (document->chain.size() < 2 || document->pcrs.empty()) std::abort();
  Policy policy;
  policy.nitro.emplace();
  Verdict verdict;
  if (verify_nitro(verdict, *document, vendor_anchors().nitro, 1766678660)) std::abort();
  appraise_nitro(verdict, *document, policy, {});
  if (verdict.accepted() || verdict.hardware) std::abort();
  return 0;
}

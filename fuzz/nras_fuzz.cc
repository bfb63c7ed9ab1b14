// Any text as an answer of NRAS, and as its key set; without a genuine key nothing is accepted.
#include <cstddef>
#include <cstdint>

#include "attest/nras.h"
#include "base/check.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace otr::attest;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  // The key set follows the answer after a NUL.
  const std::size_t split = text.find('\0');
  const otr::Result<NrasToken> token = parse_nras(text.substr(0, split));
  if (!token) {
    OTR_CHECK(code_named(token.error().code).has_value());
    return 0;
  }
  OTR_CHECK(!token->devices.empty());
  Verdict verdict;
  const std::string_view keys = split == text.npos ? std::string_view() : text.substr(split + 1);
  constexpr Time kAt = 1767225600;
  verify_nras(verdict, *token, keys, {}, {}, kAt);
  NrasPolicy policy;
  policy.models.any = true;
  appraise_nras(verdict, *token, policy, {.nonce = otr::Bytes(32, 0xAA), .report_data = {}}, kAt);
  OTR_CHECK(!verdict.hardware && !verdict.checks.empty());
  return 0;
}

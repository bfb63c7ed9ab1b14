// Policies of strangers: read, or refused with a reason that names the line or the key.
#include <cstddef>
#include <cstdint>

#include "attest/policy.h"
#include "base/check.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace otr;
  const auto policy = attest::parse_policy(as_text(ByteView(data, size)));
  if (!policy) {
    OTR_CHECK(policy.error().kind == ErrorKind::kUsage);
    OTR_CHECK(policy.error().message.starts_with("policy"));
    return 0;
  }
  // What no policy can say.
  if (policy->tdx) {
    for (const std::string& status : policy->tdx->tcb.statuses) OTR_CHECK(status != "Revoked");
    for (const Bytes& value : policy->tdx->mrtd.values) OTR_CHECK(value.size() == 48);
    OTR_CHECK(policy->tdx->assurance != "simulated");
  }
  if (policy->nitro) OTR_CHECK(policy->nitro->pcrs.size() <= 32);
  return 0;
}

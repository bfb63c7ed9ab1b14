// Session documents of strangers (SPEC SESS-5, SESS-6, SESS-8): none crashes decoder, checks or
// appraisal, and what decodes has exactly one spelling.
#include <cstdint>

#include "base/check.h"
#include "machine/tables.h"
#include "protocol/attested_session.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace otr;  // a short file with one function
  const std::string_view text = as_text({data, size});
  const auto document = protocol::decode_session(text);
  if (!document) return 0;
  const auto again = protocol::encode_session(*document);
  OTR_CHECK(again && *again == text);
  static_cast<void>(protocol::check_session(*document, machine::kSpecHash));
  // The appraisal must stand on its own, whatever failed before; nothing is accepted by no policy.
  const auto verdict =
      protocol::appraise_session(*document, attest::Policy{}, attest::vendor_anchors(), 1790000000);
  OTR_CHECK(!verdict.accepted());
  return 0;
}

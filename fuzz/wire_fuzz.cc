// Submissions and messages of strangers (SPEC GATE-2, GATE-3): none crashes a decoder, and what
// decodes is written again as it was.
#include <cstdint>

#include "base/check.h"
#include "protocol/wire.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text = otr::as_text({data, size});
  if (const auto any = otr::protocol::decode_submission(text)) {
    const auto again = any->open ? otr::protocol::encode_submission(*any->open)
                                 : otr::protocol::encode_submission(*any->sealed);
    OTR_CHECK(again && *again == text);
  }
  if (const auto message = otr::protocol::decode_message(text)) {
    OTR_CHECK(otr::protocol::decode_message(otr::protocol::encode_message(*message)));
  }
  return 0;
}

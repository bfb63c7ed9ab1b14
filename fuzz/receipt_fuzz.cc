// Receipts of strangers (SPEC RCPT): none crashes the decoder or the checks, and what decodes has
// exactly one spelling.
#include <cstdint>

#include "base/check.h"
#include "protocol/toy_receipt.h"
#include "protocol/verify.h"

namespace otr::protocol {
namespace {

void check_one(std::string_view text) {
  static const ToyModel kToy = toy_model();
  const OpenedReceipt opened = open_receipt(text, kToySpecHash);
  if (!opened.receipt) return;
  const Result<std::string> again = encode_receipt(*opened.receipt);
  OTR_CHECK(again && *again == text);
  // The checks with the model must stand on their own, whatever failed before.
  static_cast<void>(check_with_model(*opened.receipt, kToy.model, kToyModelRoot));
}

}  // namespace
}  // namespace otr::protocol

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  otr::protocol::check_one(otr::as_text({data, size}));
  return 0;
}

// Answers of ledger and data servers that lie: none crashes the reader, and what is read is written
// again as the same bytes.
#include <cstdint>

#include "base/check.h"
#include "service/ledger_wire.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const otr::ByteView bytes(data + 1, size - 1);
  if (data[0] % 2 == 0) {
    const auto rows = otr::service::decode_rows(bytes, data[0] / 2);
    if (rows) OTR_CHECK(otr::service::encode_rows(*rows) == otr::as_text(bytes));
  } else {
    const auto receipts = otr::service::decode_receipts(otr::as_text(bytes));
    if (receipts) OTR_CHECK(otr::service::encode_receipts(*receipts) == otr::as_text(bytes));
  }
  return 0;
}

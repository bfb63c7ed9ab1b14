#include "service/ledger_wire.h"

#include <algorithm>

#include "ledger/parameters.h"
#include "ledger/transaction.h"
#include "protocol/receipt.h"

namespace otr::service {
namespace {

constexpr std::size_t kRowHeadBytes = 8 + 8 + 32 + 4;

std::unexpected<Error> malformed_rows(std::size_t offset, const std::string& what) {
  return fail(ErrorKind::kBadInput, "rows of a ledger, at byte " + std::to_string(offset) + ": " +
                                        what + "; the server is broken or lies");
}

Status check_receipt(std::string_view receipt, std::size_t number) {
  const bool is_line = receipt.size() > 1 && receipt.find('\n') == receipt.size() - 1;
  if (is_line && receipt.size() <= protocol::kMaxReceiptBytes) return {};
  return fail(ErrorKind::kBadInput, "receipt " + std::to_string(number) + " of the batch is " +
                                        (is_line ? "too long" : "no line"));
}

Status check_sizes(std::size_t count, std::size_t size_bytes) {
  if (count <= ledger::kMaxBatch && size_bytes <= kMaxReceiptsBytes) return {};
  return fail(ErrorKind::kBadInput,
              "the receipts are more than a batch can hold or an answer may carry");
}

}  // namespace

std::string encode_rows(std::span<const settlement::Row> rows) {
  Bytes bytes;
  for (const settlement::Row& row : rows) {
    if (bytes.size() + kRowHeadBytes + row.transaction.size() > kMaxRowsBytes) break;
    append_le(bytes, row.height);
    append_le(bytes, row.time);
    append(bytes, row.tip);
    append_le(bytes, static_cast<std::uint32_t>(row.transaction.size()));
    append(bytes, row.transaction);
  }
  return std::string(as_text(bytes));
}

Result<std::vector<settlement::Row>> decode_rows(ByteView bytes, std::uint64_t after) {
  if (bytes.size() > kMaxRowsBytes) return malformed_rows(kMaxRowsBytes, "the answer is too long");
  std::vector<settlement::Row> rows;
  for (std::size_t at = 0; at < bytes.size();) {
    if (bytes.size() - at < kRowHeadBytes) return malformed_rows(at, "a row is cut");
    const std::uint8_t* const head = bytes.data() + at;
    settlement::Row row{.height = load_le<std::uint64_t>(head),
                        .time = load_le<std::uint64_t>(head + 8)};
    std::copy_n(head + 16, row.tip.size(), row.tip.begin());
    const auto size = load_le<std::uint32_t>(head + 48);
    if (row.height != after + rows.size() + 1) {
      return malformed_rows(at, "height " + std::to_string(row.height) + " instead of " +
                                    std::to_string(after + rows.size() + 1));
    }
    if (size == 0 || size > ledger::kMaxTransactionBytes) {
      return malformed_rows(at + 48, "a transaction of " + std::to_string(size) + " bytes");
    }
    at += kRowHeadBytes;
    if (bytes.size() - at < size) return malformed_rows(at, "a transaction is cut");
    const ByteView transaction = bytes.subspan(at, size);
    row.transaction.assign(transaction.begin(), transaction.end());
    at += size;
    rows.push_back(std::move(row));
  }
  return rows;
}

Result<std::string> encode_receipts(std::span<const std::string> receipts) {
  std::size_t size_bytes = 0;
  for (std::size_t i = 0; i < receipts.size(); ++i) {
    OTR_TRY(check_receipt(receipts[i], i));
    size_bytes += receipts[i].size();
  }
  OTR_TRY(check_sizes(receipts.size(), size_bytes));
  std::string text;
  text.reserve(size_bytes);
  for (const std::string& receipt : receipts) text += receipt;
  return text;
}

Result<std::vector<std::string>> decode_receipts(std::string_view text) {
  OTR_TRY(check_sizes(static_cast<std::size_t>(std::ranges::count(text, '\n')), text.size()));
  std::vector<std::string> receipts;
  while (!text.empty()) {
    // All of it where there is no more line break: then it is no line.
    const std::string_view receipt = text.substr(0, std::min(text.find('\n'), text.size() - 1) + 1);
    OTR_TRY(check_receipt(receipt, receipts.size()));
    receipts.emplace_back(receipt);
    text.remove_prefix(receipt.size());
  }
  return receipts;
}

}  // namespace otr::service

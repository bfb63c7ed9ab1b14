// Rows and receipts as the bodies of HTTP answers (docs/ledger.md): what a ledger's follower and a
// batch's auditor read from servers they do not trust.
//
// Rows are, one after the other and nothing else: u64 height, u64 time, 32 bytes of tip, u32 size
// (at least 1) and bytes of the transaction. Receipts are lines, as each is one (SPEC RCPT-1).
#ifndef OTR_SERVICE_LEDGER_WIRE_H_
#define OTR_SERVICE_LEDGER_WIRE_H_

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "settlement/store.h"

namespace otr::service {

// What one answer may hold. Receipts of a batch that are more together cannot be served: to whoever
// asks they are as good as withheld.
inline constexpr std::size_t kMaxRowsBytes = std::size_t{12} << 20;
inline constexpr std::size_t kMaxReceiptsBytes = std::size_t{256} << 20;
inline constexpr std::size_t kMaxGenesisBytes = std::size_t{1} << 20;

// As many of the rows, from the first on, as an answer may hold.
[[nodiscard]] std::string encode_rows(std::span<const settlement::Row> rows);
// Any bytes are allowed. kBadInput with the offset for what encode_rows never makes, and for
// heights other than after + 1, after + 2 and so on.
[[nodiscard]] Result<std::vector<settlement::Row>> decode_rows(ByteView bytes, std::uint64_t after);

// kBadInput where they are too many or too long for an answer, or no lines.
[[nodiscard]] Result<std::string> encode_receipts(std::span<const std::string> receipts);
[[nodiscard]] Result<std::vector<std::string>> decode_receipts(std::string_view text);

}  // namespace otr::service

#endif  // OTR_SERVICE_LEDGER_WIRE_H_

// Numbers too wide for JSON, written as decimal strings without leading zeros (SPEC RCPT-1).
#ifndef OTR_PROTOCOL_DECIMAL_H_
#define OTR_PROTOCOL_DECIMAL_H_

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/bytes.h"

namespace otr::protocol {

using Uint256 = Hash;  // big-endian, as a word of EIP-712

[[nodiscard]] Uint256 uint256(std::uint64_t value);

// Nothing for any other spelling and for numbers that do not fit.
[[nodiscard]] std::optional<Uint256> parse_uint256(std::string_view text);
[[nodiscard]] std::optional<std::uint64_t> parse_uint64(std::string_view text);

[[nodiscard]] std::string to_decimal(const Uint256& value);

}  // namespace otr::protocol

#endif  // OTR_PROTOCOL_DECIMAL_H_

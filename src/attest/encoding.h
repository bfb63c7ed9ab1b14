// Bytes as text, the ways vendors write them: hexadecimal without a prefix, base64 and base64url
// (RFC 4648). Each accepts one spelling per value alone, but for the case of hexadecimal digits.
#ifndef OTR_ATTEST_ENCODING_H_
#define OTR_ATTEST_ENCODING_H_

#include <optional>
#include <string>
#include <string_view>

#include "base/bytes.h"

namespace otr::attest {

// Lower-case digits, no prefix.
[[nodiscard]] std::string to_plain_hex(ByteView bytes);
// An even number of digits of either case, nothing else.
[[nodiscard]] std::optional<Bytes> from_plain_hex(std::string_view text);

// With padding (section 4). None for white space, wrong padding, foreign characters and unused bits
// that are not zero.
[[nodiscard]] std::string to_base64(ByteView bytes);
[[nodiscard]] std::optional<Bytes> from_base64(std::string_view text);

// Without padding, as in JWTs (section 5; RFC 7515).
[[nodiscard]] std::string to_base64url(ByteView bytes);
[[nodiscard]] std::optional<Bytes> from_base64url(std::string_view text);

// The text without blanks, tabs and ends of lines: for base64 that is folded into lines.
[[nodiscard]] std::string without_space(std::string_view text);

// Words of strangers (names of files, keys of documents, subjects of certificates) as part of one
// line of a report: UTF-8 without control characters, ends of lines of any kind and marks that turn
// the direction of writing. '?' stands for each byte of anything else.
[[nodiscard]] std::string one_line(std::string_view text);

}  // namespace otr::attest

#endif  // OTR_ATTEST_ENCODING_H_

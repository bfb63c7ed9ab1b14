// Lower-case hexadecimal with the prefix 0x, as every hash and key is written (SPEC ENC).
#ifndef OTR_BASE_HEX_H_
#define OTR_BASE_HEX_H_

#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/result.h"

namespace otr {

std::string to_hex(ByteView bytes);

// Accepts exactly "0x" and 2·size_bytes lower-case digits. The error names `what`.
Result<Bytes> from_hex(std::string_view text, std::size_t size_bytes, std::string_view what);
Result<Hash> hash_from_hex(std::string_view text, std::string_view what);

}  // namespace otr

#endif  // OTR_BASE_HEX_H_

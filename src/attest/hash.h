// The SHA functions of vendors' formats, beside crypto/sha256.h, over OpenSSL.
#ifndef OTR_ATTEST_HASH_H_
#define OTR_ATTEST_HASH_H_

#include "base/bytes.h"

namespace otr::attest {

[[nodiscard]] Bytes sha384(ByteView message);  // 48 bytes
[[nodiscard]] Bytes sha512(ByteView message);  // 64 bytes
// 20 bytes; only to find which certificate an OCSP answer is about, never as a commitment.
[[nodiscard]] Bytes sha1(ByteView message);

}  // namespace otr::attest

#endif  // OTR_ATTEST_HASH_H_

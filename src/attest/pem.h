// PEM (RFC 7468), strictly: what evidence carries certificates and revocation lists in.
#ifndef OTR_ATTEST_PEM_H_
#define OTR_ATTEST_PEM_H_

#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"

namespace otr::attest {

// The contents of all blocks "-----BEGIN <label>-----" in order, at most 16. Around the blocks
// there may be white space, and NULs after the last one; anything else, another label or no block
// at all is kBadInput, MALFORMED, with the offset.
[[nodiscard]] Result<std::vector<Bytes>> read_pem(std::string_view text, std::string_view label);

}  // namespace otr::attest

#endif  // OTR_ATTEST_PEM_H_

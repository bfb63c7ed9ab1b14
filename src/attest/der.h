// A strict reader of DER (X.690) for the contents of vendors' extensions: definite minimal lengths,
// bounded by the bytes given, no recursion.
#ifndef OTR_ATTEST_DER_H_
#define OTR_ATTEST_DER_H_

#include <cstdint>
#include <optional>
#include <string>

#include "base/bytes.h"
#include "base/result.h"

namespace otr::attest {

struct DerItem {
  std::uint8_t tag = 0;  // the identifier octet; tag numbers above 30 are refused
  ByteView content;
  ByteView whole;  // identifier, length and content
};

class DerReader {
 public:
  explicit DerReader(ByteView bytes) : rest_(bytes) {}

  [[nodiscard]] bool empty() const { return rest_.empty(); }
  [[nodiscard]] Result<DerItem> next();                  // kBadInput at the end or if malformed
  [[nodiscard]] Result<DerItem> next(std::uint8_t tag);  // kBadInput also for another tag

 private:
  ByteView rest_;
};

inline constexpr std::uint8_t kDerInteger = 0x02, kDerBitString = 0x03, kDerOctetString = 0x04,
                              kDerOid = 0x06, kDerUtf8 = 0x0c, kDerEnumerated = 0x0a,
                              kDerSequence = 0x30, kDerSet = 0x31;

[[nodiscard]] Result<std::string> der_oid(ByteView content);  // dotted decimal
// A non-negative INTEGER or ENUMERATED of at most 8 bytes, minimally encoded.
[[nodiscard]] Result<std::uint64_t> der_unsigned(ByteView content);

}  // namespace otr::attest

#endif  // OTR_ATTEST_DER_H_

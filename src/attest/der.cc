#include "attest/der.h"

#include <limits>
#include <string>

namespace otr::attest {
namespace {

std::unexpected<Error> malformed(std::string message) {
  return fail(ErrorKind::kBadInput, "DER: " + std::move(message), "MALFORMED");
}

}  // namespace

Result<DerItem> DerReader::next() {
  if (rest_.size() < 2) {
    return malformed(rest_.empty() ? "an element is missing at the end" : "a length is missing");
  }
  const std::uint8_t tag = rest_[0];
  if ((tag & 0x1f) == 0x1f) return malformed("a tag number above 30");
  std::size_t header = 2, length = rest_[1];
  if (length >= 0x80) {
    const std::size_t count = length & 0x7f;
    if (count == 0) return malformed("an indefinite length");
    if (count > 4 || rest_.size() < 2 + count) return malformed("a length of more bytes than held");
    length = 0;
    for (std::size_t i = 0; i < count; ++i) length = length << 8 | rest_[2 + i];
    header += count;
    if (length < 0x80 || (length >> (8 * (count - 1))) == 0) {
      return malformed("a length that is not in its shortest form");
    }
  }
  if (length > rest_.size() - header) {
    return malformed("an element of " + std::to_string(length) + " bytes where " +
                     std::to_string(rest_.size() - header) + " are left");
  }
  const DerItem item = {.tag = tag,
                        .content = rest_.subspan(header, length),
                        .whole = rest_.subspan(0, header + length)};
  rest_ = rest_.subspan(header + length);
  return item;
}

Result<DerItem> DerReader::next(std::uint8_t tag) {
  OTR_TRY_ASSIGN(const DerItem item, next());
  if (item.tag != tag) {
    return malformed("tag " + std::to_string(item.tag) + " where " + std::to_string(tag) +
                     " is expected");
  }
  return item;
}

Result<std::string> der_oid(ByteView content) {
  if (content.empty() || content.size() > 64) return malformed("an object identifier's length");
  std::string text;
  std::uint64_t arc = 0;
  bool first = true, at_start = true;
  for (const std::uint8_t byte : content) {
    if (at_start && byte == 0x80) return malformed("an object identifier with a padded number");
    if (arc > std::numeric_limits<std::uint64_t>::max() >> 7) {
      return malformed("an object identifier with a number of more than 64 bits");
    }
    arc = arc << 7 | (byte & 0x7f);
    at_start = (byte & 0x80) == 0;
    if (!at_start) continue;
    if (first) {
      const std::uint64_t root = arc < 40 ? 0 : arc < 80 ? 1 : 2;
      text = std::to_string(root) + "." + std::to_string(arc - 40 * root);
      first = false;
    } else {
      text += "." + std::to_string(arc);
    }
    arc = 0;
  }
  if (!at_start) return malformed("an object identifier that is cut off");
  return text;
}

Result<std::uint64_t> der_unsigned(ByteView content) {
  if (content.empty()) return malformed("an integer without bytes");
  if ((content[0] & 0x80) != 0) return malformed("a negative integer");
  if (content.size() > 1 && content[0] == 0 && (content[1] & 0x80) == 0) {
    return malformed("an integer that is not in its shortest form");
  }
  if (content.size() > 9 || (content.size() == 9 && content[0] != 0)) {
    return malformed("an integer of more than 64 bits");
  }
  std::uint64_t value = 0;
  for (const std::uint8_t byte : content) value = value << 8 | byte;
  return value;
}

}  // namespace otr::attest

// Reads the members of a JSON object into fields of fixed types, for documents whose members are
// all required and no others allowed (SPEC RCPT-1).
//
// Errors do not stop the reading: the first one is kept and every field after it is a default, so a
// decoder is a list of fields and one look at the status. Codes: MALFORMED.
#ifndef OTR_PROTOCOL_FIELDS_H_
#define OTR_PROTOCOL_FIELDS_H_

#include <algorithm>
#include <array>
#include <concepts>
#include <cstdint>
#include <initializer_list>
#include <limits>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/canonical_json.h"
#include "protocol/decimal.h"

namespace otr::protocol {

class Fields {
 public:
  // `path` names the object in errors. `status` must outlive this and keeps the first error.
  Fields(const Json& object, std::string path, std::initializer_list<std::string_view> names,
         Status& status);

  [[nodiscard]] const Json& member(std::string_view name) const;
  [[nodiscard]] Fields object(std::string_view name,
                              std::initializer_list<std::string_view> names) const;
  [[nodiscard]] std::string text(std::string_view name) const;
  [[nodiscard]] std::vector<std::string> texts(std::string_view name) const;
  [[nodiscard]] std::vector<Hash> hashes(std::string_view name, std::size_t most) const;
  [[nodiscard]] std::vector<std::uint32_t> ids(std::string_view name) const;
  // An array of arrays of two integers.
  [[nodiscard]] std::vector<std::pair<std::uint32_t, std::int32_t>> pairs(
      std::string_view name) const;
  // 0x and hexadecimal digits of exactly N bytes.
  template <std::size_t N>
  [[nodiscard]] std::array<std::uint8_t, N> bytes(std::string_view name) const {
    std::array<std::uint8_t, N> array{};
    std::ranges::copy(hex(member(name), N, where(name)), array.begin());
    return array;
  }
  // A JSON integer that fits T.
  template <std::integral T>
  [[nodiscard]] T number(std::string_view name) const {
    return static_cast<T>(integer(member(name), std::numeric_limits<T>::min(),
                                  std::numeric_limits<T>::max(), where(name)));
  }
  // Decimal strings.
  [[nodiscard]] std::uint64_t decimal64(std::string_view name) const;
  [[nodiscard]] Uint256 decimal256(std::string_view name) const;

 private:
  void check_members(std::initializer_list<std::string_view> names) const;
  [[nodiscard]] std::string where(std::string_view name) const;
  void refuse(std::string message) const;
  // Both give a default and keep an error where the value is not of the kind.
  [[nodiscard]] Bytes hex(const Json& value, std::size_t size_bytes, const std::string& at) const;
  [[nodiscard]] std::int64_t integer(const Json& value, std::int64_t least, std::int64_t greatest,
                                     const std::string& at) const;
  // The elements of an array; of anything else, none.
  [[nodiscard]] const Json& array(std::string_view name) const;

  const Json* object_;
  std::string path_;
  Status* status_;
};

// The canonical spelling of hashes and of lists of them.
[[nodiscard]] Json hex_list(const std::vector<Hash>& hashes);

}  // namespace otr::protocol

#endif  // OTR_PROTOCOL_FIELDS_H_

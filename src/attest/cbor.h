// A strict reader of CBOR (RFC 8949), pulled item by item by whoever knows what must come: no
// recursion, and no memory but for what is taken out.
//
// Numbers and lengths must be in their shortest form; byte and text strings must be of definite
// length. Arrays and maps may be of indefinite length, because AWS writes such maps. Floats, simple
// values other than null, and tags other than the one asked for are refused.
#ifndef OTR_ATTEST_CBOR_H_
#define OTR_ATTEST_CBOR_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/result.h"

namespace otr::attest {

// All errors are kBadInput, MALFORMED, with what was read (`what`) and the offset.
class CborReader {
 public:
  // `name` says in errors whose bytes these are: "Nitro payload".
  CborReader(ByteView bytes, std::string_view name) : bytes_(bytes), name_(name) {}

  // An array or map that was begun: how many entries are left, or that a break ends it.
  struct Entries {
    std::optional<std::uint64_t> left;
  };
  [[nodiscard]] Result<Entries> array(std::string_view what);
  [[nodiscard]] Result<Entries> map(std::string_view what);  // an entry is a key and a value
  // Whether another entry follows; of an indefinite length, reads the break where it stands.
  [[nodiscard]] Result<bool> more(Entries& entries, std::string_view what);

  [[nodiscard]] Result<std::uint64_t> number(std::string_view what);  // not negative
  [[nodiscard]] Result<ByteView> bytes(std::string_view what, std::size_t max_bytes);
  [[nodiscard]] Result<std::string> text(std::string_view what, std::size_t max_bytes);  // ASCII
  [[nodiscard]] bool take_null();                   // reads it if it stands here
  [[nodiscard]] bool take_tag(std::uint8_t small);  // a tag below 24
  [[nodiscard]] Status end();                       // nothing may follow

  [[nodiscard]] std::unexpected<Error> malformed(std::string_view what, std::string_view why) const;
  [[nodiscard]] std::size_t offset() const { return at_; }

 private:
  struct Head {
    std::uint64_t value = 0;
    bool indefinite = false;
  };
  [[nodiscard]] Result<Head> head(unsigned major, std::string_view what);
  [[nodiscard]] Result<Entries> entries(unsigned major, std::string_view what);

  ByteView bytes_;
  std::string_view name_;
  std::size_t at_ = 0;
};

}  // namespace otr::attest

#endif  // OTR_ATTEST_CBOR_H_

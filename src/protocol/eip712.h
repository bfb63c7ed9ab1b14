// Typed words that people and contracts can check before they sign (EIP-712; SPEC REQ-1).
//
// A struct is hashed as keccak256(typeHash || its members, each one word of 32 bytes). The domain
// has name, version and the ledger's id as salt; where there is no ledger yet the id is zero.
#ifndef OTR_PROTOCOL_EIP712_H_
#define OTR_PROTOCOL_EIP712_H_

#include <concepts>
#include <span>
#include <string>
#include <string_view>

#include "base/bytes.h"

namespace otr::protocol {

// Collects the members of one struct in the order of its type.
class StructHasher {
 public:
  // `type` is the encodeType of EIP-712, the types it uses appended.
  explicit StructHasher(std::string_view type);

  StructHasher& word(const Hash& value);  // bytes32, or a nested struct's hash
  StructHasher& address(std::span<const std::uint8_t, 20> value);
  StructHasher& number(std::unsigned_integral auto value);     // uint8 to uint64
  StructHasher& number(std::int32_t value);                    // int32, sign-extended
  StructHasher& strings(std::span<const std::string> values);  // string[]
  StructHasher& structs(std::span<const Hash> hashes);         // an array of structs, each hashed
  [[nodiscard]] Hash finish() const;

 private:
  void unsigned_word(std::uint64_t value);

  Bytes words_;
};

StructHasher& StructHasher::number(std::unsigned_integral auto value) {
  unsigned_word(value);
  return *this;
}

[[nodiscard]] Hash domain_separator(const Hash& ledger);

// What is signed: keccak256(0x1901 || domain separator || struct hash).
[[nodiscard]] Hash signing_digest(const Hash& ledger, const Hash& struct_hash);

}  // namespace otr::protocol

#endif  // OTR_PROTOCOL_EIP712_H_

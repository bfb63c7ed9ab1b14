#include "protocol/eip712.h"

#include <algorithm>

#include "crypto/keccak256.h"

namespace otr::protocol {

using crypto::keccak256;

StructHasher::StructHasher(std::string_view type) { word(keccak256(as_bytes(type))); }

StructHasher& StructHasher::word(const Hash& value) {
  append(words_, value);
  return *this;
}

StructHasher& StructHasher::address(std::span<const std::uint8_t, 20> value) {
  Hash word{};
  std::ranges::copy(value, word.begin() + 12);
  return this->word(word);
}

void StructHasher::unsigned_word(std::uint64_t value) {
  Hash word{};
  for (std::size_t i = 0; i < 8; ++i) word[31 - i] = static_cast<std::uint8_t>(value >> 8 * i);
  append(words_, word);
}

StructHasher& StructHasher::number(std::int32_t value) {
  Hash word;
  word.fill(value < 0 ? 0xFF : 0x00);
  const auto bits = static_cast<std::uint32_t>(value);
  for (std::size_t i = 0; i < 4; ++i) word[31 - i] = static_cast<std::uint8_t>(bits >> 8 * i);
  return this->word(word);
}

StructHasher& StructHasher::strings(std::span<const std::string> values) {
  Bytes hashes;
  for (const std::string& value : values) append(hashes, keccak256(as_bytes(value)));
  return word(keccak256(hashes));
}

StructHasher& StructHasher::structs(std::span<const Hash> hashes) {
  Bytes words;
  for (const Hash& hash : hashes) append(words, hash);
  return word(keccak256(words));
}

Hash StructHasher::finish() const { return keccak256(words_); }

Hash domain_separator(const Hash& ledger) {
  return StructHasher("EIP712Domain(string name,string version,bytes32 salt)")
      .word(keccak256(as_bytes("OTR")))
      .word(keccak256(as_bytes("1")))
      .word(ledger)
      .finish();
}

Hash signing_digest(const Hash& ledger, const Hash& struct_hash) {
  Bytes message = {0x19, 0x01};
  append(message, domain_separator(ledger));
  append(message, struct_hash);
  return keccak256(message);
}

}  // namespace otr::protocol

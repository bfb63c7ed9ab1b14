// Keccak-256 as Ethereum uses it: the sponge of SHA3-256 with the original padding byte 0x01
// instead of FIPS 202's 0x06. Used only where Ethereum demands it: addresses and signed messages.
#ifndef OTR_CRYPTO_KECCAK256_H_
#define OTR_CRYPTO_KECCAK256_H_

#include "base/bytes.h"

namespace otr::crypto {

[[nodiscard]] Hash keccak256(ByteView data);

// The sponge with rate 136 and a 32-byte output. `first_padding` is 0x01 for Keccak-256 and 0x06
// for SHA3-256, which lets a test compare the whole sponge with an independent SHA3-256.
[[nodiscard]] Hash keccak_sponge_256(ByteView data, std::uint8_t first_padding);

}  // namespace otr::crypto

#endif  // OTR_CRYPTO_KECCAK256_H_

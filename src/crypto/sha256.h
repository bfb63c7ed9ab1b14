// SHA-256 (FIPS 180-4), the hash of every tree, leaf and claim (SPEC ENC-2).
//
// Made for many short messages: leaves of 512 bytes to 2 KiB and nodes of 72 bytes. None of these
// functions allocates or fails. Domain separation is the caller's business.
#ifndef OTR_CRYPTO_SHA256_H_
#define OTR_CRYPTO_SHA256_H_

#include <openssl/sha.h>

#include <initializer_list>

#include "base/bytes.h"

namespace otr::crypto {

[[nodiscard]] Hash sha256(ByteView data);

// The hash of the parts joined in order, without joining them in memory. The parts carry no
// lengths: where they are of variable size, the caller hashes their lengths too.
[[nodiscard]] Hash sha256(std::initializer_list<ByteView> parts);

// For data that arrives in pieces. The object may be copied to fork a common prefix.
class Sha256 {
 public:
  Sha256();
  void update(ByteView data);
  // The hash of everything given so far; the object then starts again from nothing.
  [[nodiscard]] Hash finish();

 private:
  SHA256_CTX context_;
};

}  // namespace otr::crypto

#endif  // OTR_CRYPTO_SHA256_H_

// OpenSSL calls its low-level SHA-256 functions deprecated since 3.0 and points to EVP. EVP fetches
// and allocates a context per message, which costs more than the hash of a 72-byte node. The
// low-level functions use the same SHA-NI code and neither allocate nor fail, so the warning is
// silenced in this one file.
#include "crypto/sha256.h"

#pragma clang diagnostic ignored "-Wdeprecated-declarations"

namespace otr::crypto {

Sha256::Sha256() { SHA256_Init(&context_); }

void Sha256::update(ByteView data) { SHA256_Update(&context_, data.data(), data.size()); }

Hash Sha256::finish() {
  Hash hash;
  SHA256_Final(hash.data(), &context_);
  SHA256_Init(&context_);
  return hash;
}

Hash sha256(ByteView data) { return sha256({data}); }

Hash sha256(std::initializer_list<ByteView> parts) {
  SHA256_CTX context;
  SHA256_Init(&context);
  for (const ByteView part : parts) SHA256_Update(&context, part.data(), part.size());
  Hash hash;
  SHA256_Final(hash.data(), &context);
  return hash;
}

}  // namespace otr::crypto

#include "attest/hash.h"

#include <openssl/evp.h>

#include "base/check.h"

namespace otr::attest {
namespace {

Bytes digest(const EVP_MD* function, ByteView message) {
  Bytes out(EVP_MAX_MD_SIZE);
  unsigned size = 0;
  OTR_CHECK(EVP_Digest(message.data(), message.size(), out.data(), &size, function, nullptr) == 1);
  out.resize(size);
  return out;
}

}  // namespace

Bytes sha384(ByteView message) { return digest(EVP_sha384(), message); }
Bytes sha512(ByteView message) { return digest(EVP_sha512(), message); }
Bytes sha1(ByteView message) { return digest(EVP_sha1(), message); }

}  // namespace otr::attest

#include "crypto/hkdf.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "base/check.h"

namespace otr::crypto {
namespace {

Secret<32> hmac(ByteView key, ByteView message) {
  Secret<32> mac;
  OTR_CHECK(HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()), message.data(),
                 message.size(), mac.writable().data(), nullptr) != nullptr);
  return mac;
}

}  // namespace

Secret<32> hkdf_extract(ByteView salt, ByteView input) { return hmac(salt, input); }

void hkdf_expand(ByteView secret, ByteView info, std::span<std::uint8_t> to) {
  OTR_CHECK(to.size() <= kMaxHkdfBytes);
  Secret<32> block;
  std::size_t done = 0;
  for (std::uint8_t number = 1; done < to.size(); ++number) {
    const ByteView before = block.bytes().first(number == 1 ? 0 : 32);
    const SecretBuffer input({before, info, ByteView(&number, 1)});
    block = hmac(secret, input.bytes());
    const std::size_t count = std::min<std::size_t>(32, to.size() - done);
    std::copy_n(block.bytes().begin(), count, to.begin() + static_cast<std::ptrdiff_t>(done));
    done += count;
  }
}

}  // namespace otr::crypto

#include "crypto/x25519.h"

#include <openssl/evp.h>

#include <memory>

#include "base/check.h"

namespace otr::crypto {
namespace {

struct FreeKey {
  void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
};
struct FreeContext {
  void operator()(EVP_PKEY_CTX* context) const { EVP_PKEY_CTX_free(context); }
};
using Key = std::unique_ptr<EVP_PKEY, FreeKey>;

Key private_key(ByteView scalar) {
  Key key(EVP_PKEY_new_raw_private_key(EVP_PKEY_X25519, nullptr, scalar.data(), scalar.size()));
  OTR_CHECK(key != nullptr);
  return key;
}

}  // namespace

Result<X25519Key> X25519Key::from_bytes(ByteView bytes) {
  if (bytes.size() != 32) {
    return fail(ErrorKind::kBadInput,
                "X25519 key: expected 32 bytes, got " + std::to_string(bytes.size()) + ".");
  }
  return X25519Key(bytes);
}

X25519Public X25519Key::public_key() const {
  X25519Public made;
  std::size_t size = made.size();
  OTR_CHECK(EVP_PKEY_get_raw_public_key(private_key(scalar_.bytes()).get(), made.data(), &size) ==
            1);
  return made;
}

Result<Secret<32>> X25519Key::shared_secret(const X25519Public& peer) const {
  const Key own = private_key(scalar_.bytes());
  const Key other(EVP_PKEY_new_raw_public_key(EVP_PKEY_X25519, nullptr, peer.data(), peer.size()));
  const std::unique_ptr<EVP_PKEY_CTX, FreeContext> context(EVP_PKEY_CTX_new(own.get(), nullptr));
  OTR_CHECK(other != nullptr && context != nullptr);
  OTR_CHECK(EVP_PKEY_derive_init(context.get()) == 1);
  OTR_CHECK(EVP_PKEY_derive_set_peer(context.get(), other.get()) == 1);
  Secret<32> secret;
  std::size_t size = secret.bytes().size();
  const bool derived = EVP_PKEY_derive(context.get(), secret.writable().data(), &size) == 1;
  // RFC 7748, section 6.1; the library refuses it too, which no test of ours could tell.
  std::uint8_t any = 0;
  for (const std::uint8_t byte : secret.bytes()) any |= byte;
  if (!derived || size != 32 || any == 0) {
    return fail(ErrorKind::kReject, "X25519: the peer's public key is of small order.");
  }
  return secret;
}

}  // namespace otr::crypto

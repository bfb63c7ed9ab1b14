#include "crypto/aead.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>

#include <memory>

#include "base/check.h"

namespace otr::crypto {
namespace {

struct FreeContext {
  void operator()(EVP_CIPHER_CTX* context) const { EVP_CIPHER_CTX_free(context); }
};
using Context = std::unique_ptr<EVP_CIPHER_CTX, FreeContext>;

// Ready for the text itself, with key, nonce and associated data taken.
Context begin(bool sealing, AeadKey key, const AeadNonce& nonce, ByteView associated) {
  Context context(EVP_CIPHER_CTX_new());
  OTR_CHECK(context != nullptr);
  OTR_CHECK(EVP_CipherInit_ex(context.get(), EVP_chacha20_poly1305(), nullptr, key.data(),
                              nonce.data(), sealing ? 1 : 0) == 1);
  int size = 0;
  OTR_CHECK(EVP_CipherUpdate(context.get(), nullptr, &size, associated.data(),
                             static_cast<int>(associated.size())) == 1);
  return context;
}

void update(const Context& context, ByteView from, std::uint8_t* to) {
  int size = 0;
  if (from.empty()) return;  // which the library would take for the end
  OTR_CHECK(
      EVP_CipherUpdate(context.get(), to, &size, from.data(), static_cast<int>(from.size())) == 1);
  OTR_CHECK(static_cast<std::size_t>(size) == from.size());
}

}  // namespace

AeadNonce numbered_nonce(const AeadNonce& base, std::uint64_t number) {
  AeadNonce nonce = base;
  for (std::size_t i = 0; i < 8; ++i) {
    nonce[11 - i] ^= static_cast<std::uint8_t>(number >> (8 * i));
  }
  return nonce;
}

Result<Bytes> aead_seal(AeadKey key, const AeadNonce& nonce, ByteView associated,
                        ByteView plaintext) {
  if (plaintext.size() > kMaxAeadBytes || associated.size() > kMaxAeadBytes) {
    return fail(ErrorKind::kUsage, "at most 2^30 bytes can be sealed at once: send less.");
  }
  const Context context = begin(true, key, nonce, associated);
  Bytes sealed(plaintext.size() + kAeadTagBytes);
  update(context, plaintext, sealed.data());
  int size = 0;
  std::uint8_t* const tag = sealed.data() + plaintext.size();
  OTR_CHECK(EVP_CipherFinal_ex(context.get(), tag, &size) == 1 && size == 0);
  OTR_CHECK(EVP_CIPHER_CTX_ctrl(context.get(), EVP_CTRL_AEAD_GET_TAG, kAeadTagBytes, tag) == 1);
  return sealed;
}

Result<Bytes> aead_open(AeadKey key, const AeadNonce& nonce, ByteView associated, ByteView sealed) {
  const auto refuse = [](const char* why) { return fail(ErrorKind::kReject, why); };
  if (sealed.size() < kAeadTagBytes) return refuse("sealed message: shorter than its tag.");
  if (sealed.size() > kMaxAeadBytes + kAeadTagBytes || associated.size() > kMaxAeadBytes) {
    return refuse("sealed message: longer than 2^30 bytes.");
  }
  const Context context = begin(false, key, nonce, associated);
  Bytes plaintext(sealed.size() - kAeadTagBytes);
  update(context, sealed.first(plaintext.size()), plaintext.data());
  Bytes tag(sealed.end() - kAeadTagBytes, sealed.end());
  OTR_CHECK(EVP_CIPHER_CTX_ctrl(context.get(), EVP_CTRL_AEAD_SET_TAG, kAeadTagBytes, tag.data()) ==
            1);
  int size = 0;
  std::uint8_t none = 0;
  if (EVP_CipherFinal_ex(context.get(), &none, &size) != 1) {
    OPENSSL_cleanse(plaintext.data(), plaintext.size());  // nobody vouches for it
    return refuse("sealed message: altered on the way, or sealed with another key.");
  }
  return plaintext;
}

}  // namespace otr::crypto

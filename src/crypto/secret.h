// Bytes that nobody else may see: wiped when destroyed or moved from, never copied.
#ifndef OTR_CRYPTO_SECRET_H_
#define OTR_CRYPTO_SECRET_H_

#include <openssl/crypto.h>

#include <algorithm>
#include <utility>

#include "base/bytes.h"
#include "base/check.h"

namespace otr::crypto {

// kSize bytes, zero at first. A moved-from secret is zero.
template <std::size_t kSize>
class Secret {
 public:
  Secret() = default;
  // Requires kSize bytes; the caller wipes its own copy.
  explicit Secret(ByteView bytes) {
    OTR_CHECK(bytes.size() == kSize);
    std::copy(bytes.begin(), bytes.end(), bytes_.begin());
  }
  Secret(Secret&& other) noexcept { *this = std::move(other); }
  Secret& operator=(Secret&& other) noexcept {
    if (this != &other) {
      bytes_ = other.bytes_;
      other.wipe();
    }
    return *this;
  }
  Secret(const Secret&) = delete;
  Secret& operator=(const Secret&) = delete;
  ~Secret() { wipe(); }

  [[nodiscard]] ByteView bytes() const { return bytes_; }
  [[nodiscard]] std::span<std::uint8_t, kSize> writable() { return bytes_; }

 private:
  void wipe() { OPENSSL_cleanse(bytes_.data(), bytes_.size()); }

  std::array<std::uint8_t, kSize> bytes_{};
};

// A buffer of a length known only at run time, for secrets on their way into a function.
class SecretBuffer {
 public:
  SecretBuffer() = default;
  explicit SecretBuffer(std::size_t size_bytes) : bytes_(size_bytes) {}
  // Reserves first, so that no copy stays behind where the bytes were.
  explicit SecretBuffer(std::initializer_list<ByteView> parts) {
    std::size_t size_bytes = 0;
    for (const ByteView part : parts) size_bytes += part.size();
    bytes_.reserve(size_bytes);
    for (const ByteView part : parts) append(bytes_, part);
  }
  SecretBuffer(SecretBuffer&& other) noexcept : bytes_(std::exchange(other.bytes_, {})) {}
  SecretBuffer& operator=(SecretBuffer&& other) noexcept {
    std::swap(bytes_, other.bytes_);
    return *this;
  }
  SecretBuffer(const SecretBuffer&) = delete;
  SecretBuffer& operator=(const SecretBuffer&) = delete;
  ~SecretBuffer() { OPENSSL_cleanse(bytes_.data(), bytes_.size()); }

  [[nodiscard]] ByteView bytes() const { return bytes_; }
  [[nodiscard]] std::span<std::uint8_t> writable() { return bytes_; }

 private:
  Bytes bytes_;
};

}  // namespace otr::crypto

#endif  // OTR_CRYPTO_SECRET_H_

#include "attest/verified_cache.h"

#include <array>

#include "crypto/sha256.h"

namespace otr::attest {

Hash VerifiedCache::key_of(std::string_view what, std::span<const ByteView> parts) {
  Bytes text;
  append_le(text, static_cast<std::uint64_t>(what.size()));
  append(text, as_bytes(what));
  for (const ByteView part : parts) {
    append_le(text, static_cast<std::uint64_t>(part.size()));
    append(text, part);
  }
  return crypto::sha256(text);
}

void VerifiedCache::remember(const Hash& key) {
  if (known_.size() >= max_entries_) known_.clear();
  known_.insert(key);
}

bool is_issued(const Certificate& certificate, const Certificate& issuer, VerifiedCache* cache) {
  if (cache == nullptr) return certificate.is_issued_by(issuer);
  const std::array<ByteView, 2> parts = {certificate.der(), issuer.der()};
  const Hash key = VerifiedCache::key_of("issued", parts);
  if (cache->knows(key)) return true;
  if (!certificate.is_issued_by(issuer)) return false;
  cache->remember(key);
  return true;
}

}  // namespace otr::attest

// What has been found correctly signed before, so that evidence of the same device under the same
// collateral costs one signature check instead of twenty (SPEC ATT-7).
//
// It remembers hashes of exact bytes, of which a signature check depends on nothing else: signed
// bytes, signature, and the key or the trust anchors they were checked under. Times, revocation and
// policies are judged anew each time. Bounded; not synchronised: one for each thread, or a lock
// around it. A verifier works the same without one (nullptr).
#ifndef OTR_ATTEST_VERIFIED_CACHE_H_
#define OTR_ATTEST_VERIFIED_CACHE_H_

#include <cstddef>
#include <set>
#include <span>
#include <string_view>

#include "attest/certificate.h"
#include "attest/verdict.h"
#include "base/bytes.h"

namespace otr::attest {

class VerifiedCache {
 public:
  // When it is full it forgets everything: an attacker who fills it wins only time spent.
  explicit VerifiedCache(std::size_t max_entries = 4096) : max_entries_(max_entries) {}

  // The hash of `parts`, each with its length, under a name for what they are.
  [[nodiscard]] static Hash key_of(std::string_view what, std::span<const ByteView> parts);
  [[nodiscard]] bool knows(const Hash& key) const { return known_.contains(key); }
  void remember(const Hash& key);
  [[nodiscard]] std::size_t size() const { return known_.size(); }

 private:
  std::size_t max_entries_;
  std::set<Hash> known_;
};

// Whether `issuer` issued `certificate`: Certificate::is_issued_by, remembered.
[[nodiscard]] bool is_issued(const Certificate& certificate, const Certificate& issuer,
                             VerifiedCache* cache);

}  // namespace otr::attest

#endif  // OTR_ATTEST_VERIFIED_CACHE_H_

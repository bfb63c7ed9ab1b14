// The vendors' root certificates, embedded (src/attest/anchors: sources and hashes in its README).
#ifndef OTR_ATTEST_ANCHORS_H_
#define OTR_ATTEST_ANCHORS_H_

#include <map>
#include <string>
#include <vector>

#include "attest/certificate.h"

namespace otr::attest {

// Roots that a verifier trusts, by what they sign. Tests pass their own.
struct Anchors {
  std::vector<Certificate> intel;  // SGX Root CA: quotes and collateral
  // The TCB signing certificates of their time: not trusted, but at hand where collateral came
  // without the chain that Intel sends in a header.
  std::vector<Certificate> intel_intermediates;
  std::map<std::string, Certificate> amd;  // ARK by product: "Milan", "Genoa", "Turin"
  // ASK and ASVK that AMD publishes with each ARK: not trusted, but at hand where evidence has
  // none.
  std::vector<Certificate> amd_intermediates;
  std::vector<Certificate> nvidia_device, nvidia_rim;
  // Of the attestation service: the authority that issues its daily keys. Its own issuer is not in
  // any key set, so this one is where a chain of trust can end (anchors/README.md).
  std::vector<Certificate> nvidia_nras;
  std::vector<Certificate> nitro;
};

[[nodiscard]] const Anchors& vendor_anchors();

}  // namespace otr::attest

#endif  // OTR_ATTEST_ANCHORS_H_

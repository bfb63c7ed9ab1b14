// Tokens of NVIDIA's Remote Attestation Service: detached EAT, ES384 (SPEC ATT-10). A second
// opinion by a third party, never a replacement of the report itself.
#ifndef OTR_ATTEST_NRAS_H_
#define OTR_ATTEST_NRAS_H_

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "attest/certificate.h"
#include "attest/policy.h"
#include "attest/verdict.h"

namespace otr::attest {

struct NrasToken {
  struct Jwt {
    std::string text;  // header.payload.signature
    Json header, claims;
    Bytes signature;
  };
  Jwt overall;
  std::vector<std::pair<std::string, Jwt>> devices;  // "GPU-0"

  // As they are stated; empty where they are not.
  [[nodiscard]] Bytes nonce() const;
  [[nodiscard]] std::vector<std::string> ueids() const;  // one for each device, decimal
};
// The array ["JWT", overall], {name: device} of the service, also as the member "detached_eat" of
// what its command line prints. kBadInput, code MALFORMED. Nothing is verified.
[[nodiscard]] Result<NrasToken> parse_nras(std::string_view json);

// `jwks` is the key set as it was served with the token; empty where it is not at hand. The key of
// every token must have a certificate chain (x5c) that ends in one of `anchors` or holds an
// authority whose SHA-256 is among `roots`, which a policy names (kTokenKeyUnknown). A verdict on a
// token never says hardware = true.
void verify_nras(Verdict& verdict, const NrasToken& token, std::string_view jwks,
                 std::span<const Certificate> anchors, std::span<const Hash> roots, Time at);
void appraise_nras(Verdict& verdict, const NrasToken& token, const NrasPolicy& policy,
                   const Expected& expected, Time at);

}  // namespace otr::attest

#endif  // OTR_ATTEST_NRAS_H_

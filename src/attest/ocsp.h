// Stored OCSP answers (RFC 6960), checked offline (SPEC ATT-8).
#ifndef OTR_ATTEST_OCSP_H_
#define OTR_ATTEST_OCSP_H_

#include <memory>
#include <span>
#include <string>

#include "attest/certificate.h"
#include "attest/verdict.h"
#include "attest/verified_cache.h"

namespace otr::attest {

struct OcspRules;

class OcspResponse {
 public:
  // DER of an OCSPResponse. kBadInput, code MALFORMED or UNSUPPORTED.
  [[nodiscard]] static Result<OcspResponse> from_der(ByteView der);

  // Whether one of its answers is about this certificate, by CertID (SHA-1, SHA-256, SHA-384,
  // SHA-512).
  [[nodiscard]] bool is_about(const Certificate& certificate, const Certificate& issuer) const;
  [[nodiscard]] Time this_update() const;  // of the first answer

  struct Data;  // ocsp.cc

 private:
  friend bool check_ocsp(Checks&, std::string_view, const Certificate&, const Certificate&,
                         std::span<const OcspResponse>, const OcspRules&, Time, VerifiedCache*);
  std::shared_ptr<const Data> data_;
};

// How old an answer may be.
struct OcspRules {
  std::int64_t max_age_hours = 24;
  // Whether the age alone decides, where an answer's own window is over: for evidence that was
  // collected at several times. The responder's certificate is then judged at the answer's time.
  bool past_next_update = false;
};

// That one of `responses` is about `certificate`, signed by its issuer or a responder that the
// issuer delegated (id-kp-OCSPSigning, itself in time), says good, lies in its window at `at` and
// is at most `max_age_hours` old. Of several the newest that is not from after `at` decides, but a
// revocation for good stays one. Revoked, also with certificateHold: kRevoked. None, or too old:
// kRevocationUnknown. One with a bad signature: kCollateralInvalid, whatever the others say. The
// answer's nonce is not looked at: responders cache (SPEC ATT-8).
bool check_ocsp(Checks& checks, std::string_view name, const Certificate& certificate,
                const Certificate& issuer, std::span<const OcspResponse> responses,
                const OcspRules& rules, Time at, VerifiedCache* cache = nullptr);

}  // namespace otr::attest

#endif  // OTR_ATTEST_OCSP_H_

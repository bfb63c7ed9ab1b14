// Stored OCSP answers (RFC 6960), checked offline (SPEC ATT-8).
#ifndef OTR_ATTEST_OCSP_H_
#define OTR_ATTEST_OCSP_H_

#include <memory>
#include <span>
#include <string>

#include "attest/certificate.h"
#include "attest/verdict.h"

namespace otr::attest {

class OcspResponse {
 public:
  // DER of an OCSPResponse. kBadInput, code MALFORMED.
  [[nodiscard]] static Result<OcspResponse> from_der(ByteView der);

  // Whether one of its answers is about this certificate, by CertID (SHA-1, SHA-256, SHA-384).
  [[nodiscard]] bool is_about(const Certificate& certificate, const Certificate& issuer) const;
  [[nodiscard]] Time this_update() const;  // of the first answer

 private:
  friend bool check_ocsp(Checks&, std::string_view, const Certificate&, const Certificate&,
                         std::span<const OcspResponse>, std::int64_t, Time);
  struct Data;
  std::shared_ptr<const Data> data_;
};

// That one of `responses` is about `certificate`, signed by its issuer or a responder that the
// issuer delegated (id-kp-OCSPSigning, itself in time), says good, lies in its window at `at` and
// is at most `max_age_hours` old. Revoked, also with certificateHold: kRevoked. None, or too old:
// kRevocationUnknown. A bad signature: kCollateralInvalid.
bool check_ocsp(Checks& checks, std::string_view name, const Certificate& certificate,
                const Certificate& issuer, std::span<const OcspResponse> responses,
                std::int64_t max_age_hours, Time at);

}  // namespace otr::attest

#endif  // OTR_ATTEST_OCSP_H_

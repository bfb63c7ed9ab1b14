// Intel quotes: TDX (version 4 and 5) and SGX (version 3), with their collateral (SPEC ATT-5).
//
// Sources: Intel SGX DCAP ECDSA Quote Library API and Intel TDX DCAP Quoting Library API (quote
// layouts), Intel Provisioning Certification Service API v4 (TCB info v3, QE identity v2). Intel's
// JSON is signed over its exact bytes: it is cut out of the document, never written again.
#ifndef OTR_ATTEST_DCAP_H_
#define OTR_ATTEST_DCAP_H_

#include <optional>
#include <string>
#include <vector>

#include "attest/anchors.h"
#include "attest/certificate.h"
#include "attest/policy.h"
#include "attest/quote.h"
#include "attest/verdict.h"

namespace otr::attest {

// All of it as it was served; each item may be missing, which the verifier then says.
struct DcapCollateral {
  // {"tcbInfo":{…},"signature":"…"} and {"enclaveIdentity":{…},"signature":"…"}.
  std::string tcb_info, qe_identity;
  std::vector<Certificate> tcb_signing_chain;  // also of the QE identity where it has none
  std::vector<Certificate> qe_identity_chain;
  std::vector<Certificate> pck_crl_chain;  // issuer of the PCK list and the root
  std::optional<RevocationList> pck_crl, root_crl;
};

// Stage verify of a parsed quote: chains, lists, identities, signatures, TCB status. Facts and
// status are then in the quote's verdict and in `found`.
struct DcapFound {
  std::string tcb_status;  // "UpToDate", "OutOfDate", …: platform, QE and TDX module converged
  Time tcb_date = 0;
  std::vector<std::string> advisories;
  std::uint32_t evaluation_number = 0;  // the lower of TCB info and QE identity
  Bytes ppid, fmspc, platform_instance;
  // Issue date of the oldest item, and the moment at which the first one expires.
  Time oldest_issue = 0, expires = 0;
};
std::optional<DcapFound> verify_quote(Verdict& verdict, const Quote& quote,
                                      const DcapCollateral& collateral, const Anchors& anchors,
                                      Time at);

// Stage appraise, of what verify_quote found.
void appraise_quote(Verdict& verdict, const Quote& quote, const DcapFound& found,
                    const Policy& policy, const Expected& expected, Time at);

}  // namespace otr::attest

#endif  // OTR_ATTEST_DCAP_H_

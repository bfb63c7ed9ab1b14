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

// Stage verify of a parsed quote: signatures, chains, lists, identities, TCB status. Every check is
// made that can be, so that a verdict says all that is wrong and not the first thing alone. Facts
// of quote and collateral are then in the verdict. `hardware` is set where the PCK chain ends in
// one of `anchors` (a caller who passes roots of its own must not take it for a vendor's word).
struct DcapFound {
  // "UpToDate", "OutOfDate", …: platform, QE and TDX module converged. Empty where collateral that
  // would tell is missing or not genuine, of which a failed check says more.
  std::string tcb_status;
  Time tcb_date = 0;  // of the platform's level
  // Of an outdated level: the date of the next newer one, since when there was a better state.
  std::optional<Time> superseded;
  std::vector<std::string> advisories;  // of platform, QE and TDX module, sorted
  std::uint32_t evaluation_number = 0;  // the lower of TCB info and QE identity; 0 without them
  Bytes ppid, fmspc, platform_instance;
  // Issue date of the oldest item (but for the root's list, which lives for a year), and the moment
  // at which the first one expires; 0 where there is none.
  Time oldest_issue = 0, expires = 0;
};
// Nothing where the quote itself is not genuine: then there is nothing to appraise.
std::optional<DcapFound> verify_quote(Verdict& verdict, const Quote& quote,
                                      const DcapCollateral& collateral, const Anchors& anchors,
                                      Time at);

// Everything a quote says, decoded: for reports.
[[nodiscard]] Json quote_facts(const Quote& quote);

// Stage appraise, of what verify_quote found.
void appraise_quote(Verdict& verdict, const Quote& quote, const DcapFound& found,
                    const Policy& policy, const Expected& expected, Time at);

}  // namespace otr::attest

#endif  // OTR_ATTEST_DCAP_H_

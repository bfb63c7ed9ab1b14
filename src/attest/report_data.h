// Whether 64 bytes of report data, as a CPU's report carries them, are what a relying party expects
// (SPEC ATT-9).
#ifndef OTR_ATTEST_REPORT_DATA_H_
#define OTR_ATTEST_REPORT_DATA_H_

#include "attest/policy.h"
#include "attest/verdict.h"

namespace otr::attest {

// Exact bytes where they are expected (kBindingMismatch), else the nonce alone: 32 bytes in either
// half, or all 64 (kNonceMismatch). Where nothing is expected the check is not applicable, and says
// that nothing then tells when and for whom the report was made.
void check_report_data(Checks& checks, ByteView report_data, const Expected& expected);

}  // namespace otr::attest

#endif  // OTR_ATTEST_REPORT_DATA_H_

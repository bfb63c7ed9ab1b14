#include "attest/report_data.h"

#include <algorithm>

#include "attest/encoding.h"

namespace otr::attest {

void check_report_data(Checks& checks, ByteView report_data, const Expected& expected) {
  if (expected.report_data) {
    // Report data told in full may hold a hash over the nonce, which only its maker can check.
    const bool equal = std::ranges::equal(report_data, *expected.report_data);
    checks.require(equal, Code::kBindingMismatch, "report data is what was expected",
                   equal ? to_plain_hex(report_data)
                         : "found " + to_plain_hex(report_data) + ", expected " +
                               to_plain_hex(*expected.report_data));
  } else if (expected.nonce) {
    const Bytes& nonce = *expected.nonce;
    const std::size_t half = report_data.size() / 2;
    const bool found = std::ranges::equal(report_data, nonce) ||
                       std::ranges::equal(report_data.first(half), nonce) ||
                       std::ranges::equal(report_data.subspan(half), nonce);
    checks.require(found, Code::kNonceMismatch, "nonce is in the report data",
                   found ? to_plain_hex(nonce)
                         : "neither half of " + to_plain_hex(report_data) + " is the nonce " +
                               to_plain_hex(nonce));
  } else {
    checks.not_applicable("report data is what was expected",
                          "the caller named neither a nonce nor report data: nothing tells when "
                          "and for whom this was made");
  }
}

}  // namespace otr::attest

// The bytes of Intel quotes: parsing alone (SPEC ATT-5; layouts and sources in dcap.h).
#ifndef OTR_ATTEST_QUOTE_H_
#define OTR_ATTEST_QUOTE_H_

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "attest/certificate.h"
#include "attest/verdict.h"
#include "base/bytes.h"
#include "base/result.h"

namespace otr::attest {

struct TdReport {
  std::array<std::uint8_t, 16> tee_tcb_svn{}, tee_tcb_svn2{};  // the second in TDX 1.5 bodies alone
  std::array<std::uint8_t, 48> mrseam{}, mrsignerseam{}, mrtd{}, mrconfigid{}, mrowner{},
      mrownerconfig{}, mrservicetd{};
  std::array<std::array<std::uint8_t, 48>, 4> rtmr{};
  std::uint64_t seam_attributes = 0, td_attributes = 0, xfam = 0;
  std::array<std::uint8_t, 64> report_data{};
  bool is_15 = false;
};

struct SgxReport {
  std::array<std::uint8_t, 16> cpu_svn{}, attributes{};
  std::uint32_t misc_select = 0;
  std::array<std::uint8_t, 32> mrenclave{}, mrsigner{};
  std::uint16_t isv_prod_id = 0, isv_svn = 0;
  std::array<std::uint8_t, 64> report_data{};
};

struct Quote {
  Kind kind = Kind::kTdx;  // kTdx or kSgx
  std::uint16_t version = 0;
  TdReport td;        // of kTdx
  SgxReport enclave;  // of kSgx
  std::array<std::uint8_t, 16> qe_vendor_id{};
  std::array<std::uint8_t, 20> user_data{};  // of the header: a platform's name for itself
  Bytes signed_part;                         // header and body, as signed
  std::array<std::uint8_t, 64> signature{}, attestation_key{}, qe_report_signature{};
  Bytes qe_report;  // 384 bytes, as signed
  SgxReport qe;     // the same, parsed
  Bytes qe_auth_data;
  std::vector<Certificate> pck_chain;  // leaf first
  // Bytes after the quote, which nothing signs: zeros are what drivers pad with, and are ignored;
  // for others verify_quote refuses, after it has said what else it found.
  std::size_t trailing_bytes = 0;
  bool trailing_zeros = true;
};

// kBadInput, with field and offset; code names attest::Code: MALFORMED or UNSUPPORTED. Quotes are
// malleable (in their certificates and after their end): never take a hash of one for an identity.
[[nodiscard]] Result<Quote> parse_quote(ByteView bytes);

}  // namespace otr::attest

#endif  // OTR_ATTEST_QUOTE_H_

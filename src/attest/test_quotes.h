// Intel's side of attestation for tests: a root, a platform with its PCK certificate, a TCB signer,
// quotes of every version and all the collateral, each part open to be spoiled. Linked into test
// programs alone, as test_certificates.h is.
#ifndef OTR_ATTEST_TEST_QUOTES_H_
#define OTR_ATTEST_TEST_QUOTES_H_

#include <string>
#include <string_view>
#include <vector>

#include "attest/dcap.h"
#include "attest/test_certificates.h"

namespace otr::attest::test {

struct QuoteSpec {
  std::uint16_t version = 4;
  Kind kind = Kind::kTdx;
  std::uint16_t body_type = 3;  // of version 5: 1 SGX, 2 TDX 1.0, 3 TDX 1.5
  TdReport td;
  SgxReport enclave, qe;
  Bytes auth_data = Bytes(32, 0x5a);
  bool der_chain = false;  // the PCK chain as DER, root first
  Bytes trailing;
};

// What the platform's PCK certificate says.
struct PlatformSpec {
  Bytes ppid = Bytes(16, 0xc1), fmspc = {0x90, 0xc0, 0x6f, 0, 0, 0}, pce_id = {0, 0};
  std::array<std::uint32_t, 16> components = {5, 5, 2, 2, 4, 1, 0, 5};
  std::uint32_t pce_svn = 13;
  Bytes platform_instance = Bytes(16, 0xd2);
  Bytes serial = {0x77, 1};
  Time not_before = kTestStart, not_after = kTestEnd;
};
[[nodiscard]] Bytes sgx_extension(const PlatformSpec& spec);

struct Intel {
  Authority root, platform_ca, pck, signer;
  SigningKey attestation_key;

  // With made-up keys; the same names as the vendor's.
  [[nodiscard]] static Intel make(const PlatformSpec& platform = {});

  // A spec that the documents below call UpToDate.
  [[nodiscard]] static QuoteSpec good(std::uint16_t version, Kind kind,
                                      std::uint16_t body_type = 3);
  // Signed all the way.
  [[nodiscard]] Bytes quote(const QuoteSpec& spec) const;

  // Documents as one may edit them before they are signed.
  [[nodiscard]] static Json tcb_info(Kind kind);
  [[nodiscard]] static Json qe_identity(Kind kind);
  // {"tcbInfo": …, "signature": …} over the exact text.
  [[nodiscard]] std::string signed_tcb_info(std::string_view text) const;
  [[nodiscard]] std::string signed_qe_identity(std::string_view text) const;

  [[nodiscard]] DcapCollateral collateral(Kind kind) const;
  [[nodiscard]] Anchors anchors() const;
};

// A platform level of TCB info, all of whose SGX components are as PlatformSpec{} or lower.
[[nodiscard]] Json platform_level(std::string_view status, std::uint32_t first_component,
                                  std::uint32_t tdx_microcode, std::string_view date,
                                  const std::vector<std::string>& advisories = {});
[[nodiscard]] Json isv_level(std::string_view status, std::uint32_t isv_svn, std::string_view date,
                             const std::vector<std::string>& advisories = {});

// A policy that allows what Intel::good measures, and demands UpToDate and evaluation number 18.
[[nodiscard]] Policy good_policy();

}  // namespace otr::attest::test

#endif  // OTR_ATTEST_TEST_QUOTES_H_

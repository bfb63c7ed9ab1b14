// Intel's TCB info and QE identity, and the rules by which they judge a platform (Intel
// Provisioning Certification Service API v4; Intel SGX and TDX DCAP appraisal).
#ifndef OTR_ATTEST_DCAP_TCB_H_
#define OTR_ATTEST_DCAP_TCB_H_

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "attest/dcap_pck.h"
#include "attest/verdict.h"

namespace otr::attest {

enum class TcbStatus {
  kUpToDate,
  kSwHardeningNeeded,
  kConfigurationNeeded,
  kConfigurationAndSwHardeningNeeded,
  kOutOfDate,
  kOutOfDateConfigurationNeeded,
  kRevoked,
  // Never in Intel's documents, but worked out by relaunched():
  kTdRelaunchAdvised,
  kTdRelaunchAdvisedConfigurationNeeded,
};
[[nodiscard]] std::string_view name_of(TcbStatus status);  // "UpToDate", as Intel spells it

struct TcbLevel {
  std::array<std::uint32_t, 16> sgx{}, tdx{};  // of a platform
  std::uint32_t pce_svn = 0;                   // of a platform
  std::uint32_t isv_svn = 0;                   // of an enclave or a TDX module
  TcbStatus status = TcbStatus::kRevoked;
  Time date = 0;
  std::vector<std::string> advisories;
};

struct TdxModule {
  std::string id;  // "TDX_03"
  Bytes mrsigner, attributes, mask;
  std::vector<TcbLevel> levels;  // newest first
};

// A document as it was signed, and what both kinds have.
struct SignedDocument {
  std::string_view signed_text;  // exact bytes; a view into what was parsed
  Bytes r_s;
  std::string id;  // "SGX" or "TDX"; "QE" or "TD_QE"
  std::uint32_t version = 0, evaluation_number = 0;
  Time issued = 0, next_update = 0;
};

struct TcbInfo : SignedDocument {
  Bytes fmspc, pce_id;
  std::optional<TdxModule> module;  // of platforms whose module has no version
  std::vector<TdxModule> modules;
  std::vector<TcbLevel> levels;  // newest first
};

struct QeIdentity : SignedDocument {
  Bytes misc_select, misc_mask, attributes, attributes_mask, mrsigner;
  std::uint32_t isv_prod_id = 0;
  std::vector<TcbLevel> levels;
};

// The text as the service sends it: {"tcbInfo": {…}, "signature": "…"}, {"enclaveIdentity": {…},
// …}. kBadInput, code COLLATERAL_INVALID; nothing is verified.
[[nodiscard]] Result<TcbInfo> parse_tcb_info(std::string_view text);
[[nodiscard]] Result<QeIdentity> parse_qe_identity(std::string_view text);

// The first level that the platform reaches: all of its SGX components and, for TDX, those of
// `tee_tcb_svn` (from the third on where the module has a version). Nothing if it reaches none.
[[nodiscard]] const TcbLevel* platform_level(const TcbInfo& info, const PckInfo& pck,
                                             const std::array<std::uint8_t, 16>* tee_tcb_svn);
// The first level of an enclave or module whose security version is at most `isv_svn`.
[[nodiscard]] const TcbLevel* isv_level(std::span<const TcbLevel> levels, std::uint32_t isv_svn);
// The entry for the module version `tee_tcb_svn[1]`, above 0.
[[nodiscard]] const TdxModule* find_module(const TcbInfo& info, std::uint8_t version);

// The platform's status with that of a part (QE or TDX module).
[[nodiscard]] TcbStatus converge(TcbStatus platform, TcbStatus part);

// Whether the guest was started under an old TDX module on a platform that has since been brought
// up to date (tee_tcb_svn2 of TDX 1.5): then relaunching it is all there is to do. `status` is
// converged of platform and module, `sgx` the status of the first level that the SGX components
// reach.
[[nodiscard]] TcbStatus relaunched(TcbStatus status, TcbStatus sgx, TcbStatus module,
                                   const TcbInfo& info,
                                   const std::array<std::uint8_t, 16>& tee_tcb_svn2);

}  // namespace otr::attest

#endif  // OTR_ATTEST_DCAP_TCB_H_

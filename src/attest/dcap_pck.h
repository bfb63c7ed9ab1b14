// What Intel writes into a PCK certificate about its platform (extension 1.2.840.113741.1.13.1;
// Intel SGX PCK Certificate and CRL Profile Specification).
#ifndef OTR_ATTEST_DCAP_PCK_H_
#define OTR_ATTEST_DCAP_PCK_H_

#include <array>
#include <cstdint>
#include <optional>
#include <string>

#include "attest/certificate.h"

namespace otr::attest {

struct PckInfo {
  Bytes ppid;                                  // 16 bytes
  std::array<std::uint32_t, 16> components{};  // security versions
  std::uint32_t pce_svn = 0;
  Bytes pce_id, fmspc;         // 2 and 6 bytes
  std::uint64_t sgx_type = 0;  // 0 standard, 1 scalable, 2 scalable with integrity
  Bytes platform_instance;     // 16 bytes, or none on platforms of one package
  std::optional<bool> dynamic_platform, cached_keys, smt;
};

// kBadInput, MALFORMED if the extension is absent or breaks its format.
[[nodiscard]] Result<PckInfo> read_pck(const Certificate& certificate);

}  // namespace otr::attest

#endif  // OTR_ATTEST_DCAP_PCK_H_

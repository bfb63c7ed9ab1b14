// Attestation reports of NVIDIA GPUs (Hopper, Blackwell) and NVLink switches (LS10) with their
// reference values and revocation answers (SPEC ATT-7).
//
// Sources: DMTF SPDM 1.1 (DSP0274), NVIDIA attestation SDK documentation, ISO/IEC 19770-2 and W3C
// XML Signature (RIM files; rim.h), RFC 6960 (OCSP; ocsp.h).
#ifndef OTR_ATTEST_NVIDIA_H_
#define OTR_ATTEST_NVIDIA_H_

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "attest/anchors.h"
#include "attest/certificate.h"
#include "attest/ocsp.h"
#include "attest/policy.h"
#include "attest/rim.h"
#include "attest/verdict.h"

namespace otr::attest {

struct GpuReport {
  std::array<std::uint8_t, 32> nonce{};
  std::map<unsigned, Bytes> measurements;  // block index, from 1, to 48 bytes
  // Opaque fields by type, in order; unknown types are kept.
  std::vector<std::pair<std::uint16_t, Bytes>> opaque;
  std::string driver_version, vbios_version;  // the first empty for switches
  Bytes signed_part;                          // request and response but the signature
  std::array<std::uint8_t, 96> r_s{};
  bool is_switch = false;
};

// kBadInput, with field and offset; code MALFORMED or UNSUPPORTED.
[[nodiscard]] Result<GpuReport> parse_gpu_report(ByteView bytes);

struct GpuCollateral {
  std::vector<Certificate> chain;  // leaf first
  std::vector<Rim> rims;           // any number: those that fit are found by id and version
  std::vector<OcspResponse> ocsp;  // any number: found by certificate
};

struct GpuFound {
  std::string model;  // common name's chip: "GH100", "GB100", "LS10"
  Bytes ueid;         // serial number of the leaf
  std::string mode;   // "single", "multi-passthrough", "protected-pcie"
  std::string driver, vbios;
  bool rims_match = false;  // all measurements compared, nothing left over
  bool fwid_matches = false;
  bool ocsp_good = false;
};
// `policy` decides here only what is demanded of revocation and reference values: what it does not
// demand and was not given is "not applicable", never passed.
std::optional<GpuFound> verify_gpu(Verdict& verdict, const GpuReport& report,
                                   const GpuCollateral& collateral, const Anchors& anchors,
                                   const GpuPolicy& policy, Time at);

void appraise_gpu(Verdict& verdict, const GpuReport& report, const GpuFound& found,
                  const GpuPolicy& policy, const Expected& expected);

}  // namespace otr::attest

#endif  // OTR_ATTEST_NVIDIA_H_

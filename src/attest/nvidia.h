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
  // Types of opaque fields that are read here.
  static constexpr std::uint16_t kDriverVersion = 3, kVbiosVersion = 6, kNvdec0Status = 11,
                                 kChipSku = 15, kProject = 17, kProjectSku = 18, kFwid = 20,
                                 kProtectedPcie = 21, kSwitchPdi = 22, kGpuPdis = 26,
                                 kChipInfo = 35, kFeatureFlag = 36;

  std::array<std::uint8_t, 32> nonce{}, responder_nonce{};
  std::map<unsigned, Bytes> measurements;        // block index, from 1, to 48 bytes
  std::map<unsigned, std::uint8_t> value_types;  // block index to DMTF type of the value
  // Opaque fields by type, in order; unknown types are kept.
  std::vector<std::pair<std::uint16_t, Bytes>> opaque;
  std::string driver_version, vbios_version;  // the first empty for switches
  Bytes signed_part;                          // request and response but the signature
  std::array<std::uint8_t, 96> r_s{};
  bool is_switch = false;  // it names no driver

  [[nodiscard]] const Bytes* field(std::uint16_t type) const;  // nullptr if absent
  [[nodiscard]] std::string text(std::uint16_t type) const;    // printable ASCII, else empty
  // "single", "multi-passthrough", "protected-pcie"; "contradictory" where two fields disagree or
  // hold values that are not known. Empty for switches.
  [[nodiscard]] std::string mode() const;
};

// kBadInput, with field and offset; code MALFORMED or UNSUPPORTED.
[[nodiscard]] Result<GpuReport> parse_gpu_report(ByteView bytes);

struct GpuCollateral {
  std::vector<Certificate> chain;  // leaf first
  std::vector<Rim> rims;           // any number: those that fit are found by id and version
  std::vector<OcspResponse> ocsp;  // any number: found by certificate
};

struct GpuFound {
  std::string model;  // chip of the device certificate: "GH100", "GB100", "LS10"
  Bytes ueid;         // serial number of the leaf
  std::string mode;   // "single", "multi-passthrough", "protected-pcie"; empty for switches
  std::string driver, vbios;
  bool rims_match = false;    // all measurements compared, nothing left over
  bool fwid_matches = false;  // of the report and of the leaf
  std::string ueid_decimal;   // the same number as `ueid`, as NRAS writes it
  // Certificates for which an OCSP answer was looked at, and those that need one and got none.
  std::size_t ocsp_answered = 0;
  std::vector<std::string> ocsp_missing;
};
// `policy` decides here only what is demanded of revocation and reference values: what it does not
// demand and was not given is "not applicable", never passed. What was given and is bad fails in
// any case. Nothing where the report is not shown to be a device's: then no appraisal can follow.
std::optional<GpuFound> verify_gpu(Verdict& verdict, const GpuReport& report,
                                   const GpuCollateral& collateral, const Anchors& anchors,
                                   const GpuPolicy& policy, Time at,
                                   VerifiedCache* cache = nullptr);

// How the reference values that a report needs are called at NVIDIA's RIM service, driver first
// (none for switches): "NV_GPU_DRIVER_GH100_550.90.07". `model` as in GpuFound.
[[nodiscard]] std::vector<std::string> rim_names(const GpuReport& report, std::string_view model);

// Compares all measurements with both manifests. One check; true if every active reference value
// was met and every other measurement is zero. Where one manifest is missing (nullptr) only a
// difference from the other is written, and it is false.
bool compare_measurements(Checks& checks, const GpuReport& report, const Rim* driver,
                          const Rim* vbios);

// Protected PCIe: every GPU names exactly the given switches as its peers, and every switch sees as
// many GPUs as are given, all the same ones (kDeviceRefused). Reports must have been verified.
bool check_topology(Checks& checks, std::span<const GpuReport> gpus,
                    std::span<const GpuReport> switches);

void appraise_gpu(Verdict& verdict, const GpuReport& report, const GpuFound& found,
                  const GpuPolicy& policy, const Expected& expected);

}  // namespace otr::attest

#endif  // OTR_ATTEST_NVIDIA_H_

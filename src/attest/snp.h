// AMD SEV-SNP attestation reports of Milan, Genoa and Turin, signed by a VCEK or a VLEK (SPEC
// ATT-6).
//
// Sources: AMD SEV Secure Nested Paging Firmware ABI Specification (56860), Versioned Chip
// Endorsement Key Certificate and KDS Interface Specification (57230). Numbers are little-endian,
// the signature's r and s too.
#ifndef OTR_ATTEST_SNP_H_
#define OTR_ATTEST_SNP_H_

#include <array>
#include <optional>
#include <string>
#include <vector>

#include "attest/anchors.h"
#include "attest/certificate.h"
#include "attest/policy.h"
#include "attest/verdict.h"

namespace otr::attest {

struct SnpReport {
  std::uint32_t version = 0, guest_svn = 0, vmpl = 0, signature_algorithm = 0, key_flags = 0;
  std::uint64_t policy = 0, platform_info = 0, current_tcb = 0, reported_tcb = 0, committed_tcb = 0,
                launch_tcb = 0;
  std::array<std::uint8_t, 16> family_id{}, image_id{};
  std::array<std::uint8_t, 64> report_data{}, chip_id{};
  std::array<std::uint8_t, 48> measurement{}, id_key_digest{}, author_key_digest{};
  std::array<std::uint8_t, 32> host_data{}, report_id{}, report_id_ma{};
  std::optional<std::uint8_t> cpu_family, cpu_model, cpu_stepping;       // since version 3
  std::array<std::uint8_t, 3> current_firmware{}, committed_firmware{};  // major, minor, build
  std::optional<std::uint64_t> launch_mitigations, current_mitigations;  // since version 5
  Bytes signed_part;                                                     // the first 672 bytes
  std::array<std::uint8_t, 96> r_s{};                                    // big-endian
};

// Versions 2 to 5, exactly 1184 bytes, every reserved byte of its version zero. kBadInput, with
// field and offset; code MALFORMED or UNSUPPORTED.
[[nodiscard]] Result<SnpReport> parse_snp_report(ByteView bytes);

// Every field as text and numbers, for Verdict::facts and for reports.
[[nodiscard]] Json snp_facts(const SnpReport& report);

struct SnpCollateral {
  // VCEK or VLEK, and where given ASK or ASVK and ARK, in any order: the chain is found by issuer.
  std::vector<Certificate> certificates;
  std::optional<RevocationList> crl;  // of the ARK
};

struct SnpFound {
  std::string product;  // "Milan", "Genoa", "Turin"
  std::string signer;   // "VCEK", "VLEK"
  SnpTcb current, reported, committed, launch;
  Bytes chip;  // CHIP_ID, or the VCEK's HWID where the report masks it; zeros under most VLEKs
  bool crl_checked = false;
};
// The key that signed, the chain to the ARK of the product, and that the certificate is of this
// chip and firmware. Product and firmware come from the report and the certificate, never from the
// caller. Nothing where a check failed.
std::optional<SnpFound> verify_snp(Verdict& verdict, const SnpReport& report,
                                   const SnpCollateral& collateral, const Anchors& anchors,
                                   Time at);

void appraise_snp(Verdict& verdict, const SnpReport& report, const SnpFound& found,
                  const Policy& policy, const Expected& expected);

}  // namespace otr::attest

#endif  // OTR_ATTEST_SNP_H_

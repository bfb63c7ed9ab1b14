// Evidence about the virtual machine we run in, from the Linux kernel (attest/dcap.h and
// attest/snp.h say what comes out).
//
// configfs-tsm, of Linux 6.7 and later, serves TDX and SEV-SNP alike: a folder is made, report data
// is written to it, the report is read. Older kernels have a device for each: /dev/sev-guest gives
// reports; /dev/tdx_guest gives only a TDREPORT, which nobody outside the machine can check, so it
// is asked for nothing but to tell that this is a TDX guest.
#ifndef OTR_NODE_COLLECT_CPU_H_
#define OTR_NODE_COLLECT_CPU_H_

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "node/collect_system.h"
#include "node/evidence.h"

namespace otr::node {

inline constexpr std::string_view kTsmFolder = "/sys/kernel/config/tsm/report";
inline constexpr std::string_view kSevDevice = "/dev/sev-guest", kTdxDevice = "/dev/tdx_guest";

// What configfs-tsm says that it serves: "tdx_guest", "sev_guest" or another word. Nothing where
// there is no such folder, or no provider behind it.
[[nodiscard]] Result<std::optional<std::string>> tsm_provider(SystemCalls& system);

// `kind` is "tdx" or "sev-snp". A report is asked for again, at most eight times, while the kernel
// is busy or another writer came between.
[[nodiscard]] std::unique_ptr<EvidenceSource> tsm_source(SystemCalls& system,
                                                         std::string_view kind);

// Whether the device is there; kIo where it is and may not be opened.
[[nodiscard]] Result<bool> has_sev_device(SystemCalls& system);
[[nodiscard]] std::unique_ptr<EvidenceSource> sev_device_source(SystemCalls& system);

// Whether /dev/tdx_guest is there and its TDX module answers.
[[nodiscard]] Result<bool> is_tdx_guest(SystemCalls& system);

// The certificates of a table of GUID, offset and length, as hosts hand it to SNP guests (GHCB
// specification, SNP extended guest request). Entries that are no certificates are left out; an
// entry beyond the end is kBadInput.
[[nodiscard]] Result<std::vector<Bytes>> certificates_of_table(ByteView table);

// kBadInput unless `report` is a report of this kind over exactly this report data.
[[nodiscard]] Status check_is_report(std::string_view kind, ByteView report,
                                     const ReportData& report_data);

}  // namespace otr::node

#endif  // OTR_NODE_COLLECT_CPU_H_

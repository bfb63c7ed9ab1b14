#include <linux/sev-guest.h>
#include <sys/ioctl.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "attest/certificate.h"
#include "node/collect_cpu.h"

namespace otr::node {
namespace {

constexpr std::size_t kGuidBytes = 16, kEntryBytes = 24, kMaxEntries = 32;
constexpr std::size_t kTableBytes = 16 << 10;   // what the kernel takes at most, in whole pages
constexpr std::size_t kResponseHeadBytes = 32;  // status, size of the report, reserved
constexpr std::uint32_t kMaxVmpl = 3, kInvalidParameter = 0x16;

// _IOWR('T', 1, …) of 64 bytes of report data and a TDREPORT of 1024 (linux/tdx-guest.h, which
// Debian 12 does not have yet).
struct TdReportRequest {
  std::array<std::uint8_t, 64> report_data{};
  std::array<std::uint8_t, 1024> td_report{};
};
constexpr unsigned long kTdxGetReport = _IOWR('T', 1, TdReportRequest);

class SevDeviceSource final : public EvidenceSource {
 public:
  explicit SevDeviceSource(SystemCalls& system) : system_(system) {}

  [[nodiscard]] std::string_view kind() const override { return "sev-snp"; }
  [[nodiscard]] bool hardware() const override { return true; }

  Result<CollectedEvidence> collect(const ReportData& report_data) override {
    const std::string path(kSevDevice);
    const Descriptor device(system_, system_.open(path, SystemCalls::Access::kReadWrite));
    if (!device.is_open()) return system_error("open " + path, device.result());
    Answer answer = ask(device, report_data, true);
    // The host's table of certificates is a courtesy: where it has none that fits, or fails over
    // it, the report alone is asked for.
    if (answer.result < 0 && answer.host_error != 0) answer = ask(device, report_data, false);
    if (answer.result < 0) {
      auto error = system_error("get a report from " + path, answer.result);
      error.error().message += " (firmware error " + std::to_string(answer.firmware_error) +
                               ", host error " + std::to_string(answer.host_error) + ")";
      return error;
    }
    return evidence_of(answer, report_data);
  }

 private:
  struct Answer {
    std::int64_t result = 0;
    std::uint32_t firmware_error = 0, host_error = 0;
    snp_report_resp response{};
    Bytes table;

    [[nodiscard]] std::uint32_t status() const {
      return load_le<std::uint32_t>(static_cast<const std::uint8_t*>(response.data));
    }
  };

  // A guest that does not run at VMPL 0 may ask for its own level alone, which only trying tells:
  // for any other level the firmware answers that a parameter is invalid.
  Answer ask(const Descriptor& device, const ReportData& report_data, bool with_table) {
    for (std::uint32_t vmpl = 0;; ++vmpl) {
      Answer answer = ask_at(device, report_data, with_table, vmpl);
      if (answer.result < 0 || answer.status() != kInvalidParameter || vmpl == kMaxVmpl) {
        return answer;
      }
    }
  }

  Answer ask_at(const Descriptor& device, const ReportData& report_data, bool with_table,
                std::uint32_t vmpl) {
    Answer answer;
    if (with_table) answer.table.resize(kTableBytes);
    snp_ext_report_req request{};
    std::ranges::copy(report_data, std::begin(request.data.user_data));
    request.data.vmpl = vmpl;
    request.certs_address = reinterpret_cast<std::uintptr_t>(answer.table.data());
    request.certs_len = static_cast<std::uint32_t>(answer.table.size());
    snp_guest_request_ioctl call{};
    call.msg_version = 1;
    call.req_data = with_table ? reinterpret_cast<std::uintptr_t>(&request)
                               : reinterpret_cast<std::uintptr_t>(&request.data);
    call.resp_data = reinterpret_cast<std::uintptr_t>(&answer.response);
    answer.result =
        system_.ioctl(device.number(), with_table ? SNP_GET_EXT_REPORT : SNP_GET_REPORT, &call);
    answer.firmware_error = call.fw_error;
    answer.host_error = call.vmm_error;
    return answer;
  }

  static Result<CollectedEvidence> evidence_of(const Answer& answer,
                                               const ReportData& report_data) {
    const ByteView data(answer.response.data);
    const auto size = load_le<std::uint32_t>(data.data() + 4);
    if (answer.status() != 0 || size > data.size() - kResponseHeadBytes) {
      return fail(ErrorKind::kBadInput, "the SNP firmware answered with status " +
                                            std::to_string(answer.status()) + " and a report of " +
                                            std::to_string(size) + " bytes");
    }
    CollectedEvidence evidence{.kind = "sev-snp"};
    const ByteView report = data.subspan(kResponseHeadBytes, size);
    evidence.report.assign(report.begin(), report.end());
    OTR_TRY(check_is_report("sev-snp", evidence.report, report_data));
    OTR_TRY_ASSIGN(evidence.extra, certificates_of_table(answer.table));
    return evidence;
  }

  SystemCalls& system_;
};

}  // namespace

Result<std::vector<Bytes>> certificates_of_table(ByteView table) {
  std::vector<Bytes> certificates;
  for (std::size_t i = 0; i < kMaxEntries; ++i) {
    const std::size_t at = i * kEntryBytes;
    if (table.size() < at + kEntryBytes) return certificates;  // an empty table, or none
    const ByteView guid = table.subspan(at, kGuidBytes);
    if (std::ranges::all_of(guid, [](std::uint8_t byte) { return byte == 0; })) {
      return certificates;
    }
    const auto offset = load_le<std::uint32_t>(table.data() + at + kGuidBytes);
    const auto size = load_le<std::uint32_t>(table.data() + at + kGuidBytes + 4);
    if (offset > table.size() || size > table.size() - offset) {
      return fail(ErrorKind::kBadInput, "the host's table of certificates: entry " +
                                            std::to_string(i) + " lies at offset " +
                                            std::to_string(offset) + " with " +
                                            std::to_string(size) + " bytes, beyond the table's " +
                                            std::to_string(table.size()));
    }
    const ByteView content = table.subspan(offset, size);
    if (attest::Certificate::from_der(content)) {
      certificates.emplace_back(content.begin(), content.end());
    }
  }
  return fail(ErrorKind::kBadInput,
              "the host's table of certificates has more than 32 entries, or no end");
}

Result<bool> has_sev_device(SystemCalls& system) {
  const std::string path(kSevDevice);
  const Descriptor device(system, system.open(path, SystemCalls::Access::kReadWrite));
  if (device.is_open()) return true;
  if (device.result() == -ENOENT || device.result() == -ENODEV || device.result() == -ENXIO) {
    return false;
  }
  return system_error("open " + path, device.result());
}

std::unique_ptr<EvidenceSource> sev_device_source(SystemCalls& system) {
  return std::make_unique<SevDeviceSource>(system);
}

Result<bool> is_tdx_guest(SystemCalls& system) {
  const std::string path(kTdxDevice);
  const Descriptor device(system, system.open(path, SystemCalls::Access::kReadWrite));
  if (device.result() == -ENOENT || device.result() == -ENODEV || device.result() == -ENXIO) {
    return false;
  }
  if (!device.is_open()) return system_error("open " + path, device.result());
  TdReportRequest request;
  const std::int64_t asked = system.ioctl(device.number(), kTdxGetReport, &request);
  if (asked < 0) return system_error("get a TDREPORT from " + path, asked);
  return true;
}

}  // namespace otr::node

// Where a worker gets evidence about itself: the guest's side of attestation (SPEC ATT, SESS).
//
// A source answers 64 bytes of report data with what the hardware signs over them. Nothing here
// judges: what comes out is appraised like anybody's evidence (attest/). Hardware sources speak to
// the kernel through node/collect_system.h, so that tests can replay recorded calls.
//
// Errors: kUsage where this machine has no such TEE (which one was found, and what to do), kIo
// where the system refuses a call, kNetwork where asking again may help (busy, another writer),
// kBadInput where what came back is no evidence of this kind.
#ifndef OTR_NODE_EVIDENCE_H_
#define OTR_NODE_EVIDENCE_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"

namespace otr::node {

class SystemCalls;

using ReportData = std::array<std::uint8_t, 64>;
using Measurement = std::array<std::uint8_t, 48>;

struct CollectedEvidence {
  std::string kind;  // "tdx", "sev-snp", "nvidia-gpu", "simulated"
  // A TDX quote, an SNP report, an SPDM request with its response, or a simulated report.
  Bytes report;
  // Of SNP the certificates of the host's table, in DER; of a GPU its chain, one PEM text.
  std::vector<Bytes> extra;
};

class EvidenceSource {
 public:
  virtual ~EvidenceSource() = default;
  [[nodiscard]] virtual std::string_view kind() const = 0;  // as in CollectedEvidence
  [[nodiscard]] virtual bool hardware() const = 0;          // false of the simulated TEE alone
  // Evidence over exactly these bytes. May take about a second on hardware.
  [[nodiscard]] virtual Result<CollectedEvidence> collect(const ReportData& report_data) = 0;
};

class GpuEvidenceSource {
 public:
  virtual ~GpuEvidenceSource() = default;
  // Number of GPUs of this machine, in the order in which nonces are given to them.
  [[nodiscard]] virtual Result<std::size_t> count() = 0;
  // One report of each GPU over its nonce, in order. kUsage unless there are count() nonces.
  [[nodiscard]] virtual Result<std::vector<CollectedEvidence>> collect(
      std::span<const Hash> nonces) = 0;
};

struct SimulatedOptions {
  std::filesystem::path folder;  // where this installation keeps its simulator's keys
  Measurement measurement{};     // what the simulated machine says that it runs
};

// `kind` is "auto", "tdx", "sev-snp" or "simulated". "auto" takes the hardware that it finds and
// fails with kUsage if there is none: it never falls back to "simulated", which needs `simulated`.
[[nodiscard]] Result<std::unique_ptr<EvidenceSource>> open_tee(
    std::string_view kind, const std::optional<SimulatedOptions>& simulated = std::nullopt);
// The same over given system calls, which must outlive the source.
[[nodiscard]] Result<std::unique_ptr<EvidenceSource>> open_tee(
    SystemCalls& system, std::string_view kind,
    const std::optional<SimulatedOptions>& simulated = std::nullopt);

// The GPUs of this machine through NVML, which is loaded when this is called. kUsage where there is
// no NVML or no GPU with confidential computing switched on.
[[nodiscard]] Result<std::unique_ptr<GpuEvidenceSource>> open_gpus();
[[nodiscard]] Result<std::unique_ptr<GpuEvidenceSource>> open_gpus(SystemCalls& system);

}  // namespace otr::node

#endif  // OTR_NODE_EVIDENCE_H_

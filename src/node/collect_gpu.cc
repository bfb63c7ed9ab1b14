// NVIDIA's management library (NVML), loaded when it is asked for: a program that needs no GPU runs
// where there is none. Of its types only those few that are needed are declared, as its API
// reference lays them out.
#include <algorithm>
#include <array>

#include "node/collect_system.h"
#include "node/evidence.h"

namespace otr::node {
namespace {

constexpr std::size_t kMaxGpus = 64;
constexpr int kSuccess = 0;
// Where the caller's nonce stands in an SPDM request, which is the beginning of a report.
constexpr std::size_t kNonceAt = 4;

using Device = void*;
struct SystemState {
  unsigned environment = 0, feature = 0, dev_tools = 0;
};
struct SystemSettings {
  unsigned version = sizeof(SystemSettings) | 1U << 24;
  unsigned environment = 0, feature = 0, dev_tools = 0, multi_gpu = 0;
};
struct GpuCertificate {
  unsigned chain_bytes = 0, attestation_chain_bytes = 0;
  std::array<std::uint8_t, 0x1000> chain{};
  std::array<std::uint8_t, 0x1400> attestation_chain{};
};
struct GpuReport {
  unsigned has_cec_report = 0, report_bytes = 0, cec_report_bytes = 0;
  std::array<std::uint8_t, 32> nonce{};
  std::array<std::uint8_t, 0x2000> report{};
  std::array<std::uint8_t, 0x1000> cec_report{};
};
static_assert(sizeof(GpuCertificate) == 8 + 0x1000 + 0x1400);
static_assert(sizeof(GpuReport) == 12 + 32 + 0x2000 + 0x1000);

// Structures are passed as NVML's C functions take any pointer, so that whoever stands in for it in
// a test need not know these types.
struct Nvml {
  int (*init)() = nullptr;
  int (*shutdown)() = nullptr;
  const char* (*error_string)(int) = nullptr;
  int (*device_count)(unsigned*) = nullptr;
  int (*device_by_index)(unsigned, Device*) = nullptr;
  int (*state)(void* system_state) = nullptr;
  int (*settings)(void* system_settings) = nullptr;  // null in older drivers
  int (*certificate)(Device, void* gpu_certificate) = nullptr;
  int (*report)(Device, void* gpu_report) = nullptr;
};

std::unexpected<Error> nvml_error(const Nvml& nvml, std::string_view what, int result) {
  return fail(ErrorKind::kIo,
              "NVML cannot " + std::string(what) + ": " +
                  (nvml.error_string(result) == nullptr ? "error " + std::to_string(result)
                                                        : std::string(nvml.error_string(result))));
}

class NvmlGpus final : public GpuEvidenceSource {
 public:
  explicit NvmlGpus(const Nvml& nvml) : nvml_(nvml) {}
  NvmlGpus(const NvmlGpus&) = delete;
  NvmlGpus& operator=(const NvmlGpus&) = delete;
  ~NvmlGpus() override { nvml_.shutdown(); }

  Result<std::size_t> count() override {
    unsigned count = 0;
    const int result = nvml_.device_count(&count);
    if (result != kSuccess) return nvml_error(nvml_, "count the GPUs", result);
    if (count > kMaxGpus) {
      return fail(ErrorKind::kIo, "NVML counts " + std::to_string(count) + " GPUs; at most 64");
    }
    return count;
  }

  Result<std::vector<CollectedEvidence>> collect(std::span<const Hash> nonces) override {
    OTR_TRY_ASSIGN(const std::size_t gpus, count());
    if (nonces.size() != gpus) {
      return fail(ErrorKind::kUsage, std::to_string(nonces.size()) + " nonces for " +
                                         std::to_string(gpus) + " GPUs; give one to each");
    }
    std::vector<CollectedEvidence> all;
    for (std::size_t i = 0; i < gpus; ++i) {
      OTR_TRY_ASSIGN(CollectedEvidence one, collect_one(static_cast<unsigned>(i), nonces[i]));
      all.push_back(std::move(one));
    }
    return all;
  }

 private:
  Result<CollectedEvidence> collect_one(unsigned index, const Hash& nonce) {
    const std::string gpu = "GPU " + std::to_string(index);
    Device device = nullptr;
    int result = nvml_.device_by_index(index, &device);
    if (result != kSuccess) return nvml_error(nvml_, "open " + gpu, result);
    const auto report = std::make_unique<GpuReport>();
    report->nonce = nonce;
    result = nvml_.report(device, report.get());
    if (result != kSuccess) return nvml_error(nvml_, "get a report of " + gpu, result);
    const auto certificate = std::make_unique<GpuCertificate>();
    result = nvml_.certificate(device, certificate.get());
    if (result != kSuccess) return nvml_error(nvml_, "get the certificates of " + gpu, result);
    if (report->report_bytes > report->report.size() ||
        certificate->attestation_chain_bytes > certificate->attestation_chain.size()) {
      return fail(ErrorKind::kBadInput, gpu + ": NVML states a report of " +
                                            std::to_string(report->report_bytes) +
                                            " bytes and a chain of " +
                                            std::to_string(certificate->attestation_chain_bytes) +
                                            ", more than it has room for");
    }
    const ByteView bytes = ByteView(report->report).first(report->report_bytes);
    if (bytes.size() < kNonceAt + nonce.size() ||
        !std::ranges::equal(bytes.subspan(kNonceAt, nonce.size()), nonce)) {
      return fail(ErrorKind::kBadInput, gpu + " gave a report over another nonce than asked for");
    }
    const ByteView chain =
        ByteView(certificate->attestation_chain).first(certificate->attestation_chain_bytes);
    return CollectedEvidence{.kind = "nvidia-gpu",
                             .report = Bytes(bytes.begin(), bytes.end()),
                             .extra = {Bytes(chain.begin(), chain.end())}};
  }

  Nvml nvml_;
};

template <class Function>
bool find(SystemCalls& system, void* library, const char* name, Function& to) {
  to = reinterpret_cast<Function>(system.symbol(library, name));
  return to != nullptr;
}

Result<Nvml> load(SystemCalls& system) {
  constexpr const char* kLibrary = "libnvidia-ml.so.1";
  void* library = system.load_library(kLibrary);
  if (library == nullptr) {
    return fail(ErrorKind::kUsage, std::string(kLibrary) +
                                       " is not here: this machine has no NVIDIA driver, so that "
                                       "there is no GPU to attest");
  }
  Nvml nvml;
  const bool all =
      find(system, library, "nvmlInit_v2", nvml.init) &&
      find(system, library, "nvmlShutdown", nvml.shutdown) &&
      find(system, library, "nvmlErrorString", nvml.error_string) &&
      find(system, library, "nvmlDeviceGetCount_v2", nvml.device_count) &&
      find(system, library, "nvmlDeviceGetHandleByIndex_v2", nvml.device_by_index) &&
      find(system, library, "nvmlSystemGetConfComputeState", nvml.state) &&
      find(system, library, "nvmlDeviceGetConfComputeGpuCertificate", nvml.certificate) &&
      find(system, library, "nvmlDeviceGetConfComputeGpuAttestationReport", nvml.report);
  if (!all) {
    return fail(ErrorKind::kUsage, std::string(kLibrary) +
                                       " is older than confidential computing; a driver of branch "
                                       "535 or later is needed");
  }
  find(system, library, "nvmlSystemGetConfComputeSettings", nvml.settings);
  return nvml;
}

// Protected PCIe leaves the older feature flag off and says so in the settings.
Result<bool> is_confidential(const Nvml& nvml) {
  if (SystemSettings settings; nvml.settings != nullptr && nvml.settings(&settings) == kSuccess) {
    return settings.feature != 0 || settings.multi_gpu != 0;
  }
  SystemState state;
  const int result = nvml.state(&state);
  if (result != kSuccess) {
    return nvml_error(nvml, "tell whether confidential computing is on", result);
  }
  return state.feature != 0;
}

}  // namespace

Result<std::unique_ptr<GpuEvidenceSource>> open_gpus(SystemCalls& system) {
  OTR_TRY_ASSIGN(const Nvml nvml, load(system));
  if (const int result = nvml.init(); result != kSuccess) {
    return nvml_error(nvml, "start", result);
  }
  auto gpus = std::make_unique<NvmlGpus>(nvml);  // shuts NVML down again
  OTR_TRY_ASSIGN(const std::size_t count, gpus->count());
  OTR_TRY_ASSIGN(const bool confidential, is_confidential(nvml));
  if (count == 0 || !confidential) {
    return fail(ErrorKind::kUsage,
                std::to_string(count) + " NVIDIA GPUs, and confidential computing is " +
                    (confidential ? "on" : "off") +
                    "; only GPUs in that mode can be attested (nvidia-smi conf-compute -f)");
  }
  return gpus;
}

Result<std::unique_ptr<GpuEvidenceSource>> open_gpus() { return open_gpus(system_calls()); }

}  // namespace otr::node

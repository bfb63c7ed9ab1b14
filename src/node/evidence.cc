#include "node/evidence.h"

#include "node/collect_cpu.h"
#include "node/collect_system.h"
#include "node/simulated_tee.h"

namespace otr::node {
namespace {

std::optional<std::string_view> kind_of_provider(std::string_view provider) {
  if (provider == "tdx_guest") return "tdx";
  if (provider == "sev_guest") return "sev-snp";
  return std::nullopt;
}

// The hardware of this machine, whatever it is; nothing where there is none.
Result<std::unique_ptr<EvidenceSource>> find_hardware(SystemCalls& system) {
  OTR_TRY_ASSIGN(const auto provider, tsm_provider(system));
  if (provider) {
    if (const auto kind = kind_of_provider(*provider)) return tsm_source(system, *kind);
    return fail(ErrorKind::kUsage, "this machine attests as " + *provider +
                                       " (configfs-tsm), a kind that is not known here");
  }
  OTR_TRY_ASSIGN(const bool sev, has_sev_device(system));
  if (sev) return sev_device_source(system);
  OTR_TRY_ASSIGN(const bool tdx, is_tdx_guest(system));
  if (tdx) {
    return fail(ErrorKind::kUsage,
                "this is a TDX guest, but its kernel gives no quotes: " + std::string(kTsmFolder) +
                    " is missing, and a TDREPORT of " + std::string(kTdxDevice) +
                    " can be checked by nobody outside this machine; use Linux 6.7 or later with "
                    "configfs mounted and the module tdx_guest loaded");
  }
  return nullptr;
}

}  // namespace

Result<std::unique_ptr<EvidenceSource>> open_tee(SystemCalls& system, std::string_view kind,
                                                 const std::optional<SimulatedOptions>& simulated) {
  if (kind == "simulated") {
    if (!simulated) {
      return fail(ErrorKind::kUsage, "the simulated TEE needs a folder for its keys");
    }
    return SimulatedTee::open(*simulated);
  }
  if (kind != "auto" && kind != "tdx" && kind != "sev-snp") {
    return fail(ErrorKind::kUsage, "'" + std::string(kind) +
                                       "' is no kind of TEE; choose auto, tdx, sev-snp or "
                                       "simulated");
  }
  OTR_TRY_ASSIGN(auto found, find_hardware(system));
  if (found == nullptr) {
    return fail(ErrorKind::kUsage,
                "this machine is no TDX or SEV-SNP guest: there is neither " +
                    std::string(kTsmFolder) + " with a provider nor " + std::string(kSevDevice) +
                    " nor " + std::string(kTdxDevice) +
                    "; for trials without any protection ask for the simulated TEE by name");
  }
  if (kind != "auto" && found->kind() != kind) {
    return fail(ErrorKind::kUsage, "this machine is a guest of " + std::string(found->kind()) +
                                       ", not of " + std::string(kind) + "; choose that, or auto");
  }
  return found;
}

Result<std::unique_ptr<EvidenceSource>> open_tee(std::string_view kind,
                                                 const std::optional<SimulatedOptions>& simulated) {
  return open_tee(system_calls(), kind, simulated);
}

}  // namespace otr::node

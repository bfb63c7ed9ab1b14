// Measurements against reference values, and what they are called.
#include <algorithm>
#include <array>
#include <cctype>
#include <set>
#include <string>
#include <utility>

#include "attest/encoding.h"
#include "attest/nvidia.h"

namespace otr::attest {
namespace {

// The measurement of the video decoder's firmware means nothing while the decoder is off.
constexpr unsigned kNvdec0Index = 35;
constexpr std::uint8_t kNvdec0Disabled = 0x55;
constexpr std::size_t kPdiBytes = 8, kGpuPdisOfSwitch = 8;
// LS10's project, project SKU and chip SKU, which its reports do not state.
constexpr std::string_view kSwitchRim = "NV_SWITCH_BIOS_5612_0002_890_";

std::string upper(std::string_view text) {
  std::string out;
  for (const char c : text) out += static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  return out;
}

std::string without_dots(std::string_view version) {
  std::string out;
  for (const char c : upper(version)) {
    if (c != '.') out += c;
  }
  return out;
}

bool is_zero(ByteView bytes) {
  return std::ranges::all_of(bytes, [](std::uint8_t byte) { return byte == 0; });
}

struct Source {
  std::string_view name;
  const Rim* rim;
};

// What is wrong with the report's value for one active entry; empty if nothing.
std::string difference(const GpuReport& report, const Source& source, unsigned index,
                       const std::vector<Bytes>& alternatives) {
  const auto measured = report.measurements.find(index + 1);
  if (measured != report.measurements.end() &&
      std::ranges::find(alternatives, measured->second) != alternatives.end()) {
    return {};
  }
  const auto named = source.rim->names.find(index);
  std::string text = "index " + std::to_string(index);
  if (named != source.rim->names.end() && !named->second.empty())
    text += " (" + named->second + ")";
  text += measured == report.measurements.end()
              ? " is not in the report"
              : " is " + to_plain_hex(measured->second) + " in the report";
  text += " but " + to_plain_hex(alternatives.front());
  if (alternatives.size() > 1) {
    text += " or one of " + std::to_string(alternatives.size() - 1) + " others";
  }
  return text + " in the " + std::string(source.name) + " RIM, version " + source.rim->version;
}

std::set<Bytes> pdis(ByteView list, bool reversed) {
  std::set<Bytes> found;
  for (; list.size() >= kPdiBytes; list = list.subspan(kPdiBytes)) {
    Bytes pdi(list.begin(), list.begin() + kPdiBytes);
    if (is_zero(pdi)) continue;  // a port that is off
    if (reversed) std::ranges::reverse(pdi);
    found.insert(std::move(pdi));
  }
  return found;
}

std::string text_of(const std::set<Bytes>& all) {
  std::string text;
  for (const Bytes& one : all) text += (text.empty() ? "" : ", ") + to_plain_hex(one);
  return text.empty() ? "none" : text;
}

std::set<Bytes> field_pdis(const GpuReport& report, std::uint16_t type, bool reversed,
                           std::size_t max) {
  const Bytes* field = report.field(type);
  if (field == nullptr) return {};
  const std::size_t size = std::min(field->size(), max * kPdiBytes);
  return pdis(ByteView(*field).first(size), reversed);
}

}  // namespace

std::vector<std::string> rim_names(const GpuReport& report, std::string_view model) {
  if (report.is_switch) return {std::string(kSwitchRim) + without_dots(report.vbios_version)};
  std::string driver = "NV_GPU_DRIVER_" + std::string(model) + "_";
  if (model.starts_with("GB")) {
    const std::string chip = report.text(GpuReport::kChipInfo);
    driver = "NV_GPU_CC_DRIVER_" + (chip.empty() ? "GB100" : chip) + "_";
  }
  return {driver + report.driver_version,
          "NV_GPU_VBIOS_" + upper(report.text(GpuReport::kProject)) + "_" +
              upper(report.text(GpuReport::kProjectSku)) + "_" +
              upper(report.text(GpuReport::kChipSku)) + "_" + without_dots(report.vbios_version)};
}

bool compare_measurements(Checks& checks, const GpuReport& report, const Rim* driver,
                          const Rim* vbios) {
  constexpr std::string_view kName = "measurements equal the reference values";
  const Bytes* nvdec = report.field(GpuReport::kNvdec0Status);
  const bool skip_nvdec = nvdec != nullptr && *nvdec == Bytes{kNvdec0Disabled};
  // Of one manifest alone only its own entries can be judged.
  const bool complete = vbios != nullptr && (driver != nullptr || report.is_switch);
  std::set<unsigned> covered;
  std::string wrong;
  std::size_t wrong_count = 0, compared = 0;
  const auto add = [&](const std::string& text) {
    wrong += (wrong.empty() ? "" : "; ") + text;
    ++wrong_count;
  };
  for (const Source& source : {Source{.name = "driver", .rim = driver},
                               Source{.name = report.is_switch ? "BIOS" : "VBIOS", .rim = vbios}}) {
    if (source.rim == nullptr) continue;
    for (const auto& [index, alternatives] : source.rim->measurements) {
      if (!covered.insert(index).second) {
        return checks.fail(
            Code::kReferenceInvalid, kName,
            "index " + std::to_string(index) + " is active in both RIMs, which must not be");
      }
      if (index == kNvdec0Index && skip_nvdec) continue;
      const std::string text = difference(report, source, index, alternatives);
      if (!text.empty()) add(text);
      ++compared;
    }
  }
  for (const auto& [block, value] : report.measurements) {
    const unsigned index = block - 1;
    if (!complete) break;
    if (covered.contains(index) || is_zero(value) || (index == kNvdec0Index && skip_nvdec))
      continue;
    add("index " + std::to_string(index) + " is " + to_plain_hex(value) +
        " in the report, and no RIM speaks of it");
  }
  if (wrong_count > 0) {
    return checks.fail(Code::kMeasurementMismatch, kName,
                       std::to_string(wrong_count) + " of " +
                           std::to_string(report.measurements.size()) + " differ: " + wrong);
  }
  if (compared == 0) {
    return checks.fail(Code::kReferenceInvalid, kName, "the RIMs hold no active reference value");
  }
  if (!complete) return false;
  checks.pass(kName, std::to_string(compared) + " compared, all others zero" +
                         (skip_nvdec ? "; index 35 left out, as NVDEC0 is disabled" : ""));
  return true;
}

bool check_topology(Checks& checks, std::span<const GpuReport> gpus,
                    std::span<const GpuReport> switches) {
  constexpr std::string_view kName = "GPUs and switches are connected to each other alone";
  std::set<Bytes> own;
  for (const GpuReport& device : switches) {
    const std::set<Bytes> pdi = field_pdis(device, GpuReport::kSwitchPdi, false, 1);
    if (pdi.size() != 1 || !own.insert(*pdi.begin()).second) {
      return checks.fail(Code::kDeviceRefused, kName,
                         "a switch does not state its PDI, or two state " + text_of(pdi));
    }
  }
  if (gpus.empty() || own.empty()) {
    return checks.fail(Code::kDeviceRefused, kName,
                       std::to_string(gpus.size()) + " GPUs and " + std::to_string(own.size()) +
                           " switches were given; protected PCIe needs both");
  }
  for (const GpuReport& gpu : gpus) {
    const std::set<Bytes> peers =
        field_pdis(gpu, GpuReport::kSwitchPdi, true, gpu.signed_part.size());
    if (peers != own) {
      return checks.fail(Code::kDeviceRefused, kName,
                         "a GPU is connected to the switches " + text_of(peers) +
                             "; evidence was given of " + text_of(own));
    }
  }
  const std::set<Bytes> seen =
      field_pdis(switches.front(), GpuReport::kGpuPdis, false, kGpuPdisOfSwitch);
  for (const GpuReport& device : switches) {
    const std::set<Bytes> its = field_pdis(device, GpuReport::kGpuPdis, false, kGpuPdisOfSwitch);
    if (its != seen || its.size() != gpus.size()) {
      return checks.fail(Code::kDeviceRefused, kName,
                         "a switch is connected to the GPUs " + text_of(its) + ", another one to " +
                             text_of(seen) + "; evidence was given of " +
                             std::to_string(gpus.size()) + " GPUs");
    }
  }
  checks.pass(kName, std::to_string(gpus.size()) + " GPUs, switches " + text_of(own));
  return true;
}

}  // namespace otr::attest

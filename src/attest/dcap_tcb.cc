#include "attest/dcap_tcb.h"

#include <algorithm>
#include <utility>

namespace otr::attest {
namespace {

using enum TcbStatus;

bool needs_configuration(TcbStatus status) {
  return status == kConfigurationNeeded || status == kConfigurationAndSwHardeningNeeded ||
         status == kOutOfDateConfigurationNeeded;
}

bool is_out_of_date(TcbStatus status) {
  return status == kOutOfDate || status == kOutOfDateConfigurationNeeded;
}

}  // namespace

std::string_view name_of(TcbStatus status) {
  constexpr std::array<std::string_view, 9> names = {"UpToDate",
                                                     "SWHardeningNeeded",
                                                     "ConfigurationNeeded",
                                                     "ConfigurationAndSWHardeningNeeded",
                                                     "OutOfDate",
                                                     "OutOfDateConfigurationNeeded",
                                                     "Revoked",
                                                     "TDRelaunchAdvised",
                                                     "TDRelaunchAdvisedConfigurationNeeded"};
  return names[static_cast<std::size_t>(std::to_underlying(status))];
}

const TcbLevel* platform_level(const TcbInfo& info, const PckInfo& pck,
                               const std::array<std::uint8_t, 16>* tee_tcb_svn) {
  for (const TcbLevel& level : info.levels) {
    bool reached = pck.pce_svn >= level.pce_svn;
    for (std::size_t i = 0; i < 16; ++i) reached = reached && pck.components[i] >= level.sgx[i];
    if (tee_tcb_svn != nullptr) {
      // A module with a version (byte 1) has its own entry, by which bytes 0 and 1 are judged.
      for (std::size_t i = (*tee_tcb_svn)[1] > 0 ? 2 : 0; i < 16; ++i) {
        reached = reached && (*tee_tcb_svn)[i] >= level.tdx[i];
      }
    }
    if (reached) return &level;
  }
  return nullptr;
}

const TcbLevel* isv_level(std::span<const TcbLevel> levels, std::uint32_t isv_svn) {
  const auto found =
      std::ranges::find_if(levels, [&](const TcbLevel& one) { return isv_svn >= one.isv_svn; });
  return found == levels.end() ? nullptr : &*found;
}

const TdxModule* find_module(const TcbInfo& info, std::uint8_t version) {
  constexpr std::string_view digits = "0123456789ABCDEF";
  const std::string id = {'T', 'D', 'X', '_', digits[version >> 4], digits[version & 15]};
  const auto found = std::ranges::find_if(info.modules, [&](const TdxModule& one) {
    return std::ranges::equal(one.id, id, [](char a, char b) {
      return (a >= 'a' && a <= 'z' ? static_cast<char>(a - 'a' + 'A') : a) == b;
    });
  });
  return found == info.modules.end() ? nullptr : &*found;
}

TcbStatus converge(TcbStatus platform, TcbStatus part) {
  if (platform == kRevoked || part == kRevoked) return kRevoked;
  if (part != kOutOfDate) return platform;
  if (platform == kUpToDate || platform == kSwHardeningNeeded) return kOutOfDate;
  if (platform == kConfigurationNeeded || platform == kConfigurationAndSwHardeningNeeded) {
    return kOutOfDateConfigurationNeeded;
  }
  return platform;
}

TcbStatus relaunched(TcbStatus status, TcbStatus sgx, TcbStatus module, const TcbInfo& info,
                     const std::array<std::uint8_t, 16>& tee_tcb_svn2) {
  if (!is_out_of_date(status) || module != kOutOfDate || is_out_of_date(sgx) || sgx == kRevoked ||
      info.levels.empty()) {
    return status;
  }
  const TcbLevel& newest = info.levels.front();
  std::uint32_t module_svn = newest.tdx[0];
  if (tee_tcb_svn2[1] > 0) {
    const TdxModule* current = find_module(info, tee_tcb_svn2[1]);
    if (current == nullptr || current->levels.empty()) return status;
    module_svn = current->levels.front().isv_svn;
  }
  if (tee_tcb_svn2[0] < module_svn || tee_tcb_svn2[2] < newest.tdx[2]) return status;
  return needs_configuration(sgx) || needs_configuration(status)
             ? kTdRelaunchAdvisedConfigurationNeeded
             : kTdRelaunchAdvised;
}

}  // namespace otr::attest

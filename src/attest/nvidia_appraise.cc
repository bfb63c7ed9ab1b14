// The report of a GPU or switch against a policy.
#include <array>
#include <charconv>
#include <optional>
#include <string>
#include <vector>

#include "attest/encoding.h"
#include "attest/nvidia.h"

namespace otr::attest {
namespace {

// The numbers of a dotted version; nothing if it is none.
std::optional<std::vector<std::uint32_t>> parts_of(std::string_view version, int base) {
  std::vector<std::uint32_t> parts;
  while (true) {
    const std::string_view part = version.substr(0, version.find('.'));
    std::uint32_t value = 0;
    const auto [end, error] = std::from_chars(part.data(), part.data() + part.size(), value, base);
    if (part.empty() || error != std::errc() || end != part.data() + part.size()) {
      return std::nullopt;
    }
    parts.push_back(value);
    if (part.size() == version.size()) return parts;
    version.remove_prefix(part.size() + 1);
  }
}

void check_version(Checks& checks, std::string_view name, const std::string& version,
                   const std::optional<std::string>& least, int base) {
  if (!least) {
    checks.fail(Code::kPolicyRefused, name,
                version + "; the policy does not state which version is the oldest allowed");
    return;
  }
  const auto have = parts_of(version, base), want = parts_of(*least, base);
  if (!have || !want) {
    checks.fail(Code::kPolicyRefused, name,
                "'" + version + "' and '" + *least + "' cannot be compared as versions");
    return;
  }
  const bool good = *have >= *want;
  checks.require(good, Code::kTcbRefused, name,
                 version + (good ? " (at least " : "; the policy asks for at least ") + *least +
                     (good ? ")" : ""));
}

void check_name(Checks& checks, std::string_view name, const std::string& value,
                const AllowNames& list) {
  const bool good = list.allows(value);
  const bool given = list.any || !list.values.empty();
  checks.require(good, Code::kPolicyRefused, name,
                 value + (good    ? ""
                          : given ? ": not on the policy's list"
                                  : "; the policy does not say which are allowed"));
}

void check_nonce(Checks& checks, const GpuReport& report, const Expected& expected) {
  constexpr std::string_view kName = "report answers the nonce that was asked for";
  if (!expected.nonce) {
    checks.not_applicable(kName, "no nonce was asked for; freshness is not known");
    return;
  }
  const std::string stated = to_plain_hex(report.nonce), asked = to_plain_hex(*expected.nonce);
  checks.require(
      stated == asked, Code::kNonceMismatch, kName,
      stated == asked ? stated : "the report has " + stated + ", asked for was " + asked);
}

void check_device(Checks& checks, const GpuFound& found, const GpuPolicy& policy) {
  constexpr std::string_view kName = "device is on the list";
  const std::string text = "serial number " + to_plain_hex(found.ueid);
  if (!policy.devices.any && policy.devices.values.empty()) {
    checks.not_applicable(kName, text + "; the policy names no devices");
    return;
  }
  const bool good = policy.devices.allows(found.ueid);
  checks.require(good, Code::kDeviceRefused, kName,
                 text + (good ? "" : " is not on the policy's list"));
}

}  // namespace

void appraise_gpu(Verdict& verdict, const GpuReport& report, const GpuFound& found,
                  const GpuPolicy& policy, const Expected& expected) {
  Checks checks(verdict, Stage::kAppraise);
  check_nonce(checks, report, expected);
  check_name(checks, "model is allowed", found.model, policy.models);
  check_device(checks, found, policy);
  if (report.is_switch) {
    check_version(checks, "BIOS is new enough", found.vbios, policy.min_vbios, 16);
  } else {
    check_version(checks, "driver is new enough", found.driver, policy.min_driver, 10);
    check_version(checks, "VBIOS is new enough", found.vbios, policy.min_vbios, 16);
    check_name(checks, "mode is allowed", found.mode, policy.modes);
  }
  if (verdict.accepted()) verdict.assurance = policy.assurance;
}

}  // namespace otr::attest

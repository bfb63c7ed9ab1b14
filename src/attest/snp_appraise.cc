#include <algorithm>
#include <string_view>

#include "attest/encoding.h"
#include "attest/report_data.h"
#include "attest/snp.h"

namespace otr::attest {
namespace {

// Bits of the guest's policy: what its owner allows the platform to do.
constexpr unsigned kSmtAllowed = 16, kAlwaysOne = 17, kMigrationAgent = 18, kDebugAllowed = 19,
                   kLastKnownBit = 25;
// Bits of platform_info: what the platform does.
constexpr unsigned kSmtEnabled = 0, kCiphertextHiding = 4, kAliasCheckComplete = 5;
constexpr std::uint32_t kLastVmpl = 3;

bool bit(std::uint64_t value, unsigned at) { return (value >> at & 1) != 0; }

void check_guest_policy(Checks& checks, const SnpReport& report, const SnpPolicy& policy) {
  const bool debug = bit(report.policy, kDebugAllowed);
  checks.require(!debug, Code::kDebug, "guest cannot be debugged",
                 debug ? "bit 19 of the guest's policy lets the host read its memory" : "bit 19");
  const bool known = (report.policy >> (kLastKnownBit + 1)) == 0 && bit(report.policy, kAlwaysOne);
  checks.require(known, Code::kPolicyRefused, "guest policy holds nothing unknown",
                 known ? "bit 17 is set, none above 25"
                       : "bit 17 must be set and none above 25: what they allow is not known here");
  const bool agent = bit(report.policy, kMigrationAgent);
  checks.require(!agent || policy.allow_migration_agent, Code::kMigratable,
                 "guest stays on this machine",
                 !agent ? "no migration agent"
                 : policy.allow_migration_agent
                     ? "a migration agent may move it; the policy allows it"
                     : "bit 18 of the guest's policy lets a migration agent move it");
  const bool smt = bit(report.policy, kSmtAllowed) || bit(report.platform_info, kSmtEnabled);
  checks.require(!smt || policy.allow_smt, Code::kPolicyRefused,
                 "simultaneous multithreading is allowed or off",
                 !smt               ? "off"
                 : policy.allow_smt ? "on or allowed by the guest; the policy accepts it"
                                    : "it is on, or the guest's policy allows it (bit 16)");
}

void check_platform(Checks& checks, const SnpReport& report, const SnpPolicy& policy) {
  const auto require_bit = [&](bool wanted, unsigned at, std::string_view name) {
    const bool set = bit(report.platform_info, at);
    const std::string value = "bit " + std::to_string(at) + " of the platform information is " +
                              (set ? "set" : "not set");
    if (!wanted) return checks.not_applicable(name, value + "; the policy does not ask for it");
    checks.require(set, Code::kPolicyRefused, name, value);
  };
  require_bit(policy.require_alias_check, kAliasCheckComplete,
              "memory was checked for aliases (BadRAM)");
  require_bit(policy.require_ciphertext_hiding, kCiphertextHiding,
              "ciphertext is hidden from the host");
}

std::string text_of(const SnpTcb& tcb, bool turin) {
  return (turin ? "FMC " + std::to_string(tcb.fmc) + ", " : std::string()) + "boot loader " +
         std::to_string(tcb.boot_loader) + ", TEE " + std::to_string(tcb.tee) + ", SNP " +
         std::to_string(tcb.snp) + ", microcode " + std::to_string(tcb.microcode);
}

// Every part by itself: a newer microcode does not make up for an older boot loader.
bool at_least(const SnpTcb& tcb, const SnpTcb& least) {
  return tcb.fmc >= least.fmc && tcb.boot_loader >= least.boot_loader && tcb.tee >= least.tee &&
         tcb.snp >= least.snp && tcb.microcode >= least.microcode;
}

// Reported: what the key is of. Committed: below which the host cannot go back any more. Launch:
// under which the guest's first memory was measured.
void check_tcb(Checks& checks, const SnpFound& found, const SnpPolicy& policy) {
  const auto least = policy.min_tcb.find(found.product);
  if (least == policy.min_tcb.end()) {
    checks.fail(Code::kPolicyRefused, "product is allowed",
                "the policy states no minimum TCB for " + found.product +
                    "; add min_tcb for it to allow the product");
    return;
  }
  checks.pass("product is allowed", found.product);
  const bool turin = found.product == "Turin";
  const auto check = [&](std::string_view name, const SnpTcb& tcb) {
    const bool good = at_least(tcb, least->second);
    checks.require(
        good, Code::kTcbRefused, std::string(name) + " TCB is not below the policy's minimum",
        text_of(tcb, turin) + (good ? "" : "; the minimum is " + text_of(least->second, turin)));
  };
  check("reported", found.reported);
  check("committed", found.committed);
  check("launch", found.launch);
}

// A list that is not given refuses, or where the field is optional means that it does not matter.
void check_bytes(Checks& checks, std::string_view name, ByteView value, const AllowList& list,
                 bool optional) {
  const bool given = list.any || !list.values.empty();
  const std::string text = to_plain_hex(value);
  if (!given && optional) {
    return checks.not_applicable(name, text + "; the policy does not restrict it");
  }
  const bool good = list.allows(value);
  checks.require(good, Code::kPolicyRefused, name,
                 good    ? text
                 : given ? text + " is not on the policy's list"
                         : text + "; the policy does not say which values are allowed");
}

void check_names(Checks& checks, std::string_view name, const std::string& value,
                 const AllowNames& list) {
  const bool given = list.any || !list.values.empty();
  const bool good = list.allows(value);
  checks.require(good, Code::kPolicyRefused, name,
                 good    ? value
                 : given ? value + " is not on the policy's list"
                         : value + "; the policy does not say which are allowed");
}

void check_vmpl(Checks& checks, const SnpReport& report, const SnpPolicy& policy) {
  constexpr std::string_view kName = "privilege level (VMPL) is allowed";
  if (report.vmpl > kLastVmpl) {
    // The host asked for it, not the guest: whatever it says about report data is the host's word.
    checks.fail(Code::kPolicyRefused, kName,
                std::to_string(report.vmpl) + ": the host asked for this report, not the guest");
    return;
  }
  check_names(checks, kName, std::to_string(report.vmpl), policy.vmpl);
}

}  // namespace

void appraise_snp(Verdict& verdict, const SnpReport& report, const SnpFound& found,
                  const Policy& policy, const Expected& expected) {
  Checks checks(verdict, Stage::kAppraise);
  if (!policy.snp) {
    checks.fail(Code::kPolicyRefused, "kind of evidence is allowed",
                "the policy has no table for AMD SEV-SNP");
    return;
  }
  const SnpPolicy& snp = *policy.snp;
  check_guest_policy(checks, report, snp);
  check_platform(checks, report, snp);
  check_tcb(checks, found, snp);
  if (snp.require_crl) {
    checks.require(found.crl_checked, Code::kCollateralMissing, "a revocation list was given",
                   found.crl_checked ? "of the product's root"
                                     : "the policy asks for AMD's list of revoked certificates");
  }
  check_names(checks, "kind of signing key is allowed", found.signer, snp.signer);
  check_vmpl(checks, report, snp);
  check_bytes(checks, "launch measurement is allowed", report.measurement, snp.measurement, false);
  check_bytes(checks, "host data is allowed", report.host_data, snp.host_data, true);
  check_bytes(checks, "id key is allowed", report.id_key_digest, snp.id_key_digest, true);
  check_bytes(checks, "author key is allowed", report.author_key_digest, snp.author_key_digest,
              true);
  check_bytes(checks, "chip is allowed", found.chip, snp.chip_id, true);
  check_report_data(checks, report.report_data, expected);
  if (verdict.accepted()) verdict.assurance = snp.assurance;
}

}  // namespace otr::attest

// Quotes before a policy.
#include <algorithm>

#include "attest/dcap.h"
#include "attest/report_data.h"
#include "base/hex.h"

namespace otr::attest {
namespace {

constexpr std::int64_t kDay = 86400;
constexpr std::int64_t kMostDays = 36500;  // beyond a century more days make no difference

// Bits of TDATTRIBUTES (Intel TDX Module ABI). The first eight put a guest under test: whoever owns
// the host may look inside.
constexpr std::uint64_t kTdUnderTest = 0xff, kSeptVeDisable = std::uint64_t{1} << 28,
                        kMigratable = std::uint64_t{1} << 29;
// Beside those: ICSSD 16, LASS 27, PKS 30, KL 31, PERFMON 63.
constexpr std::uint64_t kTdHarmless = std::uint64_t{1} << 16 | std::uint64_t{1} << 27 |
                                      std::uint64_t{1} << 30 | std::uint64_t{1} << 31 |
                                      std::uint64_t{1} << 63;
constexpr std::uint8_t kSgxDebug = 0x02;  // of byte 0 of ATTRIBUTES

std::string hex_number(std::uint64_t value) {
  Bytes bytes(8);
  for (std::size_t i = 0; i < 8; ++i) bytes[i] = static_cast<std::uint8_t>(value >> (56 - 8 * i));
  return to_hex(bytes);
}

bool is_zero(ByteView bytes) {
  return std::ranges::all_of(bytes, [](std::uint8_t byte) { return byte == 0; });
}

bool contains(const std::vector<std::string>& list, std::string_view word) {
  return std::ranges::find(list, word) != list.end();
}

std::string joined(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : " ") + word;
  return text;
}

// A field of the evidence against the list at `key` of the policy.
void check_value(Checks& checks, const std::string& key, ByteView value, const AllowList& list) {
  const std::string name = key.substr(key.find('.') + 1) + " is allowed";
  const std::string hex = to_hex(value);
  if (list.allows(value)) {
    checks.pass(name, hex + (list.any ? " (the policy allows any)" : ""));
  } else if (list.values.empty()) {
    checks.fail(
        Code::kPolicyRefused, name,
        "the policy has no " + key + "; found " + hex + ", which it may list, or say \"any\"");
  } else {
    checks.fail(Code::kPolicyRefused, name,
                hex + " is none of the " + std::to_string(list.values.size()) + " of " + key);
  }
}

void check_platform(Checks& checks, const std::string& key, const Bytes& ppid,
                    const AllowList& list) {
  if (!list.any && list.values.empty()) {
    checks.not_applicable("platform is allowed", "the policy names no machines (" + key +
                                                     "); this one is " + to_hex(ppid));
    return;
  }
  checks.require(list.allows(ppid), Code::kDeviceRefused, "platform is allowed",
                 "PPID " + to_hex(ppid) + (list.allows(ppid) ? "" : " is not listed in " + key));
}

// Whether a status other than UpToDate is acceptable, and why.
struct Opinion {
  bool good = false;
  std::string why;
};

Opinion judge_status(const DcapFound& found, const TcbPolicy& policy, const std::string& key,
                     Time at) {
  const std::string& status = found.tcb_status;
  if (contains(policy.statuses, status)) {
    if (status == "UpToDate") return {true, "level of " + to_text(found.tcb_date).substr(0, 10)};
    std::vector<std::string> untold;
    for (const std::string& one : found.advisories) {
      if (!contains(policy.tolerated_advisories, one)) untold.push_back(one);
    }
    if (untold.empty()) return {true, "allowed, with every advisory tolerated by name"};
    return {false, "allowed by " + key + ".statuses, but " + key +
                       ".tolerated_advisories does not name " + joined(untold)};
  }
  const bool outdated = status == "OutOfDate" || status == "OutOfDateConfigurationNeeded";
  if (outdated && policy.out_of_date_grace_days > 0 && found.superseded) {
    const Time end = *found.superseded + std::min(policy.out_of_date_grace_days, kMostDays) * kDay;
    return {at <= end, "out of date since " + to_text(*found.superseded) + ", the grace of " +
                           std::to_string(policy.out_of_date_grace_days) + " days ends " +
                           to_text(end)};
  }
  return {false, "not in " + key + ".statuses (" + joined(policy.statuses) + ")"};
}

void check_tcb(Checks& checks, const DcapFound& found, const TcbPolicy& policy,
               const std::string& table, Time at) {
  const std::string key = table + ".tcb";
  const std::string number = std::to_string(found.evaluation_number);
  const char* const floor = "evaluation number reaches the policy's floor";
  if (found.evaluation_number == 0) {
    checks.not_checked(floor, "there is no TCB info or QE identity that Intel signed");
  } else if (policy.min_evaluation_number == 0) {
    checks.fail(Code::kPolicyRefused, floor,
                "the policy has no " + key + ".min_evaluation_number; found " + number);
  } else {
    const bool good = found.evaluation_number >= policy.min_evaluation_number;
    checks.require(good, Code::kCollateralRollback, floor,
                   number + (good ? ", at least " : " is older than ") +
                       std::to_string(policy.min_evaluation_number));
  }
  if (found.tcb_status.empty()) {
    checks.not_checked("TCB status is allowed", "no TCB status was found out");
    return;
  }
  const Opinion opinion = judge_status(found, policy, key, at);
  checks.require(opinion.good, Code::kTcbRefused, "TCB status is allowed",
                 found.tcb_status + ": " + opinion.why +
                     (found.advisories.empty() ? "" : "; advisories " + joined(found.advisories)));
  std::vector<std::string> refused;
  for (const std::string& one : found.advisories) {
    if (contains(policy.refused_advisories, one)) refused.push_back(one);
  }
  if (policy.refused_advisories.empty()) {
    checks.not_applicable("no advisory is refused by name",
                          "the policy has no " + key + ".refused_advisories");
  } else {
    checks.require(
        refused.empty(), Code::kTcbRefused, "no advisory is refused by name",
        refused.empty() ? "none of " + joined(policy.refused_advisories) : joined(refused));
  }
}

void check_age(Checks& checks, const DcapFound& found, const Policy& policy, Time at) {
  const char* const name = "collateral is young enough for the policy";
  if (found.oldest_issue == 0) {
    checks.not_checked(name, "no collateral was given");
    return;
  }
  const bool good =
      at - found.oldest_issue <= std::min(policy.collateral_max_age_days, kMostDays) * kDay;
  checks.require(good, Code::kTimeInvalid, name,
                 "the oldest item is of " + to_text(found.oldest_issue) + "; the policy allows " +
                     std::to_string(policy.collateral_max_age_days) + " days");
}

// What the guest is, beside its measurements.
void check_td_attributes(Checks& checks, const TdReport& td, const TdxPolicy& policy) {
  const std::string attributes = "TDATTRIBUTES " + hex_number(td.td_attributes);
  checks.require((td.td_attributes & kTdUnderTest) == 0, Code::kDebug, "TD is not under debug",
                 attributes + ((td.td_attributes & kTdUnderTest) == 0
                                   ? ""
                                   : ": the host may read and change this guest's memory"));
  const std::uint64_t unknown =
      td.td_attributes & ~(kTdUnderTest | kSeptVeDisable | kMigratable | kTdHarmless);
  checks.require(unknown == 0, Code::kPolicyRefused, "TD has no attributes of unknown meaning",
                 unknown == 0 ? attributes : "bits " + hex_number(unknown));
  const bool disabled = (td.td_attributes & kSeptVeDisable) != 0;
  const char* const name = "host cannot inject page faults (SEPT_VE_DISABLE)";
  if (policy.require_sept_ve_disable) {
    checks.require(disabled, Code::kPolicyRefused, name,
                   disabled ? attributes
                            : attributes +
                                  "; a policy may waive it by "
                                  "tdx.require_sept_ve_disable = false");
  } else {
    checks.not_applicable(name, "the policy waives it");
  }
}

void check_td_ties(Checks& checks, const TdReport& td, const TdxPolicy& policy) {
  const char* const name = "TD cannot be moved or served by another TD";
  const bool served = !is_zero(td.mrservicetd);
  const bool listed = served && policy.mrservicetd.allows(td.mrservicetd);
  const bool movable = (td.td_attributes & kMigratable) != 0;
  if (served && !listed) {
    checks.fail(Code::kMigratable, name,
                "service TD " + to_hex(td.mrservicetd) + " is not listed in tdx.mrservicetd");
  } else if (movable && !listed) {
    checks.fail(Code::kMigratable, name, "attribute MIGRATABLE (bit 29) is set");
  } else {
    checks.pass(name, !td.is_15 ? "not migratable; this kind of report names no service TD"
                      : served  ? "the policy lists service TD " + to_hex(td.mrservicetd)
                                : "MRSERVICETD is zero");
  }
  checks.require(td.seam_attributes == 0, Code::kIdentityMismatch,
                 "TDX module is a production module",
                 "SEAMATTRIBUTES " + hex_number(td.seam_attributes));
}

void appraise_td(Checks& checks, const TdReport& td, const TdxPolicy& policy) {
  check_td_attributes(checks, td, policy);
  check_td_ties(checks, td, policy);
  check_value(checks, "tdx.mrtd", td.mrtd, policy.mrtd);
  check_value(checks, "tdx.rtmr0", td.rtmr[0], policy.rtmr0);
  check_value(checks, "tdx.rtmr1", td.rtmr[1], policy.rtmr1);
  check_value(checks, "tdx.rtmr2", td.rtmr[2], policy.rtmr2);
  check_value(checks, "tdx.rtmr3", td.rtmr[3], policy.rtmr3);
  check_value(checks, "tdx.mrconfigid", td.mrconfigid, policy.mrconfigid);
  check_value(checks, "tdx.mrowner", td.mrowner, policy.mrowner);
  check_value(checks, "tdx.mrownerconfig", td.mrownerconfig, policy.mrownerconfig);
}

void appraise_enclave(Checks& checks, const SgxReport& enclave, const SgxPolicy& policy) {
  const bool debug = (enclave.attributes[0] & kSgxDebug) != 0;
  checks.require(!debug, Code::kDebug, "enclave is not under debug",
                 "ATTRIBUTES " + to_hex(enclave.attributes) +
                     (debug ? ": the host may read and change this enclave's memory" : ""));
  check_value(checks, "sgx.mrenclave", enclave.mrenclave, policy.mrenclave);
  check_value(checks, "sgx.mrsigner", enclave.mrsigner, policy.mrsigner);
  const std::string product = std::to_string(enclave.isv_prod_id);
  checks.require(policy.isv_prod_id.allows(product), Code::kPolicyRefused, "isv_prod_id is allowed",
                 policy.isv_prod_id.allows(product)
                     ? product
                     : "the policy does not allow it by sgx.isv_prod_id; found " + product);
  const std::string version = std::to_string(enclave.isv_svn);
  if (!policy.min_isv_svn) {
    checks.fail(Code::kPolicyRefused, "isv_svn reaches the policy's floor",
                "the policy has no sgx.min_isv_svn; found " + version);
  } else {
    checks.require(enclave.isv_svn >= *policy.min_isv_svn, Code::kPolicyRefused,
                   "isv_svn reaches the policy's floor",
                   version + "; the floor is " + std::to_string(*policy.min_isv_svn));
  }
}

}  // namespace

void appraise_quote(Verdict& verdict, const Quote& quote, const DcapFound& found,
                    const Policy& policy, const Expected& expected, Time at) {
  Checks checks(verdict, Stage::kAppraise);
  const bool tdx = quote.kind == Kind::kTdx;
  if (tdx ? !policy.tdx : !policy.sgx) {
    checks.fail(Code::kPolicyRefused, "kind of evidence is allowed",
                std::string("the policy has no table [") + (tdx ? "tdx" : "sgx") + "]");
    return;
  }
  if (tdx) {
    appraise_td(checks, quote.td, *policy.tdx);
    check_tcb(checks, found, policy.tdx->tcb, "tdx", at);
    check_platform(checks, "tdx.platforms", found.ppid, policy.tdx->platforms);
  } else {
    appraise_enclave(checks, quote.enclave, *policy.sgx);
    check_tcb(checks, found, policy.sgx->tcb, "sgx", at);
    check_platform(checks, "sgx.platforms", found.ppid, policy.sgx->platforms);
  }
  check_age(checks, found, policy, at);
  check_report_data(checks, tdx ? quote.td.report_data : quote.enclave.report_data, expected);
  if (verdict.accepted()) {
    verdict.assurance = tdx ? policy.tdx->assurance : policy.sgx->assurance;
  }
}

}  // namespace otr::attest

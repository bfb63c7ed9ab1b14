// What NRAS says of devices, against a policy.
#include <algorithm>
#include <array>
#include <optional>
#include <set>
#include <string>

#include "attest/encoding.h"
#include "attest/nras.h"

namespace otr::attest {
namespace {

// Claims that must be there and true, after "x-nvidia-gpu-" or "x-nvidia-switch-". Versions 2 and 3
// of the claims have them.
constexpr std::array<std::string_view, 11> kOfGpus = {"arch-check",
                                                      "attestation-report-parsed",
                                                      "attestation-report-nonce-match",
                                                      "attestation-report-signature-verified",
                                                      "driver-rim-fetched",
                                                      "driver-rim-signature-verified",
                                                      "driver-rim-measurements-available",
                                                      "vbios-rim-fetched",
                                                      "vbios-rim-signature-verified",
                                                      "vbios-rim-measurements-available",
                                                      "vbios-index-no-conflict"};
constexpr std::array<std::string_view, 3> kOfSwitches = {
    "arch-check", "attestation-report-nonce-match", "attestation-report-signature-verified"};

std::string text_of(const Json& claims, const char* name) {
  return claims.contains(name) && claims[name].is_string() ? claims[name].get<std::string>()
                                                           : std::string();
}

bool is_true(const Json& claims, const std::string& name) {
  return claims.contains(name) && claims[name] == true;
}

// What the service itself found wrong or did not look at; empty if nothing.
std::string complaints(const Json& claims) {
  const bool is_switch = claims.contains("x-nvidia-switch-arch-check");
  const std::string prefix = is_switch ? "x-nvidia-switch-" : "x-nvidia-gpu-";
  std::string text;
  const auto add = [&](const std::string& what) { text += (text.empty() ? "" : ", ") + what; };
  const auto require = [&](std::string_view name) {
    if (!is_true(claims, prefix + std::string(name))) add(prefix + std::string(name));
  };
  if (is_switch) {
    std::ranges::for_each(kOfSwitches, require);
  } else {
    std::ranges::for_each(kOfGpus, require);
  }
  for (const auto& [name, value] : claims.items()) {
    const bool required = text.find(name) != std::string::npos;
    if (name.starts_with("x-nvidia-") && value == false && !required) add(name);
    if (!value.is_object() || !value.contains("x-nvidia-cert-status")) continue;
    if (value["x-nvidia-cert-status"] != "valid") add(name + " status");
    if (value.value("x-nvidia-cert-ocsp-status", Json()) != "good") add(name + " OCSP");
  }
  return text;
}

std::string first_word(const std::string& text) { return text.substr(0, text.find(' ')); }

void check_device(Checks& checks, const std::string& device, const Json& claims,
                  const NrasPolicy& policy) {
  const std::string hardware = text_of(claims, "hwmodel"), model = first_word(hardware);
  checks.require(policy.models.allows(model), Code::kPolicyRefused, device + ": model is allowed",
                 "'" + hardware + "'" +
                     (policy.models.allows(model) ? "" : " is not among the policy's models"));
  const std::string result = text_of(claims, "measres");
  checks.require(result == "success", Code::kMeasurementMismatch,
                 device + ": NRAS found the measurements to be the reference values",
                 "measres is '" + result + "'");
  const std::string debug = text_of(claims, "dbgstat");
  checks.require(debug == "disabled", Code::kDebug, device + ": debugging is off",
                 "dbgstat is '" + debug + "'");
  const bool secure_boot = is_true(claims, "secboot");
  checks.require(secure_boot, Code::kPolicyRefused, device + ": booted securely",
                 secure_boot ? "secboot is true" : "secboot is missing or false");
  const std::string wrong = complaints(claims);
  checks.require(wrong.empty(), Code::kPolicyRefused, device + ": NRAS made all its checks",
                 wrong.empty() ? "all are true" : "missing or false: " + wrong);
}

void check_age(Checks& checks, const Json& claims, const NrasPolicy& policy, Time at) {
  constexpr std::string_view kName = "token is recent";
  if (!claims.contains("iat") || !claims["iat"].is_number_integer()) {
    checks.fail(Code::kTokenInvalid, kName, "it does not say when it was issued");
    return;
  }
  const auto issued = claims["iat"].get<std::int64_t>();
  // In this form nothing overflows, whatever a token or a policy says.
  const bool recent = issued >= 0 && at >= issued && (at - issued) / 3600 <= policy.max_age_hours &&
                      ((at - issued) / 3600 < policy.max_age_hours || (at - issued) % 3600 == 0);
  checks.require(recent, Code::kTimeInvalid, kName,
                 "issued " + (issued >= 0 ? to_text(issued) : std::to_string(issued)) +
                     ", at most " + std::to_string(policy.max_age_hours) + " h old is allowed");
}

}  // namespace

void appraise_nras(Verdict& verdict, const NrasToken& token, const NrasPolicy& policy,
                   const Expected& expected, Time at) {
  Checks checks(verdict, Stage::kAppraise);
  const Json& overall = token.overall.claims;
  const std::string nonce = text_of(overall, "eat_nonce");
  constexpr std::string_view kNonce = "token answers the nonce that was asked for";
  if (!expected.nonce) {
    checks.not_applicable(kNonce, "no nonce was asked for; freshness is not known");
  } else {
    const std::string asked = to_plain_hex(*expected.nonce);
    const auto stated = from_plain_hex(nonce);
    const bool equal = stated && *stated == *expected.nonce;
    checks.require(equal, Code::kNonceMismatch, kNonce,
                   equal ? nonce : "the token has '" + nonce + "', asked for was " + asked);
  }
  check_age(checks, overall, policy, at);
  const bool good = is_true(overall, "x-nvidia-overall-att-result");
  checks.require(good, Code::kPolicyRefused, "NRAS accepted the devices",
                 good ? "x-nvidia-overall-att-result is true"
                      : "x-nvidia-overall-att-result is missing or false");
  std::set<std::string> seen;
  for (const auto& [device, jwt] : token.devices) {
    check_device(checks, device, jwt.claims, policy);
    const std::string ueid = text_of(jwt.claims, "ueid");
    const bool fresh = !ueid.empty() && seen.insert(ueid).second;
    checks.require(fresh, Code::kDeviceRefused, device + ": is a device of its own",
                   fresh ? "ueid " + ueid : "ueid '" + ueid + "' is empty or was seen before");
  }
  if (verdict.accepted()) verdict.assurance = "third party";
}

}  // namespace otr::attest

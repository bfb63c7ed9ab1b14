// Judging chains and revocation.
#include <algorithm>

#include "attest/certificate_parts.h"
#include "attest/verified_cache.h"
#include "base/hex.h"

namespace otr::attest {
namespace {

constexpr std::size_t kMaxChain = 16;

std::string window(Time from, Time to) { return to_text(from) + " to " + to_text(to); }

// Why certificate `at` of the chain may not stand where it stands; empty if it may.
std::string misplaced(std::span<const Certificate> chain, std::size_t at) {
  const Certificate::Data& data = Certificate::Data::of(chain[at]);
  const std::string name = "'" + chain[at].subject_common_name() + "'";
  if (!data.unknown_critical.empty()) {
    return name + " has the critical extension " + data.unknown_critical + ", which is not known";
  }
  if (at == 0) return {};
  if (!data.is_ca) return name + " is no certificate authority";
  if (!data.may_sign_certificates) return name + " may not sign certificates (key usage)";
  if (data.path_length && at - 1 > *data.path_length) {
    return name + " allows " + std::to_string(*data.path_length) +
           " authorities below it, and has " + std::to_string(at - 1);
  }
  return {};
}

bool check_links(Checks& checks, const std::string& name, std::span<const Certificate> chain,
                 VerifiedCache* cache) {
  if (chain.empty() || chain.size() > kMaxChain) {
    return checks.fail(Code::kChainInvalid, name,
                       std::to_string(chain.size()) + " certificates; 1 to 16 are needed");
  }
  std::string names;
  for (std::size_t i = 0; i < chain.size(); ++i) {
    if (std::string why = misplaced(chain, i); !why.empty()) {
      return checks.fail(Code::kChainInvalid, name, std::move(why));
    }
    names += (i == 0 ? "" : " <- ") + chain[i].subject_common_name();
    // The last link is a matter of the anchors.
    if (i + 1 < chain.size() && !is_issued(chain[i], chain[i + 1], cache)) {
      return checks.fail(Code::kChainInvalid, name,
                         "'" + chain[i].subject_common_name() +
                             "' is not issued by the next one, '" +
                             chain[i + 1].subject_common_name() + "': its issuer is '" +
                             chain[i].issuer_common_name() + "', or the signature is wrong");
    }
  }
  checks.pass(name, std::move(names));
  return true;
}

// The anchor that the chain ends in or is issued by.
const Certificate* find_anchor(std::span<const Certificate> chain,
                               std::span<const Certificate> anchors, VerifiedCache* cache) {
  for (const Certificate& anchor : anchors) {
    if (chain.back() == anchor) return &anchor;
  }
  for (const Certificate& anchor : anchors) {
    const Certificate::Data& data = Certificate::Data::of(anchor);
    if (data.is_ca && data.may_sign_certificates &&
        (!data.path_length || chain.size() - 1 <= *data.path_length) &&
        is_issued(chain.back(), anchor, cache)) {
      return &anchor;
    }
  }
  return nullptr;
}

bool check_validity(Checks& checks, const std::string& name, std::span<const Certificate> chain,
                    const Certificate* anchor, Time at) {
  const Certificate* narrow_from = &chain[0];
  const Certificate* narrow_to = &chain[0];
  for (std::size_t i = 0; i <= chain.size(); ++i) {
    const Certificate* one = i < chain.size() ? &chain[i] : anchor;
    if (one == nullptr) continue;
    if (at < one->not_before() || at > one->not_after()) {
      return checks.fail(Code::kTimeInvalid, name,
                         "'" + one->subject_common_name() + "' is valid " +
                             window(one->not_before(), one->not_after()) + "; evaluated at " +
                             to_text(at));
    }
    if (one->not_before() > narrow_from->not_before()) narrow_from = one;
    if (one->not_after() < narrow_to->not_after()) narrow_to = one;
  }
  checks.pass(name, "all valid " + window(narrow_from->not_before(), narrow_to->not_after()));
  return true;
}

}  // namespace

bool check_chain(Checks& checks, std::string_view name, std::span<const Certificate> chain,
                 std::span<const Certificate> anchors, Time at, VerifiedCache* cache) {
  const std::string who(name);
  const std::string links_name = who + " chain: each certificate is issued by the next",
                    anchor_name = who + " chain ends in a trusted root",
                    validity_name = who + " chain is valid at the evaluation time";
  if (!check_links(checks, links_name, chain, cache)) {
    checks.not_checked(anchor_name, "the chain is broken");
    checks.not_checked(validity_name, "the chain is broken");
    return false;
  }
  const Certificate* anchor = find_anchor(chain, anchors, cache);
  const std::string last =
      "'" + chain.back().subject_common_name() + "', SHA-256 " + to_hex(chain.back().fingerprint());
  if (anchor == nullptr) {
    checks.fail(Code::kAnchorUnknown, anchor_name,
                "the chain ends in " + last + ", which is no trusted root nor issued by one");
  } else {
    checks.pass(anchor_name, "'" + anchor->subject_common_name() + "', SHA-256 " +
                                 to_hex(anchor->fingerprint()));
  }
  const bool valid = check_validity(checks, validity_name, chain, anchor, at);
  return anchor != nullptr && valid;
}

bool check_not_revoked(Checks& checks, std::string_view name, const Certificate& certificate,
                       const RevocationList& list, const Certificate& issuer, Time at) {
  const std::string check = std::string(name) + " is not revoked";
  if (!list.is_issued_by(issuer)) {
    return checks.fail(Code::kCollateralInvalid, check,
                       "the revocation list of '" + list.issuer() + "' is not issued by '" +
                           issuer.subject() + "', or its signature is wrong");
  }
  const std::string valid = window(list.this_update(), list.next_update());
  if (at < list.this_update() || at > list.next_update()) {
    return checks.fail(Code::kTimeInvalid, check,
                       "the revocation list of '" + issuer.subject_common_name() + "' is valid " +
                           valid + "; evaluated at " + to_text(at));
  }
  const std::string serial = to_hex(certificate.serial());
  if (list.revokes(certificate)) {
    return checks.fail(Code::kRevoked, check,
                       "'" + certificate.subject_common_name() + "', serial number " + serial +
                           ", is on the list of '" + issuer.subject_common_name() + "'");
  }
  checks.pass(check, "serial number " + serial + " is not on the list of '" +
                         issuer.subject_common_name() + "', valid " + valid);
  return true;
}

}  // namespace otr::attest

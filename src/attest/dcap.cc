#include "attest/dcap.h"

#include <algorithm>

#include "attest/dcap_verifier.h"
#include "base/hex.h"
#include "crypto/sha256.h"

namespace otr::attest {
namespace {

constexpr std::array<std::uint8_t, 16> kIntel = {0x93, 0x9a, 0x72, 0x33, 0xf7, 0x9c, 0x4c, 0xa9,
                                                 0x94, 0x0a, 0x0d, 0xb3, 0x95, 0x7f, 0x06, 0x07};
constexpr std::string_view kService = "Intel's provisioning certification service has it";

bool is_zero(ByteView bytes) {
  return std::ranges::all_of(bytes, [](std::uint8_t byte) { return byte == 0; });
}

std::vector<Certificate> leaf_first(std::vector<Certificate> chain) {
  if (chain.size() > 1 && chain.front().subject() == chain.front().issuer()) {
    std::ranges::reverse(chain);
  }
  return chain;
}

bool is_signed_by(const SignedDocument& document, const Certificate& signer) {
  return signer.key().is_ec(256) &&
         signer.key().verify_ecdsa(Digest::kSha256, as_bytes(document.signed_text), document.r_s);
}

}  // namespace

std::optional<DcapFound> DcapVerifier::run() {
  verdict_.facts.update(quote_facts(quote_));
  const bool chain = check_pck_chain();
  const bool genuine = check_signatures() && chain;
  check_revocation();
  check_tcb_info();
  check_qe_identity();
  check_tcb_status();
  check_end();
  Json& facts = verdict_.facts;
  facts["tcb_status"] = found_.tcb_status;
  facts["tcb_date"] = found_.tcb_date == 0 ? Json() : Json(to_text(found_.tcb_date));
  facts["advisories"] = found_.advisories;
  facts["evaluation_number"] = found_.evaluation_number;
  if (found_.expires != 0) facts["collateral"]["expires"] = to_text(found_.expires);
  if (!genuine) return std::nullopt;
  return found_;
}

// Checks a chain; false if it does not lead to an anchor. One that does, but is out of its time, is
// refused by its check and judged on, so that a verdict can say what the evidence held.
bool DcapVerifier::is_trusted(const std::string& name, std::span<const Certificate> chain) {
  const std::size_t before = verdict_.checks.size();
  check_chain(checks_, name, chain, anchors_.intel, at_);
  return std::ranges::all_of(std::span(verdict_.checks).subspan(before), [](const Check& check) {
    return check.outcome == Outcome::kPass || check.code == Code::kTimeInvalid;
  });
}

bool DcapVerifier::check_pck_chain() {
  checks_.require(quote_.qe_vendor_id == kIntel, Code::kIdentityMismatch,
                  "quoting enclave is of Intel",
                  "vendor id " + to_hex(quote_.qe_vendor_id) +
                      (quote_.qe_vendor_id == kIntel ? "" : "; Intel's is " + to_hex(kIntel)));
  const auto& chain = quote_.pck_chain;
  const std::string leaf = chain.empty() ? "" : chain[0].subject_common_name();
  const std::string issuer = chain.empty() ? "" : chain[0].issuer_common_name();
  const bool is_pck =
      chain.size() >= 2 && leaf == "Intel SGX PCK Certificate" &&
      (issuer == "Intel SGX PCK Platform CA" || issuer == "Intel SGX PCK Processor CA");
  bool good = checks_.require(
      is_pck, Code::kChainInvalid, "PCK chain holds a PCK certificate",
      "'" + leaf + "' of '" + issuer + "', in a chain of " + std::to_string(chain.size()));
  verdict_.hardware = is_trusted("PCK", chain);
  good = verdict_.hardware && good;
  for (const Certificate& anchor : anchors_.intel) {
    if (good && (chain.back() == anchor || chain.back().is_issued_by(anchor))) {
      root_ = &anchor;
      break;
    }
  }
  if (chain.empty()) return false;
  auto info = read_pck(chain[0]);
  if (!info) {
    return checks_.fail(Code::kChainInvalid, "PCK certificate names its platform",
                        info.error().message);
  }
  pck_ = *std::move(info);
  found_.ppid = pck_->ppid;
  found_.fmspc = pck_->fmspc;
  found_.platform_instance = pck_->platform_instance;
  checks_.pass("PCK certificate names its platform",
               "FMSPC " + to_hex(pck_->fmspc) + ", PPID " + to_hex(pck_->ppid));
  for (const Certificate& one : chain) {
    if (found_.expires == 0 || one.not_after() < found_.expires) found_.expires = one.not_after();
  }
  return good;
}

bool DcapVerifier::check_signatures() {
  const auto& chain = quote_.pck_chain;
  const bool report =
      !chain.empty() && chain[0].key().is_ec(256) &&
      chain[0].key().verify_ecdsa(Digest::kSha256, quote_.qe_report, quote_.qe_report_signature);
  checks_.require(report, Code::kSignatureInvalid, "QE report is signed by the PCK key",
                  report ? "ECDSA P-256, SHA-256" : "the signature is wrong");
  const Hash bound = crypto::sha256({quote_.attestation_key, quote_.qe_auth_data});
  const ByteView data = quote_.qe.report_data;
  const bool linked = std::ranges::equal(data.first(32), bound) && is_zero(data.subspan(32));
  checks_.require(linked, Code::kKeyLinkInvalid, "attestation key is bound by the QE report",
                  linked ? "its report data is the key's hash " + to_hex(bound)
                         : "the QE report holds " + to_hex(data) +
                               ", the hash of key and authentication data is " + to_hex(bound));
  const auto key = PublicKey::from_point(quote_.attestation_key);
  const bool quote =
      key && key->verify_ecdsa(Digest::kSha256, quote_.signed_part, quote_.signature);
  checks_.require(quote, Code::kSignatureInvalid, "quote is signed by the attestation key",
                  quote ? "ECDSA P-256, SHA-256, over header and body"
                  : key ? "the signature is wrong"
                        : "the attestation key is no point of P-256");
  return report && linked && quote;
}

void DcapVerifier::note_window(const char* item, Time issued, Time next_update,
                               bool counts_for_age) {
  verdict_.facts["collateral"][item] = {{"issued", to_text(issued)},
                                        {"next_update", to_text(next_update)}};
  if (counts_for_age && (found_.oldest_issue == 0 || issued < found_.oldest_issue)) {
    found_.oldest_issue = issued;
  }
  if (found_.expires == 0 || next_update < found_.expires) found_.expires = next_update;
}

void DcapVerifier::check_list(std::string_view name, const Certificate& certificate,
                              const std::optional<RevocationList>& list, const Certificate& issuer,
                              std::string_view request) {
  if (list) {
    check_not_revoked(checks_, name, certificate, *list, issuer, at_);
    return;
  }
  checks_.fail(Code::kCollateralMissing, std::string(name) + " is not revoked",
               "the revocation list of '" + issuer.subject_common_name() + "' was not given; " +
                   std::string(kService) + " (" + std::string(request) + ")");
}

void DcapVerifier::check_revocation() {
  if (collateral_.pck_crl) {
    note_window("pck_crl", collateral_.pck_crl->this_update(), collateral_.pck_crl->next_update(),
                true);
  }
  if (collateral_.root_crl) {
    note_window("root_crl", collateral_.root_crl->this_update(),
                collateral_.root_crl->next_update(), false);
  }
  if (root_ == nullptr) {
    checks_.not_checked("PCK certificate is not revoked", "its chain is not trusted");
    checks_.not_checked("PCK authority is not revoked", "its chain is not trusted");
    return;
  }
  const Certificate& authority = quote_.pck_chain[1];
  const bool platform = authority.subject_common_name().contains("Platform");
  check_list("PCK certificate", quote_.pck_chain[0], collateral_.pck_crl, authority,
             platform ? "pckcrl?ca=platform" : "pckcrl?ca=processor");
  check_list("PCK authority", authority, collateral_.root_crl, *root_, "rootcacrl");
}

// The chain under a document, once for both where they have the same.
bool DcapVerifier::check_signer(const std::string& name, const std::vector<Certificate>& chain) {
  if (signer_ && signer_->first == chain) {
    return checks_.require(signer_->second, Code::kCollateralInvalid, name + " signer is trusted",
                           signer_->second ? "the same as of the TCB info"
                                           : "the same as of the TCB info, which is not");
  }
  bool good = is_trusted(name + " signer", chain);
  const std::string common_name = chain[0].subject_common_name();
  good = checks_.require(common_name == "Intel SGX TCB Signing", Code::kCollateralInvalid,
                         name + " signer is Intel's for collateral", "'" + common_name + "'") &&
         good;
  if (!good) {
    checks_.not_checked(name + " signer is not revoked", "its chain is not trusted");
  } else {
    const auto is_issuer = [&](const Certificate& one) {
      return chain.size() > 1 ? chain[1] == one : chain[0].is_issued_by(one);
    };
    const auto issuer = std::ranges::find_if(anchors_.intel, is_issuer);
    if (issuer == anchors_.intel.end()) {
      good = checks_.fail(Code::kChainInvalid, name + " signer is not revoked",
                          "it is not issued by the root itself");
    } else {
      check_list(name + " signer", chain[0], collateral_.root_crl, *issuer, "rootcacrl");
    }
  }
  signer_ = {chain, good};
  return good;
}

// The chain as it was given, else the certificate at hand that fits.
std::vector<Certificate> DcapVerifier::signer_of(const SignedDocument& document,
                                                 const std::vector<Certificate>& given) const {
  if (!given.empty()) return leaf_first(given);
  for (const Certificate& one : anchors_.intel_intermediates) {
    if (at_ >= one.not_before() && at_ <= one.not_after() && is_signed_by(document, one)) {
      return {one};
    }
  }
  return {};
}

// Whether Intel signed it: what is genuine but out of its time is judged all the same, so that a
// verdict can say what it held.
bool DcapVerifier::check_document(const std::string& name, const SignedDocument& document,
                                  const std::vector<Certificate>& given) {
  const std::vector<Certificate> chain = signer_of(document, given);
  if (chain.empty()) {
    return checks_.fail(Code::kCollateralMissing, name + " is signed by Intel",
                        "the chain of its signer was not given; " + std::string(kService) +
                            ", in a header of the answer that carries the " + name);
  }
  const bool trusted = check_signer(name, chain);
  const bool is_signed =
      chain[0].key().is_ec(256) &&
      chain[0].key().verify_ecdsa(Digest::kSha256, as_bytes(document.signed_text), document.r_s);
  checks_.require(is_signed, Code::kCollateralInvalid, name + " is signed by Intel",
                  is_signed ? std::string("ECDSA P-256, SHA-256, over the document's exact bytes") +
                                  (given.empty() ? "; the signer's certificate is built in" : "")
                            : "the signature is wrong: other bytes, or another signer");
  const bool timely = at_ >= document.issued && at_ <= document.next_update;
  const std::string valid = "evaluation number " + std::to_string(document.evaluation_number) +
                            ", issued " + to_text(document.issued) + ", valid to " +
                            to_text(document.next_update);
  checks_.require(timely, Code::kTimeInvalid, name + " is valid at the evaluation time",
                  timely ? valid : valid + "; evaluated at " + to_text(at_));
  return trusted && is_signed;
}

void DcapVerifier::check_tcb_info() {
  const bool tdx = quote_.kind == Kind::kTdx;
  if (collateral_.tcb_info.empty()) {
    checks_.fail(Code::kCollateralMissing, "TCB info is given",
                 "it was not; " + std::string(kService) + (tdx ? " (tdx" : " (sgx") +
                     "/certification/v4/tcb?fmspc=" +
                     (pck_ ? to_hex(pck_->fmspc).substr(2) : "of the platform") + ")");
    return;
  }
  auto info = parse_tcb_info(collateral_.tcb_info);
  if (!info) {
    checks_.fail(Code::kCollateralInvalid, "TCB info is well-formed", info.error().message);
    return;
  }
  note_window("tcb_info", info->issued, info->next_update, true);
  verdict_.facts["collateral"]["tcb_info"]["evaluation_number"] = info->evaluation_number;
  if (!check_document("TCB info", *info, collateral_.tcb_signing_chain)) return;
  const bool fits = info->id == (tdx ? "TDX" : "SGX") && info->version == 3 && pck_ &&
                    info->fmspc == pck_->fmspc && info->pce_id == pck_->pce_id;
  std::string value = info->id + " version " + std::to_string(info->version) + ", FMSPC " +
                      to_hex(info->fmspc) + ", PCE id " + to_hex(info->pce_id);
  if (!fits && pck_) {
    value += std::string("; the platform needs ") + (tdx ? "TDX" : "SGX") + " version 3, FMSPC " +
             to_hex(pck_->fmspc) + ", PCE id " + to_hex(pck_->pce_id);
  }
  if (checks_.require(fits, Code::kCollateralInvalid, "TCB info is of this platform",
                      std::move(value))) {
    tcb_info_ = *std::move(info);
  }
}

void DcapVerifier::check_qe_identity() {
  const bool tdx = quote_.kind == Kind::kTdx;
  if (collateral_.qe_identity.empty()) {
    checks_.fail(Code::kCollateralMissing, "QE identity is given",
                 "it was not; " + std::string(kService) + (tdx ? " (tdx" : " (sgx") +
                     "/certification/v4/qe/identity)");
    return;
  }
  auto identity = parse_qe_identity(collateral_.qe_identity);
  if (!identity) {
    checks_.fail(Code::kCollateralInvalid, "QE identity is well-formed", identity.error().message);
    return;
  }
  note_window("qe_identity", identity->issued, identity->next_update, true);
  verdict_.facts["collateral"]["qe_identity"]["evaluation_number"] = identity->evaluation_number;
  const auto& chain = collateral_.qe_identity_chain.empty() ? collateral_.tcb_signing_chain
                                                            : collateral_.qe_identity_chain;
  if (!check_document("QE identity", *identity, chain)) return;
  const std::string wanted = tdx ? "TD_QE" : "QE";
  if (!checks_.require(identity->id == wanted && identity->version == 2, Code::kCollateralInvalid,
                       "QE identity is of this kind of quote",
                       identity->id + " version " + std::to_string(identity->version) +
                           (identity->id == wanted ? "" : "; " + wanted + " is needed"))) {
    return;
  }
  qe_identity_ = *std::move(identity);
  check_qe(*qe_identity_);
}

void DcapVerifier::check_end() {
  const std::string count = std::to_string(quote_.trailing_bytes);
  checks_.require(
      quote_.trailing_zeros, Code::kMalformed, "nothing but zeros follows the quote",
      quote_.trailing_zeros ? count + " bytes" : count + " bytes follow it, which nothing signs");
}

std::optional<DcapFound> verify_quote(Verdict& verdict, const Quote& quote,
                                      const DcapCollateral& collateral, const Anchors& anchors,
                                      Time at) {
  return DcapVerifier(verdict, quote, collateral, anchors, at).run();
}

}  // namespace otr::attest

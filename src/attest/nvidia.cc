#include "attest/nvidia.h"

#include <algorithm>
#include <array>
#include <string>
#include <utility>

#include "attest/der.h"
#include "attest/encoding.h"

namespace otr::attest {
namespace {

constexpr std::string_view kFwidOfHopper = "2.23.133.5.4.1", kDiceTcbInfo = "2.23.133.5.4.1.1";
constexpr std::string_view kSha384Oid = "2.16.840.1.101.3.4.2.2";
constexpr std::size_t kFwidBytes = 48;
constexpr std::uint8_t kFwidsTag = 0xA6;  // [6] of DiceTcbInfo, constructed

void write_facts(Verdict& verdict, const GpuReport& report) {
  Json& facts = verdict.facts;
  facts["nonce"] = to_plain_hex(report.nonce);
  if (!report.is_switch) facts["driver_version"] = report.driver_version;
  facts[report.is_switch ? "bios_version" : "vbios_version"] = report.vbios_version;
  if (!report.is_switch) facts["mode"] = report.mode();
  constexpr std::array<std::pair<std::uint16_t, const char*>, 6> kTexts = {{
      {GpuReport::kChipSku, "chip_sku"},
      {16, "chip_sku_mod"},
      {GpuReport::kProject, "project"},
      {GpuReport::kProjectSku, "project_sku"},
      {19, "project_sku_mod"},
      {GpuReport::kChipInfo, "chip_info"},
  }};
  for (const auto& [type, name] : kTexts) {
    if (const std::string text = report.text(type); !text.empty()) facts[name] = text;
  }
  if (const Bytes* status = report.field(GpuReport::kNvdec0Status)) {
    facts["nvdec0_status"] = *status == Bytes{0xAA}   ? "enabled"
                             : *status == Bytes{0x55} ? "disabled"
                                                      : "0x" + to_plain_hex(*status);
  }
  Json measurements = Json::object(), fields = Json::object();
  for (const auto& [index, value] : report.measurements) {
    measurements[std::to_string(index)] = to_plain_hex(value);
  }
  for (const auto& [type, value] : report.opaque) {
    fields[std::to_string(type)] = to_plain_hex(value);
  }
  facts["measurements"] = std::move(measurements);
  facts["opaque_fields"] = std::move(fields);
}

// The firmware id for which the leaf was issued; nothing where it has none or a malformed one.
std::optional<Bytes> fwid_of_dice(ByteView extension) {
  DerReader outer(extension);
  const auto info = outer.next(kDerSequence);
  if (!info || !outer.empty()) return std::nullopt;
  DerReader fields(info->content);
  while (!fields.empty()) {
    const auto field = fields.next();
    if (!field) return std::nullopt;
    if (field->tag != kFwidsTag) continue;
    DerReader list(field->content);
    const auto first = list.next(kDerSequence);
    if (!first) return std::nullopt;
    DerReader fwid(first->content);
    const auto algorithm = fwid.next(kDerOid);
    const auto digest = fwid.next(kDerOctetString);
    if (!algorithm || !digest || !fwid.empty() || digest->content.size() != kFwidBytes) {
      return std::nullopt;
    }
    const auto oid = der_oid(algorithm->content);
    if (!oid || *oid != kSha384Oid) return std::nullopt;
    return Bytes(digest->content.begin(), digest->content.end());
  }
  return std::nullopt;
}

std::optional<Bytes> fwid_of(const Certificate& leaf) {
  if (const auto dice = leaf.extension(kDiceTcbInfo)) return fwid_of_dice(*dice);
  // Hopper: a composite device id whose last item is the firmware id, an OCTET STRING.
  const auto device_id = leaf.extension(kFwidOfHopper);
  if (!device_id || device_id->size() < kFwidBytes + 2) return std::nullopt;
  const ByteView end = ByteView(*device_id).last(kFwidBytes + 2);
  if (end[0] != kDerOctetString || end[1] != kFwidBytes) return std::nullopt;
  return Bytes(end.begin() + 2, end.end());
}

bool check_fwid(Checks& checks, const GpuReport& report, const Certificate& leaf,
                bool allow_missing) {
  constexpr std::string_view kName = "key belongs to the firmware that runs (FWID)";
  const Bytes* stated = report.field(GpuReport::kFwid);
  const auto certified = fwid_of(leaf);
  if (stated == nullptr) {
    if (report.is_switch) {
      checks.not_applicable(kName, "reports of switches state no FWID");
    } else if (allow_missing) {
      checks.not_applicable(kName, "this driver's report states no FWID; the policy allows that");
    } else {
      checks.fail(Code::kKeyLinkInvalid, kName,
                  "the report states no FWID, as those of old drivers; the policy can allow it "
                  "(allow_missing_fwid)");
    }
    return false;
  }
  if (!certified) {
    return checks.fail(Code::kKeyLinkInvalid, kName,
                       "the report states FWID " + to_plain_hex(*stated) +
                           ", the leaf certificate none that can be read");
  }
  return checks.require(*stated == *certified, Code::kKeyLinkInvalid, kName,
                        *stated == *certified
                            ? to_plain_hex(*stated)
                            : "the report states " + to_plain_hex(*stated) +
                                  ", the leaf certificate " + to_plain_hex(*certified));
}

// Chain and signature: that the report is a device's.
bool check_genuine(Verdict& verdict, Checks& checks, const GpuReport& report,
                   const GpuCollateral& collateral, const Anchors& anchors, Time at,
                   VerifiedCache* cache) {
  if (collateral.chain.empty()) {
    return checks.fail(Code::kCollateralMissing, "device certificate chain",
                       "no certificates were given with the report; they come from the same call");
  }
  const Certificate& leaf = collateral.chain.front();
  verdict.facts["ueid"] = to_plain_hex(leaf.serial());
  verdict.facts["ueid_decimal"] = leaf.serial_decimal();
  verdict.facts["certificate"] = leaf.subject();
  const bool chain =
      check_chain(checks, "device", collateral.chain, anchors.nvidia_device, at, cache);
  const bool is_leaf = checks.require(
      !leaf.is_ca(), Code::kChainInvalid, "chain begins with an attestation key",
      leaf.is_ca()
          ? "'" + leaf.subject_common_name() + "' is a certificate authority: the leaf is missing"
          : "'" + leaf.subject_common_name() + "'");
  if (!is_leaf) {
    checks.not_checked("report is signed by the device's key", "its certificate is missing");
    return false;
  }
  const bool good = leaf.key().is_ec(384) &&
                    leaf.key().verify_ecdsa(Digest::kSha384, report.signed_part, report.r_s);
  checks.require(
      good, Code::kSignatureInvalid, "report is signed by the device's key",
      good ? "ECDSA P-384, key of '" + leaf.subject_common_name() + "'"
           : "the signature does not verify with the key of '" + leaf.subject_common_name() + "'");
  verdict.hardware = chain && good;
  return verdict.hardware;
}

// Revocation of one chain. `first` is 1 where the vendor answers for no leaf.
struct Revocation {
  Checks& checks;
  const GpuCollateral& collateral;
  const GpuPolicy& policy;
  Time at;
  VerifiedCache* cache;
  GpuFound& found;

  void check(std::string_view whose, std::span<const Certificate> chain,
             std::span<const Certificate> anchors, std::size_t first) const {
    const bool has_root = std::ranges::find(anchors, chain.back()) != anchors.end();
    const std::size_t below_root = chain.size() - (has_root ? 1 : 0);
    for (std::size_t i = 0; i < below_root; ++i) {
      const Certificate* issuer = i + 1 < chain.size() ? &chain[i + 1] : nullptr;
      for (std::size_t k = 0; issuer == nullptr && k < anchors.size(); ++k) {
        if (chain[i].is_issued_by(anchors[k])) issuer = &anchors[k];
      }
      // Level 1 is the root, as NVIDIA counts.
      const std::string name = std::string(whose) + " certificate of level " +
                               std::to_string(below_root - i + 1) + " '" +
                               chain[i].subject_common_name() + "'";
      if (issuer == nullptr) {
        checks.fail(Code::kChainInvalid, name, "its issuer is not at hand");
        return;
      }
      check_one(name, chain[i], *issuer, i >= first);
    }
  }

  void check_one(const std::string& name, const Certificate& certificate, const Certificate& issuer,
                 bool needed) const {
    const bool given = std::ranges::any_of(collateral.ocsp, [&](const OcspResponse& response) {
      return response.is_about(certificate, issuer);
    });
    if (!given && !needed) return;
    if (given) ++found.ocsp_answered;
    if (!given) found.ocsp_missing.push_back(name);
    if (!given && !policy.require_ocsp) {
      checks.not_applicable(name + " is not revoked (OCSP)",
                            "no answer was given, and the policy demands none");
      return;
    }
    const OcspRules rules{.max_age_hours = policy.ocsp_max_age_hours,
                          .past_next_update = policy.ocsp_past_next_update};
    check_ocsp(checks, name, certificate, issuer, collateral.ocsp, rules, at, cache);
  }
};

// "GH100 A01 GSP BROM", "LS_10 A01 FSP BROM": the chip is the first word.
std::string model_of(std::span<const Certificate> chain) {
  const std::string name = chain[chain.size() > 1 ? 1 : 0].subject_common_name();
  std::string model;
  for (const char c : std::string_view(name).substr(0, name.find(' '))) {
    if (c != '_') model += c;
  }
  return model;
}

bool equal_ignoring_case(std::string_view a, std::string_view b) {
  const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; };
  return std::ranges::equal(a, b, {}, lower, lower);
}

// "96.00.9F.00.01", where a driver's is "550.90.07".
bool is_vbios_version(std::string_view version) {
  return version.size() == 14 && version[2] == '.' && version[5] == '.' && version[8] == '.' &&
         version[11] == '.';
}

// Chips of NVLink switches, whose BIOS versions look like those of a VBIOS.
bool is_switch_chip(std::string_view product) { return product.starts_with("LS"); }

// Reference values for one report.
struct References {
  Checks& checks;
  const GpuReport& report;
  const GpuCollateral& collateral;
  const Anchors& anchors;
  const Revocation& revocation;
  const std::string& model;

  // The manifest for `version`, verified; nullptr where none is or it is not genuine. Of several
  // the first that is genuine and that the report meets: the service holds one for each board.
  // Whoever gives manifests of this kind wants them compared: if none fits, that is a failure even
  // where the policy needs none.
  const Rim* find(const std::string& whose, const std::string& version, const std::string& name,
                  bool needed) const {
    std::vector<const Rim*> fit;
    std::string others;
    for (const Rim& rim : collateral.rims) {
      if (equal_ignoring_case(rim.version, version)) {
        fit.push_back(&rim);
      } else if (is_vbios_version(rim.version) == is_vbios_version(version) &&
                 is_switch_chip(rim.product) == report.is_switch) {
        others += (others.empty() ? "" : ", ") + rim.version + " of " + rim.product;
      }
    }
    const std::string check = whose + " reference values (RIM)";
    if (fit.empty()) {
      const std::string wanted =
          "needed is version " + version + ", " + name + " at the RIM service";
      if (!others.empty()) {
        checks.fail(Code::kVersionMismatch, check,
                    "given are those of version " + others + "; " + wanted);
      } else if (needed) {
        checks.fail(Code::kReferenceMissing, check, "none were given; " + wanted);
      } else {
        checks.not_applicable(check, "none were given and the policy demands none; " + wanted);
      }
      return nullptr;
    }
    const Rim& rim = *best(fit, whose);
    checks.pass(check, "version " + rim.version + " of " + rim.product + ", " + name);
    const std::string label = whose + " RIM";
    const Time at = revocation.at;
    const bool genuine = verify_rim(checks, label, rim, anchors.nvidia_rim, at, revocation.cache);
    return genuine ? &rim : nullptr;
  }

  const Rim* best(const std::vector<const Rim*>& fit, const std::string& whose) const {
    for (const Rim* rim : fit) {
      if (fit.size() == 1) break;
      Verdict scratch;
      Checks tried(scratch, Stage::kVerify);
      if (verify_rim(tried, whose, *rim, anchors.nvidia_rim, revocation.at, revocation.cache) &&
          std::ranges::all_of(rim->measurements, [&](const auto& entry) {
            const auto measured = report.measurements.find(entry.first + 1);
            return measured != report.measurements.end() &&
                   std::ranges::find(entry.second, measured->second) != entry.second.end();
          })) {
        return rim;
      }
    }
    return fit.front();
  }
};

void check_references(Verdict& verdict, Checks& checks, const References& references,
                      const GpuPolicy& policy, GpuFound& found) {
  const GpuReport& report = references.report;
  const std::vector<std::string> names = rim_names(report, found.model);
  verdict.facts["rim_names"] = names;
  const std::string vbios_name = report.is_switch ? "switch BIOS" : "VBIOS";
  const Rim* driver = nullptr;
  if (!report.is_switch) {
    driver = references.find("driver", report.driver_version, names.front(), policy.require_rims);
  }
  const Rim* vbios =
      references.find(vbios_name, report.vbios_version, names.back(), policy.require_rims);
  for (const auto& [whose, rim] : {std::pair("driver", driver), std::pair("VBIOS", vbios)}) {
    if (rim == nullptr) continue;
    references.revocation.check(std::string(whose) + " RIM", rim->chain,
                                references.anchors.nvidia_rim, 0);
  }
  const bool any = vbios != nullptr || driver != nullptr;
  if (any) found.rims_match = compare_measurements(checks, report, driver, vbios);
  const bool differs =
      verdict.failure() != nullptr && verdict.failure()->code == Code::kMeasurementMismatch;
  if (!differs && (vbios == nullptr || (driver == nullptr && !report.is_switch))) {
    constexpr std::string_view kName = "measurements equal the reference values";
    const std::string why = "there are no complete, genuine reference values to compare with";
    if (policy.require_rims) {
      checks.not_checked(kName, why);
    } else {
      checks.not_applicable(kName, why + "; the policy demands none");
    }
  }
}

}  // namespace

std::optional<GpuFound> verify_gpu(Verdict& verdict, const GpuReport& report,
                                   const GpuCollateral& collateral, const Anchors& anchors,
                                   const GpuPolicy& policy, Time at, VerifiedCache* cache) {
  // Manifests share authorities: even one report meets the same signature twice.
  VerifiedCache own;
  if (cache == nullptr) cache = &own;
  verdict.kind = report.is_switch ? Kind::kNvidiaSwitch : Kind::kNvidiaGpu;
  write_facts(verdict, report);
  Checks checks(verdict, Stage::kVerify);
  if (!check_genuine(verdict, checks, report, collateral, anchors, at, cache)) return std::nullopt;
  const Certificate& leaf = collateral.chain.front();
  GpuFound found{.model = model_of(collateral.chain),
                 .ueid = leaf.serial(),
                 .mode = report.mode(),
                 .driver = report.driver_version,
                 .vbios = report.vbios_version,
                 .ueid_decimal = leaf.serial_decimal()};
  verdict.facts["model"] = found.model;
  found.fwid_matches = check_fwid(checks, report, leaf, policy.allow_missing_fwid);
  const Revocation revocation{.checks = checks,
                              .collateral = collateral,
                              .policy = policy,
                              .at = at,
                              .cache = cache,
                              .found = found};
  // NVIDIA's responder knows no leaf of a device: it is issued by the device itself.
  revocation.check("device", collateral.chain, anchors.nvidia_device, 1);
  const References references{.checks = checks,
                              .report = report,
                              .collateral = collateral,
                              .anchors = anchors,
                              .revocation = revocation,
                              .model = found.model};
  check_references(verdict, checks, references, policy, found);
  return found;
}

}  // namespace otr::attest

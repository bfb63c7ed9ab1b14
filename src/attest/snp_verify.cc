#include <algorithm>
#include <array>
#include <string_view>

#include "attest/der.h"
#include "attest/encoding.h"
#include "attest/simulated.h"
#include "attest/snp.h"

namespace otr::attest {
namespace {

constexpr std::string_view kExtensions = "1.3.6.1.4.1.3704.1.";
constexpr std::string_view kUntold = "unknown";

std::optional<Bytes> extension(const Certificate& certificate, std::string_view tail) {
  return certificate.extension(std::string(kExtensions) + std::string(tail));
}

// Bits 2 to 4 of the key flags; the other values mean that no key has signed.
std::optional<std::string_view> signer_of(const SnpReport& report) {
  const unsigned key = report.key_flags >> 2 & 7;
  if (key == 0) return "VCEK";
  if (key == 1) return "VLEK";
  return std::nullopt;
}

// AMD's family and model numbers, extended parts included (57230 and the processors' PPRs).
std::optional<std::string_view> product_of_cpu(unsigned family, unsigned model) {
  if (family == 0x19 && model < 0x10) return "Milan";
  if (family == 0x19 && (model < 0x20 || (model >= 0xa0 && model < 0xb0))) return "Genoa";
  if (family == 0x1a && model < 0x20) return "Turin";
  return std::nullopt;
}

// An IA5String such as "Milan-B0", whose part before the hyphen is the product. Siena and Bergamo
// hang under Genoa's root.
std::optional<std::string> product_of_certificate(const Certificate& certificate) {
  const auto content = extension(certificate, "2");
  if (!content) return std::nullopt;
  constexpr std::uint8_t kIa5String = 0x16;
  DerReader reader(*content);
  const auto item = reader.next(kIa5String);
  if (!item || !reader.empty()) return std::nullopt;
  const std::string_view name = as_text(item->content);
  const std::string product(name.substr(0, name.find('-')));
  return product == "Siena" || product == "Bergamo" ? "Genoa" : product;
}

// The certificate of the key that signed: among those that call themselves by its name the one
// under which the signature verifies, else the first, so that the checks can say what is wrong.
const Certificate* find_leaf(const SnpReport& report, const SnpCollateral& collateral,
                             std::string_view signer) {
  const std::string name = "SEV-" + std::string(signer);
  const Certificate* first = nullptr;
  for (const Certificate& one : collateral.certificates) {
    if (one.subject_common_name() != name || !extension(one, "1")) continue;
    if (one.key().verify_ecdsa(Digest::kSha384, report.signed_part, report.r_s)) return &one;
    if (first == nullptr) first = &one;
  }
  return first;
}

// ASK or ASVK: who issued the leaf, from what came with it or from what AMD publishes; by name
// alone where nobody did, so that the chain's check can say so.
const Certificate* find_intermediate(const Certificate& leaf, const SnpCollateral& collateral,
                                     const Anchors& anchors) {
  const Certificate* named = nullptr;
  for (const auto* list : {&collateral.certificates, &anchors.amd_intermediates}) {
    for (const Certificate& one : *list) {
      if (one.subject() != leaf.issuer() || one == leaf) continue;
      if (leaf.is_issued_by(one)) return &one;
      if (named == nullptr) named = &one;
    }
  }
  return named;
}

SnpTcb tcb_of(std::uint64_t value, bool turin) {
  const auto byte = [&](unsigned at) { return static_cast<std::uint8_t>(value >> (8 * at)); };
  if (turin) {
    return {.fmc = byte(0),
            .boot_loader = byte(1),
            .tee = byte(2),
            .snp = byte(3),
            .microcode = byte(7)};
  }
  return {.boot_loader = byte(0), .tee = byte(1), .snp = byte(6), .microcode = byte(7)};
}

std::uint64_t reserved_tcb_bits(bool turin) {
  return turin ? 0x00ffffff00000000ULL : 0x0000ffffffff0000ULL;
}

struct Level {  // one security patch level: of the report, and where the certificate states it
  std::string_view name, oid;
  std::uint8_t reported;
};

// Each level of the certificate, an INTEGER, equals the reported TCB's: the VCEK is derived from
// it.
bool check_levels(Checks& checks, const Certificate& leaf, const SnpTcb& reported, bool turin) {
  constexpr std::string_view kName = "the certificate is of the reported firmware";
  std::vector<Level> levels = {{"boot loader", "3.1", reported.boot_loader},
                               {"TEE", "3.2", reported.tee},
                               {"SNP", "3.3", reported.snp},
                               {"microcode", "3.8", reported.microcode}};
  if (turin) levels.push_back({"FMC", "3.9", reported.fmc});
  std::string text;
  for (const Level& level : levels) {
    const auto content = extension(leaf, level.oid);
    DerReader reader(content ? ByteView(*content) : ByteView());
    const auto item = reader.next(kDerInteger);
    const auto value = item && reader.empty() ? der_unsigned(item->content)
                                              : fail(ErrorKind::kBadInput, "no INTEGER");
    const std::string name(level.name);
    if (!value) {
      return checks.fail(Code::kKeyLinkInvalid, kName,
                         "the certificate does not state its level of " + name + " (extension " +
                             std::string(kExtensions) + std::string(level.oid) + ")");
    }
    if (*value != level.reported) {
      return checks.fail(Code::kKeyLinkInvalid, kName,
                         name + ": the certificate is of level " + std::to_string(*value) +
                             ", the report of level " + std::to_string(level.reported) +
                             "; give the certificate for the reported TCB");
    }
    text += (text.empty() ? "" : ", ") + name + " " + std::to_string(*value);
  }
  checks.pass(kName, text);
  return true;
}

// The hardware id of a VCEK, raw or wrapped in an OCTET STRING.
std::optional<Bytes> hardware_id(const Certificate& leaf, std::size_t size_bytes) {
  const auto content = extension(leaf, "4");
  if (!content || content->size() == size_bytes) return content;
  DerReader reader(*content);
  const auto item = reader.next(kDerOctetString);
  if (!item || !reader.empty() || item->content.size() != size_bytes) return std::nullopt;
  return Bytes(item->content.begin(), item->content.end());
}

bool is_zero(ByteView bytes) {
  return std::ranges::all_of(bytes, [](std::uint8_t byte) { return byte == 0; });
}

// A VCEK is of one chip: its HWID is the report's CHIP_ID, of which Turin uses eight bytes. Where
// the host masks CHIP_ID, the key itself says which chip signed. A VLEK is of a cloud provider.
bool check_device(Checks& checks, const SnpReport& report, const Certificate& leaf, bool turin,
                  SnpFound& found) {
  found.chip.assign(report.chip_id.begin(), report.chip_id.end());
  if (found.signer == "VLEK") {
    const auto provider = extension(leaf, "5");
    return checks.require(provider && !extension(leaf, "4"), Code::kKeyLinkInvalid,
                          "the certificate is of a cloud provider",
                          provider ? "a VLEK is loaded by the provider and names no chip"
                                   : "it names no provider (extension 1.3.6.1.4.1.3704.1.5)");
  }
  constexpr std::string_view kName = "the certificate is of this chip";
  const std::size_t size = turin ? 8 : report.chip_id.size();
  const auto id = hardware_id(leaf, size);
  if (!id || id->size() != size) {
    return checks.fail(Code::kKeyLinkInvalid, kName,
                       "the certificate has no hardware id of " + std::to_string(size) +
                           " bytes (extension 1.3.6.1.4.1.3704.1.4)");
  }
  Bytes whole = *id;
  whole.resize(report.chip_id.size(), 0);
  if (is_zero(report.chip_id)) {
    found.chip = whole;
    checks.pass(kName, "the host masks the chip's id in reports; the key that signed is that of " +
                           to_plain_hex(*id));
    return true;
  }
  const bool equal = std::ranges::equal(whole, report.chip_id);
  return checks.require(equal, Code::kKeyLinkInvalid, kName,
                        equal ? to_plain_hex(*id)
                              : "the certificate is of chip " + to_plain_hex(*id) +
                                    ", the report of " + to_plain_hex(report.chip_id));
}

// Where the certificate can be had: AMD's key distribution service asks for chip and firmware.
std::string where_to_get(const SnpReport& report, std::string_view signer) {
  if (signer == "VLEK") return "; the cloud provider of the machine hands it out";
  const auto product =
      report.cpu_family ? product_of_cpu(*report.cpu_family, *report.cpu_model) : std::nullopt;
  const bool turin = product == "Turin";
  const SnpTcb tcb = tcb_of(report.reported_tcb, turin);
  const ByteView id = ByteView(report.chip_id).first(turin ? 8 : report.chip_id.size());
  return "; AMD serves it at https://kdsintf.amd.com/vcek/v1/" +
         std::string(product.value_or("PRODUCT")) + "/" + to_plain_hex(id) +
         "?blSPL=" + std::to_string(tcb.boot_loader) + "&teeSPL=" + std::to_string(tcb.tee) +
         "&snpSPL=" + std::to_string(tcb.snp) + "&ucodeSPL=" + std::to_string(tcb.microcode) +
         (turin ? "&fmcSPL=" + std::to_string(tcb.fmc) : "");
}

// The product of the report's processor and of the certificate, which must be one.
std::optional<std::string> check_product(Checks& checks, const SnpReport& report,
                                         const Certificate& leaf) {
  constexpr std::string_view kName = "product";
  const auto certified = product_of_certificate(leaf);
  if (!certified) {
    checks.fail(Code::kKeyLinkInvalid, kName,
                "the certificate names no product (extension 1.3.6.1.4.1.3704.1.2)");
    return std::nullopt;
  }
  if (*certified != "Milan" && *certified != "Genoa" && *certified != "Turin") {
    checks.fail(Code::kUnsupported, kName, "the certificate is of a product not known here");
    return std::nullopt;
  }
  if (!report.cpu_family) {
    checks.pass(kName, *certified + ", by the certificate; reports of version 2 do not say");
    return certified;
  }
  const auto reported = product_of_cpu(*report.cpu_family, *report.cpu_model);
  const std::string cpu = "family " + std::to_string(*report.cpu_family) + ", model " +
                          std::to_string(*report.cpu_model);
  if (reported != *certified) {
    checks.fail(Code::kIdentityMismatch, kName,
                "the report is of " + std::string(reported.value_or(kUntold)) + " (" + cpu +
                    "), the certificate of " + *certified);
    return std::nullopt;
  }
  checks.pass(kName, *certified + " (" + cpu + ")");
  return certified;
}

bool check_revocation(Checks& checks, const SnpCollateral& collateral,
                      const Certificate& intermediate, const Certificate& ark, Time at,
                      SnpFound& found) {
  const std::string name = intermediate.subject_common_name();
  if (!collateral.crl) {
    checks.not_applicable(name + " is not revoked",
                          "no revocation list was given; the policy says whether one must be");
    return true;
  }
  found.crl_checked = true;
  return check_not_revoked(checks, name, intermediate, *collateral.crl, ark, at);
}

Json tcb_facts(const SnpTcb& tcb, bool turin) {
  Json facts = {{"boot_loader", tcb.boot_loader},
                {"tee", tcb.tee},
                {"snp", tcb.snp},
                {"microcode", tcb.microcode}};
  if (turin) facts["fmc"] = tcb.fmc;
  return facts;
}

// What is known of a product and no signature shows.
void state_product(Json& facts, const SnpFound& found, const Certificate& leaf) {
  const bool turin = found.product == "Turin";
  facts["product"] = found.product;
  facts["current_tcb"] = tcb_facts(found.current, turin);
  facts["reported_tcb"] = tcb_facts(found.reported, turin);
  facts["committed_tcb"] = tcb_facts(found.committed, turin);
  facts["launch_tcb"] = tcb_facts(found.launch, turin);
  facts["chip"] = to_plain_hex(found.chip);
  facts["certificate_valid"] = to_text(leaf.not_before()) + " to " + to_text(leaf.not_after());
  if (const auto provider = extension(leaf, "5"); provider && provider->size() > 2) {
    std::string name(as_text(ByteView(*provider).subspan(2)));
    std::ranges::replace_if(name, [](char c) { return c < 0x20 || c > 0x7e; }, '?');
    facts["cloud_provider"] = name;
  }
  if (found.product == "Milan") {
    facts["warnings"] = Json::array(
        {"Milan: the seed of its endorsement keys can be had by software alone (BadFuse and "
         "MilanLaunchy, 2026), so reports of any firmware version can be forged, and no update "
         "cures it. The policy's assurance class says what such a report is worth."});
  }
}

}  // namespace

std::optional<SnpFound> verify_snp(Verdict& verdict, const SnpReport& report,
                                   const SnpCollateral& collateral, const Anchors& anchors,
                                   Time at) {
  verdict.kind = Kind::kSevSnp;
  verdict.hardware = false;
  verdict.facts = snp_facts(report);
  Checks checks(verdict, Stage::kVerify);
  const auto signer = signer_of(report);
  if (!signer) {
    checks.fail(Code::kSignatureInvalid, "report is signed",
                "the firmware says that no key signed it (signing key " +
                    std::to_string(report.key_flags >> 2 & 7) + ")");
    return std::nullopt;
  }
  SnpFound found{.signer = std::string(*signer)};
  const Certificate* leaf = find_leaf(report, collateral, *signer);
  if (leaf == nullptr) {
    checks.fail(Code::kCollateralMissing, found.signer + " certificate",
                "none was given" + where_to_get(report, *signer));
    return std::nullopt;
  }
  bool good =
      checks.require(leaf->key().is_ec(384) &&
                         leaf->key().verify_ecdsa(Digest::kSha384, report.signed_part, report.r_s),
                     Code::kSignatureInvalid, "report is signed by the " + found.signer,
                     "ECDSA P-384, SHA-384, over the first 672 bytes");
  const auto product = check_product(checks, report, *leaf);
  if (!product) return std::nullopt;
  found.product = *product;
  const bool turin = found.product == "Turin";

  const Certificate* intermediate = find_intermediate(*leaf, collateral, anchors);
  const auto ark = anchors.amd.find(found.product);
  if (intermediate == nullptr || ark == anchors.amd.end()) {
    checks.fail(intermediate == nullptr ? Code::kChainInvalid : Code::kAnchorUnknown,
                found.signer + " chain",
                intermediate == nullptr
                    ? "the certificate of its issuer, " + leaf->issuer() + ", is missing"
                    : "no root of " + found.product + " is trusted");
    return std::nullopt;
  }
  const std::array<Certificate, 2> chain = {*leaf, *intermediate};
  good = check_not_simulated(checks, chain) && good;
  good = check_chain(checks, found.signer, chain, std::span(&ark->second, 1), at) && good;
  const std::string issuer = (found.signer == "VLEK" ? "SEV-VLEK-" : "SEV-") + found.product;
  good = checks.require(intermediate->subject_common_name() == issuer, Code::kChainInvalid,
                        found.signer + " is issued by " + issuer,
                        intermediate->subject_common_name()) &&
         good;
  good = check_revocation(checks, collateral, *intermediate, ark->second, at, found) && good;

  found.current = tcb_of(report.current_tcb, turin);
  found.reported = tcb_of(report.reported_tcb, turin);
  found.committed = tcb_of(report.committed_tcb, turin);
  found.launch = tcb_of(report.launch_tcb, turin);
  const std::uint64_t all =
      report.current_tcb | report.reported_tcb | report.committed_tcb | report.launch_tcb;
  good = checks.require((all & reserved_tcb_bits(turin)) == 0, Code::kMalformed,
                        "reserved bytes of the TCB versions are zero", "") &&
         good;
  good = check_levels(checks, *leaf, found.reported, turin) && good;
  good = check_device(checks, report, *leaf, turin, found) && good;
  state_product(verdict.facts, found, *leaf);
  if (!good) return std::nullopt;
  verdict.hardware = true;
  return found;
}

}  // namespace otr::attest

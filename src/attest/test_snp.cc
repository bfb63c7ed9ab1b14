#include "attest/test_snp.h"

#include <algorithm>
#include <map>
#include <numeric>

namespace otr::attest::test {
namespace {

constexpr std::string_view kPrefix = "1.3.6.1.4.1.3704.1.";

std::uint64_t tcb_bytes(const SnpTcb& tcb, const std::string& product) {
  std::array<std::uint8_t, 8> bytes{};
  if (product == "Turin") {
    bytes = {tcb.fmc, tcb.boot_loader, tcb.tee, tcb.snp, 0, 0, 0, tcb.microcode};
  } else {
    bytes = {tcb.boot_loader, tcb.tee, 0, 0, 0, 0, tcb.snp, tcb.microcode};
  }
  return load_le<std::uint64_t>(bytes.data());
}

Bytes chip_id(const std::string& product) {
  Bytes chip(64, 0);
  std::iota(chip.begin(), chip.begin() + (product == "Turin" ? 8 : 64), std::uint8_t{0x40});
  return chip;
}

std::vector<ExtensionSpec> leaf_extensions(const SnpSpec& spec) {
  const SnpTcb tcb = spec.certificate_tcb.value_or(spec.tcb);
  const bool turin = spec.product == "Turin";
  std::vector<ExtensionSpec> all;
  const auto add = [&](const std::string& tail, Bytes content) {
    if (std::ranges::find(spec.without, tail) != spec.without.end()) return;
    all.push_back({.oid = std::string(kPrefix) + tail, .content = std::move(content)});
  };
  add("1", integer(turin ? 1 : 0));
  const std::string stepping = spec.signer == "VCEK" && !turin ? "-B0" : "";
  add("2", tlv(0x16, as_bytes(spec.certificate_product.value_or(spec.product + stepping))));
  add("3.1", integer(tcb.boot_loader));
  add("3.2", integer(tcb.tee));
  add("3.3", integer(tcb.snp));
  add("3.8", integer(tcb.microcode));
  if (turin) add("3.9", integer(tcb.fmc));
  if (spec.signer == "VLEK") {
    add("5", tlv(0x16, as_bytes("CN=cloud.test")));
    return all;
  }
  Bytes chip = chip_id(spec.product);
  if (spec.other_chip) chip[3] ^= 1;
  if (turin) chip.resize(8);
  add("4", spec.wrap_hwid ? octets(chip) : chip);
  return all;
}

template <std::size_t kSize>
void put(Bytes& body, std::size_t at, const std::array<std::uint8_t, kSize>& field) {
  std::ranges::copy(field, body.begin() + static_cast<std::ptrdiff_t>(at));
}

}  // namespace

SnpRoots SnpRoots::make(const std::string& product, KeyKind kind, KeyKind root_kind) {
  Authority ark = Authority::root("ARK-" + product, root_kind);
  Authority ask = ark.issue({.subject = "SEV-" + product, .ca = true, .path_length = 0}, kind);
  Authority asvk = ark.issue(
      {.subject = "SEV-VLEK-" + product, .serial = {2}, .ca = true, .path_length = 0}, kind);
  return {product, std::move(ark), std::move(ask), std::move(asvk)};
}

const SnpRoots& SnpRoots::of(const std::string& product) {
  static std::map<std::string, SnpRoots> made;
  const auto found = made.find(product);
  if (found != made.end()) return found->second;
  const KeyKind root_kind = product == "Milan" ? KeyKind::kRsa4096 : KeyKind::kRsa2048;
  return made.emplace(product, make(product, KeyKind::kRsa2048, root_kind)).first->second;
}

const SnpRoots& SnpRoots::stranger() {
  static const SnpRoots roots = make("Milan", KeyKind::kRsa2048, KeyKind::kRsa2048);
  return roots;
}

Anchors snp_test_anchors() {
  Anchors anchors;
  for (const char* product : {"Milan", "Genoa", "Turin"}) {
    const SnpRoots& roots = SnpRoots::of(product);
    anchors.amd.emplace(product, roots.ark.certificate);
    anchors.amd_intermediates.push_back(roots.ask.certificate);
    anchors.amd_intermediates.push_back(roots.asvk.certificate);
  }
  return anchors;
}

SnpSpec::SnpSpec() {
  std::iota(report_data.begin(), report_data.end(), std::uint8_t{1});
  std::iota(measurement.begin(), measurement.end(), std::uint8_t{0x80});
}

Bytes snp_body(const SnpSpec& spec) {
  Bytes body(0x2a0, 0);
  const auto tcb = [&](const std::optional<SnpTcb>& one) {
    return tcb_bytes(one.value_or(spec.tcb), spec.product);
  };
  store_le(body.data(), spec.version);
  store_le(body.data() + 8, spec.policy);
  store_le(body.data() + 0x30, spec.vmpl);
  store_le(body.data() + 0x34, std::uint32_t{1});
  store_le(body.data() + 0x38, tcb(spec.current));
  store_le(body.data() + 0x40, spec.platform_info);
  store_le(body.data() + 0x48, std::uint32_t{spec.signer == "VLEK" ? 4U : 0U});
  put(body, 0x50, spec.report_data);
  put(body, 0x90, spec.measurement);
  put(body, 0xc0, spec.host_data);
  std::fill_n(body.begin() + 0x160, 32, std::uint8_t{0xff});  // no migration agent
  store_le(body.data() + 0x180, tcb_bytes(spec.tcb, spec.product));
  if (spec.version >= 3) {
    const std::map<std::string, std::array<std::uint8_t, 3>> cpus = {
        {"Milan", {0x19, 0x01, 1}}, {"Genoa", {0x19, 0x11, 1}}, {"Turin", {0x1a, 0x02, 1}}};
    put(body, 0x188, cpus.at(spec.product));
  }
  if (spec.signer == "VCEK" && !spec.mask_chip) {
    std::ranges::copy(chip_id(spec.product), body.begin() + 0x1a0);
  }
  store_le(body.data() + 0x1e0, tcb(spec.committed));
  store_le(body.data() + 0x1f0, tcb(spec.launch));
  return body;
}

Bytes signed_snp(Bytes body, const SigningKey& key) {
  const Bytes r_s = key.sign(Digest::kSha384, body);
  const std::size_t end = body.size();
  body.resize(1184, 0);
  const auto to = body.begin() + static_cast<std::ptrdiff_t>(end);
  std::reverse_copy(r_s.begin(), r_s.begin() + 48, to);
  std::reverse_copy(r_s.begin() + 48, r_s.end(), to + 72);
  return body;
}

Authority snp_leaf(const SnpSpec& spec, const SnpRoots& roots) {
  const Authority& issuer = spec.signer == "VLEK" ? roots.asvk : roots.ask;
  return issuer.issue({.subject = "SEV-" + spec.signer,
                       .serial = {0},  // AMD's certificates have no other
                       .extensions = leaf_extensions(spec)},
                      KeyKind::kP384);
}

SnpEvidence make_snp(const SnpSpec& spec, const SnpRoots& roots) {
  Authority leaf = snp_leaf(spec, roots);
  Bytes report = signed_snp(snp_body(spec), leaf.key);
  SnpCollateral collateral;
  collateral.certificates = {
      leaf.certificate, spec.signer == "VLEK" ? roots.asvk.certificate : roots.ask.certificate};
  return {std::move(report), std::move(leaf), std::move(collateral)};
}

SnpEvidence make_snp(const SnpSpec& spec) { return make_snp(spec, SnpRoots::of(spec.product)); }

Policy snp_test_policy() {
  const SnpSpec spec;
  SnpPolicy snp;
  for (const char* product : {"Milan", "Genoa", "Turin"}) {
    snp.min_tcb[product] = {.boot_loader = 4, .tee = 1, .snp = 20, .microcode = 200};
  }
  snp.min_tcb["Turin"].fmc = 1;
  snp.measurement.values = {Bytes(spec.measurement.begin(), spec.measurement.end())};
  snp.vmpl.values = {"0", "1"};
  snp.signer.values = {"VCEK", "VLEK"};
  Policy policy;
  policy.snp = std::move(snp);
  return policy;
}

Verdict judge_snp(ByteView report, const SnpCollateral& collateral, const Anchors& anchors,
                  const Policy& policy, Time at, const Expected& expected) {
  Verdict verdict;
  const auto parsed = parse_snp_report(report);
  if (!parsed) {
    Checks(verdict, Stage::kParse)
        .require(std::unexpected(parsed.error()), Code::kMalformed, "report");
    return verdict;
  }
  const auto found = verify_snp(verdict, *parsed, collateral, anchors, at);
  if (found) appraise_snp(verdict, *parsed, *found, policy, expected);
  return verdict;
}

}  // namespace otr::attest::test

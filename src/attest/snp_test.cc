#include "attest/snp.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>

#include "attest/test_snp.h"

namespace otr::attest {
namespace {

using test::judge_snp;
using test::kTestEnd;
using test::kTestNow;
using test::kTestStart;
using test::make_snp;
using test::SnpEvidence;
using test::SnpRoots;
using test::SnpSpec;

const Anchors& anchors() {
  static const Anchors all = test::snp_test_anchors();
  return all;
}

Verdict judge(const SnpEvidence& evidence, const Policy& policy = test::snp_test_policy(),
              const Expected& expected = {}, Time at = kTestNow) {
  return judge_snp(evidence.report, evidence.collateral, anchors(), policy, at, expected);
}

// The code of the first failure, as text; "accepted" or what is open otherwise.
std::string outcome(const Verdict& verdict) {
  if (const Check* check = verdict.failure()) return std::string(name_of(*check->code));
  return verdict.accepted() ? "accepted" : "open";
}

std::string text(const Verdict& verdict) {
  std::string all;
  for (const Check& check : verdict.checks) {
    all += (check.code ? std::string(name_of(*check.code)) : "-") + " | " + check.name + " | " +
           check.value + "\n";
  }
  return all;
}

TEST(Snp, EveryProductSignerAndVersionIsAccepted) {
  for (const char* product : {"Milan", "Genoa", "Turin"}) {
    for (const char* signer : {"VCEK", "VLEK"}) {
      for (const std::uint32_t version : {2, 3, 4, 5}) {
        SnpSpec spec;
        spec.product = product;
        spec.signer = signer;
        spec.version = version;
        const Verdict verdict = judge(make_snp(spec));
        EXPECT_EQ(outcome(verdict), "accepted") << product << signer << version << text(verdict);
        EXPECT_TRUE(verdict.hardware);
        EXPECT_EQ(verdict.kind, Kind::kSevSnp);
        EXPECT_EQ(verdict.assurance, "hardware");
        EXPECT_EQ(verdict.facts["product"], product);
        EXPECT_EQ(verdict.facts.contains("warnings"), verdict.facts["product"] == "Milan");
      }
    }
  }
}

TEST(Snp, IntermediatesMayComeFromTheAnchorsAlone) {
  SnpEvidence evidence = make_snp({});
  evidence.collateral.certificates = {evidence.leaf.certificate};
  EXPECT_EQ(outcome(judge(evidence)), "accepted");
  // In another order, and among certificates of others.
  evidence.collateral.certificates = {
      SnpRoots::of("Genoa").ask.certificate, SnpRoots::of("Milan").ark.certificate,
      SnpRoots::of("Milan").ask.certificate, test::snp_leaf({}, SnpRoots::of("Milan")).certificate,
      evidence.leaf.certificate};
  EXPECT_EQ(outcome(judge(evidence)), "accepted");
}

TEST(Snp, ACloudsKeyIsNamedAndAMaskedChipIsTheKeys) {
  SnpSpec vlek;
  vlek.signer = "VLEK";
  EXPECT_EQ(judge(make_snp(vlek)).facts["cloud_provider"], "CN=cloud.test");
  SnpSpec masked;
  masked.mask_chip = true;
  const Verdict verdict = judge(make_snp(masked));
  EXPECT_EQ(outcome(verdict), "accepted");
  EXPECT_EQ(verdict.facts["chip"].get<std::string>().substr(0, 8), "40414243");
  masked.wrap_hwid = true;
  EXPECT_EQ(outcome(judge(make_snp(masked))), "accepted");
}

struct Corruption {
  std::string name;
  std::function<void(SnpSpec&)> spec;
  std::string code;
};

TEST(Snp, EachCorruptionOfWhatIsSignedHasItsCode) {
  const std::vector<Corruption> all = {
      {"version 1", [](SnpSpec& s) { s.version = 1; }, "UNSUPPORTED"},
      {"version 6", [](SnpSpec& s) { s.version = 6; }, "UNSUPPORTED"},
      {"debug", [](SnpSpec& s) { s.policy |= 1ULL << 19; }, "DEBUG"},
      {"migration agent", [](SnpSpec& s) { s.policy |= 1ULL << 18; }, "MIGRATABLE"},
      {"bit 17 zero", [](SnpSpec& s) { s.policy &= ~(1ULL << 17); }, "POLICY_REFUSED"},
      {"unknown policy bit", [](SnpSpec& s) { s.policy |= 1ULL << 26; }, "POLICY_REFUSED"},
      {"measurement", [](SnpSpec& s) { s.measurement[0] ^= 1; }, "POLICY_REFUSED"},
      {"vmpl", [](SnpSpec& s) { s.vmpl = 2; }, "POLICY_REFUSED"},
      {"asked by the host", [](SnpSpec& s) { s.vmpl = 0xffffffff; }, "POLICY_REFUSED"},
      {"old TCB", [](SnpSpec& s) { s.tcb.microcode = 199; }, "TCB_REFUSED"},
      {"old SNP firmware", [](SnpSpec& s) { s.tcb.snp = 19; }, "TCB_REFUSED"},
      {"old TCB committed",
       [](SnpSpec& s) { s.committed = SnpTcb{.boot_loader = 3, .tee = 2, .snp = 24}; },
       "TCB_REFUSED"},
      {"old TCB at launch",
       [](SnpSpec& s) { s.launch = SnpTcb{.boot_loader = 4, .tee = 0, .snp = 24}; }, "TCB_REFUSED"},
      {"certificate of newer microcode",
       [](SnpSpec& s) {
         s.certificate_tcb = s.tcb;
         s.certificate_tcb->microcode = 220;
       },
       "KEY_LINK_INVALID"},
      {"certificate of an older boot loader",
       [](SnpSpec& s) {
         s.certificate_tcb = s.tcb;
         s.certificate_tcb->boot_loader = 3;
       },
       "KEY_LINK_INVALID"},
      {"certificate without a level", [](SnpSpec& s) { s.without = {"3.2"}; }, "KEY_LINK_INVALID"},
      {"certificate without a product", [](SnpSpec& s) { s.without = {"2"}; }, "KEY_LINK_INVALID"},
      {"certificate without a chip", [](SnpSpec& s) { s.without = {"4"}; }, "KEY_LINK_INVALID"},
      {"certificate of another chip", [](SnpSpec& s) { s.other_chip = true; }, "KEY_LINK_INVALID"},
      {"certificate of another product", [](SnpSpec& s) { s.certificate_product = "Genoa-B1"; },
       "IDENTITY_MISMATCH"},
      {"certificate of no known product", [](SnpSpec& s) { s.certificate_product = "Venice"; },
       "UNSUPPORTED"},
  };
  for (const Corruption& one : all) {
    SnpSpec spec;
    one.spec(spec);
    const Verdict verdict = judge(make_snp(spec));
    EXPECT_EQ(outcome(verdict), one.code) << one.name << "\n" << text(verdict);
    EXPECT_EQ(verdict.assurance, "") << one.name;
  }
}

TEST(Snp, TurinsLevelsStandElsewhere) {
  SnpSpec spec;
  spec.product = "Turin";
  spec.tcb.fmc = 0;
  EXPECT_EQ(outcome(judge(make_snp(spec))), "TCB_REFUSED");
  spec.tcb.fmc = 1;
  spec.certificate_tcb = spec.tcb;
  spec.certificate_tcb->fmc = 2;
  EXPECT_EQ(outcome(judge(make_snp(spec))), "KEY_LINK_INVALID");
  spec.certificate_tcb.reset();
  spec.other_chip = true;
  EXPECT_EQ(outcome(judge(make_snp(spec))), "KEY_LINK_INVALID");
  // A chip's id that is longer than Turin's is none of Turin's.
  spec.other_chip = false;
  Bytes body = test::snp_body(spec);
  body[0x1a0 + 8] = 1;
  SnpEvidence evidence = make_snp(spec);
  evidence.report = test::signed_snp(body, evidence.leaf.key);
  EXPECT_EQ(outcome(judge(evidence)), "KEY_LINK_INVALID");
}

TEST(Snp, WhatIsReservedIsZeroInItsVersion) {
  struct Reserved {
    std::size_t at;
    std::uint32_t from_version, to_version;  // in which it is reserved
  };
  for (const Reserved& one :
       {Reserved{0x49, 2, 5}, Reserved{0x4c, 2, 5}, Reserved{0x188, 2, 2}, Reserved{0x18b, 2, 5},
        Reserved{0x19f, 2, 5}, Reserved{0x1eb, 2, 5}, Reserved{0x1ef, 2, 5}, Reserved{0x1f8, 2, 4},
        Reserved{0x207, 2, 4}, Reserved{0x208, 2, 5}, Reserved{0x29f, 2, 5}}) {
    for (std::uint32_t version = 2; version <= 5; ++version) {
      SnpSpec spec;
      spec.version = version;
      SnpEvidence evidence = make_snp(spec);
      Bytes body = test::snp_body(spec);
      body[one.at] |= 0x80;
      evidence.report = test::signed_snp(body, evidence.leaf.key);
      const bool reserved = version >= one.from_version && version <= one.to_version;
      EXPECT_EQ(outcome(judge(evidence)) == "MALFORMED", reserved) << one.at << " in " << version;
    }
  }
  for (const auto& [product, at] : {std::pair("Milan", 2), std::pair("Turin", 4)}) {
    SnpSpec spec;
    spec.product = product;
    SnpEvidence evidence = make_snp(spec);
    Bytes body = test::snp_body(spec);
    body[static_cast<std::size_t>(0x1e0 + at)] = 1;
    evidence.report = test::signed_snp(body, evidence.leaf.key);
    EXPECT_EQ(outcome(judge(evidence)), "MALFORMED") << product;
  }
}

TEST(Snp, NoByteCanBeChanged) {
  const SnpEvidence evidence = make_snp({});
  for (std::size_t at = 0; at < evidence.report.size(); ++at) {
    SnpEvidence changed = evidence;
    changed.report[at] ^= static_cast<std::uint8_t>(1U << (at % 8));
    const std::string code = outcome(judge(changed));
    EXPECT_TRUE(code == "SIGNATURE_INVALID" || code == "MALFORMED" || code == "UNSUPPORTED" ||
                code == "COLLATERAL_MISSING")
        << at << " " << code;
  }
}

TEST(Snp, NoOtherLengthIsRead) {
  const SnpEvidence evidence = make_snp({});
  for (std::size_t size = 0; size < evidence.report.size(); ++size) {
    const auto parsed = parse_snp_report(ByteView(evidence.report).first(size));
    ASSERT_FALSE(parsed) << size;
    EXPECT_EQ(parsed.error().code, "MALFORMED");
  }
  Bytes longer = evidence.report;
  longer.push_back(0);
  EXPECT_FALSE(parse_snp_report(longer));
}

TEST(Snp, SignaturesOfOtherShapes) {
  const SnpEvidence evidence = make_snp({});
  const auto with = [&](const std::function<void(Bytes&)>& change) {
    SnpEvidence changed = evidence;
    change(changed.report);
    return outcome(judge(changed));
  };
  const auto r = [](Bytes& report) { return report.begin() + 0x2a0; };
  EXPECT_EQ(with([&](Bytes& b) {
              std::reverse(r(b), r(b) + 48);
              std::reverse(r(b) + 72, r(b) + 120);
            }),
            "SIGNATURE_INVALID");  // big-endian, as GPUs have it
  EXPECT_EQ(with([&](Bytes& b) { std::swap_ranges(r(b), r(b) + 48, r(b) + 72); }),
            "SIGNATURE_INVALID");
  EXPECT_EQ(with([&](Bytes& b) { std::fill(r(b), r(b) + 48, 0); }), "SIGNATURE_INVALID");
  EXPECT_EQ(with([&](Bytes& b) { std::fill(r(b) + 72, r(b) + 120, 0xff); }), "SIGNATURE_INVALID");
  EXPECT_EQ(with([&](Bytes& b) { b[0x2a0 + 48] = 1; }), "MALFORMED");
  EXPECT_EQ(with([&](Bytes& b) { b[0x34] = 2; }), "UNSUPPORTED");
  // Signing key 7: none signed.
  EXPECT_EQ(with([&](Bytes& b) { b[0x48] = 7 << 2; }), "SIGNATURE_INVALID");
}

TEST(Snp, TimeBeforeAndAfter) {
  const SnpEvidence evidence = make_snp({});
  const Policy policy = test::snp_test_policy();
  EXPECT_EQ(outcome(judge(evidence, policy, {}, kTestStart)), "accepted");
  EXPECT_EQ(outcome(judge(evidence, policy, {}, kTestEnd)), "accepted");
  EXPECT_EQ(outcome(judge(evidence, policy, {}, kTestStart - 1)), "TIME_INVALID");
  EXPECT_EQ(outcome(judge(evidence, policy, {}, kTestEnd + 1)), "TIME_INVALID");
}

TEST(Snp, CertificatesOfStrangersAndOfOthers) {
  const SnpEvidence good = make_snp({});
  // Everything is a stranger's, with AMD's names.
  EXPECT_EQ(outcome(judge(make_snp({}, SnpRoots::stranger()))), "ANCHOR_UNKNOWN");
  // Only the leaf is.
  SnpEvidence leaf = make_snp({}, SnpRoots::stranger());
  leaf.collateral.certificates.pop_back();
  EXPECT_EQ(outcome(judge(leaf)), "CHAIN_INVALID");
  // The certificate of another machine.
  SnpEvidence other = good;
  other.collateral.certificates[0] = make_snp({}).leaf.certificate;
  EXPECT_EQ(outcome(judge(other)), "SIGNATURE_INVALID");
  // None, or only one of the other kind.
  SnpEvidence none = good;
  none.collateral.certificates.clear();
  EXPECT_EQ(outcome(judge(none)), "COLLATERAL_MISSING");
  EXPECT_NE(text(judge(none)).find("kdsintf.amd.com/vcek/v1/Milan/40414243"), std::string::npos);
  SnpSpec vlek;
  vlek.signer = "VLEK";
  none.collateral = make_snp(vlek).collateral;
  EXPECT_EQ(outcome(judge(none)), "COLLATERAL_MISSING");
  // A product that nobody trusts here.
  Anchors without = anchors();
  without.amd.erase("Milan");
  EXPECT_EQ(
      outcome(judge_snp(good.report, good.collateral, without, test::snp_test_policy(), kTestNow)),
      "ANCHOR_UNKNOWN");
  // A VCEK that ASVK has issued, or the root itself.
  const SnpRoots& roots = SnpRoots::of("Milan");
  for (const test::Authority* issuer : {&roots.asvk, &roots.ark}) {
    SnpRoots crossed = roots;
    crossed.ask = *issuer;
    SnpEvidence evidence = make_snp({}, crossed);
    EXPECT_EQ(outcome(judge(evidence)), "CHAIN_INVALID");
  }
  // A chain that says that it is simulated, though a root of it were trusted.
  Anchors simulated = anchors();
  SnpRoots named = roots;
  named.ark = test::Authority::root("SIMULATED - NO SECURITY root", test::KeyKind::kP384);
  named.ask = named.ark.issue({.subject = "SEV-Milan", .ca = true}, test::KeyKind::kP384);
  simulated.amd.at("Milan") = named.ark.certificate;
  const SnpEvidence evidence = make_snp({}, named);
  EXPECT_EQ(outcome(judge_snp(evidence.report, evidence.collateral, simulated,
                              test::snp_test_policy(), kTestNow)),
            "SIMULATED");
}

TEST(Snp, RevocationLists) {
  const SnpRoots& roots = SnpRoots::of("Milan");
  SnpEvidence evidence = make_snp({});
  Policy strict = test::snp_test_policy();
  strict.snp->require_crl = true;
  EXPECT_EQ(outcome(judge(evidence)), "accepted");
  EXPECT_EQ(outcome(judge(evidence, strict)), "COLLATERAL_MISSING");
  evidence.collateral.crl = roots.ark.list({});
  EXPECT_EQ(outcome(judge(evidence, strict)), "accepted");
  EXPECT_EQ(outcome(judge(evidence, strict, {}, kTestNow + 86400 * 31)), "TIME_INVALID");
  evidence.collateral.crl = roots.ark.list({.revoked = {roots.ask.certificate.serial()}});
  EXPECT_EQ(outcome(judge(evidence)), "REVOKED");
  evidence.collateral.crl = roots.ark.list({.revoked = {roots.asvk.certificate.serial()}});
  EXPECT_EQ(outcome(judge(evidence)), "accepted");
  evidence.collateral.crl = SnpRoots::of("Genoa").ark.list({});
  EXPECT_EQ(outcome(judge(evidence)), "COLLATERAL_INVALID");
  evidence.collateral.crl = SnpRoots::stranger().ark.list({});
  EXPECT_EQ(outcome(judge(evidence)), "COLLATERAL_INVALID");
}

}  // namespace
}  // namespace otr::attest

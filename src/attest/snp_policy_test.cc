// What a policy refuses of good SEV-SNP evidence, what a caller may expect of it, and the verdicts
// on real reports.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <functional>

#include "attest/encoding.h"
#include "attest/test_snp.h"

namespace otr::attest {
namespace {

using test::judge_snp;
using test::kTestNow;
using test::SnpSpec;

std::string outcome(const Verdict& verdict) {
  if (const Check* check = verdict.failure()) return std::string(name_of(*check->code));
  return verdict.accepted() ? "accepted" : "open";
}

std::string judge(const SnpSpec& spec, const std::function<void(SnpPolicy&)>& change,
                  const Expected& expected = {}) {
  static const Anchors anchors = test::snp_test_anchors();
  Policy policy = test::snp_test_policy();
  change(*policy.snp);
  const test::SnpEvidence evidence = test::make_snp(spec);
  return outcome(
      judge_snp(evidence.report, evidence.collateral, anchors, policy, kTestNow, expected));
}

TEST(SnpPolicy, WhatItDoesNotSpeakOfIsRefused) {
  EXPECT_EQ(judge({}, [](SnpPolicy& p) { p.measurement = {}; }), "POLICY_REFUSED");
  EXPECT_EQ(judge({}, [](SnpPolicy& p) { p.measurement = {.any = true}; }), "accepted");
  EXPECT_EQ(judge({}, [](SnpPolicy& p) { p.vmpl = {}; }), "POLICY_REFUSED");
  EXPECT_EQ(judge({}, [](SnpPolicy& p) { p.signer = {}; }), "POLICY_REFUSED");
  EXPECT_EQ(judge({}, [](SnpPolicy& p) { p.signer.values = {"VLEK"}; }), "POLICY_REFUSED");
  EXPECT_EQ(judge({}, [](SnpPolicy& p) { p.min_tcb.erase("Milan"); }), "POLICY_REFUSED");
  EXPECT_EQ(judge({}, [](SnpPolicy& p) { p.min_tcb.clear(); }), "POLICY_REFUSED");
  // A host's report, even where every level is allowed.
  SnpSpec host;
  host.vmpl = 0xffffffff;
  EXPECT_EQ(judge(host, [](SnpPolicy& p) { p.vmpl = {.any = true}; }), "POLICY_REFUSED");
  const test::SnpEvidence evidence = test::make_snp({});
  EXPECT_EQ(outcome(judge_snp(evidence.report, evidence.collateral, test::snp_test_anchors(), {},
                              kTestNow)),
            "POLICY_REFUSED");
}

TEST(SnpPolicy, OptionalListsRestrictWhereTheyAreGiven) {
  const auto lists = {&SnpPolicy::host_data, &SnpPolicy::id_key_digest,
                      &SnpPolicy::author_key_digest};
  for (const auto list : lists) {
    const std::size_t size = list == &SnpPolicy::host_data ? 32 : 48;
    EXPECT_EQ(judge({}, [&](SnpPolicy& p) { (p.*list).values = {Bytes(size, 1)}; }),
              "POLICY_REFUSED");
    EXPECT_EQ(judge({}, [&](SnpPolicy& p) { (p.*list).values = {Bytes(size, 0)}; }), "accepted");
  }
  Bytes chip(64);
  for (std::size_t i = 0; i < 64; ++i) chip[i] = static_cast<std::uint8_t>(0x40 + i);
  const auto only = [&](SnpPolicy& p) { p.chip_id.values = {chip}; };
  EXPECT_EQ(judge({}, only), "accepted");
  SnpSpec masked;
  masked.mask_chip = true;
  EXPECT_EQ(judge(masked, only), "accepted");
  SnpSpec vlek;
  vlek.signer = "VLEK";
  EXPECT_EQ(judge(vlek, only), "POLICY_REFUSED");
  chip[0] ^= 1;
  EXPECT_EQ(judge({}, only), "POLICY_REFUSED");
}

TEST(SnpPolicy, PlatformAndGuest) {
  const auto no_smt = [](SnpPolicy& p) { p.allow_smt = false; };
  SnpSpec on_platform, by_guest, off;
  on_platform.policy = by_guest.policy | 1ULL << 16;
  by_guest.platform_info = 0;
  by_guest.policy |= 1ULL << 16;
  off.platform_info = 0;
  off.policy = 1ULL << 17;
  EXPECT_EQ(judge(on_platform, no_smt), "POLICY_REFUSED");
  EXPECT_EQ(judge(by_guest, no_smt), "POLICY_REFUSED");
  EXPECT_EQ(judge(off, no_smt), "accepted");
  const auto aliases = [](SnpPolicy& p) { p.require_alias_check = true; };
  EXPECT_EQ(judge({}, aliases), "accepted");
  EXPECT_EQ(judge(off, aliases), "POLICY_REFUSED");
  const auto hiding = [](SnpPolicy& p) { p.require_ciphertext_hiding = true; };
  EXPECT_EQ(judge({}, hiding), "POLICY_REFUSED");
  off.platform_info = 1U << 4;
  EXPECT_EQ(judge(off, hiding), "accepted");
  SnpSpec agent;
  agent.policy |= 1ULL << 18;
  EXPECT_EQ(judge(agent, [](SnpPolicy& p) { p.allow_migration_agent = true; }), "accepted");
}

TEST(SnpPolicy, ReportDataAndNonce) {
  SnpSpec spec;
  const auto nothing = [](SnpPolicy&) {};
  const Bytes data(spec.report_data.begin(), spec.report_data.end());
  const Bytes low(data.begin(), data.begin() + 32), high(data.begin() + 32, data.end());
  const Bytes middle(data.begin() + 16, data.begin() + 48);
  EXPECT_EQ(judge(spec, nothing, {.report_data = data}), "accepted");
  EXPECT_EQ(judge(spec, nothing, {.report_data = low}), "BINDING_MISMATCH");
  EXPECT_EQ(judge(spec, nothing, {.report_data = Bytes(64, 0)}), "BINDING_MISMATCH");
  EXPECT_EQ(judge(spec, nothing, {.nonce = low}), "accepted");
  EXPECT_EQ(judge(spec, nothing, {.nonce = high}), "accepted");
  EXPECT_EQ(judge(spec, nothing, {.nonce = data}), "accepted");
  EXPECT_EQ(judge(spec, nothing, {.nonce = middle}), "NONCE_MISMATCH");
  EXPECT_EQ(judge(spec, nothing, {.nonce = Bytes{1}}), "NONCE_MISMATCH");
  EXPECT_EQ(judge(spec, nothing, {.nonce = Bytes()}), "NONCE_MISMATCH");
}

// Real reports, which others gave: ../shared/attestation-samples, not part of this repository.
class SnpSamples : public testing::Test {
 protected:
  void SetUp() override {
    if (!std::filesystem::exists(folder_)) {
      GTEST_SKIP() << "NOT TESTED on real evidence: " << folder_ << " is absent";
    }
    SnpPolicy snp;
    snp.min_tcb = {{"Milan", {}}, {"Genoa", {}}, {"Turin", {}}};
    snp.measurement.any = snp.vmpl.any = snp.signer.any = true;
    policy_.snp = snp;
  }

  Bytes bytes(const std::string& name) const {
    std::ifstream file(folder_ / name, std::ios::binary);
    Bytes content(std::istreambuf_iterator<char>(file), {});
    EXPECT_FALSE(content.empty()) << name;
    if (!name.ends_with(".hex")) return content;
    return from_plain_hex(without_space(as_text(content))).value_or(Bytes());
  }
  std::vector<Certificate> certificates(const std::string& name) const {
    const Bytes content = bytes(name);
    if (name.ends_with(".pem")) {
      return Certificate::from_pem(as_text(content)).value_or(std::vector<Certificate>());
    }
    const auto one = Certificate::from_der(content);
    EXPECT_TRUE(one) << name;
    return one ? std::vector{*one} : std::vector<Certificate>();
  }
  Verdict judge(const std::string& report, const std::string& certificate, const char* time) const {
    return judge_snp(bytes(report), {.certificates = certificates(certificate)}, vendor_anchors(),
                     policy_, parse_time(time).value_or(0));
  }

  std::filesystem::path folder_ =
      std::filesystem::path(OTR_SOURCE_DIR) / "../shared/attestation-samples/snp";
  Policy policy_;
};

TEST_F(SnpSamples, RealReportsGetTheRightAnswer) {
  EXPECT_EQ(outcome(judge("milan-virtee/report.hex", "milan-virtee/vcek.der", "2024-01-01")),
            "accepted");
  EXPECT_EQ(outcome(judge("milan-trustee/report.bin", "milan-trustee/vcek.der", "2024-01-01")),
            "accepted");
  EXPECT_EQ(outcome(judge("turin-v5/report.bin", "turin-v5/vcek.pem", "2026-03-01")), "accepted");
  EXPECT_EQ(outcome(judge("aws-vlek-milan/report.bin", "aws-vlek-milan/vlek.der", "2025-06-01")),
            "accepted");
  const Verdict debug =
      judge("milan-debug-policy/report.bin", "milan-debug-policy/vcek.der", "2024-01-01");
  EXPECT_EQ(outcome(debug), "DEBUG");
  EXPECT_TRUE(debug.hardware);
}

TEST_F(SnpSamples, RealReportsAreRefusedWhereTheyShould) {
  EXPECT_EQ(outcome(judge("aws-vlek-milan/report.bin", "aws-vlek-milan/vlek.der", "2024-12-09")),
            "TIME_INVALID");
  EXPECT_EQ(outcome(judge("aws-vlek-milan/report.bin", "aws-vlek-milan/vlek.der", "2025-12-11")),
            "TIME_INVALID");
  EXPECT_EQ(outcome(judge("milan-virtee/report.hex", "milan-virtee/vcek.der", "2030-04-04")),
            "TIME_INVALID");
  EXPECT_EQ(outcome(judge("milan-virtee/report.hex", "milan-trustee/vcek.der", "2024-01-01")),
            "SIGNATURE_INVALID");
  EXPECT_EQ(outcome(judge("turin-v5/report.bin", "milan-trustee/vcek.der", "2026-03-01")),
            "SIGNATURE_INVALID");
  const Verdict bad = judge("milan-trustee/report.bin", "milan-trustee/BAD-vcek.der", "2024-01-01");
  EXPECT_FALSE(bad.accepted());
  EXPECT_FALSE(bad.hardware);
  EXPECT_EQ(outcome(bad), "SIGNATURE_INVALID");
  EXPECT_TRUE(std::ranges::any_of(
      bad.checks, [](const Check& check) { return check.code == Code::kChainInvalid; }));
}

}  // namespace
}  // namespace otr::attest

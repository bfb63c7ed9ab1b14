#include "attest/simulated.h"

#include <gtest/gtest.h>

#include <functional>

#include "attest/nvidia.h"
#include "attest/quote.h"
#include "attest/test_nitro.h"
#include "attest/test_snp.h"

namespace otr::attest {
namespace {

using test::Authority;
using test::KeyKind;
using test::kTestNow;

struct Simulator {
  Authority root, leaf;

  static Simulator make(const std::string& root_name, const std::string& leaf_name) {
    Authority root = Authority::root(root_name, KeyKind::kP384);
    Authority leaf = root.issue({.subject = leaf_name, .serial = {2}}, KeyKind::kP384);
    return {std::move(root), std::move(leaf)};
  }
  static const Simulator& get() {
    static const Simulator simulator =
        make("SIMULATED - NO SECURITY root 0001", "SIMULATED - NO SECURITY leaf");
    return simulator;
  }

  [[nodiscard]] Bytes report() const {
    Bytes bytes;
    append(bytes, as_bytes(kSimulatedMagic));
    append(bytes, Bytes(48, 0x33));
    append(bytes, Bytes(32, 0x44));
    append(bytes, Bytes(32, 0x55));
    append(bytes, leaf.key.sign(Digest::kSha384, bytes));
    for (const Authority* one : {&leaf, &root}) {
      append_le(bytes, static_cast<std::uint32_t>(one->certificate.der().size()));
      append(bytes, one->certificate.der());
    }
    return bytes;
  }
};

Policy policy_of(const Simulator& simulator) {
  Policy policy;
  policy.simulated.emplace();
  policy.simulated->roots = {simulator.root.certificate.fingerprint()};
  policy.simulated->measurement.values = {Bytes(48, 0x33)};
  return policy;
}

Verdict judge(ByteView bytes, const Policy& policy = policy_of(Simulator::get()),
              const Expected& expected = {}, Time at = kTestNow) {
  Verdict verdict;
  const auto parsed = parse_simulated(bytes);
  if (!parsed) {
    Checks(verdict, Stage::kParse)
        .require(std::unexpected(parsed.error()), Code::kMalformed, "report");
    return verdict;
  }
  verify_simulated(verdict, *parsed, at);
  appraise_simulated(verdict, *parsed, policy, expected);
  return verdict;
}

std::string outcome(const Verdict& verdict) {
  EXPECT_FALSE(verdict.hardware);
  if (const Check* check = verdict.failure()) return std::string(name_of(*check->code));
  return verdict.accepted() ? "accepted" : "open";
}

TEST(Simulated, IsAcceptedOnlyWhereItsRootIsNamedAndNeverAsHardware) {
  const Bytes report = Simulator::get().report();
  const Verdict verdict = judge(report);
  EXPECT_EQ(outcome(verdict), "accepted");
  EXPECT_EQ(verdict.kind, Kind::kSimulated);
  EXPECT_EQ(verdict.assurance, "simulated");
  EXPECT_NE(verdict.facts["warning"].get<std::string>().find("NO SECURITY"), std::string::npos);
  EXPECT_EQ(outcome(judge(report, {})), "SIMULATED");
  EXPECT_EQ(outcome(judge(report, test::snp_test_policy())), "SIMULATED");
  Policy policy = policy_of(Simulator::get());
  policy.simulated->roots.clear();
  EXPECT_EQ(outcome(judge(report, policy)), "SIMULATED");
  policy = policy_of(Simulator::get());
  policy.simulated->measurement = {};
  EXPECT_EQ(outcome(judge(report, policy)), "POLICY_REFUSED");
  policy.simulated->measurement.values = {Bytes(48, 0x34)};
  EXPECT_EQ(outcome(judge(report, policy)), "POLICY_REFUSED");
}

TEST(Simulated, NamesMustSayWhatItIs) {
  const char* const good = "SIMULATED - NO SECURITY";
  for (const auto& [root, leaf] : {std::pair("ARK-Milan", good), std::pair(good, "SEV-VCEK"),
                                   std::pair("NOT SIMULATED - NO SECURITY", good)}) {
    const Simulator simulator = Simulator::make(root, leaf);
    EXPECT_EQ(outcome(judge(simulator.report(), policy_of(simulator))), "SIMULATED") << root;
  }
}

TEST(Simulated, ReportsAreRefusedForWhatIsWrong) {
  const Bytes report = Simulator::get().report();
  const Policy policy = policy_of(Simulator::get());
  for (std::size_t at = 0; at < report.size(); ++at) {
    Bytes changed = report;
    changed[at] ^= 1;
    EXPECT_NE(outcome(judge(changed)), "accepted") << at;
  }
  for (std::size_t size = 0; size < report.size(); ++size) {
    const auto parsed = parse_simulated(ByteView(report).first(size));
    ASSERT_FALSE(parsed) << size;
    EXPECT_EQ(parsed.error().code, "MALFORMED");
  }
  Bytes longer = report;
  longer.push_back(0);
  EXPECT_EQ(outcome(judge(longer)), "MALFORMED");
  EXPECT_EQ(outcome(judge(report, policy, {}, test::kTestEnd + 1)), "TIME_INVALID");
  EXPECT_EQ(outcome(judge(report, policy, {}, test::kTestStart - 1)), "TIME_INVALID");
  EXPECT_EQ(outcome(judge(report, policy, {.nonce = Bytes(32, 0x55)})), "accepted");
  EXPECT_EQ(outcome(judge(report, policy, {.nonce = Bytes(32, 0x33)})), "NONCE_MISMATCH");
  EXPECT_EQ(outcome(judge(report, policy, {.report_data = Bytes(64, 0x44)})), "BINDING_MISMATCH");
  // Another installation's leaf under our root, and a whole other installation.
  const Simulator other =
      Simulator::make("SIMULATED - NO SECURITY root 0002", "SIMULATED - NO SECURITY leaf");
  EXPECT_EQ(outcome(judge(Simulator{Simulator::get().root, other.leaf}.report())), "CHAIN_INVALID");
  EXPECT_EQ(outcome(judge(other.report())), "SIMULATED");
  // Signed by another key than the leaf's.
  Bytes resigned = report;
  Bytes body(report.begin(), report.begin() + 120);
  const Bytes r_s = other.leaf.key.sign(Digest::kSha384, body);
  std::ranges::copy(r_s, resigned.begin() + 120);
  EXPECT_EQ(outcome(judge(resigned)), "SIGNATURE_INVALID");
}

// No hardware parser reads simulated bytes, whatever stands behind the magic, and the other way.
TEST(CrossRefusal, ParsersReadTheirOwnKindAlone) {
  Bytes simulated = Simulator::get().report();
  const test::SnpEvidence snp = test::make_snp({});
  const Bytes nitro =
      test::make_nitro(test::nitro_members(test::NitroRoots::get()), test::NitroRoots::get());
  EXPECT_FALSE(parse_simulated(snp.report));
  EXPECT_FALSE(parse_simulated(nitro));
  EXPECT_FALSE(parse_simulated({}));
  const auto refused_by_hardware = [](const Bytes& bytes) {
    return !parse_snp_report(bytes) && !parse_nitro(bytes) && !parse_quote(bytes) &&
           !parse_gpu_report(bytes);
  };
  EXPECT_TRUE(refused_by_hardware(simulated));
  // Cut or filled up to the length of a hardware report, and with such a report behind it.
  for (const std::size_t size : {std::size_t{1184}, std::size_t{4052}, std::size_t{5006}}) {
    Bytes sized = simulated;
    sized.resize(size, 0);
    EXPECT_TRUE(refused_by_hardware(sized)) << size;
  }
  append(simulated, snp.report);
  EXPECT_TRUE(refused_by_hardware(simulated));
  EXPECT_FALSE(parse_simulated(simulated));
  // A hardware report that begins with the magic is none.
  Bytes disguised = snp.report;
  std::ranges::copy(kSimulatedMagic, disguised.begin());
  EXPECT_TRUE(refused_by_hardware(disguised));
  EXPECT_FALSE(parse_simulated(disguised));
}

TEST(CrossRefusal, ARootIsOfOneKindWhateverAPolicyOrAnchorSays) {
  // A vendor's root named in [simulated]: its chain does not say that it is simulated.
  const test::SnpRoots& amd = test::SnpRoots::of("Milan");
  const Simulator vendor{amd.ark, amd.ark.issue({.subject = "SEV-VCEK"}, KeyKind::kP384)};
  EXPECT_EQ(outcome(judge(vendor.report(), policy_of(vendor))), "SIMULATED");
  // Hardware evidence under a policy that has a table [simulated] alone.
  const test::SnpEvidence snp = test::make_snp({});
  const Verdict verdict = test::judge_snp(snp.report, snp.collateral, test::snp_test_anchors(),
                                          policy_of(vendor), kTestNow);
  ASSERT_NE(verdict.failure(), nullptr);
  EXPECT_EQ(verdict.failure()->code, Code::kPolicyRefused);
  // A simulator's root among the anchors of hardware.
  const Simulator& simulator = Simulator::get();
  test::NitroRoots roots = test::NitroRoots::get();
  roots.root = simulator.root;
  roots.region = simulator.root.issue({.subject = "region", .ca = true}, KeyKind::kP384);
  roots.leaf = roots.region.issue({.subject = "leaf"}, KeyKind::kP384);
  const Bytes nitro = test::make_nitro(test::nitro_members(roots), roots);
  const Certificate anchor = simulator.root.certificate;
  const Verdict nitro_verdict =
      test::judge_nitro(nitro, std::span(&anchor, 1), test::nitro_test_policy(), kTestNow);
  ASSERT_NE(nitro_verdict.failure(), nullptr);
  EXPECT_EQ(nitro_verdict.failure()->code, Code::kSimulated);
  EXPECT_FALSE(nitro_verdict.hardware);
  EXPECT_EQ(nitro_verdict.assurance, "");
}

}  // namespace
}  // namespace otr::attest

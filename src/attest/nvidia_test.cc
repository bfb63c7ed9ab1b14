// Reports under test roots: what is right is accepted, and every named corruption is refused with
// its code.
#include "attest/nvidia.h"

#include <gtest/gtest.h>

#include "attest/encoding.h"
#include "attest/test_gpus.h"

namespace otr::attest {
namespace {

using test::Authority;
using test::Device;
using test::GpuMaker;
using test::GpuSpec;
using test::kTestNow;
using test::measured;
using test::OcspSpec;
using test::RimSpec;

const GpuMaker& maker(Device device = Device::kHopper) {
  static const GpuMaker hopper(Device::kHopper), blackwell(Device::kBlackwell),
      nvswitch(Device::kSwitch);
  return device == Device::kHopper ? hopper : device == Device::kBlackwell ? blackwell : nvswitch;
}

Rim rim_of(const std::string& xml) {
  auto rim = parse_rim(xml);
  EXPECT_TRUE(rim) << (rim ? "" : rim.error().message);
  return rim ? *std::move(rim) : Rim{};
}

GpuCollateral collateral_of(const GpuMaker& from) {
  GpuCollateral collateral{.chain = from.chain(), .rims = {}, .ocsp = {}};
  if (from.device != Device::kSwitch)
    collateral.rims.push_back(rim_of(from.rim(from.driver_rim())));
  collateral.rims.push_back(rim_of(from.rim(from.vbios_rim())));
  for (const Bytes& der : from.ocsp()) {
    auto response = OcspResponse::from_der(der);
    EXPECT_TRUE(response) << (response ? "" : response.error().message);
    if (response) collateral.ocsp.push_back(*response);
  }
  return collateral;
}

GpuPolicy strict_policy() {
  GpuPolicy policy;
  policy.models.values = {"GH100", "GB100", "LS10"};
  policy.min_driver = "550.54.15";
  policy.min_vbios = "96.00.9E.00.01";
  policy.modes.values = {"single"};
  return policy;
}

struct Case {
  Device device = Device::kHopper;
  Bytes report = maker(device).report({.device = device});
  GpuCollateral collateral = collateral_of(maker(device));
  GpuPolicy policy = strict_policy();
  Expected expected = {.nonce = Bytes(32, 0xA5), .report_data = {}};
  Time at = kTestNow;
  VerifiedCache* cache = nullptr;

  [[nodiscard]] Verdict judge() const {
    Verdict verdict;
    const auto parsed = parse_gpu_report(report);
    Checks checks(verdict, Stage::kParse);
    if (!parsed) {
      checks.require(std::unexpected(parsed.error()), Code::kMalformed, "report");
      return verdict;
    }
    const auto found =
        verify_gpu(verdict, *parsed, collateral, maker(device).anchors(), policy, at, cache);
    if (found) appraise_gpu(verdict, *parsed, *found, policy, expected);
    return verdict;
  }
};

// The code of the first failure; none of an accepted verdict; MALFORMED's like for the rest.
std::string result(const Verdict& verdict) {
  if (verdict.accepted()) return "accepted";
  const Check* failure = verdict.failure();
  if (failure == nullptr) return "not accepted";
  return failure->code ? std::string(name_of(*failure->code)) : "no code";
}
std::string failure_text(const Verdict& verdict) {
  const Check* failure = verdict.failure();
  return failure == nullptr ? "" : failure->name + ": " + failure->value;
}

TEST(NvidiaTest, GoodEvidenceOfEachDevice) {
  for (const Device device : {Device::kHopper, Device::kBlackwell, Device::kSwitch}) {
    const Verdict verdict = Case{.device = device}.judge();
    EXPECT_EQ(result(verdict), "accepted") << failure_text(verdict);
    EXPECT_TRUE(verdict.hardware);
    EXPECT_EQ(verdict.assurance, "hardware");
    EXPECT_EQ(verdict.kind, device == Device::kSwitch ? Kind::kNvidiaSwitch : Kind::kNvidiaGpu);
    EXPECT_EQ(verdict.facts["measurements"]["1"], to_plain_hex(measured(1)));
  }
}

TEST(NvidiaTest, EveryByteOfAReportCounts) {
  const Case good;
  Case bare = good;  // signatures alone: the rest is slower and judged elsewhere
  bare.collateral.rims.clear();
  bare.collateral.ocsp.clear();
  bare.policy.require_rims = bare.policy.require_ocsp = false;
  ASSERT_EQ(result(bare.judge()), "accepted");
  for (std::size_t at = 0; at < good.report.size(); at += at < 64 || at > 3590 ? 5 : 61) {
    Case bad = bare;
    bad.report[at] ^= 0x10;
    const std::string code = result(bad.judge());
    EXPECT_TRUE(code == "MALFORMED" || code == "UNSUPPORTED" || code == "SIGNATURE_INVALID")
        << at << " " << code;
  }
}

TEST(NvidiaTest, CutAndLengthenedReportsAreMalformed) {
  const Bytes report = maker().report({});
  for (std::size_t size = 0; size < report.size(); size += size < 60 || size > 3560 ? 1 : 97) {
    const auto parsed = parse_gpu_report(ByteView(report).first(size));
    ASSERT_FALSE(parsed) << size;
    EXPECT_FALSE(parsed.error().code.empty());
  }
  Bytes longer = report;
  longer.push_back(0);
  const auto parsed = parse_gpu_report(longer);
  ASSERT_FALSE(parsed);
  EXPECT_EQ(parsed.error().code, "MALFORMED");
  EXPECT_NE(parsed.error().message.find("97 bytes"), std::string::npos) << parsed.error().message;
}

TEST(NvidiaTest, BlocksAndFieldsAreStrict) {
  const Bytes good = maker().report({});
  const auto code_with = [&](std::size_t at, std::uint8_t value) {
    Bytes bad = good;
    bad[at] = value;
    const auto parsed = parse_gpu_report(bad);
    return parsed ? std::string("parsed") : parsed.error().code;
  };
  EXPECT_EQ(code_with(0, 0x12), "UNSUPPORTED");  // SPDM version
  EXPECT_EQ(code_with(2, 0), "UNSUPPORTED");     // no signature asked for
  EXPECT_EQ(code_with(38, 0x7F), "MALFORMED");   // an error response
  EXPECT_EQ(code_with(41, 63), "MALFORMED");     // fewer blocks than the record holds
  EXPECT_EQ(code_with(43, 0x0E), "MALFORMED");   // another length of the record
  EXPECT_EQ(code_with(45, 0), "MALFORMED");      // index 0
  EXPECT_EQ(code_with(45, 2), "MALFORMED");      // index twice
  EXPECT_EQ(code_with(46, 2), "MALFORMED");      // specification
  EXPECT_EQ(code_with(47, 52), "MALFORMED");     // block size
  EXPECT_EQ(code_with(50, 47), "MALFORMED");     // value size
  EXPECT_EQ(code_with(45 + 64 * 55 + 34 + 2, 0xFF), "MALFORMED");  // first field too long
  const auto with_field = [](std::uint16_t type, Bytes value) {
    return parse_gpu_report(maker().report({.more = {{type, std::move(value)}}}));
  };
  EXPECT_FALSE(with_field(20, Bytes(48, 1)));  // FWID twice
  const auto unknown = with_field(4711, Bytes{1, 2, 3});
  ASSERT_TRUE(unknown);
  ASSERT_NE(unknown->field(4711), nullptr);
  EXPECT_EQ(*unknown->field(4711), (Bytes{1, 2, 3}));
  EXPECT_FALSE(parse_gpu_report(maker().report({.vbios = Bytes(7)})));
  EXPECT_FALSE(parse_gpu_report(maker().report({.driver = "5\n50"})));
}

TEST(NvidiaTest, ModesAreReadFromTwoFields) {
  const auto mode = [](std::uint8_t status, std::optional<Bytes> flag) {
    GpuSpec spec{.protected_pcie = status};
    if (flag) spec.more = {{std::uint16_t{36}, *std::move(flag)}};
    const auto parsed = parse_gpu_report(maker().report(spec));
    return parsed ? parsed->mode() : "malformed";
  };
  EXPECT_EQ(mode(0x55, {}), "single");
  EXPECT_EQ(mode(0xAA, {}), "protected-pcie");
  EXPECT_EQ(mode(0x00, {}), "contradictory");
  EXPECT_EQ(mode(0x55, Bytes{0, 0}), "single");
  EXPECT_EQ(mode(0x55, Bytes{1, 0}), "multi-passthrough");
  EXPECT_EQ(mode(0xAA, Bytes{2, 0}), "protected-pcie");
  EXPECT_EQ(mode(0x55, Bytes{2, 0}), "contradictory");
  EXPECT_EQ(mode(0xAA, Bytes{0, 0}), "contradictory");
  EXPECT_EQ(mode(0x55, Bytes{3, 0}), "contradictory");
  EXPECT_EQ(mode(0x55, Bytes{0}), "contradictory");
}

TEST(NvidiaTest, SignaturesAndChains) {
  Case stranger;
  stranger.report = maker().report({}, maker(Device::kBlackwell).leaf.key);
  EXPECT_EQ(result(stranger.judge()), "SIGNATURE_INVALID");
  EXPECT_FALSE(stranger.judge().hardware);

  Case other_root;
  const GpuMaker another;
  other_root.report = another.report({});
  other_root.collateral.chain = another.chain();
  EXPECT_EQ(result(other_root.judge()), "ANCHOR_UNKNOWN");

  const auto with_chain = [](std::vector<Certificate> chain) {
    Case one;
    one.collateral.chain = std::move(chain);
    return result(one.judge());
  };
  const std::vector<Certificate> chain = maker().chain();
  EXPECT_EQ(with_chain({}), "COLLATERAL_MISSING");
  EXPECT_EQ(with_chain({chain[1], chain[2], chain[3], chain[4]}), "CHAIN_INVALID");  // no leaf
  EXPECT_EQ(with_chain({chain[0], chain[1], chain[3], chain[4]}), "CHAIN_INVALID");
  EXPECT_EQ(with_chain({chain[4], chain[3], chain[2], chain[1], chain[0]}), "CHAIN_INVALID");
  EXPECT_EQ(with_chain({chain[0], chain[1], chain[2], chain[3]}), "accepted");  // without the root
  EXPECT_EQ(with_chain({another.chain()[0], chain[1], chain[2], chain[3], chain[4]}),
            "CHAIN_INVALID");

  Case late;
  late.at = test::kTestEnd + 1;
  EXPECT_EQ(result(late.judge()), "TIME_INVALID");
  Case early;
  early.at = test::kTestStart - 1;
  EXPECT_EQ(result(early.judge()), "TIME_INVALID");
}

TEST(NvidiaTest, KeyBelongsToFirmware) {
  for (const Device device : {Device::kHopper, Device::kBlackwell}) {
    Case other{.device = device};
    other.report = maker(device).report({.device = device, .fwid = Bytes(48, 0xF2)});
    EXPECT_EQ(result(other.judge()), "KEY_LINK_INVALID");
    Case missing{.device = device};
    missing.report = maker(device).report({.device = device, .fwid = std::nullopt});
    EXPECT_EQ(result(missing.judge()), "KEY_LINK_INVALID");
    missing.policy.allow_missing_fwid = true;
    EXPECT_EQ(result(missing.judge()), "accepted");
    Case zero{.device = device};  // the second firmware id of Blackwell's list
    zero.report = maker(device).report({.device = device, .fwid = Bytes(48, 0)});
    EXPECT_EQ(result(zero.judge()), "KEY_LINK_INVALID");
  }
  // A certificate that names no firmware.
  Case bare;
  const Authority leaf =
      maker().brom.issue({.subject = "GH100 A01 GSP FMC LF"}, test::KeyKind::kP384);
  bare.report = maker().report({}, leaf.key);
  bare.collateral.chain[0] = leaf.certificate;
  EXPECT_EQ(result(bare.judge()), "KEY_LINK_INVALID");
}

TEST(NvidiaTest, MeasurementsAreCompared) {
  Case changed;
  changed.report = maker().report({.measurements = {{10, Bytes(48, 9)}, {30, Bytes(48, 8)}}});
  const Verdict verdict = changed.judge();
  EXPECT_EQ(result(verdict), "MEASUREMENT_MISMATCH");
  const std::string text = failure_text(verdict);
  for (const std::string part : {"2 of 64", "index 9 (Measurement_9)", "index 29", "VBIOS RIM",
                                 "driver RIM", "090909", "080808"}) {
    EXPECT_NE(text.find(part), std::string::npos) << part << " in " << text;
  }
  Case alternative;  // the second of two allowed values is the usual one; the first is allowed too
  alternative.report = maker().report({.measurements = {{4, Bytes(48, 0xEE)}}});
  EXPECT_EQ(result(alternative.judge()), "accepted");
  Case uncovered;
  uncovered.report = maker().report({.measurements = {{50, measured(50)}}});
  EXPECT_EQ(result(uncovered.judge()), "MEASUREMENT_MISMATCH");
  EXPECT_NE(failure_text(uncovered.judge()).find("no RIM speaks of it"), std::string::npos);
  Case decoder;  // index 35 is block 36
  decoder.report = maker().report({.measurements = {{36, Bytes(48, 9)}}});
  EXPECT_EQ(result(decoder.judge()), "accepted");
  decoder.report = maker().report({.measurements = {{36, Bytes(48, 9)}}, .nvdec0 = 0xAA});
  EXPECT_EQ(result(decoder.judge()), "MEASUREMENT_MISMATCH");
  Case switch_case{.device = Device::kSwitch};
  switch_case.report =
      maker(Device::kSwitch)
          .report({.device = Device::kSwitch, .measurements = {{31, Bytes(48, 9)}}});
  EXPECT_EQ(result(switch_case.judge()), "MEASUREMENT_MISMATCH");
}

TEST(NvidiaTest, ReferenceValuesAreFoundByVersion) {
  Case missing;
  missing.collateral.rims.erase(missing.collateral.rims.begin());
  EXPECT_EQ(result(missing.judge()), "REFERENCE_MISSING");
  EXPECT_NE(failure_text(missing.judge()).find("NV_GPU_DRIVER_GH100_550.90.07"), std::string::npos);
  EXPECT_FALSE(missing.judge().accepted());
  missing.policy.require_rims = false;
  EXPECT_EQ(result(missing.judge()), "accepted");

  RimSpec other = maker().driver_rim();
  other.version = "560.1.2";
  Case version;
  version.collateral.rims[0] = rim_of(maker().rim(other));
  EXPECT_EQ(result(version.judge()), "VERSION_MISMATCH");
  EXPECT_NE(failure_text(version.judge()).find("560.1.2"), std::string::npos);
  // Who gives reference values wants them met, whatever the policy needs.
  version.policy.require_rims = false;
  EXPECT_EQ(result(version.judge()), "VERSION_MISMATCH");
  other.product = "GB100";
  version.collateral.rims[0] = rim_of(maker().rim(other));
  EXPECT_EQ(result(version.judge()), "VERSION_MISMATCH");
  // Those of a switch are none of a GPU's.
  RimSpec of_switch = maker(Device::kSwitch).vbios_rim();
  version.collateral.rims = {rim_of(maker().rim(of_switch))};
  EXPECT_EQ(result(version.judge()), "accepted");

  // Of one version there may be many, for other boards or edited: the fitting one is found.
  Case several;
  RimSpec board = maker().vbios_rim();
  board.active[1] = {Bytes(48, 0x77)};
  Rim edited = several.collateral.rims[1];
  edited.digest[0] ^= 1;
  several.collateral.rims.insert(several.collateral.rims.begin(),
                                 {edited, rim_of(maker().rim(board))});
  EXPECT_EQ(result(several.judge()), "accepted") << failure_text(several.judge());

  Case overlap;
  RimSpec both = maker().driver_rim();
  both.active[1] = {measured(2)};
  overlap.collateral.rims[0] = rim_of(maker().rim(both));
  EXPECT_EQ(result(overlap.judge()), "REFERENCE_INVALID");
  Case absent;  // an active index beyond the blocks of the report
  absent.device = Device::kSwitch;
  absent.report = maker(Device::kSwitch).report({.device = Device::kSwitch});
  RimSpec more = maker(Device::kSwitch).vbios_rim();
  more.active[40] = {measured(41)};
  absent.collateral = collateral_of(maker(Device::kSwitch));
  absent.collateral.rims[0] = rim_of(maker(Device::kSwitch).rim(more));
  EXPECT_EQ(result(absent.judge()), "MEASUREMENT_MISMATCH");
}

TEST(NvidiaTest, RevocationOfTheWholeChain) {
  for (std::size_t i = 0; i < 6; ++i) {
    Case missing;
    missing.collateral.ocsp.erase(missing.collateral.ocsp.begin() + static_cast<std::ptrdiff_t>(i));
    EXPECT_EQ(result(missing.judge()), "REVOCATION_UNKNOWN") << i;
    missing.policy.require_ocsp = false;
    EXPECT_EQ(result(missing.judge()), "accepted") << i;
  }
  Case revoked;
  const Bytes der = GpuMaker::ocsp({.status = OcspSpec::Status::kRevoked}, maker().brom.certificate,
                                   maker().provisioner, GpuMaker::responder(maker().provisioner));
  revoked.collateral.ocsp.push_back(*OcspResponse::from_der(der));
  revoked.policy.require_ocsp = false;  // given and bad fails in any case
  EXPECT_EQ(result(revoked.judge()), "REVOKED");
  Case leaf;  // no answer is needed for a leaf, but one that is given counts
  const Bytes of_leaf = GpuMaker::ocsp({.status = OcspSpec::Status::kRevoked},
                                       maker().leaf.certificate, maker().brom, maker().brom);
  leaf.collateral.ocsp.push_back(*OcspResponse::from_der(of_leaf));
  EXPECT_EQ(result(leaf.judge()), "REVOKED");
}

TEST(NvidiaTest, PolicyDecides) {
  const auto with = [](auto&& change) {
    Case one;
    change(one);
    return result(one.judge());
  };
  EXPECT_EQ(with([](Case& c) { c.expected.nonce = Bytes(32, 0); }), "NONCE_MISMATCH");
  EXPECT_EQ(with([](Case& c) { c.expected.nonce = Bytes(31, 0xA5); }), "NONCE_MISMATCH");
  EXPECT_EQ(with([](Case& c) { c.expected.nonce.reset(); }), "accepted");
  EXPECT_EQ(with([](Case& c) { c.policy.models.values = {"GB100"}; }), "POLICY_REFUSED");
  EXPECT_EQ(with([](Case& c) { c.policy.models = {}; }), "POLICY_REFUSED");
  EXPECT_EQ(with([](Case& c) { c.policy.modes.values = {"protected-pcie"}; }), "POLICY_REFUSED");
  EXPECT_EQ(with([](Case& c) { c.policy.modes = {}; }), "POLICY_REFUSED");
  EXPECT_EQ(with([](Case& c) { c.policy.min_driver.reset(); }), "POLICY_REFUSED");
  EXPECT_EQ(with([](Case& c) { c.policy.min_vbios.reset(); }), "POLICY_REFUSED");
  EXPECT_EQ(with([](Case& c) { c.policy.min_driver = "550.90.07"; }), "accepted");
  EXPECT_EQ(with([](Case& c) { c.policy.min_driver = "550.100"; }), "TCB_REFUSED");
  EXPECT_EQ(with([](Case& c) { c.policy.min_driver = "550.x"; }), "POLICY_REFUSED");
  EXPECT_EQ(with([](Case& c) { c.policy.min_vbios = "96.00.A0.00.00"; }), "TCB_REFUSED");
  EXPECT_EQ(with([](Case& c) { c.policy.devices.values = {maker().leaf.certificate.serial()}; }),
            "accepted");
  EXPECT_EQ(with([](Case& c) { c.policy.devices.values = {Bytes{1}}; }), "DEVICE_REFUSED");
}

TEST(NvidiaTest, CacheChangesNoVerdict) {
  VerifiedCache cache;
  Case good;
  good.cache = &cache;
  EXPECT_EQ(result(good.judge()), "accepted");
  const std::size_t known = cache.size();
  EXPECT_GT(known, 10u);
  EXPECT_EQ(result(good.judge()), "accepted");
  EXPECT_EQ(cache.size(), known);
  Case late = good;
  late.at = test::kTestEnd + 1;
  EXPECT_EQ(result(late.judge()), "TIME_INVALID");
  Case stale = good;
  stale.at = kTestNow + 90000;
  EXPECT_EQ(result(stale.judge()), "REVOCATION_UNKNOWN");
  Case changed = good;
  changed.report[4] ^= 1;
  EXPECT_EQ(result(changed.judge()), "SIGNATURE_INVALID");
  Case edited = good;
  edited.collateral.rims[0].canonical_content.push_back(' ');
  EXPECT_EQ(result(edited.judge()), "REFERENCE_INVALID");
  Case resigned = good;
  resigned.collateral.rims[0].signature[5] ^= 1;
  EXPECT_EQ(result(resigned.judge()), "REFERENCE_INVALID");
  VerifiedCache small(3);
  Case bounded;
  bounded.cache = &small;
  EXPECT_EQ(result(bounded.judge()), "accepted");
  EXPECT_LE(small.size(), 3u);
}

TEST(NvidiaTest, Topology) {
  const auto gpu = [](const std::vector<std::uint8_t>& switches) {
    Bytes list;
    for (const std::uint8_t one : switches) {
      append(list, Bytes{0, 0, 0, 0, 0, 0, 0, one});  // reversed
    }
    return *parse_gpu_report(maker().report({.more = {{std::uint16_t{22}, list}}}));
  };
  const auto device = [](std::uint8_t own, std::uint8_t gpus) {
    Bytes list;
    for (std::uint8_t i = 0; i < gpus; ++i) append(list, Bytes{i, 9, 9, 9, 9, 9, 9, 9});
    list.resize(128, 0);
    return *parse_gpu_report(
        maker(Device::kSwitch)
            .report({.device = Device::kSwitch,
                     .more = {{std::uint16_t{22}, Bytes{own, 0, 0, 0, 0, 0, 0, 0}},
                              {std::uint16_t{26}, list}}}));
  };
  const auto judge = [](std::vector<GpuReport> gpus, std::vector<GpuReport> switches) {
    Verdict verdict;
    Checks checks(verdict, Stage::kVerify);
    const bool good = check_topology(checks, gpus, switches);
    EXPECT_EQ(good, verdict.failure() == nullptr);
    if (!good) EXPECT_EQ(verdict.failure()->code, Code::kDeviceRefused);
    return good;
  };
  EXPECT_TRUE(judge({gpu({1, 2, 1}), gpu({2, 1})}, {device(1, 2), device(2, 2)}));
  EXPECT_FALSE(judge({gpu({1, 2, 3}), gpu({2, 1})}, {device(1, 2), device(2, 2)}));
  EXPECT_FALSE(judge({gpu({1, 2}), gpu({1})}, {device(1, 2), device(2, 2)}));
  EXPECT_FALSE(judge({gpu({1, 2}), gpu({2, 1})}, {device(1, 2), device(1, 2)}));
  EXPECT_FALSE(judge({gpu({1, 2}), gpu({2, 1})}, {device(1, 2), device(2, 1)}));
  EXPECT_FALSE(judge({gpu({1})}, {device(1, 2)}));
  EXPECT_FALSE(judge({}, {device(1, 0)}));
  EXPECT_FALSE(judge({gpu({})}, {}));
}

}  // namespace
}  // namespace otr::attest

// Genuine NVIDIA evidence (../shared/attestation-samples, SOURCES.md there): every row with its
// right answer. Skipped, loudly, where the folder is absent.
#include <gtest/gtest.h>

#include <fstream>
#include <sstream>

#include "attest/encoding.h"
#include "attest/nvidia.h"

namespace otr::attest {
namespace {

constexpr std::string_view kFolder = OTR_SOURCE_DIR "/../shared/attestation-samples/";

std::string read_text(const std::string& name) {
  std::ifstream file(std::string(kFolder) + name, std::ios::binary);
  std::stringstream text;
  text << file.rdbuf();
  EXPECT_TRUE(file) << name;
  return text.str();
}

class NvidiaSamples : public testing::Test {
 protected:
  void SetUp() override {
    if (!std::ifstream(std::string(kFolder) + "SOURCES.md")) {
      GTEST_SKIP() << "NO GENUINE EVIDENCE: " << kFolder << " is absent, so it was not tried";
    }
  }

  static Result<GpuReport> report(const std::string& name) {
    const std::string text = read_text(name);
    if (name.ends_with(".hex")) {
      const auto bytes = from_plain_hex(without_space(text));
      EXPECT_TRUE(bytes) << name;
      return parse_gpu_report(bytes.value_or(Bytes()));
    }
    return parse_gpu_report(as_bytes(text));
  }
  static std::vector<Certificate> chain(const std::string& name) {
    auto all = Certificate::from_pem(read_text(name));
    EXPECT_TRUE(all) << name << ": " << (all ? "" : all.error().message);
    return all ? *all : std::vector<Certificate>();
  }
  static Rim rim(const std::string& name) {
    auto one = parse_rim(read_text(name));
    EXPECT_TRUE(one) << name << ": " << (one ? "" : one.error().message);
    return one ? *std::move(one) : Rim{};
  }
  static OcspResponse ocsp(const std::string& name) {
    const auto der = from_base64(without_space(read_text("ocsp/h100-550.90.07/" + name + ".b64")));
    EXPECT_TRUE(der) << name;
    auto one = OcspResponse::from_der(der.value_or(Bytes()));
    EXPECT_TRUE(one) << name << ": " << (one ? "" : one.error().message);
    return one ? *one : OcspResponse();
  }
  static Time time(std::string_view text) { return parse_time(text).value_or(0); }

  // No demand for OCSP, everything else as strict as can be.
  static GpuPolicy policy() {
    GpuPolicy policy;
    policy.models.values = {"GH100", "GB100", "LS10"};
    policy.min_driver = "535";
    policy.min_vbios = "96.00.5E.00.01";
    policy.modes.values = {"single", "protected-pcie"};
    policy.require_ocsp = false;
    return policy;
  }
  static Verdict judge(const Result<GpuReport>& report, const GpuCollateral& collateral,
                       const GpuPolicy& policy, std::string_view at, std::string_view nonce = {}) {
    Verdict verdict;
    EXPECT_TRUE(report) << (report ? "" : report.error().message);
    if (!report) return verdict;
    const auto found = verify_gpu(verdict, *report, collateral, vendor_anchors(), policy, time(at));
    Expected expected;
    if (!nonce.empty()) expected.nonce = from_plain_hex(nonce);
    if (found) appraise_gpu(verdict, *report, *found, policy, expected);
    return verdict;
  }
  static Code code_of(const Verdict& verdict) {
    const Check* failure = verdict.failure();
    return failure == nullptr ? Code{} : failure->code.value_or(Code{});
  }
  static std::string why(const Verdict& verdict) {
    std::string text;
    for (const Check& check : verdict.checks) {
      if (check.outcome == Outcome::kPass || check.outcome == Outcome::kNotApplicable) continue;
      text += check.name + ": " + check.value + "\n";
    }
    return text;
  }
  static GpuCollateral h100() {
    return {
        .chain = chain("gpu/h100-550.90.07/cert-chain.pem"),
        .rims = {rim("gpu/h100-550.90.07/driver-rim.xml"), rim("gpu/h100-550.90.07/vbios-rim.xml")},
        .ocsp = {}};
  }
};

constexpr std::string_view kNonce =
    "931d8dd0add203ac3d8b4fbde75e115278eefcdceac5b87671a748f32364dfcb";

TEST_F(NvidiaSamples, H100EveryLayer) {
  const auto evidence = report("gpu/h100-550.90.07/report.bin");
  const Verdict good = judge(evidence, h100(), policy(), "2025-08-21", kNonce);
  EXPECT_TRUE(good.accepted()) << why(good);
  EXPECT_TRUE(good.hardware);
  EXPECT_EQ(good.assurance, "hardware");
  EXPECT_EQ(good.facts["driver_version"], "550.90.07");
  EXPECT_EQ(good.facts["vbios_version"], "96.00.9F.00.01");
  EXPECT_EQ(good.facts["rim_names"],
            Json({"NV_GPU_DRIVER_GH100_550.90.07", "NV_GPU_VBIOS_1010_0200_882_96009F0001"}));
  EXPECT_EQ(code_of(judge(evidence, h100(), policy(), "2024-05-30")), Code::kTimeInvalid);
  EXPECT_EQ(code_of(judge(evidence, h100(), policy(), "2026-02-24")), Code::kTimeInvalid);
  EXPECT_EQ(code_of(judge(evidence, h100(), policy(), "2025-08-21", std::string(64, '0'))),
            Code::kNonceMismatch);
}

TEST_F(NvidiaSamples, H100WithStoredOcspAnswers) {
  const auto evidence = report("gpu/h100-550.90.07/report.bin");
  GpuCollateral collateral = h100();
  for (const std::string name :
       {"gpu_certificate_l2", "gpu_certificate_l3", "gpu_certificate_l4", "gpu_driver_rim_l3",
        "gpu_driver_rim_l4", "gpu_rim_l2", "gpu_vbios_l4"}) {
    collateral.ocsp.push_back(ocsp(name));
  }
  const auto outcomes = [&](std::string_view at, const GpuPolicy& policy) {
    const Verdict verdict = judge(evidence, collateral, policy, at, kNonce);
    std::string text;
    for (const Check& check : verdict.checks) {
      if (!check.name.ends_with("(OCSP)")) continue;
      text += check.outcome == Outcome::kPass ? "+" : "-";
      if (check.outcome != Outcome::kPass) EXPECT_EQ(check.code, Code::kRevocationUnknown);
    }
    return text;
  };
  GpuPolicy strict = policy();
  strict.require_ocsp = true;
  // Device levels 4, 3, 2; driver RIM 4, 3, 2; VBIOS RIM 4, 3, 2. Each within its 24 hours.
  EXPECT_EQ(outcomes("2025-08-21T06:48:00Z", strict), "+++------");
  EXPECT_EQ(outcomes("2025-08-22T06:48:00Z", strict), "---------");
  EXPECT_EQ(outcomes("2025-10-24T12:00:00Z", strict), "---++++++");
  EXPECT_EQ(outcomes("2025-10-25T12:00:00Z", strict), "---------");
  // A relying party that says so takes answers that were collected at several times.
  strict.ocsp_max_age_hours = std::int64_t{24} * 90;
  EXPECT_EQ(outcomes("2025-10-24T12:00:00Z", strict), "---++++++");
  strict.ocsp_past_next_update = true;
  EXPECT_EQ(outcomes("2025-10-24T12:00:00Z", strict), "+++++++++");
  const Verdict all = judge(evidence, collateral, strict, "2025-10-24T12:00:00Z", kNonce);
  EXPECT_TRUE(all.accepted()) << why(all);
}

TEST_F(NvidiaSamples, H100WithTheWrongRims) {
  GpuCollateral collateral = h100();
  const auto evidence = report("gpu/h100-550.90.07/report.bin");
  collateral.rims[0] = rim("rim/NV_GPU_DRIVER_GH100_550.144.03.xml");
  const Verdict version = judge(evidence, collateral, policy(), "2025-03-01");
  EXPECT_EQ(code_of(version), Code::kVersionMismatch);
  EXPECT_NE(why(version).find("550.144.03"), std::string::npos);
  EXPECT_NE(why(version).find("NV_GPU_DRIVER_GH100_550.90.07"), std::string::npos);
  collateral.rims.clear();
  EXPECT_EQ(code_of(judge(evidence, collateral, policy(), "2025-03-01")), Code::kReferenceMissing);
}

TEST_F(NvidiaSamples, OldDriver) {
  const auto evidence = report("gpu/h100-535.86.09/report.hex");
  GpuCollateral collateral{.chain = chain("gpu/h100-535.86.09/cert-chain.pem"),
                           .rims = {rim("gpu/h100-535.86.09/BAD-driver-rim-digest-invalid.xml")},
                           .ocsp = {}};
  EXPECT_EQ(code_of(judge(evidence, collateral, policy(), "2026-06-01")), Code::kKeyLinkInvalid);
  GpuPolicy without_rims = policy();
  without_rims.allow_missing_fwid = true;
  EXPECT_EQ(code_of(judge(evidence, collateral, without_rims, "2026-06-01")),
            Code::kReferenceInvalid);
  without_rims.require_rims = false;
  collateral.rims.clear();
  const Verdict good = judge(evidence, collateral, without_rims, "2026-06-01");
  EXPECT_TRUE(good.accepted()) << why(good);
  collateral.rims = {rim("gpu/h100-535.86.09/BAD-vbios-rim-measurement-mismatch.xml")};
  collateral.rims.push_back(rim("gpu/h100-535.86.09/BAD-driver-rim-digest-invalid.xml"));
  Verdict verdict;
  Checks checks(verdict, Stage::kVerify);
  EXPECT_TRUE(verify_rim(checks, "VBIOS RIM", collateral.rims[0], vendor_anchors().nvidia_rim,
                         time("2024-07-01")));
  EXPECT_FALSE(compare_measurements(checks, *evidence, &collateral.rims[1], &collateral.rims[0]));
  EXPECT_EQ(code_of(verdict), Code::kMeasurementMismatch);
  EXPECT_NE(why(verdict).find("index 9 "), std::string::npos) << why(verdict);
}

TEST_F(NvidiaSamples, BadReportsAndChains) {
  const auto evidence = report("gpu/h100-550.90.07/report.bin");
  GpuCollateral collateral = h100();
  collateral.chain = chain("gpu/bad/BAD-chain-missing-intermediate.pem");
  EXPECT_EQ(code_of(judge(evidence, collateral, policy(), "2025-08-21")), Code::kChainInvalid);
  collateral.chain = chain("gpu/bad/BAD-chain-missing-leaf.pem");
  EXPECT_EQ(code_of(judge(evidence, collateral, policy(), "2025-08-21")), Code::kChainInvalid);
  collateral.chain.clear();
  EXPECT_EQ(code_of(judge(evidence, collateral, policy(), "2025-08-21")), Code::kCollateralMissing);
  collateral.chain = chain("gpu/h100-535.86.09/cert-chain.pem");
  EXPECT_EQ(code_of(judge(report("gpu/bad/BAD-report-signature.hex"), collateral, policy(),
                          "2025-08-21")),
            Code::kSignatureInvalid);
  EXPECT_EQ(code_of(judge(evidence, collateral, policy(), "2025-08-21")), Code::kSignatureInvalid);
}

TEST_F(NvidiaSamples, OneTrailingByte) {
  const auto whole = report("gpu/edge/h100-580.95.05-one-trailing-byte.hex");
  ASSERT_FALSE(whole);
  EXPECT_EQ(whole.error().code, "MALFORMED");
  auto bytes =
      from_plain_hex(without_space(read_text("gpu/edge/h100-580.95.05-one-trailing-byte.hex")));
  bytes->pop_back();
  GpuPolicy without_rims = policy();
  without_rims.require_rims = false;
  const GpuCollateral collateral{
      .chain = chain("gpu/edge/h100-580.95.05-cert-chain.pem"), .rims = {}, .ocsp = {}};
  const Verdict good = judge(parse_gpu_report(*bytes), collateral, without_rims, "2025-11-01");
  EXPECT_TRUE(good.accepted()) << why(good);
}

TEST_F(NvidiaSamples, BlackwellSwitchAndProtectedPcie) {
  GpuPolicy without_rims = policy();
  without_rims.require_rims = false;
  const GpuCollateral blackwell{
      .chain = chain("gpu/gb100-575.32/cert-chain.pem"), .rims = {}, .ocsp = {}};
  const Verdict gb100 =
      judge(report("gpu/gb100-575.32/report.hex"), blackwell, without_rims, "2025-08-21", kNonce);
  EXPECT_TRUE(gb100.accepted()) << why(gb100);
  EXPECT_EQ(gb100.facts["model"], "GB100");
  EXPECT_EQ(gb100.facts["rim_names"][0], "NV_GPU_CC_DRIVER_GB100_575.32");

  const auto load = [&](const std::string& name, GpuCollateral& collateral) {
    const Json document = Json::parse(read_text(name), nullptr, false);
    const auto pem = from_base64(document[0]["certificate"].get<std::string>());
    collateral.chain = Certificate::from_pem(as_text(*pem)).value_or(std::vector<Certificate>());
    return parse_gpu_report(*from_base64(document[0]["evidence"].get<std::string>()));
  };
  GpuCollateral collateral;
  const auto hopper = load("gpu/h100-590.12-ppcie/evidence.json", collateral);
  const Verdict ppcie = judge(hopper, collateral, without_rims, "2026-01-01");
  EXPECT_TRUE(ppcie.accepted()) << why(ppcie);
  EXPECT_EQ(ppcie.facts["mode"], "protected-pcie");

  const auto ls10 = load("gpu/nvswitch-ls10/evidence.json", collateral);
  collateral.rims = {rim("rim/NV_SWITCH_BIOS_5612_0002_890_9610550001.xml")};
  const Verdict with_rim = judge(ls10, collateral, policy(), "2026-06-01", kNonce);
  EXPECT_TRUE(with_rim.accepted()) << why(with_rim);
  EXPECT_EQ(with_rim.kind, Kind::kNvidiaSwitch);
  EXPECT_EQ(with_rim.facts["model"], "LS10");
  EXPECT_EQ(with_rim.facts["rim_names"], Json({"NV_SWITCH_BIOS_5612_0002_890_9610550001"}));
  // Evidence of two machines.
  Verdict verdict;
  Checks checks(verdict, Stage::kVerify);
  EXPECT_FALSE(check_topology(checks, std::array{*hopper}, std::array{*ls10}));
  EXPECT_EQ(code_of(verdict), Code::kDeviceRefused);
}

TEST_F(NvidiaSamples, Rims) {
  const auto verify = [&](const std::string& name, std::string_view at) {
    Verdict verdict;
    Checks checks(verdict, Stage::kVerify);
    verify_rim(checks, "RIM", rim(name), vendor_anchors().nvidia_rim, time(at));
    return code_of(verdict);
  };
  EXPECT_EQ(verify("rim/NV_GPU_DRIVER_GH100_550.144.03.xml", "2025-06-01"), Code{});
  EXPECT_EQ(verify("rim/NV_GPU_DRIVER_GH100_550.144.03.xml", "2024-12-29"), Code::kTimeInvalid);
  EXPECT_EQ(verify("rim/NV_GPU_DRIVER_GH100_550.144.03.xml", "2026-12-31"), Code::kTimeInvalid);
  EXPECT_EQ(verify("rim/BAD-signature-driver-rim.xml", "2025-06-01"), Code::kReferenceInvalid);
  EXPECT_EQ(verify("rim/NV_SWITCH_BIOS_5612_0002_890_9610550001.xml", "2026-06-01"), Code{});
  EXPECT_EQ(verify("rim/NV_SWITCH_BIOS_5612_0002_890_9610550001.xml", "2026-05-19"),
            Code::kTimeInvalid);
  EXPECT_EQ(verify("rim/g520_0202_885_96006D0008_PROD.swidtag", "2024-06-01"), Code{});
  EXPECT_EQ(verify("rim/1010_0205_862_96005E0002_PROD.swidtag", "2024-06-01"), Code{});
}

}  // namespace
}  // namespace otr::attest

// Real evidence of real machines: every row of the samples' own table, through the same door as
// `otr attest verify` (sort_items and appraise). Skips, and says so, where the samples are absent.
#include <gmock/gmock.h>

#include <functional>

#include "attest/anchors.h"
#include "attest/bundle.h"
#include "attest/encoding.h"
#include "attest/report.h"
#include "attest/test_samples.h"

namespace otr::attest {
namespace {

using Change = std::function<void(Policy&)>;

struct Case {
  const char* name;
  std::vector<std::string> files;  // or folders
  const char* at;
  std::optional<Code> code;  // nothing: accepted
  Change change = nullptr;   // of the policy "genuine"
  const char* nonce = "";
};

void require_rims(Policy& policy) { policy.gpu->require_rims = true; }
void require_ocsp(Policy& policy) {
  policy.gpu->require_rims = true;
  policy.gpu->require_ocsp = true;
}
void allow_missing_fwid(Policy& policy) {
  policy.gpu->require_rims = true;
  policy.gpu->allow_missing_fwid = true;
}
void tolerate_hardening(Policy& policy) {
  policy.sgx->tcb.statuses = {"ConfigurationAndSWHardeningNeeded"};
  policy.sgx->tcb.tolerated_advisories = {"INTEL-SA-00289", "INTEL-SA-00615"};
}
// This quote's guest has a service TD.
void allow_service_td(Policy& policy) { policy.tdx->mrservicetd.any = true; }
void tolerate_out_of_date(Policy& policy) {
  allow_service_td(policy);
  policy.tdx->tcb.statuses = {"OutOfDate"};
  policy.tdx->tcb.tolerated_advisories = {"INTEL-SA-01036", "INTEL-SA-01079", "INTEL-SA-01099",
                                          "INTEL-SA-01103", "INTEL-SA-01111"};
}
void raise_floor(Policy& policy) { policy.tdx->tcb.min_evaluation_number = 18; }

const std::vector<std::string> kH100 = {"gpu/h100-550.90.07"};
const std::vector<std::string> kRollover = {"tdx/v5-90c06f-tcb-rollover/2026-03"};
constexpr const char* kH100Nonce =
    "931d8dd0add203ac3d8b4fbde75e115278eefcdceac5b87671a748f32364dfcb";
constexpr const char* kTinfoilNonce =
    "1b63be880a57c6cb2ea2191157e35bdc0de416d3b9e4b5b17423b12f8553d633";

std::vector<std::string> join(std::vector<std::string> a, const std::vector<std::string>& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

std::vector<Case> gpu_cases() {
  const std::string ocsp = "ocsp/h100-550.90.07/", h535 = "gpu/h100-535.86.09/",
                    h550 = "gpu/h100-550.90.07/";
  const std::vector<std::string> device = {ocsp + "gpu_certificate_l2.b64",
                                           ocsp + "gpu_certificate_l3.b64",
                                           ocsp + "gpu_certificate_l4.b64"};
  const std::vector<std::string> rim = {ocsp + "gpu_rim_l2.b64", ocsp + "gpu_driver_rim_l3.b64",
                                        ocsp + "gpu_driver_rim_l4.b64", ocsp + "gpu_vbios_l4.b64"};
  return {
      {"H100, every layer",
       join(kH100, {"roots/nvidia-device-identity-ca.pem", "roots/nvidia-rim-root.pem"}),
       "2025-01-01",
       {},
       require_rims,
       kH100Nonce},
      {"H100, another nonce", kH100, "2025-01-01", Code::kNonceMismatch, require_rims,
       kTinfoilNonce},
      {"H100, before the RIMs are valid", kH100, "2024-01-01", Code::kTimeInvalid, require_rims},
      {"H100, after a RIM", kH100, "2026-03-01", Code::kTimeInvalid, require_rims},
      {"H100, device answers", join(kH100, device), "2025-08-21T12:00:00Z", {}, require_rims},
      {"H100, device answers, all demanded", join(kH100, device), "2025-08-21T12:00:00Z",
       Code::kRevocationUnknown, require_ocsp},
      {"H100, device answers a month later", join(kH100, device), "2025-09-21",
       Code::kRevocationUnknown, require_ocsp},
      {"H100, RIM answers", join(kH100, rim), "2025-10-24T12:00:00Z", {}, require_rims},
      {"H100, no answers, demanded", kH100, "2025-08-21", Code::kRevocationUnknown, require_ocsp},
      {"H100, driver RIM of another version",
       {h550 + "report.bin", h550 + "cert-chain.pem", h550 + "vbios-rim.xml",
        "rim/NV_GPU_DRIVER_GH100_550.144.03.xml"},
       "2025-06-01",
       Code::kVersionMismatch,
       require_rims},
      {"H100, driver RIM of another version, none demanded",
       {h550 + "report.bin", h550 + "cert-chain.pem", "rim/NV_GPU_DRIVER_GH100_550.144.03.xml"},
       "2025-06-01",
       Code::kVersionMismatch},
      {"H100, no RIMs",
       {h550 + "report.bin", h550 + "cert-chain.pem"},
       "2025-06-01",
       Code::kReferenceMissing,
       require_rims},
      {"H100, no RIMs demanded", {h550 + "report.bin", h550 + "cert-chain.pem"}, "2025-06-01", {}},
      {"H100 535, no FWID",
       {h535 + "report.hex", h535 + "cert-chain.pem"},
       "2025-06-01",
       Code::kKeyLinkInvalid},
      {"H100 535, RIM edited",
       {h535 + "report.hex", h535 + "cert-chain.pem", h535 + "BAD-driver-rim-digest-invalid.xml"},
       "2026-05-01",
       Code::kReferenceInvalid,
       allow_missing_fwid},
      {"H100 535, measurement 9",
       {h535 + "report.hex", h535 + "cert-chain.pem",
        h535 + "BAD-vbios-rim-measurement-mismatch.xml"},
       "2024-07-01",
       Code::kMeasurementMismatch,
       [](Policy& policy) { policy.gpu->allow_missing_fwid = true; }},
      {"H100, RIM with a bad signature",
       {h550 + "report.bin", h550 + "cert-chain.pem", h550 + "vbios-rim.xml",
        "rim/BAD-signature-driver-rim.xml"},
       "2025-06-01",
       Code::kVersionMismatch,
       require_rims},
  };
}

std::vector<Case> device_cases() {
  const std::string h535 = "gpu/h100-535.86.09/", h550 = "gpu/h100-550.90.07/";
  return {
      {"bad signature",
       {"gpu/bad/BAD-report-signature.hex", h535 + "cert-chain.pem"},
       "2025-06-01",
       Code::kSignatureInvalid,
       allow_missing_fwid},
      {"chain without leaf",
       {h550 + "report.bin", "gpu/bad/BAD-chain-missing-leaf.pem"},
       "2025-06-01",
       Code::kChainInvalid},
      {"chain without intermediate",
       {h550 + "report.bin", "gpu/bad/BAD-chain-missing-intermediate.pem"},
       "2025-06-01",
       Code::kChainInvalid},
      {"no chain", {h550 + "report.bin"}, "2025-06-01", Code::kCollateralMissing},
      {"one byte after the signature", {"gpu/edge"}, "2025-06-01", Code::kMalformed},
      {"GB100", {"gpu/gb100-575.32"}, "2025-09-01", {}, nullptr, kH100Nonce},
      {"H100, protected PCIe", {"gpu/h100-590.12-ppcie"}, "2026-06-01", {}},
      {"LS10", {"gpu/nvswitch-ls10"}, "2026-06-01", {}, nullptr, kH100Nonce},
      {"LS10 with a RIM of its kind",
       {"gpu/nvswitch-ls10", "rim/NV_SWITCH_BIOS_5612_0002_890_9610550001.xml"},
       "2026-06-01",
       {}},
  };
}

std::vector<Case> intel_cases() {
  const std::string rollover = "tdx/v5-90c06f-tcb-rollover/", old = rollover + "2025-06";
  return {
      {"TDX, closed set", {"tdx/v4-b0c06f-uptodate"}, "2025-06-20", {}},
      {"TDX, with the root given along",
       {"tdx/v4-b0c06f-uptodate", "roots/intel-sgx-root-ca.der"},
       "2025-06-20",
       {}},
      {"TDX, too early", {"tdx/v4-b0c06f-uptodate"}, "2025-06-01", Code::kTimeInvalid},
      {"TDX, too late", {"tdx/v4-b0c06f-uptodate"}, "2025-08-01", Code::kTimeInvalid},
      {"TDX, newer", join({"tdx/v5-sample-uptodate/quote.bin"}, kRollover), "2026-03-20", {}},
      {"TDX, its own TCB info alone",
       {"tdx/v5-sample-uptodate"},
       "2026-02-10",
       Code::kCollateralMissing},
      {"TDX, rollover, new", join({rollover + "quote.bin"}, kRollover), "2026-03-20",
       Code::kTcbRefused, allow_service_td},
      {"TDX, rollover, a service TD", join({rollover + "quote.bin"}, kRollover), "2026-03-20",
       Code::kMigratable},
      {"TDX, rollover, OutOfDate tolerated",
       join({rollover + "quote.bin"}, kRollover),
       "2026-03-20",
       {},
       tolerate_out_of_date},
      {"TDX, rollover, old without lists",
       {rollover + "quote.bin", old},
       "2025-06-20",
       Code::kCollateralMissing},
      {"TDX, rolled back",
       {rollover + "quote.bin", old, rollover + "2026-03/pck-crl-platform.der",
        rollover + "2026-03/root-crl.der", rollover + "2026-03/tcb-signing-chain.pem"},
       "2026-03-20",
       Code::kTimeInvalid},
      {"TDX, below the floor",
       {"tdx/v4-b0c06f-uptodate"},
       "2025-06-20",
       Code::kCollateralRollback,
       raise_floor},
      {"TDX, both generations",
       {rollover + "quote.bin", old, rollover + "2026-03"},
       "2026-03-20",
       Code::kMalformed},
      {"TDX, debug", {"tdx/v4-debug-td"}, "2025-06-20", Code::kDebug},
      {"TDX, Granite Rapids", {"tdx/v4-gnr-outofdate"}, "2025-11-01", Code::kCollateralMissing},
      {"TDX, Sapphire Rapids E4", {"tdx/v4-spr-e4-no-level"}, "2023-07-01", Code::kTcbUnsupported},
      {"TDX, Azure", {"tdx/azure-vtpm"}, "2025-06-20", Code::kCollateralMissing},
      {"TDX, made-up root", {"tdx/bad-fake-root"}, "2024-01-01", Code::kAnchorUnknown},
      {"SGX", {"sgx/v3-sw-hardening"}, "2025-06-20", Code::kTcbRefused},
      {"SGX, tolerated by name", {"sgx/v3-sw-hardening"}, "2025-06-20", {}, tolerate_hardening},
      {"SGX, quote alone",
       {"sgx/v3-sw-hardening/quote.bin"},
       "2025-06-20",
       Code::kCollateralMissing},
  };
}

std::vector<Case> amd_and_nitro_cases() {
  return {
      {"SNP Milan, virtee", {"snp/milan-virtee"}, "2024-01-01", {}},
      {"SNP Milan, trustee",
       {"snp/milan-trustee/report.bin", "snp/milan-trustee/vcek.der"},
       "2025-01-01",
       {}},
      {"SNP Milan, VCEK of nobody",
       {"snp/milan-trustee/report.bin", "snp/milan-trustee/BAD-vcek.der"},
       "2025-01-01",
       Code::kSignatureInvalid},
      {"SNP Milan, VCEK of another chip",
       {"snp/milan-trustee/report.bin", "snp/milan-virtee/vcek.der"},
       "2025-01-01",
       Code::kSignatureInvalid},
      {"SNP, debug", {"snp/milan-debug-policy"}, "2024-01-01", Code::kDebug},
      {"SNP Turin", {"snp/turin-v5"}, "2026-06-01", {}},
      {"SNP, VLEK", {"snp/aws-vlek-milan", "roots/amd-ask-ark-milan-vlek.pem"}, "2025-06-01", {}},
      {"SNP, VLEK, too late", {"snp/aws-vlek-milan"}, "2026-01-01", Code::kTimeInvalid},
      {"SNP, no certificate",
       {"snp/milan-virtee/report.hex"},
       "2024-01-01",
       Code::kCollateralMissing},
      {"Nitro", {"nitro/attestation.cose"}, "2025-12-25T17:00:00Z", {}},
      {"Nitro, too late", {"nitro/attestation.cose"}, "2025-12-25T20:00:00Z", Code::kTimeInvalid},
      {"Nitro, too early", {"nitro/attestation.cose"}, "2025-12-25T15:00:00Z", Code::kTimeInvalid},
      {"Nitro, debug", {"nitro/debug-zero-pcrs.cose"}, "2025-12-25T10:00:00Z", Code::kDebug},
  };
}

std::vector<Case> token_and_composite_cases() {
  return {
      {"NRAS",
       {"composite/tinfoil-v3-tdx-h200/nras-response.json",
        "composite/tinfoil-v3-tdx-h200/nras-jwks.json"},
       "2026-06-29T02:20:00Z",
       {},
       nullptr,
       kTinfoilNonce},
      {"NRAS, two hours later",
       {"composite/tinfoil-v3-tdx-h200/nras-response.json",
        "composite/tinfoil-v3-tdx-h200/nras-jwks.json"},
       "2026-06-29T04:20:00Z",
       Code::kTimeInvalid},
      {"NRAS, key unknown",
       {"nras/hopper-v3-detached-eat.json"},
       "2025-06-11T00:30:00Z",
       Code::kTokenInvalid},
      {"NRAS, one GPU, key unknown",
       {"nras/private-ml-sdk-1gpu.json"},
       "2025-10-06",
       Code::kTokenInvalid},
      {"NRAS, eight GPUs, key unknown",
       {"nras/private-ml-sdk-ppcie.json"},
       "2025-10-07",
       Code::kTokenInvalid},
      {"NRAS, algorithm none",
       {"nras/local-verifier-alg-none.json"},
       "2026-01-01",
       Code::kTokenInvalid},
      {"NRAS, plain claims", {"nras/hopper-v3-decoded.json"}, "2025-06-11", Code::kUnsupported},
      {"Tinfoil, TDX and H200",
       {"composite/tinfoil-v3-tdx-h200"},
       "2026-06-29T02:13:30Z",
       {},
       nullptr,
       kTinfoilNonce},
      {"Tinfoil, another nonce",
       {"composite/tinfoil-v3-tdx-h200"},
       "2026-06-29T02:13:30Z",
       Code::kNonceMismatch,
       nullptr,
       kH100Nonce},
      {"Tinfoil, reference values demanded",
       {"composite/tinfoil-v3-tdx-h200"},
       "2026-06-29T02:13:30Z",
       Code::kReferenceMissing,
       require_rims},
      {"dstack, event log, no collateral",
       {"composite/dstack-eventlog"},
       "2025-10-01",
       Code::kCollateralMissing},
      {"a RIM alone, signature bad",
       {"rim/BAD-signature-driver-rim.xml"},
       "2025-06-01",
       Code::kReferenceInvalid},
      {"RIMs alone",
       {"rim/1010_0205_862_96005E0002_PROD.swidtag", "rim/g520_0202_885_96006D0008_PROD.swidtag"},
       "2024-01-01",
       Code::kCollateralMissing},
      {"two machines that nothing ties",
       {"tdx/v4-b0c06f-uptodate", "gpu/h100-550.90.07"},
       "2025-06-20",
       Code::kBindingMismatch},
  };
}

void expect_case(const Case& one) {
  SCOPED_TRACE(one.name);
  const auto items = sample_items(one.files);
  Policy policy = *parse_policy(*built_in_policy("genuine"));
  if (one.change) one.change(policy);
  Expected expected;
  if (*one.nonce != '\0') expected.nonce = from_plain_hex(one.nonce);
  const auto bundle = sort_items(items);
  if (!bundle) {
    ASSERT_TRUE(one.code) << bundle.error().message;
    EXPECT_EQ(bundle.error().code, name_of(*one.code)) << bundle.error().message;
    return;
  }
  const Time at = *parse_time(one.at);
  const Appraisal appraisal = appraise(*bundle, policy, expected, vendor_anchors(), at);
  const std::string text = to_text(appraisal, policy, at, true);
  EXPECT_EQ(appraisal.accepted(), !one.code) << text;
  if (!one.code) return;
  const Check* failure = appraisal.failure();
  ASSERT_NE(failure, nullptr) << text;
  EXPECT_EQ(name_of(*failure->code), name_of(*one.code)) << text;
}

TEST(Samples, Gpu) {
  OTR_NEED_SAMPLES();
  for (const Case& one : gpu_cases()) expect_case(one);
  for (const Case& one : device_cases()) expect_case(one);
}

TEST(Samples, Intel) {
  OTR_NEED_SAMPLES();
  for (const Case& one : intel_cases()) expect_case(one);
}

TEST(Samples, Others) {
  OTR_NEED_SAMPLES();
  for (const Case& one : amd_and_nitro_cases()) expect_case(one);
  for (const Case& one : token_and_composite_cases()) expect_case(one);
}

// Whatever the policy, nothing of vendors is SIMULATED, and the other way round.
TEST(Samples, HardwareIsSaidOfHardwareAlone) {
  OTR_NEED_SAMPLES();
  const auto bundle = sort_items(sample_items({"tdx/v4-b0c06f-uptodate"}));
  ASSERT_TRUE(bundle);
  const Time at = *parse_time("2025-06-20");
  const Policy policy = *parse_policy(*built_in_policy("genuine"));
  const Appraisal appraisal = appraise(*bundle, policy, {}, vendor_anchors(), at);
  EXPECT_TRUE(appraisal.hardware());
  EXPECT_THAT(to_text(appraisal, policy, at, false), ::testing::Not(::testing::HasSubstr("SIMUL")));
  const Appraisal stranger = appraise(*bundle, policy, {}, Anchors(), at);
  EXPECT_FALSE(stranger.accepted());
  EXPECT_FALSE(stranger.hardware());
}

TEST(Samples, DstackLogReplays) {
  OTR_NEED_SAMPLES();
  const auto bundle = sort_items(sample_items({"composite/dstack-eventlog"}));
  ASSERT_TRUE(bundle) << bundle.error().message;
  ASSERT_EQ(bundle->event_logs.size(), 1u);
  const Policy policy = *parse_policy(*built_in_policy("genuine"));
  const Appraisal appraisal =
      appraise(*bundle, policy, {}, vendor_anchors(), *parse_time("2025-10-01"));
  const auto replay = std::ranges::find(appraisal.composite,
                                        "event log replays to the quote's registers", &Check::name);
  ASSERT_NE(replay, appraisal.composite.end());
  EXPECT_EQ(replay->outcome, Outcome::kPass) << replay->value;
  EXPECT_EQ(appraisal.facts["events"].size(), 9u);
}

}  // namespace
}  // namespace otr::attest

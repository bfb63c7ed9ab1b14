// Genuine quotes of others, each at its time (shared/attestation-samples, SOURCES.md). Skipped
// where that folder is absent; dcap_test.cc is complete without it.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>

#include "attest/dcap.h"
#include "attest/encoding.h"
#include "base/hex.h"

namespace otr::attest {
namespace {

const std::filesystem::path kSamples = OTR_SOURCE_DIR "/../shared/attestation-samples";

std::string read(const std::string& name) {
  std::ifstream file(kSamples / name, std::ios::binary);
  EXPECT_TRUE(file.good()) << name;
  return {std::istreambuf_iterator<char>(file), {}};
}

Time at(const char* text) { return parse_time(text).value(); }

// The collateral that dcap-qvl keeps in one file.
DcapCollateral combined(const std::string& name) {
  const Json all = Json::parse(read(name));
  const auto text = [&](const char* member) { return all.at(member).get<std::string>(); };
  DcapCollateral collateral;
  collateral.tcb_info =
      "{\"tcbInfo\":" + text("tcb_info") + ",\"signature\":\"" + text("tcb_info_signature") + "\"}";
  collateral.qe_identity = "{\"enclaveIdentity\":" + text("qe_identity") + ",\"signature\":\"" +
                           text("qe_identity_signature") + "\"}";
  collateral.tcb_signing_chain = Certificate::from_pem(text("tcb_info_issuer_chain")).value();
  collateral.qe_identity_chain = Certificate::from_pem(text("qe_identity_issuer_chain")).value();
  collateral.pck_crl_chain = Certificate::from_pem(text("pck_crl_issuer_chain")).value();
  collateral.pck_crl = RevocationList::from_der(from_plain_hex(text("pck_crl")).value()).value();
  collateral.root_crl =
      RevocationList::from_der(from_plain_hex(text("root_ca_crl")).value()).value();
  return collateral;
}

RevocationList list(const std::string& name) {
  return RevocationList::from_der(as_bytes(read(name))).value();
}

TcbPolicy tcb_policy() { return {.min_evaluation_number = 1}; }

// A service TD that one of the samples names.
constexpr std::string_view kServiceTd =
    "383c87d3bbb047b2d171eaca95312ede99f258088dc788f6ae2ccf8b6dd848fe8d47629e08b3f6cbd4a00dd47a5a"
    "033d";

Policy lenient() {
  Policy policy;
  const AllowList any = {.any = true};
  policy.tdx = {.tcb = tcb_policy(),
                .mrtd = any,
                .rtmr0 = any,
                .rtmr1 = any,
                .rtmr2 = any,
                .rtmr3 = any,
                .mrconfigid = any,
                .mrowner = any,
                .mrownerconfig = any,
                .mrservicetd = {.values = {from_plain_hex(kServiceTd).value()}}};
  policy.sgx = {.tcb = tcb_policy(),
                .mrenclave = any,
                .mrsigner = any,
                .isv_prod_id = {.any = true},
                .min_isv_svn = 0};
  return policy;
}

struct Judged {
  Verdict verdict;
  std::optional<DcapFound> found;
};

std::string explained(const Verdict& verdict) {
  std::string text;
  for (const Check& check : verdict.checks) {
    const char* const marks[] = {"pass", "FAIL", "not checked", "n/a"};
    text += std::string(marks[static_cast<int>(check.outcome)]) + " " + check.name + ": " +
            check.value + "\n";
  }
  return text;
}

// Codes of all failures, in order, without repetitions.
std::vector<Code> codes(const Verdict& verdict) {
  std::vector<Code> codes;
  for (const Check& check : verdict.checks) {
    if (check.code && (codes.empty() || codes.back() != *check.code)) codes.push_back(*check.code);
  }
  return codes;
}

Judged judge(const std::string& quote_name, const DcapCollateral& collateral, const char* time,
             const Policy& policy = lenient()) {
  Judged judged;
  const auto quote = parse_quote(as_bytes(read(quote_name)));
  EXPECT_TRUE(quote) << quote.error().message;
  if (!quote) return judged;
  judged.found = verify_quote(judged.verdict, *quote, collateral, vendor_anchors(), at(time));
  if (judged.found) {
    appraise_quote(judged.verdict, *quote, *judged.found, policy, {}, at(time));
  }
  return judged;
}

class DcapSamples : public testing::Test {
 protected:
  void SetUp() override {
    if (!std::filesystem::exists(kSamples / "SOURCES.md")) {
      GTEST_SKIP() << "NOT TESTED on genuine evidence: " << kSamples << " is absent";
    }
  }
};

DcapCollateral newer() {
  const std::string folder = "tdx/v5-90c06f-tcb-rollover/2026-03/";
  return {
      .tcb_info = read(folder + "tcbinfo.json"),
      .qe_identity = read(folder + "qe-identity.json"),
      .tcb_signing_chain = Certificate::from_pem(read(folder + "tcb-signing-chain.pem")).value(),
      .pck_crl = list(folder + "pck-crl-platform.der"),
      .root_crl = list(folder + "root-crl.der")};
}

TEST_F(DcapSamples, TdxUpToDate) {
  const auto collateral = combined("tdx/v4-b0c06f-uptodate/collateral.json");
  const std::string quote = "tdx/v4-b0c06f-uptodate/quote.bin";
  const Judged good = judge(quote, collateral, "2025-06-20");
  EXPECT_TRUE(good.verdict.accepted()) << explained(good.verdict);
  EXPECT_TRUE(good.verdict.hardware);
  ASSERT_TRUE(good.found);
  EXPECT_EQ(good.found->tcb_status, "UpToDate");
  EXPECT_EQ(to_hex(good.found->fmspc), "0xb0c06f000000");
  EXPECT_EQ(good.found->evaluation_number, 17);
  EXPECT_EQ(codes(judge(quote, collateral, "2025-06-18").verdict), std::vector{Code::kTimeInvalid});
  EXPECT_EQ(codes(judge(quote, collateral, "2025-07-20").verdict), std::vector{Code::kTimeInvalid});
  const Judged alone = judge(quote, {}, "2025-06-20");
  EXPECT_EQ(codes(alone.verdict), std::vector{Code::kCollateralMissing})
      << explained(alone.verdict);
}

TEST_F(DcapSamples, TdxUpToDateOfVersion5) {
  const Judged good = judge("tdx/v5-sample-uptodate/quote.bin", newer(), "2026-03-20");
  EXPECT_TRUE(good.verdict.accepted()) << explained(good.verdict);
  ASSERT_TRUE(good.found);
  EXPECT_EQ(good.found->tcb_status, "UpToDate");
  EXPECT_EQ(good.found->evaluation_number, 18);
  Policy floor = lenient();
  floor.tdx->tcb.min_evaluation_number = 19;
  EXPECT_EQ(codes(judge("tdx/v5-sample-uptodate/quote.bin", newer(), "2026-03-20", floor).verdict),
            std::vector{Code::kCollateralRollback});
}

TEST_F(DcapSamples, TcbRecoveryTurnsOneQuoteOutOfDate) {
  const std::string quote = "tdx/v5-90c06f-tcb-rollover/quote.bin";
  DcapCollateral older = newer();
  older.tcb_info = read("tdx/v5-90c06f-tcb-rollover/2025-06/tcbinfo.json");
  older.qe_identity = read("tdx/v5-90c06f-tcb-rollover/2025-06/qe-identity.json");
  older.pck_crl.reset();
  older.root_crl.reset();
  const Judged then = judge(quote, older, "2025-06-16");
  EXPECT_EQ(codes(then.verdict), std::vector{Code::kCollateralMissing}) << explained(then.verdict);
  ASSERT_TRUE(then.found);
  EXPECT_EQ(then.found->tcb_status, "UpToDate");
  const Judged now = judge(quote, newer(), "2026-03-20");
  EXPECT_EQ(codes(now.verdict), std::vector{Code::kTcbRefused}) << explained(now.verdict);
  ASSERT_TRUE(now.found);
  Policy no_service = lenient();
  no_service.tdx->mrservicetd = {};
  EXPECT_EQ(judge(quote, newer(), "2026-03-20", no_service).verdict.failure()->code,
            Code::kMigratable);
  EXPECT_EQ(now.found->tcb_status, "OutOfDate");
  EXPECT_EQ(now.found->advisories,
            (std::vector<std::string>{"INTEL-SA-01036", "INTEL-SA-01079", "INTEL-SA-01099",
                                      "INTEL-SA-01103", "INTEL-SA-01111"}));
  DcapCollateral rolled_back = newer();
  rolled_back.tcb_info = older.tcb_info;
  rolled_back.qe_identity = older.qe_identity;
  Policy floor = lenient();
  floor.tdx->tcb.min_evaluation_number = 18;
  floor.collateral_max_age_days = 3650;
  EXPECT_EQ(codes(judge(quote, rolled_back, "2026-03-20", floor).verdict),
            (std::vector{Code::kTimeInvalid, Code::kCollateralRollback}));
}

TEST_F(DcapSamples, SgxNeedsHardeningAndConfiguration) {
  const auto collateral = combined("sgx/v3-sw-hardening/collateral.json");
  const std::string quote = "sgx/v3-sw-hardening/quote.bin";
  const Judged judged = judge(quote, collateral, "2025-06-20");
  ASSERT_TRUE(judged.found);
  EXPECT_EQ(judged.found->tcb_status, "ConfigurationAndSWHardeningNeeded");
  EXPECT_EQ(judged.found->advisories,
            (std::vector<std::string>{"INTEL-SA-00289", "INTEL-SA-00615"}));
  EXPECT_EQ(codes(judged.verdict), std::vector{Code::kTcbRefused}) << explained(judged.verdict);
  Policy named = lenient();
  named.sgx->tcb.statuses.push_back("ConfigurationAndSWHardeningNeeded");
  EXPECT_EQ(codes(judge(quote, collateral, "2025-06-20", named).verdict),
            std::vector{Code::kTcbRefused});
  named.sgx->tcb.tolerated_advisories = {"INTEL-SA-00289", "INTEL-SA-00615"};
  EXPECT_TRUE(judge(quote, collateral, "2025-06-20", named).verdict.accepted());
}

TEST_F(DcapSamples, DebugAndAzure) {
  const Judged debug = judge("tdx/v4-debug-td/quote.bin", {}, "2025-06-20");
  EXPECT_EQ(codes(debug.verdict), (std::vector{Code::kCollateralMissing, Code::kDebug}))
      << explained(debug.verdict);
  const Judged azure = judge("tdx/azure-vtpm/td-quote.bin", {}, "2025-06-20");
  EXPECT_EQ(codes(azure.verdict), (std::vector{Code::kCollateralMissing, Code::kPolicyRefused}))
      << explained(azure.verdict);
}

TEST_F(DcapSamples, NoLevelFitsAPlatformOf2023) {
  const std::string folder = "tdx/v4-spr-e4-no-level/";
  const DcapCollateral collateral = {.tcb_info = read(folder + "tcbinfo-response.json"),
                                     .qe_identity = read(folder + "qeidentity-response.json"),
                                     .pck_crl = list(folder + "pck-crl.der"),
                                     .root_crl = list(folder + "root-crl.der")};
  const Judged judged = judge(folder + "quote.bin", collateral, "2023-07-01");
  ASSERT_TRUE(judged.found);
  EXPECT_EQ(judged.verdict.failure()->code, Code::kTcbUnsupported) << explained(judged.verdict);
  EXPECT_EQ(judged.found->evaluation_number, 15);
}

TEST_F(DcapSamples, GraniteRapidsOutOfDate) {
  const std::string folder = "tdx/v4-gnr-outofdate/";
  const DcapCollateral collateral = {.tcb_info = read(folder + "tcbinfo.json"),
                                     .qe_identity = read(folder + "qeidentity.json")};
  const Judged judged = judge(folder + "quote.bin", collateral, "2025-11-01");
  ASSERT_TRUE(judged.found) << explained(judged.verdict);
  EXPECT_EQ(judged.found->tcb_status, "OutOfDate");
  EXPECT_EQ(codes(judged.verdict), (std::vector{Code::kCollateralMissing, Code::kTcbRefused}))
      << explained(judged.verdict);
}

TEST_F(DcapSamples, AMadeUpRootIsNotTrusted) {
  const std::string folder = "tdx/bad-fake-root/";
  const DcapCollateral collateral = {
      .tcb_info = read(folder + "tcbInfo.json"),
      .qe_identity = read(folder + "qeIdentity.json"),
      .tcb_signing_chain = Certificate::from_pem(read(folder + "tcbSignChain.pem")).value(),
      .pck_crl = list(folder + "intermediateCaCrl.der"),
      .root_crl = list(folder + "rootCaCrl.der")};
  const Judged judged = judge(folder + "quote.dat", collateral, "2026-03-20");
  ASSERT_NE(judged.verdict.failure(), nullptr);
  EXPECT_EQ(judged.verdict.failure()->code, Code::kAnchorUnknown) << explained(judged.verdict);
  EXPECT_FALSE(judged.verdict.hardware);
  EXPECT_FALSE(judged.found);
  // Under its own root the signatures are good; what they sign was made up without care.
  const auto quote = parse_quote(as_bytes(read(folder + "quote.dat"))).value();
  const Anchors own = {.intel =
                           Certificate::from_pem(read(folder + "trustedRootCaCert.pem")).value()};
  Verdict verdict;
  EXPECT_TRUE(verify_quote(verdict, quote, collateral, own, at("2026-03-20")));
  EXPECT_EQ(codes(verdict),
            (std::vector{Code::kIdentityMismatch, Code::kTcbUnsupported, Code::kIdentityMismatch}))
      << explained(verdict);
}

TEST_F(DcapSamples, CompositeOfTinfoil) {
  const std::string folder = "composite/tinfoil-v3-tdx-h200/";
  const Json document = Json::parse(read(folder + "attestation-document.json"));
  const auto bytes = from_base64(document.at("cpu").at("report").get<std::string>());
  const auto quote = parse_quote(bytes.value()).value();
  const DcapCollateral collateral = {.tcb_info = read(folder + "tcbinfo.json"),
                                     .qe_identity = read(folder + "qe-identity.json"),
                                     .pck_crl = list(folder + "pck-crl-platform.der"),
                                     .root_crl = list(folder + "root-crl.der")};
  Verdict verdict;
  const Time then = at("2026-06-29T02:13:00Z");
  const auto found = verify_quote(verdict, quote, collateral, vendor_anchors(), then);
  ASSERT_TRUE(found) << explained(verdict);
  appraise_quote(verdict, quote, *found, lenient(), {}, then);
  EXPECT_TRUE(verdict.accepted()) << explained(verdict);
  EXPECT_EQ(found->tcb_status, "UpToDate");
  EXPECT_EQ(found->evaluation_number, 19);
}

}  // namespace
}  // namespace otr::attest

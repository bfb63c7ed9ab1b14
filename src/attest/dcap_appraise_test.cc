// TCB statuses worked out, and quotes before policies.
#include <gtest/gtest.h>

#include <functional>

#include "attest/dcap_tcb.h"
#include "attest/test_quotes.h"

namespace otr::attest {
namespace {

using test::Intel;
using test::kTestNow;
using test::QuoteSpec;
using enum TcbStatus;

constexpr Time kDay = 86400;

class AppraiseTest : public testing::Test {
 protected:
  static void SetUpTestSuite() { intel = new Intel(Intel::make()); }
  static void TearDownTestSuite() { delete intel; }
  static const Intel* intel;

  Verdict verdict;
  std::optional<DcapFound> found;
  Policy policy = test::good_policy();
  Expected expected;
  Json info = Intel::tcb_info(Kind::kTdx), identity = Intel::qe_identity(Kind::kTdx);
  QuoteSpec spec = Intel::good(5, Kind::kTdx, 3);

  std::optional<Code> judge() {
    DcapCollateral collateral = intel->collateral(spec.kind);
    if (spec.kind == Kind::kTdx) {
      collateral.tcb_info = intel->signed_tcb_info(info.dump());
      collateral.qe_identity = intel->signed_qe_identity(identity.dump());
    }
    verdict = {};
    const auto quote = parse_quote(intel->quote(spec));
    EXPECT_TRUE(quote);
    found = verify_quote(verdict, *quote, collateral, intel->anchors(), kTestNow);
    EXPECT_TRUE(found);
    appraise_quote(verdict, *quote, *found, policy, expected, kTestNow);
    return verdict.accepted() ? std::nullopt : verdict.failure()->code;
  }
  // The value of the first failure.
  std::string why() { return verdict.failure() == nullptr ? "" : verdict.failure()->value; }
};
const Intel* AppraiseTest::intel = nullptr;

TEST(TcbStatusTest, Converges) {
  const TcbStatus all[] = {kUpToDate,
                           kSwHardeningNeeded,
                           kConfigurationNeeded,
                           kConfigurationAndSwHardeningNeeded,
                           kOutOfDate,
                           kOutOfDateConfigurationNeeded,
                           kRevoked};
  const TcbStatus out_of_date[] = {kOutOfDate,
                                   kOutOfDate,
                                   kOutOfDateConfigurationNeeded,
                                   kOutOfDateConfigurationNeeded,
                                   kOutOfDate,
                                   kOutOfDateConfigurationNeeded,
                                   kRevoked};
  for (std::size_t i = 0; i < 7; ++i) {
    EXPECT_EQ(converge(all[i], kUpToDate), all[i]);
    EXPECT_EQ(converge(all[i], kOutOfDate), out_of_date[i]);
    EXPECT_EQ(converge(all[i], kRevoked), kRevoked);
  }
}

TEST_F(AppraiseTest, EveryStatusOfThePlatform) {
  for (const char* status :
       {"UpToDate", "SWHardeningNeeded", "ConfigurationNeeded", "ConfigurationAndSWHardeningNeeded",
        "OutOfDate", "OutOfDateConfigurationNeeded", "Revoked"}) {
    info["tcbLevels"][0]["tcbStatus"] = status;
    const auto code = judge();
    EXPECT_EQ(found->tcb_status, status);
    if (std::string(status) == "UpToDate") {
      EXPECT_FALSE(code);
    } else {
      EXPECT_EQ(code, std::string(status) == "Revoked" ? Code::kRevoked : Code::kTcbRefused);
    }
    policy.tdx->tcb.statuses = {status};
    if (std::string(status) != "Revoked") EXPECT_FALSE(judge()) << why();
    policy = test::good_policy();
  }
}

TEST_F(AppraiseTest, TheFirstLevelThatFitsCounts) {
  spec.td.tee_tcb_svn[2] = 2;  // the second level
  EXPECT_EQ(judge(), Code::kTcbRefused);
  EXPECT_EQ(found->tcb_status, "OutOfDate");
  EXPECT_EQ(found->tcb_date, parse_time("2025-05-14"));
  EXPECT_EQ(found->superseded, parse_time("2025-11-12"));
  EXPECT_EQ(found->advisories, (std::vector<std::string>{"INTEL-SA-00001", "INTEL-SA-00002"}));
  spec.td.tee_tcb_svn[2] = 1;
  EXPECT_EQ(judge(), Code::kRevoked);
  spec.td.tee_tcb_svn[2] = 0;
  EXPECT_EQ(judge(), Code::kTcbUnsupported);
  EXPECT_EQ(found->tcb_status, "");
  spec.td.tee_tcb_svn[2] = 3;
  info["tcbLevels"][0]["tcb"]["pcesvn"] = 14;
  EXPECT_EQ(judge(), Code::kTcbRefused);
  info["tcbLevels"][0]["tcb"]["pcesvn"] = 13;
  info["tcbLevels"][0]["tcb"]["sgxtcbcomponents"][15]["svn"] = 1;
  EXPECT_EQ(judge(), Code::kTcbRefused);
  EXPECT_EQ(found->tcb_status, "OutOfDate");
}

TEST_F(AppraiseTest, ModulesWithoutVersionAreComparedByTheLevel) {
  spec.td.tee_tcb_svn = {6, 0, 3};
  EXPECT_FALSE(judge()) << why();
  spec.td.tee_tcb_svn = {5, 0, 3};  // component 0 counts now
  EXPECT_EQ(judge(), Code::kTcbUnsupported);
  spec.td.tee_tcb_svn = {6, 0, 3};
  info.erase("tdxModule");
  EXPECT_EQ(judge(), Code::kIdentityMismatch);
}

TEST_F(AppraiseTest, TheModuleMustBeIntelsAndInDate) {
  spec.td.tee_tcb_svn = {3, 3, 3};
  EXPECT_FALSE(judge()) << why();
  spec.td.tee_tcb_svn = {6, 2, 3};
  EXPECT_EQ(judge(), Code::kIdentityMismatch);
  spec.td.tee_tcb_svn = {1, 1, 3};
  EXPECT_EQ(judge(), Code::kTcbUnsupported);
  spec.td.tee_tcb_svn = {2, 1, 3};
  EXPECT_EQ(judge(), Code::kRevoked);
  spec = Intel::good(5, Kind::kTdx, 3);
  spec.td.mrsignerseam[0] = 1;
  EXPECT_EQ(judge(), Code::kIdentityMismatch);
  spec = Intel::good(5, Kind::kTdx, 3);
  spec.td.seam_attributes = 1;
  EXPECT_EQ(judge(), Code::kIdentityMismatch);
}

TEST_F(AppraiseTest, AnOldModuleIsOutOfDateUntilThePlatformHasTheNewOne) {
  spec.td.tee_tcb_svn = {5, 1, 3};  // module level OutOfDate
  spec.td.tee_tcb_svn2 = {5, 1, 3};
  EXPECT_EQ(judge(), Code::kTcbRefused);
  EXPECT_EQ(found->tcb_status, "OutOfDate");
  EXPECT_EQ(found->advisories, std::vector<std::string>{"INTEL-SA-00003"});
  spec.td.tee_tcb_svn2 = {6, 1, 3};
  EXPECT_EQ(judge(), Code::kTcbRefused);
  EXPECT_EQ(found->tcb_status, "TDRelaunchAdvised");
  spec.td.tee_tcb_svn2 = {6, 1, 2};  // old microcode
  judge();
  EXPECT_EQ(found->tcb_status, "OutOfDate");
  spec.td.tee_tcb_svn2 = {6, 9, 3};  // a module that Intel does not know
  judge();
  EXPECT_EQ(found->tcb_status, "OutOfDate");
  spec.td.tee_tcb_svn2 = {6, 0, 3};
  judge();
  EXPECT_EQ(found->tcb_status, "TDRelaunchAdvised");
  spec.td.tee_tcb_svn2 = {6, 1, 3};
  info["tcbLevels"][0]["tcbStatus"] = "ConfigurationNeeded";
  judge();
  EXPECT_EQ(found->tcb_status, "TDRelaunchAdvisedConfigurationNeeded");
  spec.qe.isv_svn = 3;  // a relaunch does not help an old quoting enclave
  judge();
  EXPECT_EQ(found->tcb_status, "OutOfDateConfigurationNeeded");
}

TEST_F(AppraiseTest, AnOldQuotingEnclaveCountsToo) {
  spec.qe.isv_svn = 3;
  EXPECT_EQ(judge(), Code::kTcbRefused);
  EXPECT_EQ(found->tcb_status, "OutOfDate");
  EXPECT_EQ(found->advisories, std::vector<std::string>{"INTEL-SA-00004"});
  EXPECT_EQ(found->superseded, parse_time("2025-11-12"));
  spec.qe.isv_svn = 2;
  EXPECT_EQ(judge(), Code::kRevoked);
}

TEST_F(AppraiseTest, AdvisoriesAreToleratedByNameAlone) {
  spec.td.tee_tcb_svn[2] = 2;
  policy.tdx->tcb.statuses = {"UpToDate", "OutOfDate"};
  EXPECT_EQ(judge(), Code::kTcbRefused);
  EXPECT_NE(why().find("INTEL-SA-00001"), std::string::npos) << why();
  policy.tdx->tcb.tolerated_advisories = {"INTEL-SA-00001"};
  EXPECT_EQ(judge(), Code::kTcbRefused);
  policy.tdx->tcb.tolerated_advisories = {"INTEL-SA-00001", "INTEL-SA-00002"};
  EXPECT_FALSE(judge()) << why();
  policy.tdx->tcb.refused_advisories = {"INTEL-SA-00002"};
  EXPECT_EQ(judge(), Code::kTcbRefused);
  policy.tdx->tcb.refused_advisories = {"INTEL-SA-00009"};
  EXPECT_FALSE(judge()) << why();
}

TEST_F(AppraiseTest, GraceRunsFromTheNewerLevel) {
  spec.td.tee_tcb_svn[2] = 2;
  const Time age = kTestNow - *parse_time("2025-11-12");  // 50 days
  policy.tdx->tcb.out_of_date_grace_days = age / kDay;
  EXPECT_FALSE(judge()) << why();
  policy.tdx->tcb.refused_advisories = {"INTEL-SA-00001"};
  EXPECT_EQ(judge(), Code::kTcbRefused);
  policy.tdx->tcb.refused_advisories = {};
  policy.tdx->tcb.out_of_date_grace_days = age / kDay - 1;
  EXPECT_EQ(judge(), Code::kTcbRefused);
  policy.tdx->tcb.out_of_date_grace_days = std::int64_t{1} << 62;
  EXPECT_FALSE(judge()) << why();
  spec.td.tee_tcb_svn[2] = 1;
  EXPECT_EQ(judge(), Code::kRevoked);
}

TEST_F(AppraiseTest, TheFloorOfTheEvaluationNumberIsTheLowerOfTwo) {
  policy.tdx->tcb.min_evaluation_number = 19;
  EXPECT_EQ(judge(), Code::kCollateralRollback);
  info["tcbEvaluationDataNumber"] = 19;
  EXPECT_EQ(judge(), Code::kCollateralRollback);
  identity["tcbEvaluationDataNumber"] = 20;
  EXPECT_FALSE(judge()) << why();
  EXPECT_EQ(found->evaluation_number, 19);
  policy.tdx->tcb.min_evaluation_number = 0;
  EXPECT_EQ(judge(), Code::kPolicyRefused);
}

TEST_F(AppraiseTest, CollateralHasAnAge) {
  policy.collateral_max_age_days = 2;
  EXPECT_FALSE(judge()) << why();
  policy.collateral_max_age_days = 1;
  EXPECT_EQ(judge(), Code::kTimeInvalid);
}

TEST_F(AppraiseTest, DebugIsRefusedAlways) {
  for (int bit = 0; bit < 8; ++bit) {
    spec.td.td_attributes = std::uint64_t{1} << 28 | std::uint64_t{1} << bit;
    EXPECT_EQ(judge(), Code::kDebug) << bit;
  }
  spec = Intel::good(3, Kind::kSgx);
  EXPECT_FALSE(judge()) << why();
  spec.enclave.attributes[0] |= 2;
  EXPECT_EQ(judge(), Code::kDebug);
}

TEST_F(AppraiseTest, AttributesOfTheGuest) {
  for (int bit = 8; bit < 64; ++bit) {
    spec.td.td_attributes = std::uint64_t{1} << 28 | std::uint64_t{1} << bit;
    const bool harmless =
        bit == 16 || bit == 27 || bit == 28 || bit == 30 || bit == 31 || bit == 63;
    const auto code = judge();
    if (harmless) {
      EXPECT_FALSE(code) << bit << why();
    } else {
      EXPECT_EQ(code, bit == 29 ? Code::kMigratable : Code::kPolicyRefused) << bit;
    }
  }
  spec.td.td_attributes = 0;
  EXPECT_EQ(judge(), Code::kPolicyRefused);
  policy.tdx->require_sept_ve_disable = false;
  EXPECT_FALSE(judge()) << why();
}

TEST_F(AppraiseTest, ServiceTdsMustBeListed) {
  spec.td.mrservicetd[47] = 1;
  EXPECT_EQ(judge(), Code::kMigratable);
  Bytes listed(48);
  listed[47] = 1;
  policy.tdx->mrservicetd.values = {listed};
  EXPECT_FALSE(judge()) << why();
  spec.td.td_attributes |= std::uint64_t{1} << 29;
  EXPECT_FALSE(judge()) << why();
  spec.td.mrservicetd[0] = 1;
  EXPECT_EQ(judge(), Code::kMigratable);
}

// Each list of a policy: another value is refused, so is an unset list, and "any" is not.
TEST_F(AppraiseTest, EveryMeasurementIsDemanded) {
  const std::pair<const char*, AllowList TdxPolicy::*> lists[] = {
      {"tdx.mrtd", &TdxPolicy::mrtd},       {"tdx.rtmr0", &TdxPolicy::rtmr0},
      {"tdx.rtmr1", &TdxPolicy::rtmr1},     {"tdx.rtmr2", &TdxPolicy::rtmr2},
      {"tdx.rtmr3", &TdxPolicy::rtmr3},     {"tdx.mrconfigid", &TdxPolicy::mrconfigid},
      {"tdx.mrowner", &TdxPolicy::mrowner}, {"tdx.mrownerconfig", &TdxPolicy::mrownerconfig}};
  for (const auto& [key, list] : lists) {
    for (const AllowList& refusing : {AllowList{}, AllowList{.values = {Bytes(48, 0x77)}}}) {
      policy = test::good_policy();
      (*policy.tdx).*list = refusing;
      EXPECT_EQ(judge(), Code::kPolicyRefused) << key;
      EXPECT_NE(why().find(key), std::string::npos) << why();
    }
    (*policy.tdx).*list = {.any = true};
    EXPECT_FALSE(judge()) << key << why();
  }
}

TEST_F(AppraiseTest, EnclavesAreMeasured) {
  spec = Intel::good(3, Kind::kSgx);
  policy.sgx->mrenclave = {};
  EXPECT_EQ(judge(), Code::kPolicyRefused);
  policy = test::good_policy();
  policy.sgx->mrsigner.values = {Bytes(32, 1)};
  EXPECT_EQ(judge(), Code::kPolicyRefused);
  policy = test::good_policy();
  policy.sgx->isv_prod_id.values = {"8"};
  EXPECT_EQ(judge(), Code::kPolicyRefused);
  policy = test::good_policy();
  policy.sgx->min_isv_svn = 4;
  EXPECT_EQ(judge(), Code::kPolicyRefused);
  policy.sgx->min_isv_svn.reset();
  EXPECT_EQ(judge(), Code::kPolicyRefused);
}

TEST_F(AppraiseTest, AKindWithoutATableIsRefused) {
  policy.tdx.reset();
  EXPECT_EQ(judge(), Code::kPolicyRefused);
  spec = Intel::good(3, Kind::kSgx);
  EXPECT_FALSE(judge()) << why();
  policy.sgx.reset();
  EXPECT_EQ(judge(), Code::kPolicyRefused);
  EXPECT_TRUE(verdict.assurance.empty());
}

TEST_F(AppraiseTest, MachinesMayBeListed) {
  policy.tdx->platforms.values = {Bytes(16, 1)};
  EXPECT_EQ(judge(), Code::kDeviceRefused);
  policy.tdx->platforms.values.push_back(Bytes(16, 0xc1));
  EXPECT_FALSE(judge()) << why();
}

TEST_F(AppraiseTest, ReportDataIsBound) {
  expected.report_data = Bytes(64, 0x42);
  EXPECT_FALSE(judge()) << why();
  expected.report_data = Bytes(64, 0x43);
  EXPECT_EQ(judge(), Code::kBindingMismatch);
  expected.report_data = Bytes(32, 0x42);
  EXPECT_EQ(judge(), Code::kBindingMismatch);
  expected = {.nonce = Bytes(32, 0x42)};
  EXPECT_FALSE(judge()) << why();
  expected.nonce = Bytes(32, 0x43);
  EXPECT_EQ(judge(), Code::kNonceMismatch);
  std::fill_n(spec.td.report_data.begin() + 32, 32, std::uint8_t{0x43});
  EXPECT_FALSE(judge()) << why();
}

TEST_F(AppraiseTest, TheAssuranceIsThePolicys) {
  policy.tdx->assurance = "hardware-weak";
  EXPECT_FALSE(judge());
  EXPECT_EQ(verdict.assurance, "hardware-weak");
}

}  // namespace
}  // namespace otr::attest

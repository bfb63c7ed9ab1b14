// Policies: every key, what is refused, and the policies that come with the program.
#include "attest/policy.h"

#include <gmock/gmock.h>

#include "crypto/sha256.h"

namespace otr::attest {
namespace {

using ::testing::HasSubstr;

std::string error_of(const std::string& toml) {
  const auto policy = parse_policy(toml);
  return policy ? "accepted" : policy.error().message;
}

std::string hex_of(std::size_t size) { return "\"0x" + std::string(2 * size, 'a') + "\""; }

TEST(Policy, EmptyOneDemandsWhatNothingMeets) {
  const auto policy = parse_policy("");
  ASSERT_TRUE(policy);
  EXPECT_FALSE(policy->tdx || policy->sgx || policy->snp || policy->gpu || policy->nvswitch ||
               policy->nras || policy->nitro || policy->simulated);
  EXPECT_EQ(policy->collateral_max_age_days, 31);
  const auto tables = parse_policy("[tdx]\n[sgx]\n[nvidia]\n[nitro]\n[simulated]\n");
  ASSERT_TRUE(tables);
  EXPECT_FALSE(tables->tdx->mrtd.allows(Bytes(48)));
  EXPECT_FALSE(tables->tdx->mrtd.any);
  EXPECT_EQ(tables->tdx->tcb.min_evaluation_number, 0u);
  EXPECT_EQ(tables->tdx->tcb.statuses, std::vector<std::string>{"UpToDate"});
  EXPECT_FALSE(tables->sgx->min_isv_svn);
  EXPECT_FALSE(tables->sgx->isv_prod_id.allows("0"));
  EXPECT_TRUE(tables->gpu->require_rims && tables->gpu->require_ocsp);
  EXPECT_FALSE(tables->gpu->min_driver);
  EXPECT_FALSE(tables->gpu->modes.allows("single"));
  EXPECT_TRUE(tables->nitro->pcrs.empty());
  EXPECT_TRUE(tables->simulated->roots.empty());
}

TEST(Policy, ReadsEveryKeyOfIntel) {
  const auto policy = parse_policy(
      "name = \"p\"\nrequired = [\"tdx\"]\ncollateral_max_age_days = 7\n[tdx]\nassurance = "
      "\"hardware-weak\"\nmrtd = [" +
      hex_of(48) + "]\nrtmr0 = \"any\"\nrtmr1 = \"any\"\nrtmr2 = \"any\"\nrtmr3 = \"any\"\n" +
      "mrconfigid = \"any\"\nmrowner = \"any\"\nmrownerconfig = \"any\"\nmrservicetd = [" +
      hex_of(48) + "]\nrequire_sept_ve_disable = false\nplatforms = [" + hex_of(16) +
      "]\n[tdx.tcb]\nstatuses = [\"OutOfDate\"]\ntolerated_advisories = [\"A\"]\n"
      "refused_advisories = [\"B\"]\nout_of_date_grace_days = 9\nmin_evaluation_number = 17\n"
      "[sgx]\nmrenclave = [" +
      hex_of(32) + "]\nmrsigner = \"any\"\nisv_prod_id = [1, \"2\"]\nmin_isv_svn = 3\n");
  ASSERT_TRUE(policy) << policy.error().message;
  EXPECT_EQ(policy->name, "p");
  EXPECT_EQ(policy->required, std::vector<std::string>{"tdx"});
  EXPECT_EQ(policy->collateral_max_age_days, 7);
  const TdxPolicy& tdx = *policy->tdx;
  EXPECT_EQ(tdx.assurance, "hardware-weak");
  EXPECT_TRUE(tdx.mrtd.allows(Bytes(48, 0xAA)));
  EXPECT_FALSE(tdx.mrtd.allows(Bytes(48, 0xAB)));
  EXPECT_FALSE(tdx.mrtd.allows(Bytes(47, 0xAA)));
  EXPECT_TRUE(tdx.rtmr0.any && tdx.rtmr1.any && tdx.rtmr2.any && tdx.rtmr3.any);
  EXPECT_TRUE(tdx.mrconfigid.any && tdx.mrowner.any && tdx.mrownerconfig.any);
  EXPECT_TRUE(tdx.mrservicetd.allows(Bytes(48, 0xAA)));
  EXPECT_FALSE(tdx.require_sept_ve_disable);
  EXPECT_TRUE(tdx.platforms.allows(Bytes(16, 0xAA)));
  EXPECT_EQ(tdx.tcb.statuses, std::vector<std::string>{"OutOfDate"});
  EXPECT_EQ(tdx.tcb.tolerated_advisories, std::vector<std::string>{"A"});
  EXPECT_EQ(tdx.tcb.refused_advisories, std::vector<std::string>{"B"});
  EXPECT_EQ(tdx.tcb.out_of_date_grace_days, 9);
  EXPECT_EQ(tdx.tcb.min_evaluation_number, 17u);
  EXPECT_TRUE(policy->sgx->mrenclave.allows(Bytes(32, 0xAA)));
  EXPECT_TRUE(policy->sgx->mrsigner.any);
  EXPECT_TRUE(policy->sgx->isv_prod_id.allows("1") && policy->sgx->isv_prod_id.allows("2"));
  EXPECT_EQ(policy->sgx->min_isv_svn, 3u);
}

TEST(Policy, ReadsEveryKeyOfAmdAndNvidia) {
  const auto policy = parse_policy(
      "[snp]\nmeasurement = [" + hex_of(48) + "]\nhost_data = [" + hex_of(32) +
      "]\nid_key_digest = [" + hex_of(48) + "]\nauthor_key_digest = \"any\"\nchip_id = [" +
      hex_of(8) + ", " + hex_of(64) +
      "]\nvmpl = [0, 1]\nsigner = [\"VLEK\"]\nallow_smt = false\nallow_migration_agent = true\n"
      "require_alias_check = true\nrequire_ciphertext_hiding = true\nrequire_crl = true\n"
      "[snp.min_tcb.Turin]\nfmc = 1\nboot_loader = 2\ntee = 3\nsnp = 4\nmicrocode = 255\n"
      "[nvidia]\nmodels = [\"GH100\"]\nmin_driver = \"550\"\nmin_vbios = \"96\"\n"
      "modes = [\"single\"]\ndevices = [\"0x53c2\"]\ncount = 8\nrequire_rims = false\n"
      "require_ocsp = false\nallow_missing_fwid = true\nocsp_max_age_hours = 2\n"
      "ocsp_past_next_update = true\n"
      "[nvidia_switch]\ncount = 4\n[nras]\nmodels = \"any\"\nmax_age_hours = 3\n"
      "[nitro]\nassurance = \"hardware-weak\"\npcr0 = [" +
      hex_of(48) + "]\npcr31 = \"any\"\n[simulated]\nroots = [" + hex_of(32) +
      "]\nmeasurement = \"any\"\n");
  ASSERT_TRUE(policy) << policy.error().message;
  const SnpPolicy& snp = *policy->snp;
  EXPECT_TRUE(snp.measurement.allows(Bytes(48, 0xAA)) && snp.host_data.allows(Bytes(32, 0xAA)));
  EXPECT_TRUE(snp.id_key_digest.allows(Bytes(48, 0xAA)) && snp.author_key_digest.any);
  EXPECT_TRUE(snp.chip_id.allows(Bytes(8, 0xAA)) && snp.chip_id.allows(Bytes(64, 0xAA)));
  EXPECT_TRUE(snp.vmpl.allows("1") && !snp.vmpl.allows("2") && snp.signer.allows("VLEK"));
  EXPECT_FALSE(snp.allow_smt);
  EXPECT_TRUE(snp.allow_migration_agent && snp.require_alias_check &&
              snp.require_ciphertext_hiding && snp.require_crl);
  ASSERT_TRUE(snp.min_tcb.contains("Turin"));
  const SnpTcb& turin = snp.min_tcb.at("Turin");
  EXPECT_TRUE(turin.fmc == 1 && turin.boot_loader == 2 && turin.tee == 3 && turin.snp == 4 &&
              turin.microcode == 255);
  const GpuPolicy& gpu = *policy->gpu;
  EXPECT_TRUE(gpu.models.allows("GH100") && gpu.modes.allows("single"));
  EXPECT_EQ(gpu.min_driver, "550");
  EXPECT_EQ(gpu.min_vbios, "96");
  EXPECT_TRUE(gpu.devices.allows(Bytes{0x53, 0xC2}));
  EXPECT_EQ(gpu.count, 8u);
  EXPECT_FALSE(gpu.require_rims || gpu.require_ocsp);
  EXPECT_TRUE(gpu.allow_missing_fwid);
  EXPECT_EQ(gpu.ocsp_max_age_hours, 2);
  EXPECT_TRUE(gpu.ocsp_past_next_update);
  EXPECT_EQ(policy->nvswitch->count, 4u);
  EXPECT_TRUE(policy->nras->models.any);
  EXPECT_EQ(policy->nras->max_age_hours, 3);
  EXPECT_TRUE(policy->nitro->pcrs.at(0).allows(Bytes(48, 0xAA)) && policy->nitro->pcrs.at(31).any);
  EXPECT_EQ(policy->simulated->roots.size(), 1u);
  EXPECT_TRUE(policy->simulated->measurement.any);
}

TEST(Policy, NamesLineAndNearestKey) {
  EXPECT_THAT(error_of("name = \"x\"\n[tdx]\nmrdt = \"any\"\n"),
              AllOf(HasSubstr("line 3"), HasSubstr("'tdx.mrdt'"), HasSubstr("'mrtd'")));
  EXPECT_THAT(error_of("[tpx]\n"), AllOf(HasSubstr("'tpx'"), HasSubstr("'tdx'")));
  EXPECT_THAT(error_of("[tdx.tcb]\nstatus = []\n"), HasSubstr("'statuses'"));
  EXPECT_THAT(error_of("[nitro]\npcr32 = \"any\"\n"), HasSubstr("'nitro.pcr32'"));
  EXPECT_THAT(error_of("[snp.min_tcb.Milano]\n"), HasSubstr("'Milan'"));
  EXPECT_THAT(error_of("required = [\"cpu\"]\n"), HasSubstr("'cpu'"));
  EXPECT_THAT(error_of("[tdx.tcb]\nstatuses = [\"uptodate\"]\n"), HasSubstr("'UpToDate'"));
  EXPECT_THAT(error_of("[tdx.tcb]\nstatuses = [\"Revoked\"]\n"), HasSubstr("Revoked"));
  EXPECT_THAT(error_of("[nvidia]\nmodes = [\"devtools\"]\n"), HasSubstr("devtools"));
  EXPECT_THAT(error_of("[tdx]\nassurance = \"certified\"\n"), HasSubstr("certified"));
}

TEST(Policy, RefusesWrongTypesAndSizes) {
  EXPECT_THAT(error_of("[tdx]\nmrtd = \"all\"\n"), HasSubstr("\"any\""));
  EXPECT_THAT(error_of("[tdx]\nmrtd = [\"zz\"]\n"), HasSubstr("hexadecimal"));
  EXPECT_THAT(error_of("[tdx]\nmrtd = [1]\n"), HasSubstr("hexadecimal"));
  EXPECT_THAT(error_of("[tdx]\nmrtd = [" + hex_of(32) + "]\n"),
              AllOf(HasSubstr("32 bytes"), HasSubstr("48")));
  EXPECT_THAT(error_of("[tdx]\nmrtd = true\n"), HasSubstr("must be"));
  EXPECT_THAT(error_of("[simulated]\nroots = \"any\"\n"), HasSubstr("no \"any\""));
  EXPECT_THAT(error_of("[snp.min_tcb.Milan]\nsnp = 256\n"), HasSubstr("255"));
  EXPECT_THAT(error_of("[sgx]\nmin_isv_svn = -1\n"), HasSubstr("whole number"));
  EXPECT_THAT(error_of("[sgx]\nmin_isv_svn = 1.5\n"), HasSubstr("whole number"));
  EXPECT_THAT(error_of("[nvidia]\nrequire_rims = \"no\"\n"), HasSubstr("true or false"));
  EXPECT_THAT(error_of("[nvidia]\nmin_driver = 550\n"), HasSubstr("in quotes"));
  EXPECT_THAT(error_of("tdx = 1\n"), HasSubstr("table"));
  EXPECT_THAT(error_of("[tdx]\n[tdx]\n"), HasSubstr("line 2"));
  EXPECT_THAT(error_of("\xff"), HasSubstr("line 1"));
  EXPECT_THAT(error_of(std::string(std::size_t{2} << 20, ' ')), HasSubstr("1 MiB"));
  EXPECT_THAT(error_of("a = " + std::string(100000, '[')), HasSubstr("line 1"));
}

TEST(Policy, ThoseOfTheProgramAreReadAndSayWhatTheyAre) {
  EXPECT_FALSE(built_in_policy("nothing"));
  for (const std::string_view name : built_in_policy_names()) {
    const auto text = built_in_policy(name);
    ASSERT_TRUE(text);
    const auto policy = parse_policy(*text);
    ASSERT_TRUE(policy) << name << ": " << policy.error().message;
    EXPECT_EQ(policy->name, name);
    EXPECT_EQ(policy_hash(*text), crypto::sha256(as_bytes(*text)));
  }
  // The first look never takes what no hardware vouches for, nor what may be moved.
  const auto genuine = parse_policy(*built_in_policy("genuine"));
  EXPECT_FALSE(genuine->simulated);
  EXPECT_FALSE(genuine->tdx->mrservicetd.any);
  EXPECT_EQ(genuine->tdx->tcb.statuses, std::vector<std::string>{"UpToDate"});
  const auto simulated = parse_policy(*built_in_policy("simulated-example"));
  EXPECT_FALSE(simulated->tdx || simulated->snp || simulated->gpu || simulated->nitro);
}

}  // namespace
}  // namespace otr::attest

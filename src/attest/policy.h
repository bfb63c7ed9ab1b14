// What a relying party demands of evidence (SPEC ATT-3): a TOML file that a person can read
// (docs/attestation.md has every key; policies/ has examples). Deny by default: a kind without a
// table is refused, and so is a measurement of which the policy does not speak. Whoever wants to
// accept any value says so: `mrtd = "any"`.
#ifndef OTR_ATTEST_POLICY_H_
#define OTR_ATTEST_POLICY_H_

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "attest/verdict.h"
#include "base/bytes.h"
#include "base/result.h"

namespace otr::attest {

// Values that a field may have. Unset refuses everything.
struct AllowList {
  bool any = false;
  std::vector<Bytes> values;

  [[nodiscard]] bool allows(ByteView value) const;
};
struct AllowNames {  // the same for words and numbers, compared as text
  bool any = false;
  std::vector<std::string> values;

  [[nodiscard]] bool allows(std::string_view value) const;
};

// How much the platform is worth, told in the verdict; the class is a statement of the policy.
// "hardware" unless a table says otherwise.
struct TcbPolicy {  // of Intel
  std::vector<std::string> statuses = {"UpToDate"};
  std::vector<std::string> tolerated_advisories;  // for statuses other than UpToDate: all of a
                                                  // level's advisories must be named here
  std::vector<std::string> refused_advisories;    // even where the status is allowed
  std::int64_t out_of_date_grace_days = 0;        // from the TCB date of the next newer level
  std::uint32_t min_evaluation_number = 0;        // unset (0) refuses
};

struct TdxPolicy {
  std::string assurance = "hardware";
  TcbPolicy tcb;
  AllowList mrtd, rtmr0, rtmr1, rtmr2, rtmr3, mrconfigid, mrowner, mrownerconfig;
  AllowList mrservicetd;  // 48 zero bytes are always allowed
  bool require_sept_ve_disable = true;
  AllowList platforms;  // PPID (16 bytes) of the machine
};
struct SgxPolicy {
  std::string assurance = "hardware";
  TcbPolicy tcb;
  AllowList mrenclave, mrsigner;
  AllowNames isv_prod_id;
  std::optional<std::uint32_t> min_isv_svn;  // unset refuses
  AllowList platforms;
};
struct SnpTcb {
  std::uint8_t fmc = 0, boot_loader = 0, tee = 0, snp = 0, microcode = 0;
};
struct SnpPolicy {
  std::string assurance = "hardware";
  std::map<std::string, SnpTcb>
      min_tcb;  // by product, "Milan"; a product that is absent is refused
  AllowList measurement, host_data, id_key_digest, author_key_digest, chip_id;
  AllowNames vmpl, signer;  // "VCEK", "VLEK"
  bool allow_smt = true, allow_migration_agent = false, require_alias_check = false,
       require_ciphertext_hiding = false, require_crl = false;
};
struct GpuPolicy {  // NVIDIA GPUs; switches have a table of their own
  std::string assurance = "hardware";
  AllowNames models;                      // of the chip identity: "GH100", "LS10"
  std::optional<std::string> min_driver;  // "550.90.07"; unset refuses (but for switches)
  std::optional<std::string> min_vbios;   // "96.00.9F.00.01"; unset refuses
  AllowNames modes;                       // "single", "multi-passthrough", "protected-pcie"
  AllowList devices;                      // serial number of the leaf (ueid), big-endian bytes
  std::optional<std::uint32_t> count;     // of devices; 0: any; unset: one, if any
  bool require_rims = true, require_ocsp = true, allow_missing_fwid = false;
  std::int64_t ocsp_max_age_hours = 24;  // an answer also never outlives its nextUpdate…
  bool ocsp_past_next_update = false;    // …unless the age alone shall decide
};
struct NrasPolicy {
  AllowNames models;
  std::vector<Hash> roots;  // SHA-256 of the DER of authorities beside the built-in ones
  std::int64_t max_age_hours = 1;
};
struct NitroPolicy {
  std::string assurance = "hardware";
  std::map<unsigned, AllowList> pcrs;  // 0, 1 and 2 must be given
};
struct SimulatedPolicy {
  std::vector<Hash> roots;  // SHA-256 of the DER of the simulator's root certificate
  AllowList measurement;
};

struct Policy {
  std::string name;
  // Tables of which there must be evidence, such as "tdx" and "nvidia": without it, who leaves a
  // piece away is judged by the others alone.
  std::vector<std::string> required;
  std::optional<TdxPolicy> tdx;
  std::optional<SgxPolicy> sgx;
  std::optional<SnpPolicy> snp;
  std::optional<GpuPolicy> gpu, nvswitch;
  std::optional<NrasPolicy> nras;
  std::optional<NitroPolicy> nitro;
  std::optional<SimulatedPolicy> simulated;
  // Oldest collateral of any kind, beside its own window: issued (thisUpdate) at most so long ago.
  std::int64_t collateral_max_age_days = 31;
};

// kUsage with line and key for what is no ASCII text, no TOML, an unknown key, or a value of
// another type or size.
[[nodiscard]] Result<Policy> parse_policy(std::string_view toml);
// The text of a policy that is part of this program (policies/), such as "genuine"; nothing for
// other names.
[[nodiscard]] std::optional<std::string_view> built_in_policy(std::string_view name);
[[nodiscard]] std::vector<std::string_view> built_in_policy_names();
// SHA-256 of the file: what a session names as its policy (SPEC SESS).
[[nodiscard]] Hash policy_hash(std::string_view toml);

// What the evidence must be bound to, where the relying party knows it.
struct Expected {
  std::optional<Bytes> nonce;        // GPU: 32 bytes; others: found in report data or its own field
  std::optional<Bytes> report_data;  // TDX, SGX, SNP, simulated: exact bytes
  // One for each GPU and switch, in the order of the evidence, where each has a nonce of its own
  // (SPEC SESS-3); then `nonce` is not theirs.
  std::vector<Bytes> gpu_nonces;
};

}  // namespace otr::attest

#endif  // OTR_ATTEST_POLICY_H_

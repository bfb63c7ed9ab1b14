// SEV-SNP evidence made on the spot under roots of our own, for tests alone (TESTS in
// CMakeLists.txt): reports of every product, signer and version, good unless a test changes them.
#ifndef OTR_ATTEST_TEST_SNP_H_
#define OTR_ATTEST_TEST_SNP_H_

#include <string>
#include <vector>

#include "attest/snp.h"
#include "attest/test_certificates.h"

namespace otr::attest::test {

// ARK, ASK and ASVK of one product. Milan's ARK has an RSA key of 4096 bits as all of AMD's do, the
// others of 2048, because keys take long to make.
struct SnpRoots {
  std::string product;
  Authority ark, ask, asvk;

  // Made once in a test program.
  [[nodiscard]] static const SnpRoots& of(const std::string& product);
  // With the same names, and other keys.
  [[nodiscard]] static const SnpRoots& stranger();
  [[nodiscard]] static SnpRoots make(const std::string& product, KeyKind kind, KeyKind root_kind);
};
// The roots of all three products, and their intermediates as AMD publishes them.
[[nodiscard]] Anchors snp_test_anchors();

struct SnpSpec {
  std::string product = "Milan", signer = "VCEK";
  std::uint32_t version = 3, vmpl = 0;
  std::uint64_t policy = 0x30000, platform_info = 0x21;
  // By AMD's order of bytes of the product; what is not set is `tcb`.
  SnpTcb tcb = {.fmc = 1, .boot_loader = 4, .tee = 2, .snp = 24, .microcode = 219};
  std::optional<SnpTcb> current, committed, launch;
  std::array<std::uint8_t, 64> report_data{};
  std::array<std::uint8_t, 48> measurement{};
  std::array<std::uint8_t, 32> host_data{};
  bool mask_chip = false;

  // Of the certificate, where it is to differ from the report.
  std::optional<SnpTcb> certificate_tcb;
  std::optional<std::string> certificate_product;
  bool wrap_hwid = false, other_chip = false;
  std::vector<std::string> without;  // tails of extensions to be left out: "3.8"

  SnpSpec();  // fills report data and measurement with numbers
};

// The first 672 bytes of a report.
[[nodiscard]] Bytes snp_body(const SnpSpec& spec);
// A body with its signature, little-endian.
[[nodiscard]] Bytes signed_snp(Bytes body, const SigningKey& key);
// The certificate of the chip's or provider's key.
[[nodiscard]] Authority snp_leaf(const SnpSpec& spec, const SnpRoots& roots);

struct SnpEvidence {
  Bytes report;
  Authority leaf;
  SnpCollateral collateral;  // leaf and its issuer
};
[[nodiscard]] SnpEvidence make_snp(const SnpSpec& spec, const SnpRoots& roots);
[[nodiscard]] SnpEvidence make_snp(const SnpSpec& spec);

// Allows what SnpSpec makes, of all products.
[[nodiscard]] Policy snp_test_policy();
// All three stages, a failure of parsing included.
[[nodiscard]] Verdict judge_snp(ByteView report, const SnpCollateral& collateral,
                                const Anchors& anchors, const Policy& policy, Time at,
                                const Expected& expected = {});

}  // namespace otr::attest::test

#endif  // OTR_ATTEST_TEST_SNP_H_

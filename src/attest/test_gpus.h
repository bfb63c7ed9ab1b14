// Evidence of NVIDIA's formats under test roots: reports of GPUs and switches, device chains,
// reference manifests, OCSP answers and NRAS tokens. For tests alone.
//
// The generator writes bytes and canonical XML by itself, from the formats' descriptions; it calls
// none of the readers that it tests.
#ifndef OTR_ATTEST_TEST_GPUS_H_
#define OTR_ATTEST_TEST_GPUS_H_

#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "attest/anchors.h"
#include "attest/test_certificates.h"
#include "base/canonical_json.h"

namespace otr::attest::test {

enum class Device { kHopper, kBlackwell, kSwitch };

struct GpuSpec {
  Device device = Device::kHopper;
  Bytes nonce = Bytes(32, 0xA5);
  std::string driver = "550.90.07";
  std::string switch_bios = "96.10.55.00.01";
  Bytes vbios = {0x00, 0x9F, 0x00, 0x96, 0x01, 0, 0, 0};  // "96.00.9F.00.01"
  std::optional<Bytes> fwid = Bytes(48, 0xF1);            // in the report
  std::map<unsigned, Bytes> measurements;                 // block index to value; others as in RIMs
  std::vector<std::pair<std::uint16_t, Bytes>> more;      // opaque fields beside the usual ones
  std::uint8_t nvdec0 = 0x55, protected_pcie = 0x55;
};

struct RimSpec {
  std::string version, product = "GH100";
  std::map<unsigned, std::vector<Bytes>> active;  // index, from 0
};

struct OcspSpec {
  enum class Status { kGood, kRevoked, kUnknown };
  Status status = Status::kGood;
  std::optional<unsigned> reason;  // 6: certificateHold
  Time revoked_at = kTestNow - 86400;
  Time this_update = kTestNow - 3600, next_update = kTestNow + 82800;
  std::string_view hash = "2.16.840.1.101.3.4.2.2";  // of the CertID: SHA-384
  bool by_name = false;
};

// The value of measurement block `index` of a device that is as its maker made it.
[[nodiscard]] Bytes measured(unsigned index);

class GpuMaker {
 public:
  explicit GpuMaker(Device device = Device::kHopper);

  [[nodiscard]] Anchors anchors() const;
  [[nodiscard]] std::vector<Certificate> chain() const;  // leaf first, with the root
  [[nodiscard]] Bytes report(const GpuSpec& spec) const;
  [[nodiscard]] Bytes report(const GpuSpec& spec, const SigningKey& key) const;

  [[nodiscard]] RimSpec driver_rim() const;  // what fits report({})
  [[nodiscard]] RimSpec vbios_rim() const;
  [[nodiscard]] std::string rim(const RimSpec& spec) const;
  [[nodiscard]] std::string rim(const RimSpec& spec, const SigningKey& key,
                                const std::vector<Certificate>& signers) const;
  [[nodiscard]] std::vector<Certificate> rim_chain() const;

  // DER of an answer about `subject` by `responder` (who is `issuer` himself, or delegated).
  [[nodiscard]] static Bytes ocsp(const OcspSpec& spec, const Certificate& subject,
                                  const Authority& issuer, const Authority& responder);
  // Of every certificate that needs one.
  [[nodiscard]] std::vector<Bytes> ocsp(const OcspSpec& spec = {}) const;
  [[nodiscard]] static Authority responder(const Authority& issuer, bool may_sign = true,
                                           Time not_after = kTestEnd);

  Device device;
  Authority root, identity, provisioner, brom, leaf;
  Authority rim_root, rim_ca, rim_l3, rim_leaf;
};

// The service: a signing key in a key set, and tokens.
class NrasMaker {
 public:
  NrasMaker();

  [[nodiscard]] std::string jwks() const;
  [[nodiscard]] std::string jwt(const Json& header, const Json& claims) const;
  [[nodiscard]] std::string jwt(const Json& claims) const;
  [[nodiscard]] static Json device_claims();
  [[nodiscard]] Json overall_claims(const std::map<std::string, std::string>& devices) const;
  // The answer for device tokens by name.
  [[nodiscard]] std::string answer(const std::map<std::string, std::string>& devices) const;
  [[nodiscard]] static std::string answer(const std::string& overall,
                                          const std::map<std::string, std::string>& devices);

  Authority authority, signer;
};

}  // namespace otr::attest::test

#endif  // OTR_ATTEST_TEST_GPUS_H_

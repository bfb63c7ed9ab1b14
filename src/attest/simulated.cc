#include "attest/simulated.h"

#include <algorithm>

#include "attest/encoding.h"
#include "attest/report_data.h"

namespace otr::attest {
namespace {

constexpr std::size_t kMaxCertificateBytes = 4096;
constexpr std::size_t kSignedBytes = 8 + 48 + 64, kSignatureBytes = 96;

std::unexpected<Error> malformed(std::size_t offset, const std::string& why) {
  return fail(ErrorKind::kBadInput,
              "simulated report, offset " + std::to_string(offset) + ": " + why, "MALFORMED");
}

Result<Certificate> read_certificate(ByteView bytes, std::size_t& at) {
  if (bytes.size() - at < 4) return malformed(at, "the bytes end in a certificate's length");
  const auto size = load_le<std::uint32_t>(bytes.data() + at);
  if (size > kMaxCertificateBytes || size > bytes.size() - at - 4) {
    return malformed(at, "a certificate of " + std::to_string(size) +
                             " bytes, which is more than 4096 or than what follows");
  }
  auto certificate = Certificate::from_der(bytes.subspan(at + 4, size));
  if (!certificate) return malformed(at + 4, certificate.error().message);
  at += 4 + size;
  return certificate;
}

bool is_simulated(const Certificate& certificate) {
  return certificate.subject_common_name().starts_with(kSimulatedName);
}

}  // namespace

Result<SimulatedReport> parse_simulated(ByteView bytes) {
  if (!std::ranges::equal(bytes.first(std::min(bytes.size(), kSimulatedMagic.size())),
                          as_bytes(kSimulatedMagic))) {
    return malformed(0, "it does not begin with " + std::string(kSimulatedMagic));
  }
  if (bytes.size() < kSignedBytes + kSignatureBytes) {
    return malformed(bytes.size(), "the bytes end before the certificates");
  }
  SimulatedReport report;
  std::ranges::copy(bytes.subspan(8, report.measurement.size()), report.measurement.begin());
  std::ranges::copy(bytes.subspan(56, report.report_data.size()), report.report_data.begin());
  report.signed_part.assign(bytes.begin(), bytes.begin() + kSignedBytes);
  std::ranges::copy(bytes.subspan(kSignedBytes, kSignatureBytes), report.r_s.begin());
  std::size_t at = kSignedBytes + kSignatureBytes;
  for (int i = 0; i < 2; ++i) {
    OTR_TRY_ASSIGN(Certificate certificate, read_certificate(bytes, at));
    report.chain.push_back(std::move(certificate));
  }
  if (at != bytes.size()) {
    return malformed(at, std::to_string(bytes.size() - at) + " bytes follow the end");
  }
  return report;
}

Json simulated_facts(const SimulatedReport& report) {
  Json facts = {{"warning", "SIMULATED - NO SECURITY: no hardware protects or measures anything"},
                {"measurement", to_plain_hex(report.measurement)},
                {"report_data", to_plain_hex(report.report_data)}};
  if (!report.chain.empty()) {
    facts["root"] = report.chain.back().subject();
    facts["root_sha256"] = to_plain_hex(report.chain.back().fingerprint());
  }
  return facts;
}

void verify_simulated(Verdict& verdict, const SimulatedReport& report, Time at) {
  verdict.kind = Kind::kSimulated;
  verdict.hardware = false;
  verdict.facts = simulated_facts(report);
  Checks checks(verdict, Stage::kVerify);
  if (report.chain.size() != 2) {
    checks.fail(Code::kChainInvalid, "chain", "a leaf and a root are needed");
    return;
  }
  for (const Certificate& certificate : report.chain) {
    checks.require(is_simulated(certificate), Code::kSimulated,
                   "certificate says that it is simulated", certificate.subject());
  }
  // Every installation has a root of its own, so that it anchors itself here; whether it is one
  // of those that the policy names is asked in appraisal.
  const Certificate& root = report.chain.back();
  check_chain(checks, "SIMULATED", report.chain, std::span(&root, 1), at);
  const PublicKey& key = report.chain.front().key();
  checks.require(
      key.is_ec(384) && key.verify_ecdsa(Digest::kSha384, report.signed_part, report.r_s),
      Code::kSignatureInvalid, "SIMULATED report is signed by its leaf",
      "ECDSA P-384, SHA-384, over the first 120 bytes");
}

void appraise_simulated(Verdict& verdict, const SimulatedReport& report, const Policy& policy,
                        const Expected& expected) {
  Checks checks(verdict, Stage::kAppraise);
  if (!policy.simulated) {
    checks.fail(Code::kSimulated, "SIMULATED evidence is allowed",
                "the policy has no table [simulated]: it asks for hardware");
    return;
  }
  if (report.chain.empty()) {
    checks.fail(Code::kSimulated, "SIMULATED root is one that the policy names", "there is none");
    return;
  }
  const Hash root = report.chain.back().fingerprint();
  const bool named =
      std::ranges::find(policy.simulated->roots, root) != policy.simulated->roots.end();
  checks.require(named, Code::kSimulated, "SIMULATED root is one that the policy names",
                 to_plain_hex(root) + (named ? "" : " is not among the roots of [simulated]"));
  const AllowList& list = policy.simulated->measurement;
  const bool allowed = list.allows(report.measurement);
  checks.require(allowed, Code::kPolicyRefused, "SIMULATED measurement is allowed",
                 to_plain_hex(report.measurement) + (allowed ? ""
                                                     : list.any || !list.values.empty()
                                                         ? " is not on the policy's list"
                                                         : "; the policy names none"));
  check_report_data(checks, report.report_data, expected);
  if (verdict.accepted()) verdict.assurance = "simulated";
}

bool check_not_simulated(Checks& checks, std::span<const Certificate> chain) {
  for (const Certificate& certificate : chain) {
    for (const std::string& name : {certificate.subject(), certificate.issuer()}) {
      if (name.find(kSimulatedName) != std::string::npos) {
        return checks.fail(Code::kSimulated, "chain is of hardware",
                           name + " is a simulator's: it proves nothing about a machine");
      }
    }
  }
  checks.pass("chain is of hardware", "no certificate says that it is simulated");
  return true;
}

}  // namespace otr::attest

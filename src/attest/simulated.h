// Evidence of the SIMULATED TEE: it protects nothing and proves nothing about a machine (SPEC
// ATT-12).
//
// It exists so that all the code above evidence can be exercised where there is no hardware. It has
// a wire format of its own (magic "OTRSIM-1"), which no vendor's verifier reads; its root
// certificate says "SIMULATED - NO SECURITY" in its name, is made by each installation, and is
// accepted only where a policy names its hash in a table [simulated]. A verdict on it says
// hardware = false.
#ifndef OTR_ATTEST_SIMULATED_H_
#define OTR_ATTEST_SIMULATED_H_

#include <array>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "attest/certificate.h"
#include "attest/policy.h"
#include "attest/verdict.h"

namespace otr::attest {

inline constexpr std::string_view kSimulatedMagic = "OTRSIM-1";
inline constexpr std::string_view kSimulatedName = "SIMULATED - NO SECURITY";

// Layout: magic (8) | measurement (48) | report_data (64) | r_s (96: ECDSA P-384 with SHA-384 over
// what is before) | u32 length | DER of the leaf | u32 length | DER of the root.
struct SimulatedReport {
  std::array<std::uint8_t, 48> measurement{};
  std::array<std::uint8_t, 64> report_data{};
  Bytes signed_part;  // magic, measurement, report data
  std::array<std::uint8_t, 96> r_s{};
  std::vector<Certificate> chain;  // leaf, root; every subject's common name begins kSimulatedName
};
// At most 4096 bytes for each certificate, nothing after them. kBadInput with the offset; code
// MALFORMED.
[[nodiscard]] Result<SimulatedReport> parse_simulated(ByteView bytes);

// Every field as text, for Verdict::facts and for reports.
[[nodiscard]] Json simulated_facts(const SimulatedReport& report);

// Names, links and validity of the chain, and the signature. Whether the root is one to be listened
// to is the policy's word, in appraisal. Sets kind and hardware = false.
void verify_simulated(Verdict& verdict, const SimulatedReport& report, Time at);
void appraise_simulated(Verdict& verdict, const SimulatedReport& report, const Policy& policy,
                        const Expected& expected);

// For verifiers of hardware evidence: no certificate of the chain says that it is simulated
// (kSimulated), whatever the anchors are.
bool check_not_simulated(Checks& checks, std::span<const Certificate> chain);

}  // namespace otr::attest

#endif  // OTR_ATTEST_SIMULATED_H_

// What pieces of evidence say together (SPEC ATT-13): the signatures of a CPU and of GPUs are
// separate, and only values in them tie one to the other.
//
// Recognised ties: the values that the relying party expects (sessions of otr: SPEC SESS-3), the
// document of Tinfoil (v3), and the plain ones in which report data holds the GPUs' nonce. What no
// tie proves is that the GPU sits in the machine of the CPU: evidence of a genuine GPU elsewhere
// can be relayed, until GPUs are attached under the CPU's own protection (TDISP).
#ifndef OTR_ATTEST_COMPOSITE_H_
#define OTR_ATTEST_COMPOSITE_H_

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "attest/bundle.h"
#include "attest/nvidia.h"
#include "attest/quote.h"

namespace otr::attest {

inline constexpr std::string_view kTinfoilV3 = "https://tinfoil.sh/predicate/attestation/v3";
// What a CPU of any kind signed: 64 bytes, of Nitro what it has.
struct CpuPiece {
  std::string name;
  Bytes report_data;
  const Quote* quote = nullptr;  // of TDX, for event logs
};

struct GpuPiece {
  std::string name;
  GpuReport report;
  std::optional<GpuFound> found;  // nothing where it did not verify
  std::optional<Bytes> stated_nonce;
};

// What a service says of GPUs.
struct TokenPiece {
  std::string name;
  Bytes nonce;
  std::vector<std::string> ueids;  // serial numbers of the devices, decimal
};

struct Pieces {
  std::span<const CpuPiece> cpus;
  std::span<const GpuPiece> gpus;
  std::span<const TokenPiece> tokens;
};

// No device twice, and as many as the policy says of GPUs and of switches (kDeviceRefused).
void check_devices(Checks& checks, std::span<const GpuPiece> gpus, const Policy& policy);

// Every piece is tied to the others, and what the relying party expects is in one of them
// (kBindingMismatch, kNonceMismatch). One piece alone is tied to nothing.
//   CPUs: several only where each is held against the same nonce or report data.
//   GPUs: to the CPU by the ties above; without a CPU, by one nonce.
//   Tokens: to GPUs that are here, by nonce and serial number; else to the CPU by the nonce.
void check_binding(Checks& checks, const std::optional<Binding>& binding, const Pieces& pieces,
                   const Expected& expected);

// Each log replays to the registers of one of the TDX quotes (kTampered; kMalformed).
void check_event_logs(Checks& checks, std::span<const Item> logs, std::span<const CpuPiece> cpus,
                      Json& facts);

// What stays open whatever the verdict is, for Appraisal::not_proven.
[[nodiscard]] std::vector<std::string> left_open(std::span<const Verdict> verdicts,
                                                 const std::optional<Binding>& binding,
                                                 const Pieces& pieces, const Policy& policy,
                                                 const Expected& expected);

}  // namespace otr::attest

#endif  // OTR_ATTEST_COMPOSITE_H_

// The numbered reasons for which evidence is refused (SPEC ATT-2). Numbers never change; reports
// carry number and name.
#ifndef OTR_ATTEST_REJECT_H_
#define OTR_ATTEST_REJECT_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <utility>

namespace otr::attest {

enum class Code : std::uint16_t {
  kMalformed = 101,           // bytes break the format, also by trailing or missing ones
  kUnsupported = 102,         // a version, algorithm or kind of certification that is not appraised
  kNonceMismatch = 103,       // not the nonce that was asked for
  kChainInvalid = 104,        // a certificate is missing or not issued by the next one
  kAnchorUnknown = 105,       // the chain ends in a root that is not trusted
  kTimeInvalid = 106,         // outside the validity of a certificate or of signed collateral
  kRevoked = 107,             // a certificate or a TCB level is revoked or on hold
  kRevocationUnknown = 108,   // no list or answer says whether it is revoked, or it is too old
  kSignatureInvalid = 109,    // the evidence is not signed by its key
  kKeyLinkInvalid = 110,      // the key is not tied to the device: FWID, QE hash, HWID, TCB of VCEK
  kCollateralInvalid = 111,   // collateral is malformed, not signed, or of another platform
  kCollateralMissing = 112,   // a needed item of collateral was not given
  kCollateralRollback = 113,  // genuine, but older than the policy's floor
  kIdentityMismatch = 114,    // QE or TDX module is not the one the vendor names
  kTcbUnsupported = 115,      // no TCB level fits the platform
  kTcbRefused = 116,          // TCB status, advisory or firmware version refused by policy
  kReferenceMissing = 117,    // no reference values (RIM) for this driver or VBIOS
  kReferenceInvalid = 118,    // a RIM's digest or signature is wrong
  kVersionMismatch = 119,     // reference values of another version
  kMeasurementMismatch = 120,  // a measurement differs from its reference values
  kDebug = 121,                // a debug guest, enclave or device
  kPolicyRefused = 122,        // the policy does not allow this value, or does not speak of it
  kBindingMismatch = 123,      // report data does not bind what it should
  kDeviceRefused = 124,        // device twice, too many or too few, or not on the list
  kSimulated = 125,            // simulated evidence where hardware is asked for
  kTokenInvalid = 126,         // an attestation token (NRAS) that does not verify
  kMigratable = 127,           // a guest that its host or an agent may move elsewhere
  kTampered = 128,             // an event log that does not replay, or a hash of it that differs
  kTokenKeyUnknown = 129,      // a token's key has no chain to NVIDIA's service
};

// "MALFORMED", "UNSUPPORTED" and so on.
[[nodiscard]] std::string_view name_of(Code code);
// The code of a name, as an Error of a parser carries it; nothing for any other text.
[[nodiscard]] std::optional<Code> code_named(std::string_view name);

}  // namespace otr::attest

#endif  // OTR_ATTEST_REJECT_H_

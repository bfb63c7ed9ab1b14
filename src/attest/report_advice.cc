// What to do about each code (docs/attestation.md has the same in more words).
#include "attest/report.h"

namespace otr::attest {

std::string_view advice(Code code) {
  switch (code) {
    case Code::kMalformed:
      return "get the evidence again as it was made; something cut, changed or re-encoded it";
    case Code::kUnsupported:
      return "otr does not appraise this version or kind; ask for another form of evidence";
    case Code::kNonceMismatch:
      return "ask for new evidence with your own nonce; this was made for somebody else";
    case Code::kChainInvalid:
      return "get the whole certificate chain of this device, in order, from where the evidence "
             "came";
    case Code::kAnchorUnknown:
      return "do not trust it: the chain ends in no vendor's root";
    case Code::kTimeInvalid:
      return "judge it at a time inside the window (--at), or get collateral that is valid now";
    case Code::kRevoked:
      return "do not trust it: the vendor has withdrawn this key or platform";
    case Code::kRevocationUnknown:
      return "give a revocation list or OCSP answer that is recent enough";
    case Code::kSignatureInvalid:
      return "do not trust it: it was changed, or another device signed it";
    case Code::kKeyLinkInvalid:
      return "do not trust it, or give the certificate of this device and firmware";
    case Code::kCollateralInvalid:
      return "get the collateral again from the vendor, for this platform, without changing a byte";
    case Code::kCollateralMissing:
      return "give the missing item; docs/attestation.md says where each comes from";
    case Code::kCollateralRollback:
      return "get newer collateral: this is genuine, but older than the policy's floor";
    case Code::kIdentityMismatch:
      return "do not trust it: not the vendor's quoting enclave or module signed it";
    case Code::kTcbUnsupported:
      return "the platform is below every level the vendor supports; its operator must update it";
    case Code::kTcbRefused:
      return "the operator must update the platform, or the policy must tolerate this status by "
             "name";
    case Code::kReferenceMissing:
      return "give the reference values (RIM) that are named, or a policy that does not need them";
    case Code::kReferenceInvalid:
      return "get the reference values again from the vendor; these were changed";
    case Code::kVersionMismatch:
      return "give the reference values of the version that runs";
    case Code::kMeasurementMismatch:
      return "do not trust it: the firmware is not the one the vendor published";
    case Code::kDebug:
      return "do not trust it: its owner can read and change what runs";
    case Code::kPolicyRefused:
      return "if you do want this value, name it in the policy";
    case Code::kBindingMismatch:
      return "do not trust it: nothing ties these pieces or values to each other";
    case Code::kDeviceRefused:
      return "the devices are not those, or not as many as, the policy wants";
    case Code::kSimulated:
      return "use hardware, or a policy that names this simulator's root for tests";
    case Code::kTokenInvalid:
      return "get the token again, with the key set of the same day";
    case Code::kMigratable:
      return "do not trust it with secrets: its host or an agent may move it elsewhere";
    case Code::kTokenKeyUnknown:
      return "do not trust it: anybody can make such a key; give the key set of NVIDIA's service "
             "with its certificates, or name its authority in the policy ([nras] roots)";
    default:
      return "do not trust the log: it does not tell what the guest measured";
  }
}

}  // namespace otr::attest

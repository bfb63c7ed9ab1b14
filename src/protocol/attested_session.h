// Whether the evidence of a session is worth anything to whoever holds a policy (SPEC SESS-8).
//
// Needs the module `attest`; who only checks signatures and bindings (verify.h) does not. Time,
// policy and trust anchors are the verifier's own.
#ifndef OTR_PROTOCOL_ATTESTED_SESSION_H_
#define OTR_PROTOCOL_ATTESTED_SESSION_H_

#include <optional>
#include <string>

#include "attest/anchors.h"
#include "attest/bundle.h"
#include "attest/policy.h"
#include "base/result.h"
#include "protocol/session.h"

namespace otr::protocol {

struct SessionVerdict {
  attest::Appraisal appraisal;  // every check of the evidence, for --explain
  // kReject with EVIDENCE_REFUSED, naming the first thing that is wrong; nothing if all is right.
  std::optional<Error> error;
  bool hardware = false;    // all evidence is of a vendor's hardware
  std::string description;  // "Intel TDX, UpToDate" or "SIMULATED TEE: proves nothing …"

  [[nodiscard]] bool accepted() const { return !error; }
};

// Requires check_session(document) to have passed. Any evidence is allowed, from anyone.
[[nodiscard]] SessionVerdict appraise_session(const SessionDocument& document,
                                              const attest::Policy& policy,
                                              const attest::Anchors& anchors, attest::Time at);

}  // namespace otr::protocol

#endif  // OTR_PROTOCOL_ATTESTED_SESSION_H_

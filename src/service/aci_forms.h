// The documents of ACI ("Attested Confidential Inference", aci/1), an open protocol whose verifiers
// know nothing of OTR: keyset, attestation report, session record, receipt (docs/service.md).
//
// ACI's workload is the gateway process. All of it is pure: keys, time and evidence are arguments.
// Every digest is over canonical JSON, which for ACI's documents (ASCII names, integers) is RFC
// 8785; hexadecimal has no 0x there. Requires: strings given are UTF-8.
#ifndef OTR_SERVICE_ACI_FORMS_H_
#define OTR_SERVICE_ACI_FORMS_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/canonical_json.h"
#include "base/result.h"
#include "crypto/ed25519.h"
#include "node/evidence.h"
#include "service/upstream.h"

namespace otr::service {

inline constexpr std::string_view kAciVersion = "aci/1";
inline constexpr std::string_view kAciVerifier = "otr/1";
inline constexpr std::string_view kAciUpstream = "otr-worker";
inline constexpr std::string_view kAciReceiptKey = "receipt-1";
// Of one session record: after it the same worker gets a new one.
inline constexpr std::int64_t kAciSessionSeconds = 3600;

// Lower-case digits without 0x, and "sha256:" before those of the hash of `bytes`.
[[nodiscard]] std::string bare_hex(ByteView bytes);
[[nodiscard]] std::string aci_digest(const Hash& hash);
[[nodiscard]] std::string aci_digest_of(std::string_view bytes);
// Exactly 64 lower-case digits: a nonce, or the id of a session.
[[nodiscard]] std::optional<Hash> parse_bare_hash(std::string_view text);

// One receipt key; no TLS key and no E2EE key, because none is made inside of the workload.
[[nodiscard]] Json aci_keyset(const crypto::Ed25519Public& receipt_key, std::int64_t not_after);
[[nodiscard]] std::string aci_keyset_digest(const Json& keyset);
// What the report data commit to. `nonce` are 64 digits; without one, nobody's challenge.
[[nodiscard]] std::string aci_statement(std::string_view keyset_digest,
                                        const std::optional<std::string>& nonce);
// Its hash, then 32 zeros.
[[nodiscard]] node::ReportData aci_report_data(std::string_view keyset_digest,
                                               const std::optional<std::string>& nonce);

// "tdx", "sev_snp", or for the simulated TEE a name that no verifier takes for hardware.
[[nodiscard]] std::string_view aci_tee_type(std::string_view kind);
[[nodiscard]] Json aci_report(const Json& keyset, const node::ReportData& report_data,
                              const node::CollectedEvidence& evidence);

// The record of a worker's session that this gateway has appraised. `sealed`: requests are sealed
// to the session's key, which is then the channel that is bound; else no channel is.
struct AciSession {
  std::string id;    // bare
  std::string text;  // canonical: what the id is the hash of
  Json abbreviated;  // as a list shows it
  Hash model_root{};
  std::int64_t expires_at = 0;
};
[[nodiscard]] Result<AciSession> aci_session(const AppraisedSession& session, bool sealed);

// One answer of a worker, as far as it is known.
struct AciAnswer {
  Hash request_hash{};
  Hash forwarded{};        // of the submission in the clear, as it was encoded
  std::string session_id;  // of the AciSession
  std::string model_id;    // 0x…, the model root
  Hash session{};          // OTR's
  std::int64_t served_at = 0;
  std::optional<Hash> claim, trace_root;
};

struct AciReceipt {
  std::string id;
  std::optional<std::string> chat_id, model;
  std::string keyset_digest, endpoint;
  std::int64_t served_at = 0;
  Hash request_body{}, response_body{};
  std::vector<AciAnswer> answers;  // empty: the prompt was not forwarded,
  std::string refusal;             // for this reason
};
// Signed, canonical.
[[nodiscard]] Result<std::string> aci_receipt(const AciReceipt& receipt,
                                              const crypto::Ed25519Key& key);

}  // namespace otr::service

#endif  // OTR_SERVICE_ACI_FORMS_H_

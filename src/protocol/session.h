// A session: the keys that one enclave made, what they may speak for, and the evidence of it (SPEC
// SESS). A claim counts only where it is bound to one (SPEC POEA-1).
//
// The statement is small and signed words; its digest is the session's id and stands in the report
// data of the evidence, so whoever holds evidence for an id knows every field. A document carries
// statement, evidence and the signature of the session key over both, for any stranger to appraise
// later (attested_session.h).
#ifndef OTR_PROTOCOL_SESSION_H_
#define OTR_PROTOCOL_SESSION_H_

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/canonical_json.h"
#include "base/result.h"
#include "crypto/secp256k1.h"

namespace otr::protocol {

// SPEC SESS-5: bounds of a document.
inline constexpr std::size_t kMaxSessionBytes = std::size_t{4} << 20;
inline constexpr std::size_t kMaxEvidenceItems = 64;
inline constexpr std::uint64_t kMaxSessionSeconds = 30 * 86400;
inline constexpr std::uint32_t kMaxSessionGpus = 16;

struct Session {
  crypto::Address key{};               // signs claims
  Hash seal_key{};                     // X25519: requests are sealed to it (SPEC SEAL)
  Hash receipt_key{};                  // Ed25519: signs what the service says besides claims
  crypto::Address operator_address{};  // countersigns; its stake is at risk
  Hash model_root{};                   // the only model the session may claim
  Hash spec_hash{};
  Hash policy{};            // of the registry it is registered in; zero where there is none
  Hash runtime{};           // SPEC SESS-4: the measurement of what runs
  Hash gpu_evidence{};      // SPEC SESS-3; zero without GPUs
  Hash beacon{};            // recent when the session began, or random where there is no beacon
  std::uint64_t epoch = 0;  // counts the sessions of a worker
  std::uint64_t not_before = 0;  // unix seconds
  std::uint64_t expiry = 0;
};

struct EvidenceItem {
  std::string name;  // for people, such as "quote.bin"
  Bytes data;
};

struct SessionDocument {
  Hash ledger{};  // zero where there is none yet
  Session session;
  Hash nonce{};  // of the relying party that asked for this evidence; zero if nobody did
  std::vector<EvidenceItem> evidence;  // reports and, where at hand, their collateral
  crypto::Signature signature{};       // SPEC SESS-2, by session.key
};

[[nodiscard]] Hash struct_hash(const Session& session);
// SPEC SESS-1: the digest of the statement.
[[nodiscard]] Hash session_id(const Session& session, const Hash& ledger);

// SPEC SESS-3: what the CPU's evidence carries, and the nonce of GPU i.
[[nodiscard]] std::array<std::uint8_t, 64> report_data(const Hash& session_id, const Hash& nonce);
[[nodiscard]] Hash gpu_nonce(const Session& session, const Hash& ledger, std::uint32_t i);
// Hash of the reports, in order; zero for none.
[[nodiscard]] Hash gpu_evidence_hash(std::span<const Bytes> reports);

// SPEC SESS-4: `kind` is "tdx", "sev-snp", "nitro" or "simulated"; `registers` in the order there.
[[nodiscard]] Hash runtime_hash(std::string_view kind, std::span<const ByteView> registers);

// SPEC SESS-2: the nonce and every byte of evidence.
[[nodiscard]] Hash evidence_hash(const SessionDocument& document);
// SPEC SESS-2: what the session key signs, over statement, nonce and every byte of evidence.
[[nodiscard]] Hash registration_digest(const SessionDocument& document);

// Canonical JSON and one line feed. kBadInput with LIMIT_EXCEEDED beyond SESS-5.
[[nodiscard]] Result<std::string> encode_session(const SessionDocument& document);
[[nodiscard]] Result<Json> session_to_json(const SessionDocument& document);  // without the feed
// Only what these make. Codes MALFORMED, NOT_CANONICAL, LIMIT_EXCEEDED.
[[nodiscard]] Result<SessionDocument> decode_session(std::string_view text);
[[nodiscard]] Result<SessionDocument> session_from_json(const Json& json, const std::string& path);

// SPEC SESS-6: what a document says of itself. Codes SPEC_MISMATCH, SESSION_INVALID,
// SESSION_SIGNATURE. `spec_hash` is the verifier's own.
[[nodiscard]] Status check_session(const SessionDocument& document, const Hash& spec_hash);

// SPEC SESS-7: that `time` lies in [not_before, expiry]; SESSION_EXPIRED otherwise.
[[nodiscard]] Status check_live(const Session& session, std::int64_t time);

}  // namespace otr::protocol

#endif  // OTR_PROTOCOL_SESSION_H_

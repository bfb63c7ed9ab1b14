#include "protocol/session.h"

#include <algorithm>

#include "base/hex.h"
#include "crypto/sha256.h"
#include "protocol/claim.h"
#include "protocol/eip712.h"
#include "protocol/fields.h"
#include "text/base64.h"

namespace otr::protocol {
namespace {

constexpr std::string_view kFormat = "otr-session/1";
constexpr std::string_view kSessionType =
    "Session(address key,bytes32 sealKey,bytes32 receiptKey,address operator,bytes32 modelRoot,"
    "bytes32 specHash,bytes32 policy,bytes32 runtime,bytes32 gpuEvidence,bytes32 beacon,"
    "uint64 epoch,uint64 notBefore,uint64 expiry)";
constexpr std::string_view kRegistrationType = "Registration(bytes32 session,bytes32 evidence)";
constexpr std::size_t kMaxItemName = 100;
constexpr JsonBounds kBounds = {.max_bytes = kMaxSessionBytes, .max_values = 1024};

Hash tagged(std::string_view tag, std::initializer_list<ByteView> parts) {
  crypto::Sha256 hash;
  hash.update(as_bytes(tag));
  for (const ByteView part : parts) hash.update(part);
  return hash.finish();
}

template <std::integral T>
std::array<std::uint8_t, sizeof(T)> little_endian(T value) {
  std::array<std::uint8_t, sizeof(T)> bytes{};
  store_le(bytes.data(), value);
  return bytes;
}

Json encode_statement(const Session& session) {
  return {{"beacon", to_hex(session.beacon)},
          {"epoch", std::to_string(session.epoch)},
          {"expiry", std::to_string(session.expiry)},
          {"gpu_evidence", to_hex(session.gpu_evidence)},
          {"key", to_hex(session.key)},
          {"model_root", to_hex(session.model_root)},
          {"not_before", std::to_string(session.not_before)},
          {"operator", to_hex(session.operator_address)},
          {"policy", to_hex(session.policy)},
          {"receipt_key", to_hex(session.receipt_key)},
          {"runtime", to_hex(session.runtime)},
          {"seal_key", to_hex(session.seal_key)},
          {"spec_hash", to_hex(session.spec_hash)}};
}

Session decode_statement(const Fields& fields) {
  return {.key = fields.bytes<20>("key"),
          .seal_key = fields.bytes<32>("seal_key"),
          .receipt_key = fields.bytes<32>("receipt_key"),
          .operator_address = fields.bytes<20>("operator"),
          .model_root = fields.bytes<32>("model_root"),
          .spec_hash = fields.bytes<32>("spec_hash"),
          .policy = fields.bytes<32>("policy"),
          .runtime = fields.bytes<32>("runtime"),
          .gpu_evidence = fields.bytes<32>("gpu_evidence"),
          .beacon = fields.bytes<32>("beacon"),
          .epoch = fields.decimal64("epoch"),
          .not_before = fields.decimal64("not_before"),
          .expiry = fields.decimal64("expiry")};
}

Result<std::vector<EvidenceItem>> decode_evidence(const Json& items, const std::string& path) {
  std::vector<EvidenceItem> evidence;
  if (!items.is_array() || items.empty() || items.size() > kMaxEvidenceItems) {
    return fail(ErrorKind::kBadInput, path + " must be an array of 1 to 64 items.", "MALFORMED");
  }
  for (const Json& item : items) {
    Status status;
    const Fields fields(item, path + "[]", {"data", "name"}, status);
    EvidenceItem& decoded = evidence.emplace_back();
    decoded.name = fields.text("name");
    const auto bytes = text::from_base64(fields.text("data"));
    OTR_TRY(status);
    if (!bytes || bytes->empty() || decoded.name.size() > kMaxItemName) {
      return fail(ErrorKind::kBadInput,
                  path + "[] must have data in base64 and a name of at most 100 bytes.",
                  "MALFORMED");
    }
    const ByteView view = as_bytes(*bytes);
    decoded.data.assign(view.begin(), view.end());
  }
  return evidence;
}

Status invalid(std::string message) {
  return fail(ErrorKind::kReject, std::move(message), "SESSION_INVALID");
}

}  // namespace

Hash struct_hash(const Session& session) {
  return StructHasher(kSessionType)
      .address(session.key)
      .word(session.seal_key)
      .word(session.receipt_key)
      .address(session.operator_address)
      .word(session.model_root)
      .word(session.spec_hash)
      .word(session.policy)
      .word(session.runtime)
      .word(session.gpu_evidence)
      .word(session.beacon)
      .number(session.epoch)
      .number(session.not_before)
      .number(session.expiry)
      .finish();
}

Hash session_id(const Session& session, const Hash& ledger) {
  return signing_digest(ledger, struct_hash(session));
}

std::array<std::uint8_t, 64> report_data(const Hash& session_id, const Hash& nonce) {
  std::array<std::uint8_t, 64> data{};
  std::ranges::copy(nonce, std::ranges::copy(session_id, data.begin()).out);
  return data;
}

Hash gpu_nonce(const Session& session, const Hash& ledger, std::uint32_t i) {
  Session without = session;
  without.gpu_evidence = {};
  return tagged("OTR.gpun", {session_id(without, ledger), little_endian(i)});
}

Hash gpu_evidence_hash(std::span<const Bytes> reports) {
  if (reports.empty()) return {};
  Bytes hashes;
  append_le(hashes, static_cast<std::uint32_t>(reports.size()));
  for (const Bytes& report : reports) append(hashes, crypto::sha256(report));
  return tagged("OTR.gpue", {hashes});
}

Hash runtime_hash(std::string_view kind, std::span<const ByteView> registers) {
  Bytes bytes;
  append_le(bytes, static_cast<std::uint32_t>(kind.size()));
  append(bytes, as_bytes(kind));
  for (const ByteView one : registers) {
    append_le(bytes, static_cast<std::uint32_t>(one.size()));
    append(bytes, one);
  }
  return tagged("OTR.runt", {bytes});
}

Hash evidence_hash(const SessionDocument& document) {
  Bytes items;
  for (const EvidenceItem& item : document.evidence) {
    append(items, tagged("OTR.item", {little_endian(static_cast<std::uint32_t>(item.name.size())),
                                      as_bytes(item.name), item.data}));
  }
  return tagged("OTR.evid", {document.nonce, items});
}

Hash registration_digest(const SessionDocument& document) {
  return signing_digest(document.ledger, StructHasher(kRegistrationType)
                                             .word(session_id(document.session, document.ledger))
                                             .word(evidence_hash(document))
                                             .finish());
}

Result<Json> session_to_json(const SessionDocument& document) {
  Json evidence = Json::array();
  std::size_t size_bytes = 0;
  for (const EvidenceItem& item : document.evidence) {
    evidence.push_back({{"data", text::to_base64(as_text(item.data))}, {"name", item.name}});
    size_bytes += item.data.size();
  }
  if (evidence.size() > kMaxEvidenceItems || size_bytes > kMaxSessionBytes / 2) {
    return fail(ErrorKind::kBadInput,
                "The evidence of a session is at most 64 items of 2 MiB together.",
                "LIMIT_EXCEEDED");
  }
  return Json{{"evidence", evidence},
              {"format", kFormat},
              {"ledger", to_hex(document.ledger)},
              {"nonce", to_hex(document.nonce)},
              {"session", encode_statement(document.session)},
              {"signature", to_hex(document.signature)}};
}

Result<std::string> encode_session(const SessionDocument& document) {
  OTR_TRY_ASSIGN(const Json json, session_to_json(document));
  OTR_TRY_ASSIGN(std::string text, dump_canonical_json(json, "session"));
  return text + '\n';
}

Result<SessionDocument> session_from_json(const Json& json, const std::string& path) {
  Status status;
  const Fields fields(json, path, {"evidence", "format", "ledger", "nonce", "session", "signature"},
                      status);
  SessionDocument document;
  if (fields.text("format") != kFormat && status) {
    return fail(ErrorKind::kBadInput, path + ".format must be \"otr-session/1\".", "MALFORMED");
  }
  document.ledger = fields.bytes<32>("ledger");
  document.nonce = fields.bytes<32>("nonce");
  document.session = decode_statement(fields.object(
      "session", {"beacon", "epoch", "expiry", "gpu_evidence", "key", "model_root", "not_before",
                  "operator", "policy", "receipt_key", "runtime", "seal_key", "spec_hash"}));
  document.signature = fields.bytes<65>("signature");
  OTR_TRY(status);
  OTR_TRY_ASSIGN(document.evidence, decode_evidence(fields.member("evidence"), path + ".evidence"));
  return document;
}

Result<SessionDocument> decode_session(std::string_view text) {
  const bool ended = text.ends_with('\n');
  if (ended) text.remove_suffix(1);
  OTR_TRY_ASSIGN(const Json json, parse_canonical_json(text, "session", kBounds));
  if (!ended) {
    return fail(ErrorKind::kBadInput, "The session does not end with a line feed.",
                "NOT_CANONICAL");
  }
  return session_from_json(json, "session");
}

Status check_session(const SessionDocument& document, const Hash& spec_hash) {
  const Session& session = document.session;
  if (session.spec_hash != spec_hash) {
    return fail(ErrorKind::kReject,
                "The session follows the SPEC " + to_hex(session.spec_hash) + ", this program " +
                    to_hex(spec_hash) + ".",
                "SPEC_MISMATCH");
  }
  if (session.policy != Hash{}) return invalid("The policy of a session must be zero.");
  if (session.key == session.operator_address) {
    return invalid("The operator's key is the session's own: a thief of one would have both.");
  }
  if (session.seal_key == Hash{} || session.receipt_key == Hash{} || session.beacon == Hash{}) {
    return invalid("seal_key, receipt_key and beacon of a session must not be zero.");
  }
  if (session.expiry <= session.not_before ||
      session.expiry - session.not_before > kMaxSessionSeconds) {
    return invalid("A session lasts from 1 second to 30 days.");
  }
  return check_signer(registration_digest(document), document.signature, session.key,
                      "SESSION_SIGNATURE");
}

Status check_live(const Session& session, std::int64_t time) {
  const bool live = time >= 0 && static_cast<std::uint64_t>(time) >= session.not_before &&
                    static_cast<std::uint64_t>(time) <= session.expiry;
  if (live) return {};
  return fail(ErrorKind::kReject,
              "The session lasts from " + std::to_string(session.not_before) + " to " +
                  std::to_string(session.expiry) + " (unix seconds), and the time is " +
                  std::to_string(time) + ".",
              "SESSION_EXPIRED");
}

}  // namespace otr::protocol

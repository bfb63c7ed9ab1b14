#include "service/aci_forms.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "base/hex.h"
#include "crypto/sha256.h"
#include "text/base64.h"

namespace otr::service {
namespace {

// A value made here of integers and of strings that are UTF-8: it always has a canonical text.
std::string canonical(const Json& value) {
  const Result<std::string> text = dump_canonical_json(value, "an ACI document");
  OTR_CHECK(text.has_value());
  return *text;
}

Json asserted(std::string_view source, std::string reason) {
  return {{"status", "asserted"}, {"source", source}, {"reason", std::move(reason)}};
}

Json unknown() { return Json{{"status", "unknown"}}; }

// Never more than what was checked: this gateway's policy decides which runtimes it takes, but
// knows neither their source nor how fresh the platform is.
Json claims_of(const AppraisedSession& appraised) {
  const protocol::Session& session = appraised.document.session;
  const std::string model = to_hex(session.model_root);
  Json tee = {{"status", "refuted"},
              {"source", "verifier_derived"},
              {"reason", "SIMULATED: a program made this evidence, no hardware stands behind it."}};
  Json gpu = unknown();
  Json weights = asserted("provider_asserted", "The simulated enclave names model root " + model +
                                                   "; nothing backs it.");
  if (appraised.hardware) {
    tee = asserted("hardware_proven",
                   "The evidence was accepted by the gateway's policy, and its "
                   "report data bind the keys of this record.");
    if (session.gpu_evidence != Hash{}) {
      gpu = asserted("hardware_proven", "Reports of the GPUs named by the session were verified.");
    }
    weights = asserted("verifier_derived",
                       "The evidence binds model root " + model +
                           ", which the attested runtime computes from the weights it loads; that "
                           "it does so is what its measurement has to vouch for.");
  }
  return {{"tee_attested", std::move(tee)},
          {"gpu_attested", std::move(gpu)},
          {"tcb_up_to_date", unknown()},
          {"os_known_good", unknown()},
          {"serving_software_known_good", unknown()},
          {"model_weights_provenance", std::move(weights)},
          {"extra",
           {{"otr_session", to_hex(appraised.id)},
            {"otr_model_root", model},
            {"otr_runtime", to_hex(session.runtime)},
            {"otr_hardware", appraised.hardware},
            {"otr_verdict", appraised.description}}}};
}

Json binding_of(const protocol::Session& session) {
  return {{"type", "e2ee_public_key_sha256"},
          {"provider", kAciUpstream},
          {"algorithm", "hpke-x25519-hkdf-sha256-chacha20poly1305"},
          {"public_key_sha256", bare_hex(crypto::sha256(session.seal_key))}};
}

Json hashed_event(std::string_view type, const Hash& body) {
  return {{"type", type}, {"body_hash", aci_digest(body)}};
}

// What OTR proves of an answer: an event of our own, which other verifiers pass over.
Json claim_event(const AciAnswer& answer) {
  Json event = {{"type", "otr.claim"},
                {"request_hash", to_hex(answer.request_hash)},
                {"session", to_hex(answer.session)},
                {"model_root", answer.model_id}};
  if (answer.claim) event["claim"] = to_hex(*answer.claim);
  if (answer.trace_root) event["trace_root"] = to_hex(*answer.trace_root);
  return event;
}

Json verified_event(const AciAnswer& answer) {
  return {{"type", "upstream.verified"},
          {"result", "verified"},
          {"required", true},
          {"model_id", answer.model_id},
          {"session_id", answer.session_id}};
}

Json event_log(const AciReceipt& receipt) {
  Json log = Json::array({hashed_event("request.received", receipt.request_body)});
  for (const AciAnswer& answer : receipt.answers) {
    log.push_back(hashed_event("request.forwarded", answer.forwarded));
  }
  if (receipt.answers.empty()) {
    log.push_back({{"type", "upstream.verified"},
                   {"result", "failed"},
                   {"required", true},
                   {"model_id", receipt.model.value_or("")},
                   {"reason", receipt.refusal},
                   {"upstream_name", kAciUpstream}});
  }
  for (std::size_t i = 0; i < receipt.answers.size(); ++i) {
    const AciAnswer& answer = receipt.answers[i];
    if (i == 0 || answer.session_id != receipt.answers[i - 1].session_id) {
      log.push_back(verified_event(answer));
    }
    log.push_back(claim_event(answer));
  }
  log.push_back(hashed_event("response.returned", receipt.response_body));
  return log;
}

Json nullable(const std::optional<std::string>& text) { return text ? Json(*text) : Json(); }

}  // namespace

std::string bare_hex(ByteView bytes) { return to_hex(bytes).substr(2); }
std::string aci_digest(const Hash& hash) { return "sha256:" + bare_hex(hash); }
std::string aci_digest_of(std::string_view bytes) {
  return aci_digest(crypto::sha256(as_bytes(bytes)));
}

std::optional<Hash> parse_bare_hash(std::string_view text) {
  const Result<Hash> hash = hash_from_hex("0x" + std::string(text.substr(0, 65)), "a hash");
  return hash ? std::optional(*hash) : std::nullopt;
}

Json aci_keyset(const crypto::Ed25519Public& receipt_key, std::int64_t not_after) {
  return {{"subject", nullptr},
          {"not_after", not_after},
          {"receipt_signing_keys", Json::array({{{"key_id", kAciReceiptKey},
                                                 {"algo", "ed25519"},
                                                 {"public_key", bare_hex(receipt_key)}}})},
          {"e2ee_public_keys", Json::array()},
          {"tls_public_keys", Json::array()}};
}

std::string aci_keyset_digest(const Json& keyset) { return aci_digest_of(canonical(keyset)); }

std::string aci_statement(std::string_view keyset_digest, const std::optional<std::string>& nonce) {
  return canonical({{"keyset_digest", keyset_digest},
                    {"nonce", nullable(nonce)},
                    {"purpose", "aci.report_data.v1"}});
}

node::ReportData aci_report_data(std::string_view keyset_digest,
                                 const std::optional<std::string>& nonce) {
  const Hash hash = crypto::sha256(as_bytes(aci_statement(keyset_digest, nonce)));
  node::ReportData data{};
  std::ranges::copy(hash, data.begin());
  return data;
}

std::string_view aci_tee_type(std::string_view kind) {
  if (kind == "tdx") return "tdx";
  if (kind == "sev-snp") return "sev_snp";
  return "otr-simulated";
}

Json aci_report(const Json& keyset, const node::ReportData& report_data,
                const node::CollectedEvidence& evidence) {
  const std::string_view type = aci_tee_type(evidence.kind);
  Json proof = Json::object();
  proof[type == "tdx" ? "quote" : "report"] = bare_hex(evidence.report);
  if (!evidence.extra.empty()) proof["certificates_b64"] = Json::array();
  for (const Bytes& one : evidence.extra) {
    proof["certificates_b64"].push_back(text::to_base64(as_text(one)));
  }
  if (type == "otr-simulated") {
    proof["warning"] = "SIMULATED: made by a program, it protects nothing.";
  }
  return {{"api_version", kAciVersion},
          {"workload_keyset_digest", aci_keyset_digest(keyset)},
          {"attestation",
           {{"tee_type", type},
            {"workload_keyset", keyset},
            {"report_data", bare_hex(ByteView(report_data).first(32))},
            {"source_provenance",
             {{"repo_url", nullptr},
              {"repo_commit", nullptr},
              {"image_digest", nullptr},
              {"image_provenance", nullptr}}},
            {"evidence", std::move(proof)}}},
          {"service_capabilities",
           {{"supported_e2ee_versions", Json::array()}, {"serving", "aggregator"}}}};
}

Result<AciSession> aci_session(const AppraisedSession& appraised, bool sealed) {
  const protocol::Session& session = appraised.document.session;
  OTR_TRY_ASSIGN(const std::string evidence, protocol::encode_session(appraised.document));
  AciSession made;
  made.model_root = session.model_root;
  made.expires_at = std::min(appraised.appraised_at + kAciSessionSeconds, appraised.good_until);
  if (session.expiry < static_cast<std::uint64_t>(made.expires_at)) {
    made.expires_at = static_cast<std::int64_t>(session.expiry);
  }
  Json record = {{"api_version", kAciVersion},
                 {"upstream_name", kAciUpstream},
                 {"endpoint", nullptr},
                 {"verifier_id", kAciVerifier},
                 {"established_at", appraised.appraised_at},
                 {"expires_at", made.expires_at},
                 {"identity",
                  {{"signing_address", to_hex(session.key)},
                   {"receipt_public_key", bare_hex(session.receipt_key)},
                   {"seal_public_key", bare_hex(session.seal_key)},
                   {"operator_address", to_hex(session.operator_address)}}},
                 {"channel_binding", sealed ? Json::array({binding_of(session)}) : Json::array()},
                 {"claims", claims_of(appraised)},
                 {"evidence",
                  {{"digest", aci_digest_of(evidence)},
                   {"data", "data:application/json;base64," + text::to_base64(evidence)}}}};
  OTR_TRY_ASSIGN(made.text, dump_canonical_json(record, "a session record"));
  made.id = bare_hex(crypto::sha256(as_bytes(made.text)));
  record["evidence"].erase("data");
  record["session_id"] = made.id;
  made.abbreviated = std::move(record);
  return made;
}

Result<std::string> aci_receipt(const AciReceipt& receipt, const crypto::Ed25519Key& key) {
  Json document = {{"api_version", kAciVersion},
                   {"receipt_id", receipt.id},
                   {"chat_id", nullable(receipt.chat_id)},
                   {"model", nullable(receipt.model)},
                   {"workload_keyset_digest", receipt.keyset_digest},
                   {"endpoint", receipt.endpoint},
                   {"method", "POST"},
                   {"served_at", receipt.served_at},
                   {"event_log", event_log(receipt)},
                   {"key_id", kAciReceiptKey}};
  OTR_TRY_ASSIGN(const std::string unsigned_text, dump_canonical_json(document, "a receipt"));
  document["signature"] = bare_hex(key.sign(as_bytes(unsigned_text)));
  return dump_canonical_json(document, "a receipt");
}

}  // namespace otr::service

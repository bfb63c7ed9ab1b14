// ACI's documents: the published vectors of aci/1, and what ours say.
#include "service/aci_forms.h"

#include <gtest/gtest.h>

#include "crypto/sha256.h"
#include "service/aci_exchange.h"
#include "service/test_aci.h"
#include "text/base64.h"

namespace otr::service {
namespace {

// --- Published vectors of aci/1 ------------------------------------------------------------------

Json vector_keyset() {
  return {
      {"subject", "dstack-app://example-app"},
      {"not_after", 1'800'000'000},
      {"receipt_signing_keys",
       Json::array(
           {{{"key_id", "receipt-1"},
             {"algo", "ed25519"},
             {"public_key", "8139770ea87d175f56a35466c34c7ecccb8d8a91b4ee37a25df60f5b8fc9b394"}}})},
      {"e2ee_public_keys",
       Json::array(
           {{{"key_id", "e2ee-1"},
             {"algo", "x25519-aes-256-gcm-hkdf-sha256"},
             {"public_key", "5dfedd3b6bd47f6fa28ee15d969d5bb0ea53774d488bdaf9df1c6e0124b3ef22"}}})},
      {"tls_public_keys",
       Json::array({{{"domain", "api.example.com"}, {"spki_sha256", bare_hex(filled(0xc0))}}})}};
}
const std::string kVectorDigest =
    "sha256:53a5cd44b30dcc51999754c719f2628a041f174ecbf9662a6f8e898a10cd9371";

TEST(AciVectors, KeysetAndReportData) {
  EXPECT_EQ(aci_keyset_digest(vector_keyset()), kVectorDigest);
  EXPECT_EQ(
      bare_hex(aci_report_data(kVectorDigest, kNonce)),
      "df2174d28130852b413646a3786927b93e94c11d770268b65def8bdba45cb49e" + std::string(64, '0'));
  EXPECT_EQ(
      bare_hex(aci_report_data(kVectorDigest, std::nullopt)),
      "0633919ca3f00e97bafaa3304278eb22420cc3ff0d19f87dfca2d3f7508150bc" + std::string(64, '0'));
}

TEST(AciVectors, ReceiptSignature) {
  const auto hashed = [](std::string_view type, std::string_view body) {
    return Json{{"type", type}, {"body_hash", aci_digest_of(body)}};
  };
  const std::string_view asked =
      R"({"messages":[{"content":"hi","role":"user"}],"model":"demo-model"})";
  const std::string_view given = R"({"choices":[],"id":"chatcmpl-123"})";
  const Json receipt = {
      {"api_version", kAciVersion},
      {"receipt_id", "rcpt-0001"},
      {"chat_id", "chatcmpl-123"},
      {"model", "demo-model"},
      {"workload_keyset_digest", kVectorDigest},
      {"endpoint", "/v1/chat/completions"},
      {"method", "POST"},
      {"served_at", 1'750'000'000},
      {"key_id", kAciReceiptKey},
      {"event_log",
       {hashed("request.received", asked),
        hashed("request.forwarded", asked),
        {{"type", "upstream.verified"},
         {"result", "verified"},
         {"required", true},
         {"model_id", "demo-model"},
         {"session_id", "95ad1cb4dd25445808c2e9d116caf420b05703730b506395e8fc1ca6faeae28f"}},
        hashed("response.returned", given)}}};
  const auto text = dump_canonical_json(receipt, "a receipt");
  ASSERT_TRUE(text);
  EXPECT_EQ(bare_hex(crypto::sha256(as_bytes(*text))),
            "1bd328e6880a5a12b3915af95ea32111310e04ab9e21ac3d71ce268e33b965c9");
  const auto key = crypto::Ed25519Key::from_bytes(filled(2));
  EXPECT_EQ(bare_hex(key->public_key()),
            "8139770ea87d175f56a35466c34c7ecccb8d8a91b4ee37a25df60f5b8fc9b394");
  EXPECT_EQ(bare_hex(key->sign(as_bytes(*text))),
            "d5b005e093bde3b577faf270b7184b09e169cacb0ecb206b103bd2581f997db03da616175454b063323a23"
            "ac1dc68f1ce506c2a6eba8aa0561d5e724f0b80c03");
}

TEST(AciVectors, SessionId) {
  const Json unknown = {{"status", "unknown"}};
  const Json record = {
      {"api_version", kAciVersion},
      {"upstream_name", "demo-upstream"},
      {"endpoint", "https://upstream.example.com"},
      {"verifier_id", "example/1"},
      {"established_at", 1'750'000'000},
      {"expires_at", 1'750'003'600},
      {"channel_binding", Json::array({{{"type", "tls_spki_sha256"},
                                        {"origin", "https://upstream.example.com"},
                                        {"spki_sha256", bare_hex(filled(0xd1))}}})},
      {"claims",
       {{"tee_attested",
         {{"status", "asserted"},
          {"source", "hardware_proven"},
          {"reason", "example quote verified"}}},
        {"gpu_attested", unknown},
        {"tcb_up_to_date", unknown},
        {"os_known_good", unknown},
        {"serving_software_known_good", unknown},
        {"model_weights_provenance", unknown},
        {"extra", {{"gpu_arch", "HOPPER"}, {"tcb_status", "UpToDate"}}}}},
      {"evidence",
       {{"digest", aci_digest_of("example-evidence")},
        {"data", "data:text/plain;base64," + text::to_base64("example-evidence")}}}};
  EXPECT_EQ(bare_hex(crypto::sha256(as_bytes(*dump_canonical_json(record, "a session")))),
            "95ad1cb4dd25445808c2e9d116caf420b05703730b506395e8fc1ca6faeae28f");
}

// --- Documents -----------------------------------------------------------------------------------

TEST(AciForms, KeysetHasTheProtocolsFieldsAndNoKeyThatIsNotMadeInside) {
  EXPECT_EQ(aci_keyset({}, 5).dump(),
            R"({"e2ee_public_keys":[],"not_after":5,"receipt_signing_keys":[{"algo":"ed25519",)"
            R"("key_id":"receipt-1","public_key":")" +
                std::string(64, '0') + R"("}],"subject":null,"tls_public_keys":[]})");
}

TEST(AciForms, EvidenceOfEachKindHasItsOwnType) {
  EXPECT_EQ(aci_tee_type("tdx"), "tdx");
  EXPECT_EQ(aci_tee_type("sev-snp"), "sev_snp");
  EXPECT_EQ(aci_tee_type("simulated"), "otr-simulated");
  const Json tdx =
      aci_report(aci_keyset({}, 5), {}, {.kind = "tdx", .report = {1, 2}, .extra = {}});
  EXPECT_EQ(tdx["attestation"]["evidence"], (Json{{"quote", "0102"}}));
  const Json snp =
      aci_report(aci_keyset({}, 5), {}, {.kind = "sev-snp", .report = {3}, .extra = {{4}}});
  EXPECT_EQ(snp["attestation"]["evidence"],
            (Json{{"report", "03"}, {"certificates_b64", Json::array({"BA=="})}}));
  EXPECT_EQ(snp["service_capabilities"]["serving"], "aggregator");
}

TEST(AciForms, ASimulatedSessionNeverPassesForHardware) {
  const auto session = aci_session(*a_session(false), false);
  ASSERT_TRUE(session);
  const Json record = Json::parse(session->text);
  EXPECT_EQ(record["claims"]["tee_attested"]["status"], "refuted");
  EXPECT_EQ(record["claims"]["model_weights_provenance"]["source"], "provider_asserted");
  EXPECT_EQ(session->text.find("hardware_proven"), std::string::npos);
  EXPECT_EQ(record["channel_binding"], Json::array());
  for (const char* name :
       {"gpu_attested", "tcb_up_to_date", "os_known_good", "serving_software_known_good"}) {
    EXPECT_EQ(record["claims"][name], (Json{{"status", "unknown"}})) << name;
  }
}

TEST(AciForms, AHardwareSessionAssertsWhatWasChecked) {
  auto appraised = a_session(true);
  EXPECT_EQ(Json::parse(aci_session(*appraised, true)->text)["claims"]["gpu_attested"]["status"],
            "unknown");
  appraised->document.session.gpu_evidence = filled(1);
  const auto session = aci_session(*appraised, true);
  const Json record = Json::parse(session->text);
  EXPECT_EQ(record["claims"]["tee_attested"]["source"], "hardware_proven");
  EXPECT_EQ(record["claims"]["gpu_attested"]["source"], "hardware_proven");
  EXPECT_EQ(record["claims"]["model_weights_provenance"]["source"], "verifier_derived");
  EXPECT_EQ(record["channel_binding"][0]["public_key_sha256"],
            bare_hex(crypto::sha256(appraised->document.session.seal_key)));
}

TEST(AciForms, ASessionsIdIsTheHashOfItsRecord) {
  const auto session = aci_session(*a_session(false), false);
  EXPECT_EQ(session->id, bare_hex(crypto::sha256(as_bytes(session->text))));
  const Json record = Json::parse(session->text);
  const std::string data = record["evidence"]["data"];
  const auto bytes = text::from_base64(data.substr(data.find(',') + 1));
  EXPECT_EQ(record["evidence"]["digest"], aci_digest_of(*bytes));
  EXPECT_TRUE(protocol::decode_session(*bytes));
  EXPECT_EQ(session->abbreviated["session_id"], session->id);
  EXPECT_FALSE(session->abbreviated["evidence"].contains("data"));
  EXPECT_EQ(record["expires_at"], 2'000 + 3'600);
}

TEST(AciForms, IdsOfTheFrontAreReadOrNothingIs) {
  EXPECT_EQ(receipt_ids_of(with_ids({filled(1), filled(2)})),
            (std::vector<Hash>{filled(1), filled(2)}));
  EXPECT_TRUE(receipt_ids_of({{"X-Receipt-Id", to_hex(filled(1)) + ", x"}}).empty());
  EXPECT_TRUE(receipt_ids_of({}).empty());
}

}  // namespace
}  // namespace otr::service

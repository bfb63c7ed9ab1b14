// Sorting of files into evidence and collateral: every kind and wrapping is found by its content,
// what is ambiguous or unknown is said to be.
#include "attest/bundle.h"

#include <gmock/gmock.h>

#include "attest/bundle_json.h"
#include "attest/encoding.h"
#include "attest/report.h"
#include "attest/test_gpus.h"
#include "attest/test_nitro.h"
#include "attest/test_quotes.h"
#include "attest/test_snp.h"

namespace otr::attest {
namespace {

using test::Authority;
using test::GpuMaker;
using test::KeyKind;
using ::testing::HasSubstr;

Bytes bytes_of(std::string_view text) {
  const ByteView view = as_bytes(text);
  return Bytes(view.begin(), view.end());
}

Result<Bundle> sort_texts(const std::vector<std::string>& texts) {
  std::vector<Item> items;
  for (const std::string& text : texts) {
    items.push_back({"file" + std::to_string(items.size()), bytes_of(text)});
  }
  return sort_items(items);
}

Error error_of(const std::vector<std::string>& texts) {
  const auto bundle = sort_texts(texts);
  return bundle ? Error{.message = "taken"} : bundle.error();
}

std::string raw(ByteView bytes) { return std::string(as_text(bytes)); }

const GpuMaker& gpu_maker() {
  static const GpuMaker maker;
  return maker;
}

std::string gpu_json(const Bytes& report, const std::vector<Certificate>& chain,
                     const std::string& more = "") {
  return R"({"arch":"HOPPER","certificate":")" + to_base64(as_bytes(test::to_pem(chain))) +
         R"(","evidence":")" + to_base64(report) + "\"" + more + "}";
}

// A quote by its header, long enough to be one; the parser would say what is wrong with it.
Bytes quote_bytes(std::uint8_t fill = 7) {
  Bytes bytes(1000, fill);
  const Bytes header = {4, 0, 2, 0, 0x81, 0, 0, 0};
  std::ranges::copy(header, bytes.begin());
  return bytes;
}

TEST(Bundle, FindsReportsInEveryWrapping) {
  const test::SnpEvidence snp = test::make_snp({});
  for (const std::string& text :
       {raw(snp.report), to_plain_hex(snp.report), "0x" + to_plain_hex(snp.report) + "\n",
        to_base64(snp.report), to_base64url(snp.report),
        R"({"report":")" + to_base64(snp.report) + R"("})",
        R"({"a":{"b":[{"unknown":")" + to_plain_hex(snp.report) + R"("}]}})",
        to_base64(as_bytes(to_plain_hex(snp.report)))}) {
    const auto bundle = sort_texts({text});
    ASSERT_TRUE(bundle) << text.substr(0, 40) << bundle.error().message;
    ASSERT_EQ(bundle->snp_reports.size(), 1u) << text.substr(0, 40);
    EXPECT_EQ(bundle->snp_reports[0].bytes, snp.report);
  }
  const auto twice = sort_texts({raw(snp.report), to_plain_hex(snp.report)});
  EXPECT_EQ(twice->snp_reports.size(), 1u);  // the same bytes are one piece
  const auto& roots = test::NitroRoots::get();
  const Bytes nitro = test::make_nitro(test::nitro_members(roots), roots);
  EXPECT_EQ(sort_texts({raw(nitro)})->nitro_documents.size(), 1u);
  EXPECT_EQ(sort_texts({raw(quote_bytes())})->quotes.size(), 1u);
  EXPECT_EQ(sort_texts({"OTRSIM-1 and more"})->simulated_reports.size(), 1u);
  // Cut or changed evidence is still evidence, for its parser to refuse.
  EXPECT_EQ(sort_texts({raw(snp.report).substr(0, 1000)})->snp_reports.size(), 1u);
  EXPECT_EQ(sort_texts({raw(snp.report) + "x"})->snp_reports.size(), 1u);
}

TEST(Bundle, FindsCertificatesAndLists) {
  const Authority root = Authority::root("Intel SGX Root CA", KeyKind::kP256);
  const Authority platform =
      root.issue({.subject = "Intel SGX PCK Platform CA", .ca = true}, KeyKind::kP256);
  const Authority processor =
      root.issue({.subject = "Intel SGX PCK Processor CA", .ca = true}, KeyKind::kP256);
  const Authority signing = root.issue({.subject = "Intel SGX TCB Signing"}, KeyKind::kP256);
  const Authority ark = Authority::root("ARK-Milan", KeyKind::kP256);
  const auto bundle =
      sort_texts({raw(platform.list_der({})), test::to_pem(root.list_der({}), "X509 CRL"),
                  to_plain_hex(ark.list_der({})),
                  test::to_pem({root.certificate, platform.certificate, signing.certificate})});
  ASSERT_TRUE(bundle) << bundle.error().message;
  ASSERT_TRUE(bundle->dcap.pck_crl && bundle->dcap.root_crl && bundle->amd_crl);
  EXPECT_THAT(bundle->dcap.pck_crl->issuer(), HasSubstr("Platform"));
  EXPECT_THAT(bundle->amd_crl->issuer(), HasSubstr("ARK-Milan"));
  // Chains are put together whatever the order of the certificates was.
  ASSERT_EQ(bundle->dcap.tcb_signing_chain.size(), 2u);
  EXPECT_EQ(bundle->dcap.tcb_signing_chain[0], signing.certificate);
  EXPECT_EQ(bundle->dcap.tcb_signing_chain[1], root.certificate);
  EXPECT_EQ(bundle->dcap.pck_crl_chain,
            (std::vector<Certificate>{platform.certificate, root.certificate}));
  // Of two lists of one issuer the newer counts, in either order.
  const Bytes newer = root.list_der({.this_update = test::kTestNow});
  for (const auto& texts : {std::vector{raw(newer), raw(root.list_der({}))},
                            std::vector{raw(root.list_der({})), raw(newer)}}) {
    EXPECT_EQ(sort_texts(texts)->dcap.root_crl->this_update(), test::kTestNow);
  }
  const Authority other = Authority::root("Somebody", KeyKind::kP256);
  EXPECT_THAT(error_of({raw(other.list_der({}))}).message, HasSubstr("Somebody"));
  EXPECT_EQ(error_of({"-----BEGIN CERTIFICATE-----\nAA"}).code, "MALFORMED");
  EXPECT_EQ(error_of({"-----BEGIN PRIVATE KEY-----\nAA\n-----END PRIVATE KEY-----\n"}).code,
            "MALFORMED");
  EXPECT_EQ(error_of({test::to_pem(as_bytes("no certificate"))}).code, "MALFORMED");
}

// Intel has one list for each of two authorities, and services give both.
TEST(Bundle, TakesTheListOfTheQuotesOwnAuthority) {
  const test::Intel intel = test::Intel::make();
  const Bytes quote = intel.quote(test::Intel::good(4, Kind::kTdx));
  const Authority processor =
      intel.root.issue({.subject = "Intel SGX PCK Processor CA", .ca = true}, KeyKind::kP256);
  const std::string its = raw(intel.platform_ca.list_der({})),
                    other = raw(processor.list_der({.this_update = test::kTestNow}));
  for (const auto& texts :
       {std::vector{raw(quote), its, other}, std::vector{other, its, raw(quote)}}) {
    const auto bundle = sort_texts(texts);
    ASSERT_TRUE(bundle) << bundle.error().message;
    ASSERT_TRUE(bundle->dcap.pck_crl);
    EXPECT_THAT(bundle->dcap.pck_crl->issuer(), HasSubstr("Platform"));
  }
}

TEST(Bundle, TakesIntelDocumentsByTheByte) {
  const std::string inner = "{ \"id\" : \"TDX\",\n\"x\":\"a \\\" b\" }";
  const std::string wanted = "{\"tcbInfo\":" + inner + ",\"signature\":\"00ff\"}";
  const std::string body = "{\"tcbInfo\":" + inner + ",\"signature\":\"00ff\"}";
  const std::string loose =
      Json{{"tcb_info", inner}, {"tcb_info_signature", "00ff"}, {"else", 1}}.dump();
  const std::string reversed = "{\n \"signature\" : \"00ff\", \"tcbInfo\" : " + inner + "\n}";
  const std::string wrapped = "{\"a\":[{\"body\":" + body + "}]}";
  for (const std::string& text : {body, loose, reversed, wrapped}) {
    const auto bundle = sort_texts({text});
    ASSERT_TRUE(bundle) << text << bundle.error().message;
    EXPECT_EQ(bundle->dcap.tcb_info, wanted) << text;
    EXPECT_TRUE(bundle->dcap.qe_identity.empty());
  }
  const auto identity = sort_texts({R"({"enclaveIdentity":{"id":"QE"},"signature":"00"})", body});
  EXPECT_EQ(identity->dcap.qe_identity, R"({"enclaveIdentity":{"id":"QE"},"signature":"00"})");
  EXPECT_TRUE(sort_texts({body, body}));
  EXPECT_THAT(error_of({body, R"({"tcbInfo":{},"signature":"00ff"})"}).message,
              HasSubstr("second TCB info"));
  EXPECT_THAT(error_of({R"({"tcbInfo":{"id":"TDX"}})"}).message,
              HasSubstr("without its signature"));
  EXPECT_THAT(error_of({R"({"tcbInfo":{},"signature":"\",\"tcbInfo\":\""})"}).message,
              HasSubstr("hexadecimal"));
}

TEST(Bundle, TakesChainsOutOfHeaders) {
  const Authority root = Authority::root("Intel SGX Root CA", KeyKind::kP256);
  const Authority signing = root.issue({.subject = "Intel SGX TCB Signing"}, KeyKind::kP256);
  std::string encoded;
  for (const char c : test::to_pem({signing.certificate, root.certificate})) {
    encoded += c == '\n' ? "%0A" : c == ' ' ? "%20" : std::string(1, c);
  }
  const auto bundle =
      sort_texts({Json{{"headers", {{"Tcb-Info-Issuer-Chain", encoded}, {"date", "x"}}}}.dump()});
  ASSERT_TRUE(bundle) << bundle.error().message;
  EXPECT_EQ(bundle->dcap.tcb_signing_chain.size(), 2u);
}

TEST(Bundle, TakesGpuEvidenceWithItsChain) {
  const GpuMaker& maker = gpu_maker();
  const Bytes report = maker.report({});
  const std::string one = gpu_json(report, maker.chain());
  for (const std::string& text :
       {one, "[" + one + "]", R"({"evidence_list":[)" + one + "]}",
        R"({"gpu":{"evidences":[)" + one + "]}}",
        Json{{"nvidia_payload", R"({"evidence_list":[)" + one + "]}"}}.dump()}) {
    const auto bundle = sort_texts({text});
    ASSERT_TRUE(bundle) << text.substr(0, 60) << bundle.error().message;
    ASSERT_EQ(bundle->gpus.size(), 1u) << text.substr(0, 60);
    EXPECT_EQ(bundle->gpus[0].report, report);
    EXPECT_EQ(bundle->gpus[0].chain, maker.chain());
    EXPECT_FALSE(bundle->gpus[0].stated_nonce);
  }
  const auto stated = sort_texts({gpu_json(report, maker.chain(), R"(,"nonce":"a5a5")")});
  EXPECT_EQ(stated->gpus[0].stated_nonce, (Bytes{0xA5, 0xA5}));
  EXPECT_EQ(error_of({gpu_json(report, maker.chain(), R"(,"nonce":"?")")}).code, "MALFORMED");
  for (const std::string nonce : {"5", "null", "[]", "\"\""}) {
    EXPECT_EQ(error_of({gpu_json(report, maker.chain(), ",\"nonce\":" + nonce)}).code, "MALFORMED");
  }
  EXPECT_EQ(error_of({R"({"certificate":"?","evidence":")" + to_base64(report) + "\"}"}).code,
            "MALFORMED");
  const std::string pem = test::to_pem(maker.chain());
  for (const auto& texts : {std::vector{raw(report), pem}, std::vector{pem, to_plain_hex(report)},
                            std::vector{raw(report), to_base64(as_bytes(pem))}}) {
    const auto joined = sort_texts(texts);
    ASSERT_TRUE(joined) << joined.error().message;
    EXPECT_EQ(joined->gpus.at(0).chain, maker.chain());
  }
  // A root given along is no chain.
  const auto with_root = sort_texts({raw(report), test::to_pem({maker.root.certificate}), pem});
  ASSERT_TRUE(with_root) << with_root.error().message;
  EXPECT_EQ(with_root->gpus.at(0).chain, maker.chain());
}

TEST(Bundle, JoinsManyGpusBySignatureOrNotAtAll) {
  const GpuMaker other;
  const std::vector<std::string> chains = {test::to_pem(other.chain()),
                                           test::to_pem(gpu_maker().chain())};
  const Bytes first = gpu_maker().report({}), second = other.report({});
  const auto bundle = sort_texts({raw(first), raw(second), chains[0], chains[1]});
  ASSERT_TRUE(bundle) << bundle.error().message;
  EXPECT_EQ(bundle->gpus.at(0).chain, gpu_maker().chain());
  EXPECT_EQ(bundle->gpus.at(1).chain, other.chain());
  Bytes broken = first;
  broken.back() ^= 1;
  // What is left over fits together: one report and one chain.
  EXPECT_EQ(sort_texts({raw(broken), raw(second), chains[0], chains[1]})->gpus.at(0).chain,
            gpu_maker().chain());
  EXPECT_THAT(error_of({raw(broken), chains[0], chains[1]}).message,
              AllOf(HasSubstr("2 chains"), HasSubstr("file1"), HasSubstr("file2")));
  EXPECT_TRUE(sort_texts({raw(first)})->gpus.at(0).chain.empty());
}

TEST(Bundle, TakesReferenceValuesAnswersAndTokens) {
  const GpuMaker& maker = gpu_maker();
  const std::string rim = maker.rim(maker.driver_rim());
  EXPECT_EQ(sort_texts({rim})->rims.size(), 1u);
  EXPECT_EQ(sort_texts({"\xEF\xBB\xBF" + rim})->rims.size(), 1u);
  EXPECT_EQ(
      sort_texts({Json{{"id", "NV"}, {"rim", to_base64(as_bytes(rim))}, {"sha256", "00"}}.dump()})
          ->rims.size(),
      1u);
  EXPECT_EQ(error_of({Json{{"rim", std::string(200, '?')}}.dump()}).code, "MALFORMED");
  EXPECT_EQ(error_of({"<SoftwareIdentity>"}).code, "MALFORMED");
  const Bytes answer = maker.ocsp().front();
  EXPECT_EQ(sort_texts({raw(answer)})->ocsp.size(), 1u);
  EXPECT_EQ(sort_texts({to_base64(answer) + "\n"})->ocsp.size(), 1u);
  const test::NrasMaker nras;
  const std::string token = nras.answer({{"GPU-0", nras.jwt(test::NrasMaker::device_claims())}});
  EXPECT_EQ(sort_texts({token})->nras_tokens.size(), 1u);
  EXPECT_EQ(sort_texts({R"({"result_code":0,"detached_eat":)" + token + "}"})->nras_tokens.size(),
            1u);
  EXPECT_EQ(sort_texts({nras.jwks()})->jwks, nras.jwks());
  EXPECT_THAT(error_of({nras.jwt(test::NrasMaker::device_claims())}).message,
              HasSubstr("single token"));
  EXPECT_THAT(error_of({Json{{"GPU-0", {{"measres", "success"}}}}.dump()}).message,
              HasSubstr("without its signature"));
}

TEST(Bundle, KeepsTheBytesThatADocumentHashed) {
  const std::string gpu =
      "{ \"evidences\" : [" + gpu_json(gpu_maker().report({}), gpu_maker().chain()) + "] }";
  const std::string document =
      R"({"format":"https://tinfoil.sh/predicate/attestation/v3","report_data":{"nonce":"00"},)"
      R"("cpu":{"platform":"tdx","report":")" +
      to_base64(quote_bytes()) + R"("},"gpu":)" + gpu + R"(,"nvswitch": [1 , 2]})";
  const auto bundle = sort_texts({document});
  ASSERT_TRUE(bundle) << bundle.error().message;
  ASSERT_TRUE(bundle->binding);
  EXPECT_EQ(bundle->binding->gpu_evidence_text, gpu);
  EXPECT_EQ(bundle->binding->switch_evidence_text, "[1 , 2]");
  EXPECT_EQ(bundle->binding->report_data["nonce"], "00");
  EXPECT_EQ(bundle->quotes.size(), 1u);
  EXPECT_EQ(bundle->gpus.size(), 1u);
  EXPECT_THAT(error_of({document, document}).message, HasSubstr("second document"));
}

TEST(Bundle, TakesQuotesWithTheirLog) {
  const std::string event = R"({"imr":3,"event_type":134217729,"digest":"00","event":"a"})";
  for (const std::string& log :
       {"[" + event + "]", Json("[" + event + std::string(200, ' ') + "]").dump()}) {
    const auto bundle = sort_texts(
        {R"({"quote":")" + to_plain_hex(quote_bytes()) + R"(","event_log":)" + log + "}"});
    ASSERT_TRUE(bundle) << bundle.error().message;
    EXPECT_EQ(bundle->quotes.size(), 1u);
    EXPECT_EQ(bundle->event_logs.size(), 1u);
  }
}

TEST(Bundle, RefusesWhatItDoesNotKnowAndWhatIsTooMuch) {
  for (const std::string& text : {std::string(), std::string("hello"), std::string(3, '\0'),
                                  std::string("{}"), std::string("[1,2]"), std::string("00ff"),
                                  std::string(2000, 'A'), std::string("{\"quote\":\"short\"}")}) {
    const Error error = error_of({text});
    EXPECT_EQ(error.code, "UNSUPPORTED") << text;
    EXPECT_THAT(error.message, HasSubstr("file0"));
  }
  EXPECT_THAT(error_of({R"({"quote":")" + std::string(300, '?') + "\"}"}).message,
              HasSubstr("file0: quote"));
  EXPECT_THAT(error_of({std::string("HCLA\1\0\0\0", 8)}).message, HasSubstr("Azure"));
  EXPECT_THAT(error_of({R"({"a":1,"a":2})"}).message, HasSubstr("twice"));
  EXPECT_THAT(error_of({std::string(100, '[') + std::string(100, ']')}).message,
              HasSubstr("deeper"));
  EXPECT_THAT(error_of({"{\"a\":"}).message, HasSubstr("byte"));
  EXPECT_THAT(error_of({"[1e999]"}).message, HasSubstr("too large"));
  EXPECT_THAT(error_of({std::string(kMaxItemBytes + 1, 'a')}).message, HasSubstr("4 MiB"));
  EXPECT_THAT(error_of(std::vector<std::string>(kMaxItems + 1, "{}")).message, HasSubstr("256"));
  // An encoding inside an encoding, again and again.
  std::string text = "hello";
  for (int i = 0; i < 12; ++i) text = to_plain_hex(as_bytes(text));
  EXPECT_EQ(error_of({text}).code, "UNSUPPORTED");
}

// The work is in proportion to the size: a quadratic reader does not end in this test's time.
TEST(Bundle, ReadsManyObjectsInLinearTime) {
  const auto list = [](std::size_t count) {
    std::string text = "[{}";
    for (std::size_t i = 1; i < count; ++i) text += ",{}";
    return text + "]";
  };
  const auto many = parse_document(list(kMaxDocumentValues - 1), "list");
  ASSERT_TRUE(many) << many.error().message;
  EXPECT_EQ(many->size(), kMaxDocumentValues - 1);
  EXPECT_THAT(parse_document(list(kMaxDocumentValues), "list").error().message,
              HasSubstr("131072 values"));
  EXPECT_THAT(error_of({list(std::size_t{1} << 20)}).message, HasSubstr("131072 values"));
  EXPECT_THAT(parse_document(std::string_view("{}\0", 3), "text").error().message,
              HasSubstr("byte 3"));
}

TEST(Bundle, HoldsABoundedNumberOfPieces) {
  Bytes report = test::make_snp({}).report;
  report.resize(64);  // recognised, and short
  Json reports = Json::array();
  for (std::size_t i = 0; i <= kMaxPieces; ++i) {
    store_le(report.data() + 0x38, static_cast<std::uint32_t>(i));
    reports.push_back(to_plain_hex(report));
  }
  EXPECT_THAT(error_of({reports.dump()}).message, HasSubstr("more than 1024 pieces"));
  reports.erase(0);
  EXPECT_EQ(sort_texts({reports.dump()})->snp_reports.size(), kMaxPieces);
  // Reports that would have to be tried with each of many chains.
  const GpuMaker& maker = gpu_maker();
  Json gpus = Json::array();
  for (std::size_t i = 0; i < 33; ++i) {
    Bytes gpu = maker.report({});
    gpu.back() ^= static_cast<std::uint8_t>(i + 1);
    gpus.push_back(to_base64(gpu));
    gpus.push_back(test::to_pem(maker.chain()));
  }
  EXPECT_THAT(error_of({gpus.dump()}).message, HasSubstr("too many GPU reports"));
}

TEST(Bundle, SlicesAreTheTextOfEveryValue) {
  const std::string text = R"( { "a" : [ 1, "x\"]}" , {"b":null} ] ,"c":true, "" : -2.5e3 } )";
  const auto json = parse_document(text, "text");
  ASSERT_TRUE(json);
  const auto parts = written(text, *json).parts();
  ASSERT_EQ(parts.size(), 3u);
  EXPECT_EQ(parts[0].first, "a");
  EXPECT_EQ(parts[0].second.text, R"([ 1, "x\"]}" , {"b":null} ])");
  EXPECT_EQ(parts[1].second.text, "true");
  EXPECT_EQ(parts[2].first, "");
  EXPECT_EQ(parts[2].second.text, "-2.5e3");
  const auto items = parts[0].second.parts();
  ASSERT_EQ(items.size(), 3u);
  EXPECT_EQ(items[1].second.text, R"("x\"]}")");
  EXPECT_EQ(items[2].second.parts().at(0).second.text, "null");
  EXPECT_TRUE(written("[]", Json::array()).parts().empty());
}

}  // namespace
}  // namespace otr::attest

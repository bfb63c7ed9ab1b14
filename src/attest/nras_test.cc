// NRAS tokens of a test service, and genuine ones.
#include "attest/nras.h"

#include <gtest/gtest.h>

#include <fstream>
#include <sstream>

#include "attest/encoding.h"
#include "attest/test_gpus.h"

namespace otr::attest {
namespace {

using test::kTestNow;
using test::NrasMaker;

const NrasMaker& maker() {
  static const NrasMaker one;
  return one;
}

Verdict verdict_of(const std::string& answer, const std::string& jwks, Time at,
                   std::string_view nonce = {}, std::int64_t max_age_hours = 1) {
  Verdict verdict;
  const auto token = parse_nras(answer);
  Checks checks(verdict, Stage::kParse);
  if (!token) {
    EXPECT_EQ(token.error().code, "MALFORMED") << token.error().message;
    checks.require(std::unexpected(token.error()), Code::kMalformed, "answer");
    return verdict;
  }
  NrasPolicy policy{.models = {}, .max_age_hours = max_age_hours};
  policy.models.values = {"GH100"};
  Expected expected;
  if (!nonce.empty()) expected.nonce = from_plain_hex(nonce);
  std::vector<Certificate> anchors = vendor_anchors().nvidia_nras;
  anchors.push_back(maker().authority.certificate);
  verify_nras(verdict, *token, jwks, anchors, {}, at);
  appraise_nras(verdict, *token, policy, expected, at);
  EXPECT_FALSE(verdict.hardware);
  return verdict;
}
std::string judge(const std::string& answer, Time at = kTestNow, std::string_view nonce = {}) {
  const Verdict verdict = verdict_of(answer, maker().jwks(), at, nonce);
  if (verdict.accepted()) return "accepted";
  return std::string(name_of(*verdict.failure()->code));
}
std::string good_device() { return maker().jwt(NrasMaker::device_claims()); }

TEST(NrasTest, GoodAnswers) {
  const std::string answer = maker().answer({{"GPU-0", good_device()}});
  const std::string nonce(64, 'a');
  const Verdict verdict = verdict_of(answer, maker().jwks(), kTestNow, nonce);
  EXPECT_TRUE(verdict.accepted()) << verdict.failure()->name << verdict.failure()->value;
  EXPECT_EQ(verdict.kind, Kind::kNrasToken);
  EXPECT_EQ(verdict.assurance, "third party");
  EXPECT_EQ(judge(R"({"result_code":0,"detached_eat":)" + answer + "}"), "accepted");
}

TEST(NrasTest, KeysAndAlgorithms) {
  const std::string device = good_device();
  const std::map<std::string, std::string> devices = {{"GPU-0", device}};
  const Json claims = maker().overall_claims(devices);
  const auto with_header = [&](const Json& header) {
    return judge(NrasMaker::answer(maker().jwt(header, claims), devices));
  };
  EXPECT_EQ(with_header({{"alg", "none"}, {"kid", "test-key"}}), "TOKEN_INVALID");
  EXPECT_EQ(with_header({{"alg", "ES256"}, {"kid", "test-key"}}), "TOKEN_INVALID");
  EXPECT_EQ(with_header({{"kid", "test-key"}}), "TOKEN_INVALID");
  EXPECT_EQ(with_header({{"alg", "ES384"}, {"kid", "other"}}), "TOKEN_INVALID");
  EXPECT_EQ(with_header({{"alg", "ES384"}}), "TOKEN_INVALID");
  EXPECT_EQ(with_header({{"alg", "ES384"}, {"kid", "test-key"}, {"crit", {"x"}}}), "TOKEN_INVALID");
  const std::string unsigned_token = to_base64url(as_bytes(R"({"alg":"none"})")) + "." +
                                     to_base64url(as_bytes(claims.dump())) + ".";
  EXPECT_EQ(judge(NrasMaker::answer(unsigned_token, devices)), "TOKEN_INVALID");
  // No key set, a stranger's, and one whose certificate is for another key.
  const std::string answer = maker().answer(devices);
  const NrasMaker other;
  const auto code_under = [&](const std::string& jwks) {
    return std::string(name_of(*verdict_of(answer, jwks, kTestNow).failure()->code));
  };
  EXPECT_EQ(code_under(""), "TOKEN_INVALID");
  EXPECT_EQ(code_under(other.jwks()), "TOKEN_INVALID");
  EXPECT_EQ(code_under("{"), "COLLATERAL_INVALID");
  Json mixed = Json::parse(maker().jwks());
  mixed["keys"][0]["x5c"] = Json::parse(other.jwks())["keys"][0]["x5c"];
  EXPECT_EQ(code_under(mixed.dump()), "TOKEN_INVALID");
  mixed = Json::parse(maker().jwks());
  mixed["keys"].push_back(mixed["keys"][0]);
  EXPECT_EQ(code_under(mixed.dump()), "TOKEN_INVALID");
  mixed["keys"] = Json::array({mixed["keys"][0]});
  mixed["keys"][0].erase("x5c");
  EXPECT_EQ(code_under(mixed.dump()), "TOKEN_KEY_UNKNOWN");
}

// Everybody can make a key set whose key signs his token.
TEST(NrasTest, KeysOfStrangers) {
  const NrasMaker stranger;
  const std::string device = stranger.jwt(NrasMaker::device_claims());
  const std::string answer = stranger.answer({{"GPU-0", device}});
  const auto code = [&](const std::string& jwks, std::span<const Hash> roots = {}) {
    Verdict verdict;
    const auto token = parse_nras(answer);
    verify_nras(verdict, *token, jwks, vendor_anchors().nvidia_nras, roots, kTestNow);
    return verdict.failure() == nullptr ? "good" : std::string(name_of(*verdict.failure()->code));
  };
  EXPECT_EQ(code(stranger.jwks()), "TOKEN_KEY_UNKNOWN");
  const Hash root = stranger.authority.certificate.fingerprint();
  const Hash leaf = stranger.signer.certificate.fingerprint();
  EXPECT_EQ(code(stranger.jwks(), std::span(&root, 1)), "good");
  EXPECT_EQ(code(stranger.jwks(), std::span(&leaf, 1)), "TOKEN_KEY_UNKNOWN");  // no authority
  Json keys = Json::parse(stranger.jwks());
  // The vendor's authority beside a leaf that it did not issue.
  const std::string genuine = to_base64(vendor_anchors().nvidia_nras.front().der());
  keys["keys"][0]["x5c"][1] = genuine;
  EXPECT_EQ(code(keys.dump()), "CHAIN_INVALID");
  keys["keys"][0]["x5c"].push_back(to_base64(stranger.authority.certificate.der()));
  EXPECT_EQ(code(keys.dump(), std::span(&root, 1)), "CHAIN_INVALID");
  keys["keys"][0]["x5c"] = Json::array({keys["keys"][0]["x5c"][0]});
  EXPECT_EQ(code(keys.dump()), "TOKEN_KEY_UNKNOWN");
  for (const Json& odd : {Json(1), Json::array({1}), Json::array({"MII"}), Json::object()}) {
    keys["keys"][0]["x5c"] = odd;
    EXPECT_EQ(code(keys.dump()), "TOKEN_INVALID") << odd;
  }
  keys["keys"][0]["x5c"] = Json::array();
  EXPECT_EQ(code(keys.dump()), "TOKEN_KEY_UNKNOWN");
}

TEST(NrasTest, DeviceTokensBelongToTheOverallToken) {
  const std::string device = good_device();
  Json other_claims = NrasMaker::device_claims();
  other_claims["ueid"] = "4782";
  const std::string other = maker().jwt(other_claims);
  const std::string overall = maker().jwt(maker().overall_claims({{"GPU-0", device}}));
  EXPECT_EQ(judge(NrasMaker::answer(overall, {{"GPU-0", other}})), "TOKEN_INVALID");  // swapped
  EXPECT_EQ(judge(NrasMaker::answer(overall, {{"GPU-1", device}})), "TOKEN_INVALID");
  EXPECT_EQ(judge(NrasMaker::answer(overall, {{"GPU-0", device}, {"GPU-1", other}})),
            "TOKEN_INVALID");
  EXPECT_EQ(judge(maker().answer({{"GPU-0", device}, {"GPU-1", other}})), "accepted");
  EXPECT_EQ(judge(maker().answer({{"GPU-0", device}, {"GPU-1", device}})), "DEVICE_REFUSED");
  // The digest is right, but the service did not sign the device's token.
  const NrasMaker stranger;
  EXPECT_EQ(judge(maker().answer({{"GPU-0", stranger.jwt(NrasMaker::device_claims())}})),
            "TOKEN_INVALID");
}

TEST(NrasTest, TimesAndNonces) {
  const std::string answer = maker().answer({{"GPU-0", good_device()}});
  EXPECT_EQ(judge(answer, kTestNow + 3540), "accepted");
  EXPECT_EQ(judge(answer, kTestNow + 3541), "TIME_INVALID");
  EXPECT_EQ(judge(answer, kTestNow - 61), "TIME_INVALID");
  EXPECT_EQ(judge(answer, kTestNow, std::string(64, 'b')), "NONCE_MISMATCH");
  EXPECT_EQ(judge(answer, kTestNow, std::string(62, 'a')), "NONCE_MISMATCH");
  Json other = NrasMaker::device_claims();
  other["eat_nonce"] = std::string(64, 'b');
  EXPECT_EQ(judge(maker().answer({{"GPU-0", maker().jwt(other)}})), "TOKEN_INVALID");
  Json timeless = NrasMaker::device_claims();
  timeless.erase("exp");
  EXPECT_EQ(judge(maker().answer({{"GPU-0", maker().jwt(timeless)}})), "TOKEN_INVALID");
  Json issuer = NrasMaker::device_claims();
  issuer["iss"] = "NVAT-LOCAL-VERIFIER";
  EXPECT_EQ(judge(maker().answer({{"GPU-0", maker().jwt(issuer)}})), "TOKEN_INVALID");
}

TEST(NrasTest, ClaimsAreDemanded) {
  const auto with = [](const std::string& name, const Json& value) {
    Json claims = NrasMaker::device_claims();
    if (value.is_null()) {
      claims.erase(name);
    } else {
      claims[name] = value;
    }
    return judge(maker().answer({{"GPU-0", maker().jwt(claims)}}));
  };
  EXPECT_EQ(with("measres", "fail"), "MEASUREMENT_MISMATCH");
  EXPECT_EQ(with("measres", nullptr), "MEASUREMENT_MISMATCH");
  EXPECT_EQ(with("dbgstat", "enabled"), "DEBUG");
  EXPECT_EQ(with("dbgstat", nullptr), "DEBUG");
  EXPECT_EQ(with("secboot", false), "POLICY_REFUSED");
  EXPECT_EQ(with("secboot", nullptr), "POLICY_REFUSED");
  EXPECT_EQ(with("hwmodel", "GB100 A01 GSP BROM"), "POLICY_REFUSED");
  EXPECT_EQ(with("ueid", nullptr), "DEVICE_REFUSED");
  EXPECT_EQ(with("x-nvidia-gpu-driver-rim-signature-verified", false), "POLICY_REFUSED");
  EXPECT_EQ(with("x-nvidia-gpu-driver-rim-signature-verified", nullptr), "POLICY_REFUSED");
  EXPECT_EQ(with("x-nvidia-gpu-vbios-rim-version-match", false), "POLICY_REFUSED");
  EXPECT_EQ(with("x-nvidia-gpu-driver-rim-cert-chain",
                 {{"x-nvidia-cert-status", "valid"}, {"x-nvidia-cert-ocsp-status", "revoked"}}),
            "POLICY_REFUSED");
  const std::map<std::string, std::string> devices = {{"GPU-0", good_device()}};
  Json overall = maker().overall_claims(devices);
  overall["x-nvidia-overall-att-result"] = false;
  EXPECT_EQ(judge(NrasMaker::answer(maker().jwt(overall), devices)), "POLICY_REFUSED");
}

TEST(NrasTest, WhatCannotBeRead) {
  for (const std::string answer :
       {"", "[]", "{}", "[[\"JWT\",\"a.b.c\"],{}]", "[[\"JWT\",1],{\"GPU-0\":\"a.b.c\"}]",
        "[[\"JWT\",\"a\"],{\"GPU-0\":\"a\"}]", "[[\"JWT\",\"e30.e30.\"],{\"GPU-0\":\"e30.W10.\"}]",
        "[[\"CWT\",\"e30.e30.\"],{\"GPU-0\":\"e30.e30.\"}]",
        "[[\"JWT\",\"e30.e30.\"],{\"GPU-0\":\"e30.e30.\",\"GPU-0\":\"e30.e30.\"}]"}) {
    EXPECT_FALSE(parse_nras(answer)) << answer;
  }
  EXPECT_TRUE(parse_nras("[[\"JWT\",\"e30.e30.\"],{\"GPU-0\":\"e30.e30.\"}]"));
  // Claims of strange types are refused, not trusted.
  for (const std::string name : {"iss", "iat", "eat_nonce", "submods"}) {
    const std::map<std::string, std::string> devices = {{"GPU-0", good_device()}};
    Json overall = maker().overall_claims(devices);
    overall[name] = Json::array({1});
    EXPECT_NE(judge(NrasMaker::answer(maker().jwt(overall), devices)), "accepted") << name;
  }
}

std::string sample(const std::string& name) {
  std::ifstream file(OTR_SOURCE_DIR "/../shared/attestation-samples/" + name, std::ios::binary);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

TEST(NrasSamples, GenuineTokens) {
  const std::string answer = sample("composite/tinfoil-v3-tdx-h200/nras-response.json");
  if (answer.empty()) GTEST_SKIP() << "NO GENUINE EVIDENCE: ../shared is absent";
  const std::string keys = sample("composite/tinfoil-v3-tdx-h200/nras-jwks.json");
  const std::string nonce = "1b63be880a57c6cb2ea2191157e35bdc0de416d3b9e4b5b17423b12f8553d633";
  const auto at = [](std::string_view text) { return parse_time(text).value_or(0); };
  const Verdict good = verdict_of(answer, keys, at("2026-06-29T02:20:00Z"), nonce);
  EXPECT_TRUE(good.accepted()) << good.failure()->name << ": " << good.failure()->value;
  EXPECT_EQ(verdict_of(answer, keys, at("2026-06-29T04:00:00Z"), nonce).failure()->code,
            Code::kTimeInvalid);
  for (const std::string name : {"hopper-v3-detached-eat.json", "private-ml-sdk-1gpu.json",
                                 "private-ml-sdk-ppcie.json", "local-verifier-alg-none.json"}) {
    const auto token = parse_nras(sample("nras/" + name));
    ASSERT_TRUE(token) << name << ": " << token.error().message;
    Verdict verdict;
    verify_nras(verdict, *token, keys, vendor_anchors().nvidia_nras, {},
                at("2026-06-29T02:20:00Z"));
    ASSERT_NE(verdict.failure(), nullptr) << name;
    EXPECT_EQ(verdict.failure()->code, Code::kTokenInvalid) << name;
    for (const Check& check : verdict.checks) {  // of the old ones all but the keys is there
      const bool old = name != "local-verifier-alg-none.json";
      if (old && check.name == "overall token covers every device token") {
        EXPECT_EQ(check.outcome, Outcome::kPass) << name << ": " << check.value;
      }
      if (old && check.name == "overall token is signed by its key") {
        EXPECT_NE(check.value.find("unverifiable"), std::string::npos) << check.value;
      }
    }
  }
}

}  // namespace
}  // namespace otr::attest

#include "attest/nras.h"

#include <algorithm>
#include <array>
#include <optional>
#include <set>
#include <utility>

#include "attest/bundle_json.h"
#include "attest/encoding.h"
#include "crypto/sha256.h"

namespace otr::attest {
namespace {

constexpr std::string_view kIssuer = "https://nras.attestation.nvidia.com";
constexpr std::size_t kMaxTokenBytes = std::size_t{1} << 20, kMaxDevices = 64;

std::unexpected<Error> bad(std::string what) {
  return fail(ErrorKind::kBadInput, "the NRAS answer " + std::move(what), "MALFORMED");
}

const Json* member(const Json& object, std::string_view name) {
  if (!object.is_object()) return nullptr;
  const auto found = object.find(name);
  return found == object.end() ? nullptr : &*found;
}

// The text of a member; empty if it is absent or no text.
std::string text_of(const Json& object, std::string_view name) {
  const Json* value = member(object, name);
  return value != nullptr && value->is_string() ? value->get<std::string>() : std::string();
}

std::optional<Time> time_of(const Json& object, std::string_view name) {
  const Json* value = member(object, name);
  if (value == nullptr || !value->is_number_integer()) return std::nullopt;
  const auto time = value->get<std::int64_t>();
  if (time < 0 || time > 253402300799) return std::nullopt;  // the year 9999
  return time;
}

Result<Json> parse_part(std::string_view base64, std::string_view what) {
  const auto bytes = from_base64url(base64);
  if (!bytes) return bad("has a " + std::string(what) + " that is not base64url");
  OTR_TRY_ASSIGN(Json json, parse_document(as_text(*bytes), what));
  if (!json.is_object()) return bad("has a " + std::string(what) + " that is no object");
  return json;
}

Result<NrasToken::Jwt> parse_jwt(const Json& value) {
  if (!value.is_string()) return bad("has a token that is no text");
  NrasToken::Jwt jwt;
  jwt.text = value.get<std::string>();
  const std::string_view text = jwt.text;
  const std::size_t first = text.find('.');
  const std::size_t second = first == text.npos ? first : text.find('.', first + 1);
  if (second == text.npos) return bad("has a token without header, claims and signature");
  OTR_TRY_ASSIGN(jwt.header, parse_part(text.substr(0, first), "token's header"));
  OTR_TRY_ASSIGN(jwt.claims,
                 parse_part(text.substr(first + 1, second - first - 1), "token's claims"));
  auto signature = from_base64url(text.substr(second + 1));
  if (!signature) return bad("has a token whose signature is not base64url");
  jwt.signature = std::move(*signature);
  return jwt;
}

// One key of the set, with its certificate.
struct Key {
  std::optional<PublicKey> key;
  std::optional<Certificate> certificate;
  std::string problem;  // why there is none
};

Key find_key(const Json& key_set, const std::string& kid) {
  const Json* keys = member(key_set, "keys");
  const Json* found = nullptr;
  if (keys != nullptr && keys->is_array()) {
    for (const Json& key : *keys) {
      if (text_of(key, "kid") != kid || kid.empty()) continue;
      if (found != nullptr) return {.key = {}, .certificate = {}, .problem = "is there twice"};
      found = &key;
    }
  }
  if (found == nullptr) {
    return {.key = {}, .certificate = {}, .problem = "is not in the key set that was given"};
  }
  const auto no = [](std::string problem) {
    return Key{.key = {}, .certificate = {}, .problem = std::move(problem)};
  };
  const auto x = from_base64url(text_of(*found, "x")), y = from_base64url(text_of(*found, "y"));
  if (text_of(*found, "kty") != "EC" || text_of(*found, "crv") != "P-384" || !x || !y ||
      x->size() != 48 || y->size() != 48) {
    return no("is no key of P-384");
  }
  Bytes point = *x;
  append(point, *y);
  auto key = PublicKey::from_point(point);
  if (!key) return no("is not on the curve");
  const Json* chain = member(*found, "x5c");
  if (chain == nullptr || !chain->is_array() || chain->empty() || !chain->front().is_string()) {
    return no("has no certificate (x5c)");
  }
  const auto der = from_base64(chain->front().get<std::string>());
  if (!der) return no("has a certificate that is not base64");
  auto certificate = Certificate::from_der(*der);
  if (!certificate) return no("has a certificate that cannot be read");
  if (!(certificate->key() == *key)) return no("is not the key of its certificate");
  return {.key = *std::move(key), .certificate = *std::move(certificate), .problem = {}};
}

bool check_signature(Checks& checks, const std::string& whose, const NrasToken::Jwt& jwt,
                     const Json& key_set, Time at) {
  const std::string name = whose + " is signed by NRAS";
  const std::string algorithm = text_of(jwt.header, "alg"), kid = text_of(jwt.header, "kid");
  if (algorithm != "ES384" || member(jwt.header, "crit") != nullptr) {
    return checks.fail(Code::kTokenInvalid, name,
                       "its algorithm is '" + algorithm +
                           "'; NRAS signs with ES384. Tokens of local verifiers are logs, not "
                           "evidence");
  }
  const Key key = find_key(key_set, kid);
  if (!key.key) {
    return checks.fail(Code::kTokenInvalid, name,
                       "unverifiable: key '" + kid + "' " + key.problem +
                           "; keep the answer of /.well-known/jwks.json of the same hour");
  }
  const std::string_view signed_text = std::string_view(jwt.text).substr(0, jwt.text.rfind('.'));
  if (!key.key->verify_ecdsa(Digest::kSha384, as_bytes(signed_text), jwt.signature)) {
    return checks.fail(Code::kTokenInvalid, name,
                       "the signature does not verify with key '" + kid + "'");
  }
  checks.pass(name, "ES384, key '" + kid + "'");
  const Certificate& certificate = *key.certificate;
  const bool valid = at >= certificate.not_before() && at <= certificate.not_after();
  return checks.require(valid, Code::kTimeInvalid, whose + " key is valid at the evaluation time",
                        "its certificate is valid " + to_text(certificate.not_before()) + " to " +
                            to_text(certificate.not_after()) +
                            (valid ? "" : "; evaluated at " + to_text(at)));
}

void check_claims(Checks& checks, const std::string& whose, const Json& claims, Time at) {
  const std::string issuer = text_of(claims, "iss");
  checks.require(issuer == kIssuer, Code::kTokenInvalid, whose + " issuer is NRAS",
                 issuer == kIssuer ? issuer : "'" + issuer + "', not " + std::string(kIssuer));
  const auto issued = time_of(claims, "iat"), begin = time_of(claims, "nbf"),
             end = time_of(claims, "exp");
  const std::string name = whose + " is valid at the evaluation time";
  if (!issued || !begin || !end) {
    checks.fail(Code::kTokenInvalid, name, "iat, nbf or exp is missing");
    return;
  }
  const bool valid = at >= *begin && at >= *issued && at <= *end;
  checks.require(valid, Code::kTimeInvalid, name,
                 "valid " + to_text(*begin) + " to " + to_text(*end) +
                     (valid ? "" : "; evaluated at " + to_text(at)));
}

// That the overall token names exactly the device tokens, each by its SHA-256.
void check_digests(Checks& checks, const NrasToken& token) {
  constexpr std::string_view kName = "overall token covers every device token";
  const Json* listed = member(token.overall.claims, "submods");
  if (listed == nullptr || !listed->is_object() || listed->size() != token.devices.size()) {
    checks.fail(Code::kTokenInvalid, kName,
                "it lists other devices than those whose tokens are here");
    return;
  }
  for (const auto& [device, jwt] : token.devices) {
    const std::string hex = to_plain_hex(crypto::sha256(as_bytes(jwt.text)));
    const Json* stated = member(*listed, device);
    if (stated == nullptr || *stated != Json({"DIGEST", Json::array({"SHA-256", hex})})) {
      checks.fail(Code::kTokenInvalid, kName,
                  "the token of " + device + " has SHA-256 " + hex +
                      ", which the overall token does not state for it");
      return;
    }
  }
  checks.pass(kName, std::to_string(token.devices.size()) + " devices, by SHA-256");
}

void check_nonces(Checks& checks, const NrasToken& token) {
  constexpr std::string_view kName = "all tokens state one nonce";
  const std::string nonce = text_of(token.overall.claims, "eat_nonce");
  for (const auto& [device, jwt] : token.devices) {
    const std::string own = text_of(jwt.claims, "eat_nonce");
    if (own != nonce || nonce.empty()) {
      checks.fail(Code::kTokenInvalid, kName,
                  "the overall token states '" + nonce + "', " + device + " '" + own + "'");
      return;
    }
  }
  checks.pass(kName, nonce);
}

}  // namespace

Result<NrasToken> parse_nras(std::string_view json) {
  if (json.size() > kMaxTokenBytes) return bad("is longer than 1 MiB");
  OTR_TRY_ASSIGN(const Json document, parse_document(json, "the NRAS answer"));
  const Json* inner = member(document, "detached_eat");
  const Json& eat = inner == nullptr ? document : *inner;
  if (!eat.is_array() || eat.size() != 2 || !eat[0].is_array() || eat[0].size() != 2 ||
      eat[0][0] != "JWT" || !eat[1].is_object()) {
    return bad("is no detached EAT: [[\"JWT\", token], {device: token}]");
  }
  if (eat[1].empty() || eat[1].size() > kMaxDevices) return bad("speaks of no device, or over 64");
  NrasToken token;
  OTR_TRY_ASSIGN(token.overall, parse_jwt(eat[0][1]));
  for (const auto& [device, value] : eat[1].items()) {
    OTR_TRY_ASSIGN(NrasToken::Jwt jwt, parse_jwt(value));
    token.devices.emplace_back(device, std::move(jwt));
  }
  return token;
}

void verify_nras(Verdict& verdict, const NrasToken& token, std::string_view jwks, Time at) {
  verdict.kind = Kind::kNrasToken;
  verdict.hardware = false;
  verdict.facts["overall"] = token.overall.claims;
  for (const auto& [device, jwt] : token.devices) verdict.facts["devices"][device] = jwt.claims;
  Checks checks(verdict, Stage::kVerify);
  Json key_set = Json::object();
  if (!jwks.empty()) {
    auto parsed = parse_document(jwks, "the key set");
    if (!parsed) {
      checks.fail(Code::kCollateralInvalid, "key set can be read", parsed.error().message);
    } else {
      key_set = *std::move(parsed);
    }
  }
  check_signature(checks, "overall token", token.overall, key_set, at);
  check_claims(checks, "overall token", token.overall.claims, at);
  for (const auto& [device, jwt] : token.devices) {
    check_signature(checks, "token of " + device, jwt, key_set, at);
    check_claims(checks, "token of " + device, jwt.claims, at);
  }
  check_digests(checks, token);
  check_nonces(checks, token);
  checks.not_applicable("key set belongs to NVIDIA",
                        "taken as it was given: no root for it is pinned here, so whoever fetched "
                        "it vouches for it");
}

}  // namespace otr::attest

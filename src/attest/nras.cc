#include "attest/nras.h"

#include <algorithm>
#include <array>
#include <optional>
#include <set>
#include <utility>

#include "attest/bundle_json.h"
#include "attest/encoding.h"
#include "attest/verified_cache.h"
#include "crypto/sha256.h"

namespace otr::attest {
namespace {

constexpr std::string_view kIssuer = "https://nras.attestation.nvidia.com";
constexpr std::size_t kMaxTokenBytes = std::size_t{1} << 20, kMaxDevices = 64, kMaxChain = 8;

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

// One key of the set, with its certificates: leaf first, perhaps none.
struct Key {
  std::optional<PublicKey> key;
  std::vector<Certificate> chain;
  std::string problem;  // why there is no key
};

Key no_key(std::string problem) { return {.key = {}, .chain = {}, .problem = std::move(problem)}; }

Result<std::vector<Certificate>> parse_x5c(const Json* list) {
  std::vector<Certificate> chain;
  if (list == nullptr) return chain;
  if (!list->is_array() || list->size() > kMaxChain) return bad("has a key whose x5c is no list");
  for (const Json& text : *list) {
    const auto der =
        text.is_string() ? from_base64(text.get_ref<const std::string&>()) : std::optional<Bytes>();
    if (!der) return bad("has a key with a certificate that is not base64");
    OTR_TRY_ASSIGN(Certificate certificate, Certificate::from_der(*der));
    chain.push_back(std::move(certificate));
  }
  return chain;
}

Key find_key(const Json& key_set, const std::string& kid) {
  const Json* keys = member(key_set, "keys");
  const Json* found = nullptr;
  if (keys != nullptr && keys->is_array()) {
    for (const Json& key : *keys) {
      if (text_of(key, "kid") != kid || kid.empty()) continue;
      if (found != nullptr) return no_key("is there twice");
      found = &key;
    }
  }
  if (found == nullptr) return no_key("is not in the key set that was given");
  const auto x = from_base64url(text_of(*found, "x")), y = from_base64url(text_of(*found, "y"));
  if (text_of(*found, "kty") != "EC" || text_of(*found, "crv") != "P-384" || !x || !y ||
      x->size() != 48 || y->size() != 48) {
    return no_key("is no key of P-384");
  }
  Bytes point = *x;
  append(point, *y);
  auto key = PublicKey::from_point(point);
  if (!key) return no_key("is not on the curve");
  auto chain = parse_x5c(member(*found, "x5c"));
  if (!chain) return no_key("has certificates (x5c) that cannot be read");
  if (!chain->empty() && !(chain->front().key() == *key)) {
    return no_key("is not the key of its certificate");
  }
  return {.key = *std::move(key), .chain = *std::move(chain), .problem = {}};
}

// Whose keys are taken for NRAS's.
struct Trust {
  std::span<const Certificate> anchors;
  std::span<const Hash> roots;
  Time at;
  VerifiedCache& cache;
};

// That the key is one of NVIDIA's service: anybody can write a key set.
bool check_key(Checks& checks, const std::string& whose, std::vector<Certificate> chain,
               const Trust& trust) {
  const std::string name = whose + " key belongs to NVIDIA's service";
  if (chain.empty()) {
    return checks.fail(Code::kTokenKeyUnknown, name,
                       "the key has no certificates (x5c), so anybody may have made it");
  }
  std::vector<Certificate> anchors(trust.anchors.begin(), trust.anchors.end());
  for (std::size_t i = 1; i < chain.size(); ++i) {
    const bool named = std::ranges::find(trust.roots, chain[i].fingerprint()) != trust.roots.end();
    if (named) anchors.push_back(chain[i]);
    // What stands above an anchor is of no concern.
    if (std::ranges::find(anchors, chain[i]) == anchors.end()) continue;
    chain.erase(chain.begin() + static_cast<std::ptrdiff_t>(i) + 1, chain.end());
  }
  const Certificate& last = chain.back();
  const bool known = std::ranges::any_of(anchors, [&](const Certificate& anchor) {
    return (chain.size() > 1 && last == anchor) || last.is_issued_by(anchor);
  });
  const std::string end =
      "'" + last.subject_common_name() + "', SHA-256 " + to_plain_hex(last.fingerprint());
  return checks.require(known, Code::kTokenKeyUnknown, name,
                        known ? "its chain ends in " + end
                              : "its chain ends in " + end +
                                    ": no authority of NVIDIA's service that is known here, and "
                                    "none that the policy names ([nras] roots)") &&
         check_chain(checks, whose + " key", chain, anchors, trust.at, &trust.cache);
}

bool check_signature(Checks& checks, const std::string& whose, const NrasToken::Jwt& jwt,
                     const Json& key_set, const Trust& trust) {
  const std::string name = whose + " is signed by its key";
  const std::string algorithm = text_of(jwt.header, "alg"), kid = text_of(jwt.header, "kid");
  if (algorithm != "ES384" || member(jwt.header, "crit") != nullptr) {
    return checks.fail(Code::kTokenInvalid, name,
                       "its algorithm is '" + algorithm +
                           "'; NRAS signs with ES384. Tokens of local verifiers are logs, not "
                           "evidence");
  }
  Key key = find_key(key_set, kid);
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
  return check_key(checks, whose, std::move(key.chain), trust);
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

Bytes NrasToken::nonce() const {
  return from_plain_hex(text_of(overall.claims, "eat_nonce")).value_or(Bytes());
}

std::vector<std::string> NrasToken::ueids() const {
  std::vector<std::string> ueids;
  for (const auto& device : devices) ueids.push_back(text_of(device.second.claims, "ueid"));
  return ueids;
}

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

void verify_nras(Verdict& verdict, const NrasToken& token, std::string_view jwks,
                 std::span<const Certificate> anchors, std::span<const Hash> roots, Time at) {
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
  VerifiedCache cache;  // the tokens of an answer have one key
  const Trust trust{.anchors = anchors, .roots = roots, .at = at, .cache = cache};
  check_signature(checks, "overall token", token.overall, key_set, trust);
  check_claims(checks, "overall token", token.overall.claims, at);
  for (const auto& [device, jwt] : token.devices) {
    check_signature(checks, "token of " + device, jwt, key_set, trust);
    check_claims(checks, "token of " + device, jwt.claims, at);
  }
  check_digests(checks, token);
  check_nonces(checks, token);
}

}  // namespace otr::attest

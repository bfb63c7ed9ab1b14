#include "attest/ocsp.h"

#include <algorithm>
#include <array>
#include <optional>
#include <utility>
#include <vector>

#include "attest/der.h"
#include "attest/encoding.h"
#include "attest/hash.h"
#include "crypto/sha256.h"

namespace otr::attest {
namespace {

constexpr std::string_view kBasicResponse = "1.3.6.1.5.5.7.48.1.1";
constexpr std::string_view kOcspSigning = "1.3.6.1.5.5.7.3.9", kExtendedKeyUsage = "2.5.29.37";
constexpr std::size_t kMaxResponseBytes = 65536, kMaxAnswers = 64, kMaxCertificates = 4;
constexpr std::uint8_t kContext0 = 0xA0, kContext1 = 0xA1, kContext2 = 0xA2,
                       kGeneralizedTime = 0x18;
constexpr std::uint8_t kGood = 0x80, kRevoked = 0xA1, kUnknown = 0x82;
constexpr unsigned kCertificateHold = 6;

struct Answer {
  std::string hash_oid;
  Bytes name_hash, key_hash, serial;
  std::uint8_t status = kUnknown;
  Time revoked_at = 0;
  std::optional<std::uint64_t> reason;
  Time this_update = 0;
  std::optional<Time> next_update;
};

std::unexpected<Error> bad(std::string what) {
  return fail(ErrorKind::kBadInput, "the OCSP response " + std::move(what), "MALFORMED");
}

// RFC 6960 allows seconds and Z alone (RFC 5280, 4.1.2.5.2).
Result<Time> read_time(DerReader& reader) {
  OTR_TRY_ASSIGN(const DerItem item, reader.next(kGeneralizedTime));
  const std::string_view text = as_text(item.content);
  if (text.size() == 15 && text.back() == 'Z') {
    const std::string spelled =
        std::string(text.substr(0, 4)) + "-" + std::string(text.substr(4, 2)) + "-" +
        std::string(text.substr(6, 2)) + "T" + std::string(text.substr(8, 2)) + ":" +
        std::string(text.substr(10, 2)) + ":" + std::string(text.substr(12));
    if (auto time = parse_time(spelled)) return *time;
  }
  return bad("has a time that is not YYYYMMDDHHMMSSZ");
}

// The OID of an AlgorithmIdentifier whose parameters are absent or NULL.
Result<std::string> read_algorithm(DerReader& reader) {
  OTR_TRY_ASSIGN(const DerItem item, reader.next(kDerSequence));
  DerReader inside(item.content);
  OTR_TRY_ASSIGN(const DerItem oid, inside.next(kDerOid));
  if (!inside.empty()) {
    OTR_TRY_ASSIGN(const DerItem null, inside.next(0x05));
    if (!null.content.empty() || !inside.empty()) return bad("has an algorithm with parameters");
  }
  return der_oid(oid.content);
}

Result<Bytes> read_bit_string(DerReader& reader) {
  OTR_TRY_ASSIGN(const DerItem item, reader.next(kDerBitString));
  if (item.content.empty() || item.content[0] != 0) return bad("has a malformed BIT STRING");
  return Bytes(item.content.begin() + 1, item.content.end());
}

Bytes without_leading_zeros(ByteView bytes) {
  while (!bytes.empty() && bytes.front() == 0) bytes = bytes.subspan(1);
  return {bytes.begin(), bytes.end()};
}

Status read_cert_id(DerReader& reader, Answer& answer) {
  OTR_TRY_ASSIGN(const DerItem id, reader.next(kDerSequence));
  DerReader inside(id.content);
  OTR_TRY_ASSIGN(answer.hash_oid, read_algorithm(inside));
  OTR_TRY_ASSIGN(const DerItem name, inside.next(kDerOctetString));
  OTR_TRY_ASSIGN(const DerItem key, inside.next(kDerOctetString));
  OTR_TRY_ASSIGN(const DerItem serial, inside.next(kDerInteger));
  if (!inside.empty()) return bad("has a CertID with more than four fields");
  answer.name_hash.assign(name.content.begin(), name.content.end());
  answer.key_hash.assign(key.content.begin(), key.content.end());
  answer.serial = without_leading_zeros(serial.content);
  return {};
}

Status read_status(DerReader& reader, Answer& answer) {
  OTR_TRY_ASSIGN(const DerItem status, reader.next());
  answer.status = status.tag;
  if (status.tag == kGood || status.tag == kUnknown) {
    if (!status.content.empty()) return bad("has a certStatus with content");
    return {};
  }
  if (status.tag != kRevoked) return bad("has no certStatus");
  DerReader inside(status.content);
  OTR_TRY_ASSIGN(answer.revoked_at, read_time(inside));
  if (inside.empty()) return {};
  OTR_TRY_ASSIGN(const DerItem wrapped, inside.next(kContext0));
  DerReader reason(wrapped.content);
  OTR_TRY_ASSIGN(const DerItem code, reason.next(kDerEnumerated));
  OTR_TRY_ASSIGN(answer.reason, der_unsigned(code.content));
  if (!inside.empty() || !reason.empty()) return bad("has a malformed revocation");
  return {};
}

Result<Answer> read_answer(DerReader& reader) {
  OTR_TRY_ASSIGN(const DerItem single, reader.next(kDerSequence));
  DerReader inside(single.content);
  Answer answer;
  OTR_TRY(read_cert_id(inside, answer));
  OTR_TRY(read_status(inside, answer));
  OTR_TRY_ASSIGN(answer.this_update, read_time(inside));
  for (const std::uint8_t tag : {kContext0, kContext1}) {
    if (inside.empty()) break;
    OTR_TRY_ASSIGN(const DerItem item, inside.next());
    if (item.tag == kContext0 && tag == kContext0) {
      DerReader time(item.content);
      OTR_TRY_ASSIGN(answer.next_update, read_time(time));
      if (!time.empty()) return bad("has a malformed nextUpdate");
    } else if (item.tag == kContext1) {  // singleExtensions
      break;
    } else {
      return bad("has an answer with an unknown field");
    }
  }
  if (!inside.empty()) return bad("has an answer with bytes after its fields");
  return answer;
}

// The DER of the subject's Name.
Result<Bytes> subject_der(const Certificate& certificate) {
  DerReader outer(certificate.der());
  OTR_TRY_ASSIGN(const DerItem whole, outer.next(kDerSequence));
  DerReader middle(whole.content);
  OTR_TRY_ASSIGN(const DerItem tbs, middle.next(kDerSequence));
  DerReader fields(tbs.content);
  OTR_TRY_ASSIGN(DerItem item, fields.next());  // version, else serial number
  if (item.tag == kContext0) {
    OTR_TRY_ASSIGN(item, fields.next(kDerInteger));
  }
  for (int i = 0; i < 4; ++i) {  // signature, issuer, validity, subject
    OTR_TRY_ASSIGN(item, fields.next(kDerSequence));
  }
  return Bytes(item.whole.begin(), item.whole.end());
}

// The key as it stands in the BIT STRING of SubjectPublicKeyInfo.
Result<Bytes> key_bits(const Certificate& certificate) {
  const Bytes der = certificate.key().der();
  DerReader outer(der);
  OTR_TRY_ASSIGN(const DerItem info, outer.next(kDerSequence));
  DerReader inside(info.content);
  OTR_TRY_ASSIGN(const DerItem algorithm, inside.next(kDerSequence));
  static_cast<void>(algorithm);
  return read_bit_string(inside);
}

std::optional<Bytes> hash_by_oid(std::string_view oid, ByteView bytes) {
  if (oid == "1.3.14.3.2.26") return sha1(bytes);
  if (oid == "2.16.840.1.101.3.4.2.2") return sha384(bytes);
  if (oid == "2.16.840.1.101.3.4.2.3") return sha512(bytes);
  if (oid != "2.16.840.1.101.3.4.2.1") return std::nullopt;
  const Hash hash = crypto::sha256(bytes);
  return Bytes(hash.begin(), hash.end());
}

bool answers_for(const Answer& answer, const Certificate& certificate, const Certificate& issuer) {
  if (answer.serial != certificate.serial()) return false;
  const auto name = subject_der(issuer);
  const auto key = key_bits(issuer);
  return name && key && hash_by_oid(answer.hash_oid, *name) == answer.name_hash &&
         hash_by_oid(answer.hash_oid, *key) == answer.key_hash;
}

std::optional<Digest> digest_of(std::string_view oid) {
  if (oid == "1.2.840.10045.4.3.2") return Digest::kSha256;
  if (oid == "1.2.840.10045.4.3.3") return Digest::kSha384;
  if (oid == "1.2.840.10045.4.3.4") return Digest::kSha512;
  return std::nullopt;
}

// ECDSA-Sig-Value to r || s of `field` bytes each.
Result<Bytes> fixed_signature(ByteView der, std::size_t field) {
  DerReader outer(der);
  OTR_TRY_ASSIGN(const DerItem whole, outer.next(kDerSequence));
  DerReader inside(whole.content);
  Bytes r_s;
  for (int i = 0; i < 2; ++i) {
    OTR_TRY_ASSIGN(const DerItem item, inside.next(kDerInteger));
    const bool negative = item.content.empty() || (item.content[0] & 0x80) != 0;
    const bool padded = item.content.size() > 1 && item.content[0] == 0 && item.content[1] < 0x80;
    const Bytes value = without_leading_zeros(item.content);
    if (negative || padded || value.size() > field) return bad("has a malformed signature");
    r_s.resize(r_s.size() + field - value.size());
    append(r_s, value);
  }
  if (!outer.empty() || !inside.empty()) return bad("has a malformed signature");
  return r_s;
}

bool is_ocsp_signer(const Certificate& certificate) {
  const auto usage = certificate.extension(kExtendedKeyUsage);
  if (!usage) return false;
  DerReader outer(*usage);
  const auto list = outer.next(kDerSequence);
  if (!list || !outer.empty()) return false;
  DerReader inside(list->content);
  while (!inside.empty()) {
    const auto oid = inside.next(kDerOid);
    if (!oid) return false;
    if (const auto text = der_oid(oid->content); text && *text == kOcspSigning) return true;
  }
  return false;
}

}  // namespace

struct OcspResponse::Data {
  Bytes signed_part, signature, responder_name, responder_key;  // one of the last two is empty
  std::string algorithm;
  std::vector<Answer> answers;
  std::vector<Certificate> certificates;

  [[nodiscard]] bool is_responder(const Certificate& certificate) const {
    if (!responder_name.empty()) {
      const auto name = subject_der(certificate);
      return name && *name == responder_name;
    }
    const auto key = key_bits(certificate);
    return key && sha1(*key) == responder_key;
  }
  [[nodiscard]] bool is_signed_by(const Certificate& certificate, VerifiedCache* cache) const;
};

bool OcspResponse::Data::is_signed_by(const Certificate& certificate, VerifiedCache* cache) const {
  const Bytes key_der = certificate.key().der();
  const std::array<ByteView, 4> parts = {key_der, as_bytes(algorithm), signed_part, signature};
  const Hash key = VerifiedCache::key_of("ocsp", parts);
  if (cache != nullptr && cache->knows(key)) return true;
  const auto digest = digest_of(algorithm);
  const std::size_t field = certificate.key().is_ec(384) ? 48 : 32;
  const auto r_s = fixed_signature(signature, field);
  if (!digest || !r_s || !certificate.key().verify_ecdsa(*digest, signed_part, *r_s)) return false;
  if (cache != nullptr) cache->remember(key);
  return true;
}

namespace {

Status read_response_data(const DerItem& item, OcspResponse::Data& data) {
  data.signed_part.assign(item.whole.begin(), item.whole.end());
  DerReader fields(item.content);
  OTR_TRY_ASSIGN(const DerItem responder, fields.next());
  DerReader id(responder.content);
  if (responder.tag == kContext1) {
    OTR_TRY_ASSIGN(const DerItem name, id.next(kDerSequence));
    data.responder_name.assign(name.whole.begin(), name.whole.end());
  } else if (responder.tag == kContext2) {
    OTR_TRY_ASSIGN(const DerItem key, id.next(kDerOctetString));
    data.responder_key.assign(key.content.begin(), key.content.end());
  } else {
    return bad("is of another version, or does not say who answers");
  }
  if (!id.empty()) return bad("has a malformed responder id");
  OTR_TRY(read_time(fields));  // producedAt
  OTR_TRY_ASSIGN(const DerItem list, fields.next(kDerSequence));
  DerReader answers(list.content);
  while (!answers.empty()) {
    OTR_TRY_ASSIGN(Answer answer, read_answer(answers));
    if (data.answers.size() == kMaxAnswers) return bad("has more than 64 answers");
    data.answers.push_back(std::move(answer));
  }
  if (data.answers.empty()) return bad("answers nothing");
  if (!fields.empty()) OTR_TRY(fields.next(kContext1));  // responseExtensions, such as a nonce
  if (!fields.empty()) return bad("has bytes after its extensions");
  return {};
}

Status read_certificates(DerReader& basic, OcspResponse::Data& data) {
  if (basic.empty()) return {};
  OTR_TRY_ASSIGN(const DerItem wrapped, basic.next(kContext0));
  DerReader outer(wrapped.content);
  OTR_TRY_ASSIGN(const DerItem list, outer.next(kDerSequence));
  DerReader items(list.content);
  while (!items.empty()) {
    OTR_TRY_ASSIGN(const DerItem item, items.next(kDerSequence));
    if (data.certificates.size() == kMaxCertificates) return bad("has more than 4 certificates");
    OTR_TRY_ASSIGN(Certificate certificate, Certificate::from_der(item.whole));
    data.certificates.push_back(std::move(certificate));
  }
  if (!outer.empty() || !basic.empty()) return bad("has bytes after its certificates");
  return {};
}

// The BasicOCSPResponse inside a successful OCSPResponse.
Result<Bytes> basic_response(ByteView der) {
  DerReader outer(der);
  OTR_TRY_ASSIGN(const DerItem whole, outer.next(kDerSequence));
  if (!outer.empty()) return bad("goes on after its end");
  DerReader fields(whole.content);
  OTR_TRY_ASSIGN(const DerItem code, fields.next(kDerEnumerated));
  OTR_TRY_ASSIGN(const std::uint64_t status, der_unsigned(code.content));
  if (status != 0) {
    return bad("is an error of the responder, number " + std::to_string(status) +
               ", and no answer");
  }
  OTR_TRY_ASSIGN(const DerItem wrapped, fields.next(kContext0));
  DerReader unwrapped(wrapped.content);
  OTR_TRY_ASSIGN(const DerItem response, unwrapped.next(kDerSequence));
  DerReader inside(response.content);
  OTR_TRY_ASSIGN(const DerItem type, inside.next(kDerOid));
  OTR_TRY_ASSIGN(const std::string oid, der_oid(type.content));
  if (oid != kBasicResponse) return bad("is of a kind that is not known, " + oid);
  OTR_TRY_ASSIGN(const DerItem bytes, inside.next(kDerOctetString));
  if (!inside.empty() || !unwrapped.empty() || !fields.empty()) return bad("has fields too many");
  return Bytes(bytes.content.begin(), bytes.content.end());
}

}  // namespace

Result<OcspResponse> OcspResponse::from_der(ByteView der) {
  if (der.size() > kMaxResponseBytes) return bad("is longer than 64 KiB");
  OTR_TRY_ASSIGN(const Bytes basic, basic_response(der));
  DerReader outer(basic);
  OTR_TRY_ASSIGN(const DerItem whole, outer.next(kDerSequence));
  if (!outer.empty()) return bad("goes on after its end");
  DerReader fields(whole.content);
  auto data = std::make_shared<Data>();
  OTR_TRY_ASSIGN(const DerItem signed_part, fields.next(kDerSequence));
  OTR_TRY(read_response_data(signed_part, *data));
  OTR_TRY_ASSIGN(data->algorithm, read_algorithm(fields));
  OTR_TRY_ASSIGN(data->signature, read_bit_string(fields));
  OTR_TRY(read_certificates(fields, *data));
  OcspResponse response;
  response.data_ = std::move(data);
  return response;
}

bool OcspResponse::is_about(const Certificate& certificate, const Certificate& issuer) const {
  return std::ranges::any_of(data_->answers, [&](const Answer& answer) {
    return answers_for(answer, certificate, issuer);
  });
}

Time OcspResponse::this_update() const { return data_->answers.front().this_update; }

namespace {

std::string hours(std::int64_t seconds) { return std::to_string(seconds / 3600) + " h"; }

std::string window_of(const Answer& answer) {
  return "answered " + to_text(answer.this_update) +
         (answer.next_update ? ", valid to " + to_text(*answer.next_update) : std::string());
}

std::string reason_of(const Answer& answer) {
  constexpr std::array<std::string_view, 11> kReasons = {
      "unspecified",   "keyCompromise",        "cACompromise",    "affiliationChanged",
      "superseded",    "cessationOfOperation", "certificateHold", "",
      "removeFromCRL", "privilegeWithdrawn",   "aACompromise"};
  if (!answer.reason || *answer.reason >= kReasons.size()) return "no reason given";
  return std::string(kReasons[*answer.reason]);
}

// An answer, and who signed it.
struct Found {
  const Answer* answer = nullptr;
  const Certificate* responder = nullptr;
};

// Who may sign for `issuer`, and did; nothing with `why` if nobody.
const Certificate* signer_of(const OcspResponse::Data& data, const Certificate& issuer,
                             VerifiedCache* cache, std::string& why) {
  if (data.is_responder(issuer)) {
    if (data.is_signed_by(issuer, cache)) return &issuer;
    why = "its signature does not verify with the key of " + issuer.subject();
    return nullptr;
  }
  for (const Certificate& responder : data.certificates) {
    if (!data.is_responder(responder)) continue;
    if (!is_ocsp_signer(responder)) {
      why = responder.subject() + " may not sign OCSP answers";
    } else if (!is_issued(responder, issuer, cache)) {
      why = responder.subject() + " is not issued by " + issuer.subject();
    } else if (!data.is_signed_by(responder, cache)) {
      why = "its signature does not verify with the key of " + responder.subject();
    } else {
      return &responder;
    }
    return nullptr;
  }
  why = "it holds no certificate of the responder that it names";
  return nullptr;
}

// The newest answer that is not from after `at`, unless an older one revokes for good.
Found deciding(const std::vector<Found>& all, Time at) {
  Found newest;
  for (const Found& found : all) {
    const Answer& answer = *found.answer;
    if (answer.status == kRevoked && answer.revoked_at <= at && answer.reason != kCertificateHold) {
      return found;
    }
    if (answer.this_update > at) continue;
    if (newest.answer == nullptr || answer.this_update > newest.answer->this_update ||
        (answer.this_update == newest.answer->this_update && answer.status != kGood)) {
      newest = found;
    }
  }
  return newest;
}

bool judge(Checks& checks, const std::string& name, const Found& found, const OcspRules& rules,
           Time at) {
  const Answer& answer = *found.answer;
  const std::string window = window_of(answer);
  if (answer.status == kRevoked) {
    return checks.fail(
        Code::kRevoked, name,
        "revoked since " + to_text(answer.revoked_at) + " (" + reason_of(answer) + "), " + window);
  }
  if (answer.status != kGood) {
    return checks.fail(Code::kRevocationUnknown, name,
                       "the responder does not know the certificate, " + window);
  }
  const std::int64_t age = at - answer.this_update;
  // Divided, because the hours of a policy may be any number.
  if (age / 3600 > rules.max_age_hours || (age / 3600 == rules.max_age_hours && age % 3600 != 0)) {
    return checks.fail(Code::kRevocationUnknown, name,
                       "stale: " + window + ", " + hours(age) + " old where at most " +
                           std::to_string(rules.max_age_hours) + " h are allowed; ask again");
  }
  const bool ended = !answer.next_update || at > *answer.next_update;
  if (ended && !rules.past_next_update) {
    return checks.fail(Code::kRevocationUnknown, name,
                       "stale: " + window + "; ask the responder again");
  }
  const Time judged = ended ? answer.this_update : at;
  const Certificate& by = *found.responder;
  if (judged < by.not_before() || judged > by.not_after()) {
    return checks.fail(Code::kCollateralInvalid, name,
                       "the responder's certificate (" + by.subject() + ") is valid from " +
                           to_text(by.not_before()) + " to " + to_text(by.not_after()));
  }
  checks.pass(name, "good, " + window + ", by " + by.subject());
  return true;
}

}  // namespace

bool check_ocsp(Checks& checks, std::string_view name, const Certificate& certificate,
                const Certificate& issuer, std::span<const OcspResponse> responses,
                const OcspRules& rules, Time at, VerifiedCache* cache) {
  const std::string check = std::string(name) + " is not revoked (OCSP)";
  std::vector<Found> all;
  for (const OcspResponse& response : responses) {
    const OcspResponse::Data& data = *response.data_;
    const Certificate* signer = nullptr;
    for (const Answer& answer : data.answers) {
      if (!answers_for(answer, certificate, issuer)) continue;
      std::string why;
      if (signer == nullptr) signer = signer_of(data, issuer, cache, why);
      if (signer == nullptr) {
        return checks.fail(
            Code::kCollateralInvalid, check,
            "the answer of " + to_text(answer.this_update) + " is not genuine: " + why);
      }
      all.push_back({.answer = &answer, .responder = signer});
    }
  }
  if (all.empty()) {
    return checks.fail(Code::kRevocationUnknown, check,
                       "no OCSP answer was given for " + certificate.subject() +
                           ", serial number " + to_plain_hex(certificate.serial()));
  }
  const Found found = deciding(all, at);
  if (found.answer == nullptr) {
    return checks.fail(Code::kRevocationUnknown, check,
                       window_of(*all.front().answer) + ", which is after " + to_text(at));
  }
  return judge(checks, check, found, rules, at);
}

}  // namespace otr::attest

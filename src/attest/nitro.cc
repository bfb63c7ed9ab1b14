#include "attest/nitro.h"

#include <algorithm>
#include <set>

#include "attest/cbor.h"
#include "attest/encoding.h"
#include "attest/simulated.h"

namespace otr::attest {
namespace {

// Bounds of AWS's description of the document.
constexpr std::size_t kMaxDocumentBytes = 64 << 10, kMaxCertificateBytes = 1024,
                      kMaxCertificates = 8, kMaxPublicKeyBytes = 1024, kMaxUserBytes = 512,
                      kMaxTextBytes = 128, kMaxPcr = 31, kPcrBytes = 48;
constexpr std::uint8_t kCoseSign1Tag = 18;
// The protected header {1: -35}: the signature is ECDSA over P-384 with SHA-384.
constexpr std::array<std::uint8_t, 4> kEs384 = {0xa1, 0x01, 0x38, 0x22};

std::unexpected<Error> unsupported(const std::string& what) {
  return fail(ErrorKind::kBadInput, "Nitro document: " + what, "UNSUPPORTED");
}

// The four parts of a COSE_Sign1 structure.
struct Envelope {
  ByteView protected_header, payload, signature;
  std::size_t trailing_bytes = 0;
};

Result<Envelope> read_envelope(ByteView bytes) {
  CborReader reader(bytes, "Nitro document");
  if (bytes.size() > kMaxDocumentBytes) {
    return reader.malformed("length", "more than 65536 bytes");
  }
  static_cast<void>(reader.take_tag(kCoseSign1Tag));
  OTR_TRY_ASSIGN(const auto parts, reader.array("COSE_Sign1"));
  if (parts.left != 4) return reader.malformed("COSE_Sign1", "an array of four parts must be here");
  Envelope envelope;
  OTR_TRY_ASSIGN(envelope.protected_header, reader.bytes("protected header", 64));
  if (!std::ranges::equal(envelope.protected_header, kEs384)) {
    return unsupported("the protected header is " + to_plain_hex(envelope.protected_header) +
                       ", not that of ES384 alone (a1013822)");
  }
  OTR_TRY_ASSIGN(auto unprotected, reader.map("unprotected header"));
  OTR_TRY_ASSIGN(const bool any, reader.more(unprotected, "unprotected header"));
  if (any) return reader.malformed("unprotected header", "it must be empty");
  OTR_TRY_ASSIGN(envelope.payload, reader.bytes("payload", kMaxDocumentBytes));
  OTR_TRY_ASSIGN(envelope.signature, reader.bytes("signature", 96));
  if (envelope.signature.size() != 96) {
    return reader.malformed("signature", "it must have 96 bytes");
  }
  envelope.trailing_bytes = bytes.size() - reader.offset();
  return envelope;
}

// A byte string with its head in the shortest form (RFC 8949 section 3). None here is longer than a
// document, of which the envelope takes a part, so that two bytes hold every length.
void append_bytes(Bytes& to, ByteView bytes) {
  const std::size_t size = bytes.size();
  if (size < 24) {
    to.push_back(static_cast<std::uint8_t>(0x40 | size));
  } else if (size < 256) {
    append(to, Bytes{0x58, static_cast<std::uint8_t>(size)});
  } else {
    append(to, Bytes{0x59, static_cast<std::uint8_t>(size >> 8), static_cast<std::uint8_t>(size)});
  }
  append(to, bytes);
}

// What was signed (RFC 9052 section 4.4): ["Signature1", protected header, no more, payload].
Bytes signed_structure(const Envelope& envelope) {
  constexpr std::string_view kContext = "Signature1";
  Bytes to = {0x84, static_cast<std::uint8_t>(0x60 | kContext.size())};
  append(to, as_bytes(kContext));
  append_bytes(to, envelope.protected_header);
  append_bytes(to, {});
  append_bytes(to, envelope.payload);
  return to;
}

Status read_pcrs(CborReader& reader, NitroDocument& document) {
  OTR_TRY_ASSIGN(auto entries, reader.map("pcrs"));
  while (true) {
    OTR_TRY_ASSIGN(const bool more, reader.more(entries, "pcrs"));
    if (!more) break;
    OTR_TRY_ASSIGN(const std::uint64_t index, reader.number("index of a PCR"));
    if (index > kMaxPcr) return reader.malformed("pcrs", "an index above 31");
    OTR_TRY_ASSIGN(const ByteView value, reader.bytes("value of a PCR", kPcrBytes));
    if (value.size() != kPcrBytes) {
      return reader.malformed("pcrs", "a PCR of SHA-384 must have 48 bytes");
    }
    if (!document.pcrs.emplace(static_cast<unsigned>(index), Bytes(value.begin(), value.end()))
             .second) {
      return reader.malformed("pcrs", "PCR" + std::to_string(index) + " is there twice");
    }
  }
  if (document.pcrs.empty()) return reader.malformed("pcrs", "there are none");
  return {};
}

Result<Certificate> read_certificate(CborReader& reader, std::string_view what) {
  OTR_TRY_ASSIGN(const ByteView der, reader.bytes(what, kMaxCertificateBytes));
  auto certificate = Certificate::from_der(der);
  if (!certificate) return reader.malformed(what, certificate.error().message);
  return certificate;
}

// The root comes first in the bundle, and last in ours, after the leaf that already stands there.
Status read_bundle(CborReader& reader, std::vector<Certificate>& bundle) {
  OTR_TRY_ASSIGN(auto entries, reader.array("cabundle"));
  while (true) {
    OTR_TRY_ASSIGN(const bool more, reader.more(entries, "cabundle"));
    if (!more) break;
    if (bundle.size() == kMaxCertificates) {
      return reader.malformed("cabundle", "more than 8 certificates");
    }
    OTR_TRY_ASSIGN(Certificate certificate, read_certificate(reader, "certificate of cabundle"));
    bundle.push_back(std::move(certificate));
  }
  if (bundle.empty()) return reader.malformed("cabundle", "there is no certificate");
  std::ranges::reverse(bundle);
  return {};
}

Status read_optional(CborReader& reader, std::string_view what, std::size_t max_bytes,
                     std::optional<Bytes>& to) {
  if (reader.take_null()) return {};
  OTR_TRY_ASSIGN(const ByteView bytes, reader.bytes(what, max_bytes));
  to.emplace(bytes.begin(), bytes.end());
  return {};
}

struct Payload {
  NitroDocument document;
  std::vector<Certificate> leaf, bundle;
};

Status read_field(CborReader& reader, const std::string& key, Payload& to) {
  if (key == "module_id") {
    OTR_TRY_ASSIGN(to.document.module_id, reader.text(key, kMaxTextBytes));
    return {};
  }
  if (key == "digest") {
    OTR_TRY_ASSIGN(const std::string digest, reader.text(key, kMaxTextBytes));
    if (digest != "SHA384") return unsupported("digest " + digest + " is not SHA384");
    return {};
  }
  if (key == "timestamp") {
    OTR_TRY_ASSIGN(to.document.timestamp_ms, reader.number(key));
    return {};
  }
  if (key == "pcrs") return read_pcrs(reader, to.document);
  if (key == "certificate") {
    OTR_TRY_ASSIGN(Certificate leaf, read_certificate(reader, key));
    to.leaf.push_back(std::move(leaf));
    return {};
  }
  if (key == "cabundle") return read_bundle(reader, to.bundle);
  if (key == "public_key") {
    return read_optional(reader, key, kMaxPublicKeyBytes, to.document.public_key);
  }
  if (key == "user_data") return read_optional(reader, key, kMaxUserBytes, to.document.user_data);
  if (key == "nonce") return read_optional(reader, key, kMaxUserBytes, to.document.nonce);
  return unsupported("a member \"" + key + "\", which is not known here");
}

bool is_zero(ByteView bytes) {
  return std::ranges::all_of(bytes, [](std::uint8_t byte) { return byte == 0; });
}

Time seconds(const NitroDocument& document) {
  return static_cast<Time>(document.timestamp_ms / 1000);
}

}  // namespace

Result<NitroDocument> parse_nitro(ByteView bytes) {
  OTR_TRY_ASSIGN(const Envelope envelope, read_envelope(bytes));
  CborReader reader(envelope.payload, "Nitro payload");
  OTR_TRY_ASSIGN(auto entries, reader.map("document"));
  Payload payload;
  std::set<std::string> seen;
  while (true) {
    OTR_TRY_ASSIGN(const bool more, reader.more(entries, "document"));
    if (!more) break;
    OTR_TRY_ASSIGN(const std::string key, reader.text("a member's name", kMaxTextBytes));
    if (!seen.insert(key).second) return reader.malformed(key, "it is there twice");
    OTR_TRY(read_field(reader, key, payload));
  }
  OTR_TRY(reader.end());
  for (const char* key : {"module_id", "digest", "timestamp", "pcrs", "certificate", "cabundle"}) {
    if (!seen.contains(key)) return reader.malformed(key, "it is missing");
  }
  NitroDocument& document = payload.document;
  document.chain = std::move(payload.leaf);
  std::ranges::move(payload.bundle, std::back_inserter(document.chain));
  document.signed_part = signed_structure(envelope);
  document.trailing_bytes = envelope.trailing_bytes;
  std::ranges::copy(envelope.signature, document.r_s.begin());
  return std::move(document);
}

Json nitro_facts(const NitroDocument& document) {
  Json facts = {{"module_id", document.module_id}, {"timestamp_ms", document.timestamp_ms}};
  // Longer than any year that has four digits: a hostile number is not made into a date.
  constexpr Time kLastWritable = 253402300799;
  if (seconds(document) <= kLastWritable) facts["made"] = to_text(seconds(document));
  for (const auto& [index, value] : document.pcrs) {
    facts["pcrs"][std::to_string(index)] = to_plain_hex(value);
  }
  const auto optional = [&](const char* name, const std::optional<Bytes>& bytes) {
    if (bytes) facts[name] = to_plain_hex(*bytes);
  };
  optional("public_key", document.public_key);
  optional("user_data", document.user_data);
  optional("nonce", document.nonce);
  if (!document.chain.empty()) {
    const Certificate& leaf = document.chain.front();
    facts["certificate_valid"] = to_text(leaf.not_before()) + " to " + to_text(leaf.not_after());
    facts["root_sha256"] = to_plain_hex(document.chain.back().fingerprint());
  }
  return facts;
}

bool verify_nitro(Verdict& verdict, const NitroDocument& document,
                  std::span<const Certificate> anchors, Time at) {
  verdict.kind = Kind::kNitro;
  verdict.hardware = false;
  verdict.facts = nitro_facts(document);
  Checks checks(verdict, Stage::kVerify);
  if (document.chain.empty()) return checks.fail(Code::kChainInvalid, "Nitro chain", "it is empty");
  const Certificate& leaf = document.chain.front();
  bool good = checks.require(
      leaf.key().is_ec(384) &&
          leaf.key().verify_ecdsa(Digest::kSha384, document.signed_part, document.r_s),
      Code::kSignatureInvalid, "document is signed by its leaf", "ECDSA P-384, SHA-384 (COSE)");
  good = check_not_simulated(checks, document.chain) && good;
  good = check_chain(checks, "Nitro", document.chain, anchors, at) && good;
  const Time made = seconds(document);
  good = checks.require(
             made >= leaf.not_before() && made <= leaf.not_after() && made - kNitroClockSkew <= at,
             Code::kTimeInvalid, "document was made in its leaf's time, not after now",
             std::to_string(document.timestamp_ms) + " ms; the leaf is valid from " +
                 to_text(leaf.not_before()) + " to " + to_text(leaf.not_after())) &&
         good;
  if (document.trailing_bytes != 0) {
    const std::string what = std::to_string(document.trailing_bytes) +
                             " bytes follow the document: nobody signed them, nothing reads them";
    checks.not_applicable("bytes after the document", what);
    verdict.facts["warnings"] = Json::array({what});  // SPEC ATT-1
  }
  verdict.hardware = good;
  return good;
}

void appraise_nitro(Verdict& verdict, const NitroDocument& document, const Policy& policy,
                    const Expected& expected) {
  Checks checks(verdict, Stage::kAppraise);
  if (!policy.nitro) {
    checks.fail(Code::kPolicyRefused, "kind of evidence is allowed",
                "the policy has no table for AWS Nitro");
    return;
  }
  // PCR0 to PCR2 measure image, kernel and application; the hypervisor leaves all of them zero in
  // debug mode, in which the host reads the enclave's console.
  bool debug = true;
  for (unsigned index = 0; index < 3; ++index) {
    const auto pcr = document.pcrs.find(index);
    debug = debug && (pcr == document.pcrs.end() || is_zero(pcr->second));
  }
  checks.require(!debug, Code::kDebug, "enclave is not in debug mode",
                 debug ? "PCR0, PCR1 and PCR2 are zero" : "PCR0 to PCR2 are measured");
  std::set<unsigned> indices = {0, 1, 2};
  for (const auto& entry : policy.nitro->pcrs) indices.insert(entry.first);
  for (const unsigned index : indices) {
    const std::string name = "PCR" + std::to_string(index) + " is allowed";
    const auto list = policy.nitro->pcrs.find(index);
    const auto pcr = document.pcrs.find(index);
    if (pcr == document.pcrs.end()) {
      checks.fail(Code::kPolicyRefused, name, "the document has none");
    } else if (list == policy.nitro->pcrs.end()) {
      checks.fail(Code::kPolicyRefused, name,
                  to_plain_hex(pcr->second) + "; the policy does not say which are allowed");
    } else {
      checks.require(list->second.allows(pcr->second), Code::kPolicyRefused, name,
                     to_plain_hex(pcr->second) +
                         (list->second.allows(pcr->second) ? "" : " is not on the policy's list"));
    }
  }
  const auto same = [&](Code code, const char* name, const std::optional<Bytes>& found,
                        const std::optional<Bytes>& wanted) {
    if (!wanted) return checks.not_applicable(name, "the caller expects nothing");
    checks.require(found == wanted, code, name,
                   found == wanted ? to_plain_hex(*wanted)
                                   : "found " + (found ? to_plain_hex(*found) : "none") +
                                         ", expected " + to_plain_hex(*wanted));
  };
  same(Code::kNonceMismatch, "nonce is what was expected", document.nonce, expected.nonce);
  same(Code::kBindingMismatch, "user data is what was expected", document.user_data,
       expected.report_data);
  if (verdict.accepted()) verdict.assurance = policy.nitro->assurance;
}

}  // namespace otr::attest

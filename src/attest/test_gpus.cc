#include "attest/test_gpus.h"

#include <algorithm>
#include <array>
#include <utility>

#include "attest/der.h"
#include "attest/encoding.h"
#include "attest/hash.h"
#include "base/check.h"
#include "crypto/sha256.h"

namespace otr::attest::test {
namespace {

constexpr unsigned kGpuBlocks = 64, kSwitchBlocks = 31;
const Bytes kFwid(48, 0xF1);

Bytes text_field(std::string_view text) {
  Bytes field(text.begin(), text.end());
  field.push_back(0);
  return field;
}

// As Hopper certifies its firmware: a composite device id that ends in the digest.
Bytes hopper_fwid() {
  return sequence({integer(1), bit_string(Bytes(97, 4)),
                   sequence({sequence({oid("2.16.840.1.101.3.4.2.2")}), octets(kFwid)})});
}

// As Blackwell does: DiceTcbInfo with vendor, model and two firmware ids.
Bytes dice_tcb_info() {
  const Bytes first = sequence({oid("2.16.840.1.101.3.4.2.2"), octets(kFwid)});
  const Bytes second = sequence({oid("2.16.840.1.101.3.4.2.2"), octets(Bytes(48, 0))});
  return sequence({tlv(0x80, as_bytes("NVIDIA")), tlv(0x81, as_bytes("GB100 A01 GSP")),
                   tlv(0x83, Bytes{1}), tlv(0xA6, joined({first, second}))});
}

CertificateSpec authority_spec(std::string subject, Bytes serial) {
  return {.subject = std::move(subject), .serial = std::move(serial), .ca = true};
}

CertificateSpec leaf_spec(Device device) {
  CertificateSpec spec{.subject = "GH100 A01 GSP FMC LF", .serial = {0x53, 0xC2, 0x01}};
  if (device == Device::kHopper) {
    spec.extensions.push_back({.oid = "2.23.133.5.4.1", .content = hopper_fwid()});
  } else if (device == Device::kBlackwell) {
    spec.subject = "GB100 A01 GSP FMC LF";
    spec.extensions.push_back({.oid = "2.23.133.5.4.1.1", .content = dice_tcb_info()});
  } else {
    spec.subject = "LS_10 A01 FSP FMC LF";
  }
  return spec;
}

std::string chip_of(Device device) {
  return device == Device::kHopper ? "GH100" : device == Device::kBlackwell ? "GB100" : "LS_10";
}

void append_field(Bytes& opaque, std::uint16_t type, ByteView value) {
  append_le(opaque, type);
  append_le(opaque, static_cast<std::uint16_t>(value.size()));
  append(opaque, value);
}

Bytes opaque_of(const GpuSpec& spec) {
  Bytes opaque;
  if (spec.device == Device::kSwitch) {
    append_field(opaque, 6, as_bytes(spec.switch_bios));
  } else {
    append_field(opaque, 6, spec.vbios);
    append_field(opaque, 15, Bytes{'8', '8', '2', 0, 0, 0, 0, 0, 0});
    append_field(opaque, 17, text_field("1010"));
    append_field(opaque, 18, text_field("0200"));
    append_field(opaque, 3, text_field(spec.driver));
    append_field(opaque, 11, Bytes{spec.nvdec0});
    if (spec.fwid) append_field(opaque, 20, *spec.fwid);
    append_field(opaque, 21, Bytes{spec.protected_pcie});
  }
  for (const auto& [type, value] : spec.more) append_field(opaque, type, value);
  return opaque;
}

std::string resource(unsigned index, const std::vector<Bytes>* alternatives) {
  const std::vector<Bytes> zero = {Bytes(48)};
  const std::vector<Bytes>& values = alternatives == nullptr ? zero : *alternatives;
  std::string text =
      "<ns0:Resource active=\"" + std::string(alternatives == nullptr ? "False" : "True") +
      "\" alternatives=\"" + std::to_string(values.size()) + "\" index=\"" + std::to_string(index) +
      "\" name=\"Measurement_" + std::to_string(index) + "\" size=\"48\" type=\"Measurement\"";
  for (std::size_t i = 0; i < values.size(); ++i) {
    text += " ns2:Hash" + std::to_string(i) + "=\"" + to_plain_hex(values[i]) + "\"";
  }
  return text + "></ns0:Resource>\n";
}

// The document without its signature, in canonical form, up to the end tag of the root.
std::string canonical_content(const RimSpec& spec) {
  std::string text =
      "<SoftwareIdentity xmlns=\"http://standards.iso.org/iso/19770/-2/2015/schema.xsd\""
      " xmlns:ns0=\"http://standards.iso.org/iso/19770/-2/2015/schema.xsd\""
      " xmlns:ns2=\"http://www.w3.org/2001/04/xmlenc#sha384\" corpus=\"false\" name=\"" +
      spec.product +
      "\" tagId=\"0123\" version=\"1.0\">\n"
      "<ns0:Meta xmlns:ns1=\"https://trustedcomputinggroup.org/resource/"
      "tcg-reference-integrity-manifest-rim-information-model/\" colloquialVersion=\"" +
      spec.version + "\" product=\"" + spec.product + "\" ns1:PlatformModel=\"" + spec.product +
      "\"></ns0:Meta>\n<ns0:Payload>\n";
  for (unsigned index = 0; index < kGpuBlocks; ++index) {
    const auto active = spec.active.find(index);
    text += resource(index, active == spec.active.end() ? nullptr : &active->second);
  }
  return text + "</ns0:Payload>\n";
}

void replace_all(std::string& text, std::string_view from, std::string_view to) {
  for (std::size_t at = text.find(from); at != text.npos; at = text.find(from, at + to.size())) {
    text.replace(at, from.size(), to);
  }
}

std::string signed_info(std::string_view digest) {
  const auto method = [](std::string_view name, std::string_view algorithm) {
    return "<ds:" + std::string(name) + " Algorithm=\"" + std::string(algorithm) +
           "\"></ds:" + std::string(name) + ">";
  };
  return method("CanonicalizationMethod", "http://www.w3.org/2006/12/xml-c14n11") +
         method("SignatureMethod", "http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha384") +
         "<ds:Reference URI=\"\"><ds:Transforms>" +
         method("Transform", "http://www.w3.org/2000/09/xmldsig#enveloped-signature") +
         method("Transform", "http://www.w3.org/2006/12/xml-c14n11") + "</ds:Transforms>" +
         method("DigestMethod", "http://www.w3.org/2001/04/xmldsig-more#sha384") +
         "<ds:DigestValue>" + std::string(digest) +
         "</ds:DigestValue></ds:Reference></ds:SignedInfo>";
}

// The DER of a certificate's subject, found by counting.
Bytes subject_of(const Certificate& certificate) {
  DerReader outer(certificate.der());
  DerReader middle(outer.next(kDerSequence)->content);
  DerReader fields(middle.next(kDerSequence)->content);
  for (int i = 0; i < 5; ++i) OTR_CHECK(fields.next().has_value());
  const auto subject = fields.next(kDerSequence);
  return {subject->whole.begin(), subject->whole.end()};
}

// The public point as OCSP hashes it.
Bytes key_bits(const Authority& of) {
  Bytes bits = {4};
  append(bits, of.key.point());
  return bits;
}

Bytes hash_of(std::string_view name, ByteView bytes) {
  if (name == "1.3.14.3.2.26") return sha1(bytes);
  if (name == "2.16.840.1.101.3.4.2.3") return sha512(bytes);
  if (name == "2.16.840.1.101.3.4.2.2") return sha384(bytes);
  const Hash hash = crypto::sha256(bytes);
  return {hash.begin(), hash.end()};
}

}  // namespace

Bytes measured(unsigned index) {
  Bytes value(48);
  for (std::size_t i = 0; i < value.size(); ++i) {
    value[i] = static_cast<std::uint8_t>(index * 7 + i + 1);
  }
  return value;
}

GpuMaker::GpuMaker(Device made)
    : device(made),
      root(Authority::root("NVIDIA Device Identity CA (test)", KeyKind::kP384)),
      identity(root.issue(authority_spec("NVIDIA Identity (test)", {2}), KeyKind::kP384)),
      provisioner(
          identity.issue(authority_spec("NVIDIA Provisioner ICA (test)", {3}), KeyKind::kP384)),
      brom(provisioner.issue(authority_spec(chip_of(made) + " A01 GSP BROM", {0x41, 0x43}),
                             KeyKind::kP384)),
      leaf(brom.issue(leaf_spec(made), KeyKind::kP384)),
      rim_root(Authority::root("NVIDIA CoRIM signing Root CA (test)", KeyKind::kP384)),
      rim_ca(
          rim_root.issue(authority_spec("NVIDIA Reference Value CA (test)", {5}), KeyKind::kP384)),
      rim_l3(rim_ca.issue(authority_spec("NVIDIA Reference Value L3 (test)", {6}), KeyKind::kP384)),
      rim_leaf(
          rim_l3.issue({.subject = "HCC RIM L4 Signer (test)", .serial = {7}}, KeyKind::kP384)) {}

Anchors GpuMaker::anchors() const {
  Anchors anchors;
  anchors.nvidia_device = {root.certificate};
  anchors.nvidia_rim = {rim_root.certificate};
  return anchors;
}

std::vector<Certificate> GpuMaker::chain() const {
  return {leaf.certificate, brom.certificate, provisioner.certificate, identity.certificate,
          root.certificate};
}

std::vector<Certificate> GpuMaker::rim_chain() const {
  return {rim_leaf.certificate, rim_l3.certificate, rim_ca.certificate, rim_root.certificate};
}

Bytes GpuMaker::report(const GpuSpec& spec) const { return report(spec, leaf.key); }

Bytes GpuMaker::report(const GpuSpec& spec, const SigningKey& key) const {
  const unsigned blocks = spec.device == Device::kSwitch ? kSwitchBlocks : kGpuBlocks;
  Bytes bytes = {0x11, 0xE0, 0x01, 0xFF};
  append(bytes, spec.nonce);
  bytes.push_back(0);
  append(bytes, Bytes{0x11, 0x60, 0, 0, static_cast<std::uint8_t>(blocks)});
  const unsigned length = blocks * 55;
  append(bytes, Bytes{static_cast<std::uint8_t>(length), static_cast<std::uint8_t>(length >> 8),
                      static_cast<std::uint8_t>(length >> 16)});
  for (unsigned index = 1; index <= blocks; ++index) {
    append(bytes, Bytes{static_cast<std::uint8_t>(index), 1, 51, 0, 1, 48, 0});
    const auto given = spec.measurements.find(index);
    const bool zero = index > 42;
    append(bytes, given != spec.measurements.end() ? given->second
                  : zero                           ? Bytes(48)
                                                   : measured(index));
  }
  bytes.insert(bytes.end(), 32, 0x3C);  // the device's own nonce
  const Bytes opaque = opaque_of(spec);
  append_le(bytes, static_cast<std::uint16_t>(opaque.size()));
  append(bytes, opaque);
  append(bytes, key.sign(Digest::kSha384, bytes));
  return bytes;
}

RimSpec GpuMaker::driver_rim() const {
  RimSpec spec{.version = "550.90.07", .active = {}};
  for (unsigned index = 20; index < 42; ++index) spec.active[index] = {measured(index + 1)};
  return spec;
}

RimSpec GpuMaker::vbios_rim() const {
  const bool is_switch = device == Device::kSwitch;
  RimSpec spec{.version = is_switch ? "96.10.55.00.01" : "96.00.9f.00.01",
               .product = is_switch ? "LS10" : "GH100",
               .active = {}};
  for (unsigned index = 0; index < (is_switch ? kSwitchBlocks : 20); ++index) {
    spec.active[index] = {measured(index + 1)};
  }
  spec.active[3] = {Bytes(48, 0xEE), measured(4)};  // two firmwares are allowed
  return spec;
}

std::string GpuMaker::rim(const RimSpec& spec) const {
  return rim(spec, rim_leaf.key, rim_chain());
}

std::string GpuMaker::rim(const RimSpec& spec, const SigningKey& key,
                          const std::vector<Certificate>& signers) const {
  std::string content = canonical_content(spec);
  const std::string end = "</SoftwareIdentity>";
  const std::string info = signed_info(to_base64(sha384(as_bytes(content + end))));
  const std::string canonical =
      "<ds:SignedInfo xmlns=\"http://standards.iso.org/iso/19770/-2/2015/schema.xsd\""
      " xmlns:ds=\"http://www.w3.org/2000/09/xmldsig#\""
      " xmlns:ns0=\"http://standards.iso.org/iso/19770/-2/2015/schema.xsd\""
      " xmlns:ns2=\"http://www.w3.org/2001/04/xmlenc#sha384\">" +
      info;
  std::string signature =
      "<ds:Signature xmlns:ds=\"http://www.w3.org/2000/09/xmldsig#\"><ds:SignedInfo>" + info +
      "<ds:SignatureValue>" + to_base64(key.sign(Digest::kSha384, as_bytes(canonical))) +
      "</ds:SignatureValue><ds:KeyInfo><ds:X509Data>";
  for (const Certificate& certificate : signers) {
    std::string base64 = to_base64(certificate.der());
    for (std::size_t at = 64; at < base64.size(); at += 65) base64.insert(at, "\n");
    signature += "<ds:X509Certificate>" + base64 + "\n</ds:X509Certificate>";
  }
  signature += "</ds:X509Data></ds:KeyInfo></ds:Signature>";
  // As the vendor writes them, which is not the canonical form.
  replace_all(content, "></ns0:Resource>", "/>");
  replace_all(content, "></ns0:Meta>", " />");
  replace_all(content, "active=\"True\" alternatives=\"1\"", "alternatives='1' active='True'");
  replace_all(signature, "></ds:Transform>", "/>");
  return content + signature + end;
}

Bytes GpuMaker::ocsp(const OcspSpec& spec, const Certificate& subject, const Authority& issuer,
                     const Authority& responder) {
  const Bytes id = sequence(
      {sequence({oid(spec.hash)}), octets(hash_of(spec.hash, subject_of(issuer.certificate))),
       octets(hash_of(spec.hash, key_bits(issuer))), integer(subject.serial())});
  Bytes status = tlv(0x80, {});
  if (spec.status == OcspSpec::Status::kUnknown) status = tlv(0x82, {});
  if (spec.status == OcspSpec::Status::kRevoked) {
    Bytes content = der_time(spec.revoked_at);
    if (spec.reason) {
      append(content, tlv(0xA0, tlv(0x0A, Bytes{static_cast<std::uint8_t>(*spec.reason)})));
    }
    status = tlv(0xA1, content);
  }
  const Bytes single =
      sequence({id, status, der_time(spec.this_update), tlv(0xA0, der_time(spec.next_update))});
  const Bytes who = spec.by_name ? tlv(0xA1, subject_of(responder.certificate))
                                 : tlv(0xA2, octets(sha1(key_bits(responder))));
  const Bytes data = sequence({who, der_time(spec.this_update), sequence({single})});
  const ByteView der = responder.certificate.der();
  const Bytes basic = sequence({data, responder.key.algorithm(),
                                bit_string(responder.key.certificate_signature(data)),
                                tlv(0xA0, sequence({Bytes(der.begin(), der.end())}))});
  return sequence(
      {tlv(0x0A, Bytes{0}), tlv(0xA0, sequence({oid("1.3.6.1.5.5.7.48.1.1"), octets(basic)}))});
}

Authority GpuMaker::responder(const Authority& issuer, bool may_sign, Time not_after) {
  const std::string_view usage = may_sign ? "1.3.6.1.5.5.7.3.9" : "1.3.6.1.5.5.7.3.2";
  return issuer.issue({.subject = "NVIDIA OCSP Responder (test)",
                       .serial = {9},
                       .not_after = not_after,
                       .extensions = {{.oid = "2.5.29.37", .content = sequence({oid(usage)})}}},
                      KeyKind::kP384);
}

std::vector<Bytes> GpuMaker::ocsp(const OcspSpec& spec) const {
  std::vector<Bytes> answers;
  for (const auto& [subject, issuer] :
       {std::pair(&brom, &provisioner), std::pair(&provisioner, &identity),
        std::pair(&identity, &root), std::pair(&rim_leaf, &rim_l3), std::pair(&rim_l3, &rim_ca),
        std::pair(&rim_ca, &rim_root)}) {
    answers.push_back(ocsp(spec, subject->certificate, *issuer, responder(*issuer)));
  }
  return answers;
}

NrasMaker::NrasMaker()
    : authority(Authority::root("NVIDIA Attestation Service (test)", KeyKind::kRsaPkcs1)),
      signer(
          authority.issue({.subject = "NVIDIA Attestation Service GPU (test)"}, KeyKind::kP384)) {}

std::string NrasMaker::jwks() const {
  const Bytes point = signer.key.point();
  const Json key = {{"kty", "EC"},
                    {"crv", "P-384"},
                    {"kid", "test-key"},
                    {"x", to_base64url(ByteView(point).first(48))},
                    {"y", to_base64url(ByteView(point).subspan(48))},
                    {"x5c", Json::array({to_base64(signer.certificate.der()),
                                         to_base64(authority.certificate.der())})}};
  return Json{{"keys", Json::array({key})}}.dump();
}

std::string NrasMaker::jwt(const Json& header, const Json& claims) const {
  const std::string text =
      to_base64url(as_bytes(header.dump())) + "." + to_base64url(as_bytes(claims.dump()));
  return text + "." + to_base64url(signer.key.sign(Digest::kSha384, as_bytes(text)));
}

std::string NrasMaker::jwt(const Json& claims) const {
  return jwt(Json{{"alg", "ES384"}, {"kid", "test-key"}}, claims);
}

Json NrasMaker::device_claims() {
  Json claims = {{"iss", "https://nras.attestation.nvidia.com"},
                 {"iat", kTestNow - 60},
                 {"nbf", kTestNow - 60},
                 {"exp", kTestNow + 3540},
                 {"eat_nonce", std::string(64, 'a')},
                 {"measres", "success"},
                 {"dbgstat", "disabled"},
                 {"secboot", true},
                 {"hwmodel", "GH100 A01 GSP BROM"},
                 {"ueid", "4781"}};
  for (const std::string name :
       {"arch-check", "attestation-report-parsed", "attestation-report-nonce-match",
        "attestation-report-signature-verified", "driver-rim-fetched",
        "driver-rim-signature-verified", "driver-rim-measurements-available", "vbios-rim-fetched",
        "vbios-rim-signature-verified", "vbios-rim-measurements-available",
        "vbios-index-no-conflict"}) {
    claims["x-nvidia-gpu-" + name] = true;
  }
  claims["x-nvidia-gpu-driver-rim-cert-chain"] = {{"x-nvidia-cert-status", "valid"},
                                                  {"x-nvidia-cert-ocsp-status", "good"}};
  return claims;
}

Json NrasMaker::overall_claims(const std::map<std::string, std::string>& devices) const {
  Json claims = {{"iss", "https://nras.attestation.nvidia.com"},
                 {"iat", kTestNow - 60},
                 {"nbf", kTestNow - 60},
                 {"exp", kTestNow + 3540},
                 {"eat_nonce", std::string(64, 'a')},
                 {"x-nvidia-overall-att-result", true}};
  for (const auto& [name, token] : devices) {
    claims["submods"][name] = Json::array(
        {"DIGEST", Json::array({"SHA-256", to_plain_hex(crypto::sha256(as_bytes(token)))})});
  }
  return claims;
}

std::string NrasMaker::answer(const std::map<std::string, std::string>& devices) const {
  return answer(jwt(overall_claims(devices)), devices);
}

std::string NrasMaker::answer(const std::string& overall,
                              const std::map<std::string, std::string>& devices) {
  return Json::array({Json::array({"JWT", overall}), Json(devices)}).dump();
}

}  // namespace otr::attest::test

#include "attest/rim.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <memory>
#include <optional>
#include <set>
#include <utility>

#include "attest/encoding.h"
#include "attest/hash.h"
#include "attest/xml.h"

namespace otr::attest {
namespace {

constexpr std::string_view kSwid = "http://standards.iso.org/iso/19770/-2/2015/schema.xsd";
constexpr std::string_view kTcgRim =
    "https://trustedcomputinggroup.org/resource/"
    "tcg-reference-integrity-manifest-rim-information-model/";
constexpr std::string_view kSha384Values = "http://www.w3.org/2001/04/xmlenc#sha384";
constexpr std::string_view kDsig = "http://www.w3.org/2000/09/xmldsig#";
constexpr std::string_view kC14n11 = "http://www.w3.org/2006/12/xml-c14n11";
constexpr std::string_view kEcdsaSha384 = "http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha384";
constexpr std::string_view kSha384 = "http://www.w3.org/2001/04/xmldsig-more#sha384";
constexpr std::string_view kEnveloped = "http://www.w3.org/2000/09/xmldsig#enveloped-signature";
constexpr std::size_t kMaxAlternatives = 256, kMaxCertificates = 8;

std::unexpected<Error> bad(std::string_view what) {
  return fail(ErrorKind::kBadInput, "the RIM " + std::string(what), "MALFORMED");
}

bool only_space(std::string_view text) {
  return text.find_first_not_of(" \t\r\n") == std::string_view::npos;
}

// The children of `element`, which must hold no text beside them and be named as listed.
template <std::size_t kCount>
Result<std::array<const XmlElement*, kCount>> exactly(
    const XmlElement& element, const std::array<std::string_view, kCount>& names) {
  std::array<const XmlElement*, kCount> found{};
  std::size_t count = 0;
  for (const XmlElement::Content& part : element.content) {
    if (part.element == nullptr) {
      if (!only_space(part.text)) return bad("has text inside '" + element.local + "'");
      continue;
    }
    if (count == kCount || !part.element->is(kDsig, names[count])) {
      return bad("has an unexpected element '" + part.element->local + "' in '" + element.local +
                 "'");
    }
    found[count++] = part.element.get();
  }
  if (count != kCount)
    return bad("lacks '" + std::string(names[count]) + "' in '" + element.local + "'");
  return found;
}

// That `element` is an algorithm of that name, without parameters.
Status algorithm(const XmlElement& element, std::string_view wanted) {
  const std::string* name = element.attribute("Algorithm");
  if (name == nullptr || *name != wanted || element.attributes.size() != 1 ||
      !element.children().empty() || !only_space(element.text())) {
    return bad("names the algorithm '" + (name == nullptr ? std::string() : *name) + "' in '" +
               element.local + "'; only " + std::string(wanted) + " is accepted there");
  }
  return {};
}

Status parse_signed_info(const XmlElement& info, Rim& rim) {
  OTR_TRY_ASSIGN(const auto parts,
                 exactly(info, std::array<std::string_view, 3>{"CanonicalizationMethod",
                                                               "SignatureMethod", "Reference"}));
  OTR_TRY(algorithm(*parts[0], kC14n11));
  OTR_TRY(algorithm(*parts[1], kEcdsaSha384));
  const XmlElement& reference = *parts[2];
  const std::string* uri = reference.attribute("URI");
  if (uri == nullptr || !uri->empty() || reference.attributes.size() != 1) {
    return bad("has a signature over another part than the whole document (Reference URI \"\")");
  }
  OTR_TRY_ASSIGN(const auto of_reference,
                 exactly(reference, std::array<std::string_view, 3>{"Transforms", "DigestMethod",
                                                                    "DigestValue"}));
  OTR_TRY_ASSIGN(const auto transforms, exactly(*of_reference[0], std::array<std::string_view, 2>{
                                                                      "Transform", "Transform"}));
  OTR_TRY(algorithm(*transforms[0], kEnveloped));
  OTR_TRY(algorithm(*transforms[1], kC14n11));
  OTR_TRY(algorithm(*of_reference[1], kSha384));
  auto digest = from_base64(without_space(of_reference[2]->text()));
  if (!digest || digest->size() != 48)
    return bad("has a DigestValue that is not 48 bytes in base64");
  rim.digest = std::move(*digest);
  return {};
}

Status parse_key_info(const XmlElement& info, Rim& rim) {
  OTR_TRY_ASSIGN(const auto data, exactly(info, std::array<std::string_view, 1>{"X509Data"}));
  const auto certificates = data[0]->children();
  if (certificates.empty() || certificates.size() > kMaxCertificates) {
    return bad("names no certificates, or more than 8");
  }
  for (const XmlElement* element : certificates) {
    if (!element->is(kDsig, "X509Certificate"))
      return bad("has more in X509Data than certificates");
    const auto der = from_base64(without_space(element->text()));
    if (!der) return bad("has a certificate that is not base64");
    OTR_TRY_ASSIGN(Certificate certificate, Certificate::from_der(*der));
    rim.chain.push_back(std::move(certificate));
  }
  return {};
}

Status parse_signature(const XmlElement& signature, Rim& rim) {
  if (!signature.attributes.empty()) return bad("has attributes on its Signature");
  OTR_TRY_ASSIGN(const auto parts,
                 exactly(signature, std::array<std::string_view, 3>{"SignedInfo", "SignatureValue",
                                                                    "KeyInfo"}));
  OTR_TRY(parse_signed_info(*parts[0], rim));
  auto value = from_base64(without_space(parts[1]->text()));
  if (!value || value->size() != 96) {
    return bad("has a SignatureValue that is not r || s, 96 bytes, in base64");
  }
  rim.signature = std::move(*value);
  OTR_TRY(parse_key_info(*parts[2], rim));
  rim.canonical_signed_info = [&] {
    const std::string text = canonical_xml(*parts[0], nullptr);
    return Bytes(text.begin(), text.end());
  }();
  return {};
}

std::optional<unsigned> number(const std::string* text, unsigned max) {
  unsigned value = 0;
  if (text == nullptr || text->empty() || (text->size() > 1 && text->front() == '0')) {
    return std::nullopt;
  }
  const auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), value);
  if (error != std::errc() || end != text->data() + text->size() || value > max) {
    return std::nullopt;
  }
  return value;
}

Result<std::vector<Bytes>> parse_alternatives(const XmlElement& resource,
                                              const std::string& where) {
  const auto count = number(resource.attribute("alternatives"), kMaxAlternatives);
  if (!count || *count == 0) return bad("has no number of alternatives from 1 to 256 in " + where);
  std::vector<Bytes> values;
  for (const XmlAttribute& attribute : resource.attributes) {
    if (attribute.uri != kSha384Values) continue;
    values.emplace_back();
  }
  if (values.size() != *count) return bad("states other values than alternatives in " + where);
  for (unsigned i = 0; i < *count; ++i) {
    const std::string* hex = resource.attribute("Hash" + std::to_string(i), kSha384Values);
    auto value = hex == nullptr ? std::nullopt : from_plain_hex(*hex);
    if (!value || value->size() != 48) {
      return bad("lacks 48 bytes of hexadecimal for Hash" + std::to_string(i) + " of " + where);
    }
    values[i] = std::move(*value);
  }
  return values;
}

Status parse_payload(const XmlElement& payload, Rim& rim) {
  std::set<unsigned> seen;
  for (const XmlElement::Content& part : payload.content) {
    if (part.element == nullptr) {
      if (!only_space(part.text)) return bad("has text inside 'Payload'");
      continue;
    }
    const XmlElement& resource = *part.element;
    const std::string* type = resource.attribute("type");
    if (!resource.is(kSwid, "Resource") || type == nullptr || *type != "Measurement") {
      return bad("has more in its Payload than measurements ('" + resource.local + "')");
    }
    const auto index = number(resource.attribute("index"), 254);
    if (!index || !seen.insert(*index).second) {
      return bad("has a measurement without an index from 0 to 254, or one index twice");
    }
    const std::string where = "measurement " + std::to_string(*index);
    const std::string* active = resource.attribute("active");
    const std::string* size = resource.attribute("size");
    if (active == nullptr || (*active != "True" && *active != "False")) {
      return bad("does not say True or False for 'active' in " + where);
    }
    if (size == nullptr || *size != "48") return bad("has another size than 48 in " + where);
    OTR_TRY_ASSIGN(auto values, parse_alternatives(resource, where));
    if (*active != "True") continue;
    const std::string* name = resource.attribute("name");
    rim.names[*index] = name == nullptr ? std::string() : *name;
    rim.measurements[*index] = std::move(values);
  }
  return {};
}

std::string attribute_or_empty(const XmlElement& element, std::string_view name,
                               std::string_view uri = {}) {
  const std::string* value = element.attribute(name, uri);
  return value == nullptr ? std::string() : *value;
}

std::size_t count_signatures(const XmlElement& element) {
  std::size_t count = element.local == "Signature" ? 1 : 0;
  for (const XmlElement* child : element.children()) count += count_signatures(*child);
  return count;
}

}  // namespace

Result<Rim> parse_rim(std::string_view xml) {
  OTR_TRY_ASSIGN(const auto root, parse_xml(xml));
  if (!root->is(kSwid, "SoftwareIdentity")) return bad("is no SWID tag (SoftwareIdentity)");
  const XmlElement *meta = nullptr, *payload = nullptr, *signature = nullptr;
  for (const XmlElement* child : root->children()) {
    const bool twice =
        (child->is(kSwid, "Meta") && std::exchange(meta, child) != nullptr) ||
        (child->is(kSwid, "Payload") && std::exchange(payload, child) != nullptr) ||
        (child->is(kDsig, "Signature") && std::exchange(signature, child) != nullptr);
    if (twice) return bad("has the element '" + child->local + "' twice");
  }
  if (meta == nullptr || payload == nullptr || signature == nullptr) {
    return bad("lacks Meta, Payload or Signature below its root");
  }
  if (count_signatures(*root) != 1) return bad("has more than one Signature");
  Rim rim;
  rim.tag_id = attribute_or_empty(*root, "tagId");
  rim.version = attribute_or_empty(*meta, "colloquialVersion");
  rim.product = attribute_or_empty(*meta, "product");
  rim.platform_model = attribute_or_empty(*meta, "PlatformModel", kTcgRim);
  if (rim.version.empty()) return bad("does not say for which version it is (colloquialVersion)");
  OTR_TRY(parse_payload(*payload, rim));
  OTR_TRY(parse_signature(*signature, rim));
  const std::string content = canonical_xml(*root, signature);
  rim.canonical_content.assign(content.begin(), content.end());
  return rim;
}

bool verify_rim(Checks& checks, std::string_view name, const Rim& rim,
                std::span<const Certificate> anchors, Time at, VerifiedCache* cache) {
  const std::string whose(name);
  const Bytes digest = sha384(rim.canonical_content);
  const bool content = checks.require(
      digest == rim.digest, Code::kReferenceInvalid, whose + " digest covers its content",
      digest == rim.digest
          ? "SHA-384 " + to_plain_hex(digest)
          : "the content has SHA-384 " + to_plain_hex(digest) + ", the signature covers " +
                to_plain_hex(rim.digest) + ": the file was changed after it was signed");
  if (rim.chain.empty()) {
    return checks.fail(Code::kReferenceInvalid, whose + " signature", "it names no certificate");
  }
  const Certificate& signer = rim.chain.front();
  const std::array<ByteView, 3> parts = {signer.der(), rim.canonical_signed_info, rim.signature};
  const Hash key = VerifiedCache::key_of("rim signature", parts);
  const bool known = cache != nullptr && cache->knows(key);
  const bool is_signed = known || (signer.key().is_ec(384) &&
                                   signer.key().verify_ecdsa(
                                       Digest::kSha384, rim.canonical_signed_info, rim.signature));
  if (is_signed && cache != nullptr) cache->remember(key);
  checks.require(is_signed, Code::kReferenceInvalid, whose + " signature",
                 (is_signed ? "by " : "does not verify with the key of ") + signer.subject());
  return check_chain(checks, whose + " signer", rim.chain, anchors, at, cache) && content &&
         is_signed;
}

}  // namespace otr::attest

#include "attest/bundle_sort.h"

#include <algorithm>
#include <utility>

#include "attest/bundle_kind.h"
#include "attest/encoding.h"
#include "attest/ocsp.h"
#include "attest/rim.h"

namespace otr::attest {
namespace {

// Encodings inside encodings: hexadecimal of base64 of JSON, and no more.
constexpr unsigned kMaxEncodings = 6;
constexpr std::size_t kMaxCertificates = 256;

Error in(const std::string& name, Error error) {
  error.message = name + ": " + error.message;
  return error;
}

// The blocks of a PEM text, each from its BEGIN to its END, and what they are called.
std::vector<std::pair<std::string_view, std::string_view>> pem_blocks(std::string_view text) {
  constexpr std::string_view kBegin = "-----BEGIN ", kEnd = "-----END ";
  std::vector<std::pair<std::string_view, std::string_view>> blocks;
  for (std::size_t at = text.find(kBegin); at != text.npos; at = text.find(kBegin, at)) {
    const std::size_t label = at + kBegin.size();
    const std::size_t label_end = text.find("-----", label);
    std::size_t end = label_end == text.npos ? text.npos : text.find(kEnd, label_end);
    if (end != text.npos) end = text.find("-----", end + kEnd.size());
    if (end == text.npos) {
      blocks.emplace_back("", text.substr(at));
      break;
    }
    blocks.emplace_back(text.substr(label, label_end - label), text.substr(at, end + 5 - at));
    at = end + 5;
  }
  return blocks;
}

}  // namespace

std::vector<Certificate> chain_from(const Certificate& leaf, std::span<const Certificate> pool) {
  std::vector<Certificate> chain = {leaf};
  while (chain.size() < 8 && chain.back().subject() != chain.back().issuer()) {
    const auto next = std::ranges::find_if(pool, [&](const Certificate& one) {
      return one.subject() == chain.back().issuer() && chain.back().is_issued_by(one);
    });
    if (next == pool.end()) break;
    chain.push_back(*next);
  }
  return chain;
}

Status Sorter::add(const Item& item) {
  const std::string name = one_line(item.name);
  if (item.bytes.size() > kMaxItemBytes) {
    return fail(ErrorKind::kBadInput, name + " is larger than 4 MiB", "MALFORMED");
  }
  OTR_TRY_ASSIGN(const bool taken, add_bytes(name, item.bytes, 0));
  if (taken) return {};
  if (saw_claims_) {
    return fail(ErrorKind::kBadInput,
                name +
                    " holds the claims of a verification service without its signature; anybody "
                    "can write them. Give the signed answer (the detached EAT)",
                "UNSUPPORTED");
  }
  return fail(ErrorKind::kBadInput,
              name +
                  " is no evidence or collateral that otr knows: no quote, no report, no COSE "
                  "document, no certificate or revocation list (DER, PEM), no Intel, RIM, OCSP or "
                  "NRAS document, neither as bytes nor as hexadecimal or base64 text",
              "UNSUPPORTED");
}

Result<bool> Sorter::add_bytes(const std::string& name, ByteView bytes, unsigned depth) {
  if (depth > kMaxEncodings) return false;
  const auto keep = [&](std::vector<Item>& to) {
    const auto same = [&](const Item& one) { return std::ranges::equal(one.bytes, bytes); };
    if (to.size() > kMaxPieces) return true;  // too many already, which finish() says
    if (std::ranges::none_of(to, same)) to.push_back({name, Bytes(bytes.begin(), bytes.end())});
    return true;
  };
  switch (form_of(bytes)) {
    case Form::kQuote:
      return keep(bundle_.quotes);
    case Form::kSnp:
      return keep(bundle_.snp_reports);
    case Form::kNitro:
      return keep(bundle_.nitro_documents);
    case Form::kSimulated:
      return keep(bundle_.simulated_reports);
    case Form::kGpu:
      bundle_.gpus.push_back({.name = name, .report = Bytes(bytes.begin(), bytes.end())});
      return true;
    case Form::kDer:
      return add_der(name, bytes);
    case Form::kJson:
    case Form::kXml:
    case Form::kPem:
    case Form::kText:
      return add_text(name, as_text(bytes), depth);
    case Form::kAzureHcl:
      return fail(ErrorKind::kBadInput,
                  name +
                      " is an Azure HCL report, which only a TPM quote ties to a nonce; otr takes "
                      "the TDX quote or SNP report itself",
                  "UNSUPPORTED");
    default:
      return false;
  }
}

Result<bool> Sorter::add_text(const std::string& name, std::string_view text, unsigned depth) {
  if (text.starts_with("\xEF\xBB\xBF")) text.remove_prefix(3);
  while (!text.empty() && text.back() == '\0') text.remove_suffix(1);
  switch (form_of(as_bytes(text))) {
    case Form::kJson:
      return add_json(name, text, depth);
    case Form::kXml: {
      auto rim = parse_rim(text);
      if (!rim) return std::unexpected(in(name, rim.error()));
      bundle_.rims.push_back(std::move(*rim));
      return true;
    }
    case Form::kPem:
      return add_pem(name, text);
    default:
      break;
  }
  if (std::ranges::count(text, '.') == 2 && text.starts_with("eyJ")) {
    return fail(ErrorKind::kBadInput,
                name +
                    " is a single token (JWT); give the whole answer of the service, an array of "
                    "the overall token and one for each device",
                "UNSUPPORTED");
  }
  const auto bytes = decode_text(text);
  if (!bytes) return false;
  return add_bytes(name, *bytes, depth + 1);
}

Result<bool> Sorter::add_der(const std::string& name, ByteView der) {
  if (auto certificate = Certificate::from_der(der)) {
    groups_.push_back({name, {std::move(*certificate)}});
    return true;
  }
  if (auto list = RevocationList::from_der(der)) {
    lists_.push_back(std::move(*list));
    return true;
  }
  if (auto response = OcspResponse::from_der(der)) {
    bundle_.ocsp.push_back(std::move(*response));
    return true;
  }
  return false;
}

Result<bool> Sorter::add_pem(const std::string& name, std::string_view text) {
  const std::string decoded =
      text.find("-----BEGIN%20") != text.npos ? percent_decoded(text) : std::string(text);
  CertificateGroup group{.name = name};
  for (const auto& [label, block] : pem_blocks(decoded)) {
    if (label == "CERTIFICATE") {
      auto certificates = Certificate::from_pem(block);
      if (!certificates) return std::unexpected(in(name, certificates.error()));
      group.certificates.insert(group.certificates.end(), certificates->begin(),
                                certificates->end());
    } else if (label == "X509 CRL") {
      auto list = RevocationList::from_pem(block);
      if (!list) return std::unexpected(in(name, list.error()));
      lists_.push_back(std::move(*list));
    } else {
      return fail(ErrorKind::kBadInput,
                  name + ": a PEM block '" + std::string(label.substr(0, 40)) +
                      "' is neither a CERTIFICATE nor an X509 CRL, or it has no end",
                  "MALFORMED");
    }
    if (group.certificates.size() > kMaxCertificates) {
      return fail(ErrorKind::kBadInput, name + " holds more than 256 certificates", "MALFORMED");
    }
  }
  if (!group.certificates.empty()) groups_.push_back(std::move(group));
  return true;
}

Result<bool> Sorter::add_json(const std::string& name, std::string_view text, unsigned depth) {
  OTR_TRY_ASSIGN(const Json value, parse_document(text, name));
  return add_value(name, written(text, value), depth);
}

}  // namespace otr::attest

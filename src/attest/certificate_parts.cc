#include "attest/certificate_parts.h"

#include <openssl/bio.h>
#include <openssl/x509.h>

#include <algorithm>

namespace otr::attest {
namespace {

constexpr std::size_t kMaxExtensions = 64;

// id-mgf1 and the digests of RSASSA-PSS-params (RFC 4055).
constexpr std::string_view kMgf1 = "1.2.840.113549.1.1.8";

std::optional<Digest> digest_of(std::string_view oid) {
  if (oid == "2.16.840.1.101.3.4.2.1") return Digest::kSha256;
  if (oid == "2.16.840.1.101.3.4.2.2") return Digest::kSha384;
  if (oid == "2.16.840.1.101.3.4.2.3") return Digest::kSha512;
  return std::nullopt;
}

std::uint64_t salt_bytes(Digest digest) {
  return digest == Digest::kSha256 ? 32 : digest == Digest::kSha384 ? 48 : 64;
}

// AlgorithmIdentifier into its name and the bytes of its parameters.
struct Algorithm {
  std::string name;
  ByteView parameters;
};
Result<Algorithm> read_algorithm(ByteView content) {
  DerReader reader(content);
  OTR_TRY_ASSIGN(const DerItem oid, reader.next(kDerOid));
  OTR_TRY_ASSIGN(std::string name, der_oid(oid.content));
  Algorithm result = {.name = std::move(name), .parameters = {}};
  if (!reader.empty()) {
    OTR_TRY_ASSIGN(const DerItem parameters, reader.next());
    result.parameters = parameters.whole;
  }
  if (!reader.empty()) return malformed_certificate("bytes after an algorithm's parameters");
  return result;
}

// A sequence within an explicit tag.
Result<Algorithm> read_tagged_algorithm(DerReader& reader, std::uint8_t tag) {
  OTR_TRY_ASSIGN(const DerItem wrapped, reader.next(tag));
  DerReader inner(wrapped.content);
  OTR_TRY_ASSIGN(const DerItem sequence, inner.next(kDerSequence));
  return read_algorithm(sequence.content);
}

// The digest of RSASSA-PSS-params, if mask generation and salt are of the same digest.
Result<Digest> pss_digest(ByteView parameters) {
  DerReader outer(parameters);
  OTR_TRY_ASSIGN(const DerItem sequence, outer.next(kDerSequence));
  DerReader reader(sequence.content);
  OTR_TRY_ASSIGN(const Algorithm hash, read_tagged_algorithm(reader, 0xa0));
  OTR_TRY_ASSIGN(const Algorithm mask, read_tagged_algorithm(reader, 0xa1));
  DerReader mask_parameters(mask.parameters);
  OTR_TRY_ASSIGN(const DerItem mask_sequence, mask_parameters.next(kDerSequence));
  OTR_TRY_ASSIGN(const Algorithm mask_hash, read_algorithm(mask_sequence.content));
  OTR_TRY_ASSIGN(const DerItem salt, reader.next(0xa2));
  DerReader salt_reader(salt.content);
  OTR_TRY_ASSIGN(const DerItem salt_number, salt_reader.next(kDerInteger));
  OTR_TRY_ASSIGN(const std::uint64_t salt_length, der_unsigned(salt_number.content));
  const std::optional<Digest> digest = digest_of(hash.name);
  if (!digest || mask.name != kMgf1 || mask_hash.name != hash.name ||
      salt_length != salt_bytes(*digest)) {
    return malformed_certificate("RSA-PSS parameters that are not supported");
  }
  return *digest;
}

// Ecdsa-Sig-Value as r || s of `size` bytes together; nothing if it breaks DER or is larger.
std::optional<Bytes> raw_ecdsa(ByteView der, std::size_t size) {
  DerReader outer(der);
  const auto sequence = outer.next(kDerSequence);
  if (!sequence || !outer.empty()) return std::nullopt;
  DerReader reader(sequence->content);
  Bytes r_s(size);
  for (const std::size_t end : {size / 2, size}) {
    auto number = read_serial(reader);  // an INTEGER under the same rules
    if (!number || number->size() > size / 2) return std::nullopt;
    std::ranges::copy(*number, r_s.begin() + static_cast<std::ptrdiff_t>(end - number->size()));
  }
  if (!reader.empty()) return std::nullopt;
  return r_s;
}

// Names of strangers are shown on terminals: control characters (C0, DEL, C1 in UTF-8) become '?'.
std::string printable(std::string text) {
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto byte = static_cast<std::uint8_t>(text[i]);
    const bool c1 =
        byte == 0xc2 && i + 1 < text.size() && static_cast<std::uint8_t>(text[i + 1]) < 0xa0;
    if (c1) text[i + 1] = '?';
    if (byte < 0x20 || byte == 0x7f || c1) text[i] = '?';
  }
  return text;
}

std::unique_ptr<X509_NAME, void (*)(X509_NAME*)> decode_name(ByteView name) {
  const std::uint8_t* at = name.data();
  return {d2i_X509_NAME(nullptr, &at, static_cast<long>(name.size())), X509_NAME_free};
}

}  // namespace

std::unexpected<Error> malformed_certificate(std::string message) {
  return fail(ErrorKind::kBadInput, "certificate: " + std::move(message), "MALFORMED");
}

Result<SignedParts> split_signed(ByteView der) {
  DerReader outer(der);
  OTR_TRY_ASSIGN(const DerItem whole, outer.next(kDerSequence));
  if (!outer.empty()) return malformed_certificate("bytes after its end");
  DerReader reader(whole.content);
  OTR_TRY_ASSIGN(const DerItem content, reader.next(kDerSequence));
  OTR_TRY_ASSIGN(const DerItem algorithm, reader.next(kDerSequence));
  OTR_TRY_ASSIGN(const DerItem signature, reader.next(kDerBitString));
  if (!reader.empty()) return malformed_certificate("bytes after its signature");
  if (signature.content.empty() || signature.content[0] != 0) {
    return malformed_certificate("a signature of no whole bytes");
  }
  return SignedParts{.to_be_signed = content.whole,
                     .content = content.content,
                     .algorithm = algorithm.whole,
                     .signature = signature.content.subspan(1)};
}

bool is_signed_by(const SignedParts& parts, const PublicKey& key) {
  DerReader reader(parts.algorithm);
  const auto sequence = reader.next(kDerSequence);
  if (!sequence) return false;
  const auto algorithm = read_algorithm(sequence->content);
  if (!algorithm) return false;
  if (algorithm->name == "1.2.840.113549.1.1.10") {
    const auto digest = pss_digest(algorithm->parameters);
    return digest && key.verify_rsa_pss(*digest, parts.to_be_signed, parts.signature);
  }
  std::optional<Digest> digest;
  if (algorithm->name == "1.2.840.113549.1.1.11") digest = Digest::kSha256;
  if (algorithm->name == "1.2.840.113549.1.1.12") digest = Digest::kSha384;
  if (algorithm->name == "1.2.840.113549.1.1.13") digest = Digest::kSha512;
  if (digest) {
    return std::ranges::equal(algorithm->parameters, Bytes{0x05, 0x00}) &&  // NULL, RFC 4055
           key.verify_rsa_pkcs1(*digest, parts.to_be_signed, parts.signature);
  }
  if (algorithm->name == "1.2.840.10045.4.3.2") digest = Digest::kSha256;
  if (algorithm->name == "1.2.840.10045.4.3.3") digest = Digest::kSha384;
  if (algorithm->name == "1.2.840.10045.4.3.4") digest = Digest::kSha512;
  if (!digest || !(key.is_ec(256) || key.is_ec(384))) return false;
  const auto r_s = raw_ecdsa(parts.signature, key.is_ec(256) ? 64 : 96);
  return r_s && key.verify_ecdsa(*digest, parts.to_be_signed, *r_s);
}

Result<Time> read_time(DerReader& reader) {
  OTR_TRY_ASSIGN(const DerItem item, reader.next());
  std::string digits(as_text(item.content));
  if (item.tag == 0x17 && digits.size() == 13) {
    digits.insert(0, digits[0] >= '5' ? "19" : "20");  // RFC 5280, 4.1.2.5.1
  } else if (item.tag != 0x18 || digits.size() != 15) {
    return malformed_certificate("a time that is none");
  }
  const std::string text = digits.substr(0, 4) + "-" + digits.substr(4, 2) + "-" +
                           digits.substr(6, 2) + "T" + digits.substr(8, 2) + ":" +
                           digits.substr(10, 2) + ":" + digits.substr(12);
  const auto time = parse_time(text);
  if (!time) return malformed_certificate("a time that is none");
  return *time;
}

Result<Bytes> read_serial(DerReader& reader) {
  OTR_TRY_ASSIGN(const DerItem number, reader.next(kDerInteger));
  ByteView bytes = number.content;
  if (bytes.empty() || (bytes[0] & 0x80) != 0 ||
      (bytes.size() > 1 && bytes[0] == 0 && (bytes[1] & 0x80) == 0)) {
    return malformed_certificate("a number that is negative or not in its shortest form");
  }
  if (bytes[0] == 0) bytes = bytes.subspan(1);
  return Bytes(bytes.begin(), bytes.end());
}

Result<std::vector<Extension>> read_extensions(ByteView sequence) {
  DerReader outer(sequence);
  OTR_TRY_ASSIGN(const DerItem list, outer.next(kDerSequence));
  if (!outer.empty()) return malformed_certificate("bytes after its extensions");
  std::vector<Extension> extensions;
  for (DerReader reader(list.content); !reader.empty();) {
    OTR_TRY_ASSIGN(const DerItem item, reader.next(kDerSequence));
    DerReader fields(item.content);
    OTR_TRY_ASSIGN(const DerItem oid, fields.next(kDerOid));
    Extension extension;
    OTR_TRY_ASSIGN(extension.oid, der_oid(oid.content));
    OTR_TRY_ASSIGN(DerItem value, fields.next());
    if (value.tag == 0x01) {  // BOOLEAN
      if (value.content.size() != 1) return malformed_certificate("an extension's critical flag");
      extension.critical = value.content[0] != 0;
      OTR_TRY_ASSIGN(value, fields.next());
    }
    if (value.tag != kDerOctetString || !fields.empty()) {
      return malformed_certificate("extension " + extension.oid + " breaks its format");
    }
    extension.content = value.content;
    if (find_extension(extensions, extension.oid) != nullptr) {
      return malformed_certificate("extension " + extension.oid + " is there twice");
    }
    if (extensions.size() == kMaxExtensions) return malformed_certificate("too many extensions");
    extensions.push_back(std::move(extension));
  }
  return extensions;
}

const Extension* find_extension(const std::vector<Extension>& extensions, std::string_view oid) {
  const auto found = std::ranges::find(extensions, oid, &Extension::oid);
  return found == extensions.end() ? nullptr : &*found;
}

std::string name_text(ByteView name) {
  const auto decoded = decode_name(name);
  const std::unique_ptr<BIO, int (*)(BIO*)> out(BIO_new(BIO_s_mem()), BIO_free);
  if (!decoded || !out) return {};
  if (X509_NAME_print_ex(out.get(), decoded.get(), 0, XN_FLAG_RFC2253) < 0) return {};
  char* data = nullptr;
  const long size = BIO_get_mem_data(out.get(), &data);
  return {data, static_cast<std::size_t>(size)};
}

std::string common_name(ByteView name) {
  const auto decoded = decode_name(name);
  if (!decoded) return {};
  const int at = X509_NAME_get_index_by_NID(decoded.get(), NID_commonName, -1);
  if (at < 0) return {};
  const ASN1_STRING* value = X509_NAME_ENTRY_get_data(X509_NAME_get_entry(decoded.get(), at));
  std::uint8_t* utf8 = nullptr;
  const int size = ASN1_STRING_to_UTF8(&utf8, value);
  if (size < 0) return {};
  std::string text(reinterpret_cast<const char*>(utf8), static_cast<std::size_t>(size));
  OPENSSL_free(utf8);
  return printable(std::move(text));
}

}  // namespace otr::attest

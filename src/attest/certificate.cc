#include "attest/certificate.h"

#include <openssl/bn.h>

#include <algorithm>

#include "attest/certificate_parts.h"
#include "attest/pem.h"
#include "crypto/sha256.h"

namespace otr::attest {
namespace {

constexpr std::size_t kMaxCertificateBytes = std::size_t{1} << 16;
constexpr std::string_view kBasicConstraints = "2.5.29.19", kKeyUsage = "2.5.29.15";
// Critical extensions that those judge who use the certificate: extended key usage, and what the
// Trusted Computing Group defined for DICE.
constexpr std::string_view kExtendedKeyUsage = "2.5.29.37", kDice = "2.23.133.";

Status read_basic_constraints(ByteView content, Certificate::Data& data) {
  DerReader outer(content);
  OTR_TRY_ASSIGN(const DerItem sequence, outer.next(kDerSequence));
  DerReader reader(sequence.content);
  if (!reader.empty()) {
    OTR_TRY_ASSIGN(DerItem item, reader.next());
    if (item.tag == 0x01 && item.content.size() == 1) {  // BOOLEAN
      data.is_ca = item.content[0] != 0;
      if (reader.empty()) return {};
      OTR_TRY_ASSIGN(item, reader.next());
    }
    if (item.tag != kDerInteger) return malformed_certificate("its basic constraints");
    OTR_TRY_ASSIGN(data.path_length, der_unsigned(item.content));
  }
  if (!outer.empty() || !reader.empty()) return malformed_certificate("its basic constraints");
  return {};
}

Status read_key_usage(ByteView content, Certificate::Data& data) {
  DerReader reader(content);
  OTR_TRY_ASSIGN(const DerItem bits, reader.next(kDerBitString));
  if (!reader.empty() || bits.content.size() < 2) return malformed_certificate("its key usage");
  data.may_sign_certificates = (bits.content[1] & 0x04) != 0;  // bit 5, keyCertSign
  data.may_sign_lists = (bits.content[1] & 0x02) != 0;         // bit 6, cRLSign
  return {};
}

Status read_certificate_extensions(ByteView sequence, Certificate::Data& data) {
  OTR_TRY_ASSIGN(data.extensions, read_extensions(sequence));
  for (const Extension& extension : data.extensions) {
    if (extension.oid == kBasicConstraints) {
      OTR_TRY(read_basic_constraints(extension.content, data));
    } else if (extension.oid == kKeyUsage) {
      OTR_TRY(read_key_usage(extension.content, data));
    } else if (extension.critical && extension.oid != kExtendedKeyUsage &&
               !extension.oid.starts_with(kDice)) {
      data.unknown_critical = extension.oid;
    }
  }
  return {};
}

// TBSCertificate of version 3 (RFC 5280, 4.1).
Status read_content(Certificate::Data& data) {
  DerReader reader(data.parts.content);
  OTR_TRY_ASSIGN(const DerItem version, reader.next(0xa0));
  constexpr std::array<std::uint8_t, 3> kVersion3 = {kDerInteger, 1, 2};
  if (!std::ranges::equal(version.content, kVersion3)) {
    return fail(ErrorKind::kBadInput, "certificate: not of version 3", "UNSUPPORTED");
  }
  OTR_TRY_ASSIGN(data.serial, read_serial(reader));
  OTR_TRY_ASSIGN(const DerItem algorithm, reader.next(kDerSequence));
  if (!std::ranges::equal(algorithm.whole, data.parts.algorithm)) {
    return malformed_certificate("two different signature algorithms");
  }
  OTR_TRY_ASSIGN(const DerItem issuer, reader.next(kDerSequence));
  OTR_TRY_ASSIGN(const DerItem validity, reader.next(kDerSequence));
  DerReader dates(validity.content);
  OTR_TRY_ASSIGN(data.not_before, read_time(dates));
  OTR_TRY_ASSIGN(data.not_after, read_time(dates));
  if (!dates.empty()) return malformed_certificate("its validity");
  OTR_TRY_ASSIGN(const DerItem subject, reader.next(kDerSequence));
  OTR_TRY_ASSIGN(const DerItem key, reader.next(kDerSequence));
  data.issuer = issuer.whole;
  data.subject = subject.whole;
  OTR_TRY_ASSIGN(data.key, PublicKey::from_der(key.whole));
  while (!reader.empty()) {
    OTR_TRY_ASSIGN(const DerItem item, reader.next());
    if (item.tag == 0xa3 && reader.empty()) {
      OTR_TRY(read_certificate_extensions(item.content, data));
    } else if (item.tag != 0x81 && item.tag != 0x82) {  // unique identifiers, of no use
      return malformed_certificate("an element that does not belong there");
    }
  }
  return {};
}

}  // namespace

Result<Certificate> Certificate::from_der(ByteView der) {
  if (der.size() > kMaxCertificateBytes) return malformed_certificate("larger than 64 KiB");
  auto data = std::make_shared<Data>();
  data->der.assign(der.begin(), der.end());
  OTR_TRY_ASSIGN(data->parts, split_signed(data->der));
  OTR_TRY(read_content(*data));
  Certificate certificate;
  certificate.data_ = std::move(data);
  return certificate;
}

Result<std::vector<Certificate>> Certificate::from_pem(std::string_view pem) {
  OTR_TRY_ASSIGN(const std::vector<Bytes> blocks, read_pem(pem, "CERTIFICATE"));
  std::vector<Certificate> certificates;
  for (const Bytes& block : blocks) {
    OTR_TRY_ASSIGN(Certificate certificate, from_der(block));
    certificates.push_back(std::move(certificate));
  }
  return certificates;
}

ByteView Certificate::der() const { return data_->der; }
Hash Certificate::fingerprint() const { return crypto::sha256(data_->der); }
std::string Certificate::subject() const { return name_text(data_->subject); }
std::string Certificate::issuer() const { return name_text(data_->issuer); }
std::string Certificate::subject_common_name() const { return common_name(data_->subject); }
std::string Certificate::issuer_common_name() const { return common_name(data_->issuer); }
Bytes Certificate::serial() const { return data_->serial; }
Time Certificate::not_before() const { return data_->not_before; }
Time Certificate::not_after() const { return data_->not_after; }
bool Certificate::is_ca() const { return data_->is_ca; }
const PublicKey& Certificate::key() const { return data_->key; }

std::string Certificate::serial_decimal() const {
  const std::unique_ptr<BIGNUM, void (*)(BIGNUM*)> number(
      BN_bin2bn(data_->serial.data(), static_cast<int>(data_->serial.size()), nullptr), BN_free);
  char* digits = number ? BN_bn2dec(number.get()) : nullptr;
  std::string text = digits != nullptr ? digits : "";
  OPENSSL_free(digits);
  return text;
}

std::optional<Bytes> Certificate::extension(std::string_view oid) const {
  const Extension* found = find_extension(data_->extensions, oid);
  if (found == nullptr) return std::nullopt;
  return Bytes(found->content.begin(), found->content.end());
}

bool Certificate::is_issued_by(const Certificate& issuer) const {
  return std::ranges::equal(data_->issuer, issuer.data_->subject) &&
         is_signed_by(data_->parts, issuer.data_->key);
}

bool Certificate::operator==(const Certificate& other) const {
  return data_->der == other.data_->der;
}

}  // namespace otr::attest

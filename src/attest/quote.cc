#include "attest/quote.h"

#include <algorithm>
#include <string_view>

#include "attest/der.h"

namespace otr::attest {
namespace {

constexpr std::size_t kMaxQuoteBytes = std::size_t{1} << 20;
constexpr std::size_t kSgxBodyBytes = 384, kTd10BodyBytes = 584, kTd15BodyBytes = 648;
constexpr std::uint32_t kTeeSgx = 0, kTeeTdx = 0x81;
constexpr std::uint16_t kEcdsaP256 = 2, kPckChain = 5, kQeReport = 6;

std::string at(std::size_t offset) { return " at offset " + std::to_string(offset); }

std::unexpected<Error> malformed(std::string message) {
  return fail(ErrorKind::kBadInput, "quote: " + std::move(message), "MALFORMED");
}
std::unexpected<Error> unsupported(std::string message) {
  return fail(ErrorKind::kBadInput, "quote: " + std::move(message), "UNSUPPORTED");
}

// Takes fields from the front; every error names the field and where it should have been.
class Reader {
 public:
  explicit Reader(ByteView bytes) : bytes_(bytes), end_(bytes.size()) {}

  [[nodiscard]] std::size_t offset() const { return offset_; }
  [[nodiscard]] std::size_t left() const { return end_ - offset_; }

  Result<ByteView> take(std::size_t size, std::string_view field) {
    if (size > left()) {
      return malformed(std::string(field) + at(offset_) + " needs " + std::to_string(size) +
                       " bytes, and " + std::to_string(left()) + " are there");
    }
    const ByteView view = bytes_.subspan(offset_, size);
    offset_ += size;
    return view;
  }
  template <std::size_t N>
  Status take(std::array<std::uint8_t, N>& to, std::string_view field) {
    OTR_TRY_ASSIGN(const ByteView view, take(N, field));
    std::ranges::copy(view, to.begin());
    return {};
  }
  template <std::integral T>
  Result<T> number(std::string_view field) {
    OTR_TRY_ASSIGN(const ByteView view, take(sizeof(T), field));
    return load_le<T>(view.data());
  }
  // From here on there are only `size` bytes more; `close` wants them all taken.
  Status open(std::size_t size, std::string_view field) {
    if (size > left()) {
      return malformed(std::string(field) + at(offset_) + " has " + std::to_string(size) +
                       " bytes, and " + std::to_string(left()) + " are there");
    }
    end_ = offset_ + size;
    return {};
  }
  Status close(std::string_view field) const {
    if (left() == 0) return {};
    return malformed(std::string(field) + " has " + std::to_string(left()) +
                     " bytes more than its parts" + at(offset_));
  }
  ByteView rest_after_close() const { return bytes_.subspan(offset_); }

 private:
  ByteView bytes_;
  std::size_t offset_ = 0, end_ = 0;
};

// A copy of the bytes of a body at a fixed place.
template <std::size_t N>
void copy(std::array<std::uint8_t, N>& to, ByteView body, std::size_t offset) {
  std::ranges::copy(body.subspan(offset, N), to.begin());
}

SgxReport sgx_report(ByteView body) {
  SgxReport report;
  copy(report.cpu_svn, body, 0);
  report.misc_select = load_le<std::uint32_t>(&body[16]);
  copy(report.attributes, body, 48);
  copy(report.mrenclave, body, 64);
  copy(report.mrsigner, body, 128);
  report.isv_prod_id = load_le<std::uint16_t>(&body[256]);
  report.isv_svn = load_le<std::uint16_t>(&body[258]);
  copy(report.report_data, body, 320);
  return report;
}

TdReport td_report(ByteView body) {
  TdReport report;
  copy(report.tee_tcb_svn, body, 0);
  copy(report.mrseam, body, 16);
  copy(report.mrsignerseam, body, 64);
  report.seam_attributes = load_le<std::uint64_t>(&body[112]);
  report.td_attributes = load_le<std::uint64_t>(&body[120]);
  report.xfam = load_le<std::uint64_t>(&body[128]);
  copy(report.mrtd, body, 136);
  copy(report.mrconfigid, body, 184);
  copy(report.mrowner, body, 232);
  copy(report.mrownerconfig, body, 280);
  for (std::size_t i = 0; i < 4; ++i) copy(report.rtmr[i], body, 328 + 48 * i);
  copy(report.report_data, body, 520);
  report.is_15 = body.size() == kTd15BodyBytes;
  if (report.is_15) {
    copy(report.tee_tcb_svn2, body, 584);
    copy(report.mrservicetd, body, 600);
  }
  return report;
}

Status read_header(Reader& reader, Quote& quote) {
  OTR_TRY_ASSIGN(quote.version, reader.number<std::uint16_t>("version"));
  if (quote.version < 3 || quote.version > 5) {
    return unsupported("version " + std::to_string(quote.version) + at(0) +
                       "; 3, 4 and 5 are appraised");
  }
  OTR_TRY_ASSIGN(const auto key_type, reader.number<std::uint16_t>("attestation key type"));
  if (key_type != kEcdsaP256) {
    return unsupported("attestation key type " + std::to_string(key_type) + at(2) +
                       "; 2 (ECDSA with P-256) is appraised");
  }
  OTR_TRY_ASSIGN(const auto tee, reader.number<std::uint32_t>("TEE type"));
  if (tee != kTeeSgx && (tee != kTeeTdx || quote.version == 3)) {
    return unsupported("TEE type " + std::to_string(tee) + at(4) + " in version " +
                       std::to_string(quote.version));
  }
  quote.kind = tee == kTeeTdx ? Kind::kTdx : Kind::kSgx;
  // Versions 3 and 4 differ on what these four are; the security versions that count are in the
  // PCK certificate and the QE report.
  OTR_TRY(reader.take(4, "QE and PCE security versions"));
  OTR_TRY(reader.take(quote.qe_vendor_id, "QE vendor id"));
  return reader.take(quote.user_data, "user data");
}

// The size of the body, in version 5 as its descriptor says.
Result<std::size_t> body_size(Reader& reader, const Quote& quote) {
  if (quote.version < 5) return quote.kind == Kind::kTdx ? kTd10BodyBytes : kSgxBodyBytes;
  const std::size_t offset = reader.offset();
  OTR_TRY_ASSIGN(const auto type, reader.number<std::uint16_t>("body type"));
  OTR_TRY_ASSIGN(const auto size, reader.number<std::uint32_t>("body size"));
  if (type < 1 || type > 3) return unsupported("body type " + std::to_string(type) + at(offset));
  if ((type == 1) != (quote.kind == Kind::kSgx)) {
    return malformed("body type " + std::to_string(type) + at(offset) + " is not of the TEE type");
  }
  const std::size_t expected = type == 1   ? kSgxBodyBytes
                               : type == 2 ? kTd10BodyBytes
                                           : kTd15BodyBytes;
  if (size != expected) {
    return malformed("body size " + std::to_string(size) + at(offset + 2) + " where type " +
                     std::to_string(type) + " has " + std::to_string(expected));
  }
  return expected;
}

// Leaf first. PEM by the specification; Intel's own sample generator writes DER, the root first.
Result<std::vector<Certificate>> read_chain(ByteView data) {
  std::vector<Certificate> chain;
  if (!data.empty() && data[0] == kDerSequence) {
    for (DerReader reader(data); !reader.empty();) {
      OTR_TRY_ASSIGN(const DerItem item, reader.next(kDerSequence));
      OTR_TRY_ASSIGN(Certificate certificate, Certificate::from_der(item.whole));
      chain.push_back(std::move(certificate));
      if (chain.size() > 16) return malformed("a chain of more than 16 certificates");
    }
  } else {
    OTR_TRY_ASSIGN(chain, Certificate::from_pem(as_text(data)));
  }
  if (chain.size() > 1 && chain.front().subject() == chain.front().issuer()) {
    std::ranges::reverse(chain);
  }
  return chain;
}

Status read_certification(Reader& reader, Quote& quote) {
  OTR_TRY_ASSIGN(const ByteView qe_report, reader.take(kSgxBodyBytes, "QE report"));
  quote.qe_report.assign(qe_report.begin(), qe_report.end());
  quote.qe = sgx_report(qe_report);
  OTR_TRY(reader.take(quote.qe_report_signature, "QE report signature"));
  OTR_TRY_ASSIGN(const auto auth_size, reader.number<std::uint16_t>("size of the QE's data"));
  OTR_TRY_ASSIGN(const ByteView auth_data, reader.take(auth_size, "QE authentication data"));
  quote.qe_auth_data.assign(auth_data.begin(), auth_data.end());
  const std::size_t offset = reader.offset();
  OTR_TRY_ASSIGN(const auto type, reader.number<std::uint16_t>("certification type"));
  if (type != kPckChain) {
    return unsupported("certification type " + std::to_string(type) + at(offset) +
                       "; 5 (the PCK certificate chain) is appraised");
  }
  OTR_TRY_ASSIGN(const auto size, reader.number<std::uint32_t>("size of the PCK chain"));
  OTR_TRY_ASSIGN(const ByteView data, reader.take(size, "PCK chain"));
  auto chain = read_chain(data);
  if (!chain) {
    Error error = std::move(chain).error();
    error.message = "quote: PCK chain" + at(offset + 6) + ": " + error.message;
    return std::unexpected(std::move(error));
  }
  quote.pck_chain = *std::move(chain);
  return {};
}

Status read_signature_data(Reader& reader, Quote& quote) {
  OTR_TRY(reader.take(quote.signature, "quote signature"));
  OTR_TRY(reader.take(quote.attestation_key, "attestation key"));
  if (quote.version == 3) return read_certification(reader, quote);
  const std::size_t offset = reader.offset();
  OTR_TRY_ASSIGN(const auto type, reader.number<std::uint16_t>("certification type"));
  if (type != kQeReport) {
    return unsupported("certification type " + std::to_string(type) + at(offset) +
                       "; 6 (QE report) is appraised");
  }
  OTR_TRY_ASSIGN(const auto size, reader.number<std::uint32_t>("size of the certification data"));
  if (size != reader.left()) {
    return malformed("certification data" + at(reader.offset()) + " has " + std::to_string(size) +
                     " bytes, and " + std::to_string(reader.left()) + " are there");
  }
  return read_certification(reader, quote);
}

}  // namespace

Result<Quote> parse_quote(ByteView bytes) {
  if (bytes.size() > kMaxQuoteBytes) return malformed("larger than 1 MiB");
  Quote quote;
  Reader reader(bytes);
  OTR_TRY(read_header(reader, quote));
  OTR_TRY_ASSIGN(const std::size_t size, body_size(reader, quote));
  OTR_TRY_ASSIGN(const ByteView body, reader.take(size, "body"));
  if (quote.kind == Kind::kTdx) {
    quote.td = td_report(body);
  } else {
    quote.enclave = sgx_report(body);
  }
  const ByteView signed_part = bytes.first(reader.offset());
  quote.signed_part.assign(signed_part.begin(), signed_part.end());
  OTR_TRY_ASSIGN(const auto rest, reader.number<std::uint32_t>("size of the signature data"));
  OTR_TRY(reader.open(rest, "signature data"));
  OTR_TRY(read_signature_data(reader, quote));
  OTR_TRY(reader.close("signature data"));
  const ByteView after = reader.rest_after_close();
  quote.trailing_bytes = after.size();
  quote.trailing_zeros = std::ranges::all_of(after, [](std::uint8_t byte) { return byte == 0; });
  return quote;
}

}  // namespace otr::attest

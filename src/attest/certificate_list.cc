// Revocation lists (RFC 5280, chapter 5).
#include <algorithm>
#include <set>

#include "attest/certificate_parts.h"
#include "attest/pem.h"

namespace otr::attest {
namespace {

constexpr std::size_t kMaxListBytes = std::size_t{4} << 20;
constexpr std::string_view kReasonCode = "2.5.29.21";
constexpr std::uint64_t kRemoveFromCrl = 8;

std::unexpected<Error> malformed_list(std::string message) {
  return fail(ErrorKind::kBadInput, "revocation list: " + std::move(message), "MALFORMED");
}

bool is_time(std::uint8_t tag) { return tag == 0x17 || tag == 0x18; }

}  // namespace

struct RevocationList::Data {
  Bytes der;
  SignedParts parts;
  ByteView issuer;
  Time this_update = 0, next_update = 0;
  std::set<Bytes> revoked;  // serial numbers

  Status read_entry(ByteView entry);
  Status read_content();
  Status read_rest(DerReader& reader);
};

Status RevocationList::Data::read_entry(ByteView entry) {
  DerReader reader(entry);
  OTR_TRY_ASSIGN(Bytes serial, read_serial(reader));
  OTR_TRY(read_time(reader));
  if (!reader.empty()) {
    OTR_TRY_ASSIGN(const DerItem sequence, reader.next(kDerSequence));
    OTR_TRY_ASSIGN(const std::vector<Extension> extensions, read_extensions(sequence.whole));
    if (const Extension* reason = find_extension(extensions, kReasonCode)) {
      DerReader value(reason->content);
      OTR_TRY_ASSIGN(const DerItem code, value.next(kDerEnumerated));
      OTR_TRY_ASSIGN(const std::uint64_t number, der_unsigned(code.content));
      if (number == kRemoveFromCrl) return malformed_list("a removal, as in a list of changes");
    }
  }
  if (!reader.empty()) return malformed_list("an entry with more than it should have");
  revoked.insert(std::move(serial));
  return {};
}

// What follows nextUpdate: entries and extensions, both optional.
Status RevocationList::Data::read_rest(DerReader& reader) {
  while (!reader.empty()) {
    OTR_TRY_ASSIGN(const DerItem item, reader.next());
    if (item.tag == 0xa0 && reader.empty()) {
      OTR_TRY_ASSIGN(const std::vector<Extension> extensions, read_extensions(item.content));
      for (const Extension& extension : extensions) {
        // A list of changes, or of some certificates only, says less than a whole one.
        if (extension.critical) return malformed_list("critical extension " + extension.oid);
      }
    } else if (item.tag == kDerSequence) {
      for (DerReader entries(item.content); !entries.empty();) {
        OTR_TRY_ASSIGN(const DerItem entry, entries.next(kDerSequence));
        OTR_TRY(read_entry(entry.content));
      }
    } else {
      return malformed_list("an element that does not belong there");
    }
  }
  return {};
}

Status RevocationList::Data::read_content() {
  DerReader reader(parts.content);
  OTR_TRY_ASSIGN(DerItem item, reader.next());
  if (item.tag == kDerInteger) {
    OTR_TRY_ASSIGN(const std::uint64_t version, der_unsigned(item.content));
    if (version != 1) return malformed_list("not of version 2");
    OTR_TRY_ASSIGN(item, reader.next());
  }
  if (!std::ranges::equal(item.whole, parts.algorithm)) {
    return malformed_list("two different signature algorithms");
  }
  OTR_TRY_ASSIGN(const DerItem name, reader.next(kDerSequence));
  issuer = name.whole;
  OTR_TRY_ASSIGN(this_update, read_time(reader));
  // A peek: nextUpdate is optional in the format, and demanded here.
  DerReader ahead = reader;
  const auto next = ahead.next();
  if (!next || !is_time(next->tag)) return malformed_list("no next update");
  OTR_TRY_ASSIGN(next_update, read_time(reader));
  return read_rest(reader);
}

Result<RevocationList> RevocationList::from_der(ByteView der) {
  if (der.size() > kMaxListBytes) return malformed_list("larger than 4 MiB");
  auto data = std::make_shared<Data>();
  data->der.assign(der.begin(), der.end());
  OTR_TRY_ASSIGN(data->parts, split_signed(data->der));
  OTR_TRY(data->read_content());
  RevocationList list;
  list.data_ = std::move(data);
  return list;
}

Result<RevocationList> RevocationList::from_pem(std::string_view pem) {
  OTR_TRY_ASSIGN(const std::vector<Bytes> blocks, read_pem(pem, "X509 CRL"));
  if (blocks.size() != 1) return malformed_list("more than one in the text");
  return from_der(blocks[0]);
}

std::string RevocationList::issuer() const { return name_text(data_->issuer); }
Time RevocationList::this_update() const { return data_->this_update; }
Time RevocationList::next_update() const { return data_->next_update; }

bool RevocationList::is_issued_by(const Certificate& certificate) const {
  const Certificate::Data& by = Certificate::Data::of(certificate);
  return std::ranges::equal(data_->issuer, by.subject) && by.may_sign_lists &&
         is_signed_by(data_->parts, by.key);
}

bool RevocationList::revokes(const Certificate& certificate) const {
  return data_->revoked.contains(Certificate::Data::of(certificate).serial);
}

}  // namespace otr::attest

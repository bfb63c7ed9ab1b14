#include "attest/dcap_pck.h"

#include <functional>
#include <map>
#include <string>

#include "attest/der.h"

namespace otr::attest {
namespace {

constexpr std::string_view kSgx = "1.2.840.113741.1.13.1";

std::unexpected<Error> malformed(const std::string& what) {
  return fail(ErrorKind::kBadInput, "PCK certificate: " + what, "MALFORMED");
}

// The members of a SEQUENCE OF SEQUENCE { OBJECT IDENTIFIER, value }, by what follows `prefix` and
// a dot in the identifier; others are left out.
Result<std::map<std::string, DerItem>> read_members(ByteView sequence, const std::string& prefix) {
  std::map<std::string, DerItem> members;
  for (DerReader reader(sequence); !reader.empty();) {
    OTR_TRY_ASSIGN(const DerItem pair, reader.next(kDerSequence));
    DerReader fields(pair.content);
    OTR_TRY_ASSIGN(const DerItem oid, fields.next(kDerOid));
    OTR_TRY_ASSIGN(const std::string name, der_oid(oid.content));
    OTR_TRY_ASSIGN(const DerItem value, fields.next());
    if (!fields.empty()) return malformed("a member of its SGX extension with two values");
    if (!name.starts_with(prefix + ".")) continue;
    if (!members.emplace(name.substr(prefix.size() + 1), value).second) {
      return malformed("member " + name + " of its SGX extension is there twice");
    }
  }
  return members;
}

using Members = std::map<std::string, DerItem>;

Result<DerItem> member(const Members& members, const std::string& name, std::uint8_t tag) {
  const auto found = members.find(name);
  if (found == members.end() || found->second.tag != tag) {
    return malformed("its SGX extension has no member " + name + " of the right type");
  }
  return found->second;
}

Result<std::uint32_t> number(const Members& members, const std::string& name) {
  OTR_TRY_ASSIGN(const DerItem item, member(members, name, kDerInteger));
  OTR_TRY_ASSIGN(const std::uint64_t value, der_unsigned(item.content));
  if (value > 0xffff) return malformed("member " + name + " of its SGX extension is too large");
  return static_cast<std::uint32_t>(value);
}

Result<Bytes> octets(const Members& members, const std::string& name, std::size_t size) {
  OTR_TRY_ASSIGN(const DerItem item, member(members, name, kDerOctetString));
  if (item.content.size() != size) {
    return malformed("member " + name + " of its SGX extension has " +
                     std::to_string(item.content.size()) + " bytes");
  }
  return Bytes(item.content.begin(), item.content.end());
}

Status read_tcb(const Members& members, PckInfo& info) {
  OTR_TRY_ASSIGN(const DerItem tcb, member(members, "2", kDerSequence));
  OTR_TRY_ASSIGN(const Members parts, read_members(tcb.content, std::string(kSgx) + ".2"));
  for (std::size_t i = 0; i < 16; ++i) {
    OTR_TRY_ASSIGN(info.components[i], number(parts, std::to_string(i + 1)));
  }
  OTR_TRY_ASSIGN(info.pce_svn, number(parts, "17"));
  return {};
}

std::optional<bool> flag(const Members& members, const std::string& name) {
  const auto found = members.find(name);
  if (found == members.end() || found->second.content.size() != 1) return std::nullopt;
  return found->second.content[0] != 0;
}

Status read_configuration(const Members& members, PckInfo& info) {
  if (!members.contains("7")) return {};
  OTR_TRY_ASSIGN(const DerItem sequence, member(members, "7", kDerSequence));
  OTR_TRY_ASSIGN(const Members parts, read_members(sequence.content, std::string(kSgx) + ".7"));
  info.dynamic_platform = flag(parts, "1");
  info.cached_keys = flag(parts, "2");
  info.smt = flag(parts, "3");
  return {};
}

}  // namespace

Result<PckInfo> read_pck(const Certificate& certificate) {
  const std::optional<Bytes> extension = certificate.extension(kSgx);
  if (!extension) return malformed("it has no SGX extension");
  DerReader reader(*extension);
  OTR_TRY_ASSIGN(const DerItem sequence, reader.next(kDerSequence));
  if (!reader.empty()) return malformed("bytes after its SGX extension");
  OTR_TRY_ASSIGN(const Members members, read_members(sequence.content, std::string(kSgx)));
  PckInfo info;
  OTR_TRY_ASSIGN(info.ppid, octets(members, "1", 16));
  OTR_TRY(read_tcb(members, info));
  OTR_TRY_ASSIGN(info.pce_id, octets(members, "3", 2));
  OTR_TRY_ASSIGN(info.fmspc, octets(members, "4", 6));
  OTR_TRY_ASSIGN(const DerItem type, member(members, "5", kDerEnumerated));
  OTR_TRY_ASSIGN(info.sgx_type, der_unsigned(type.content));
  if (members.contains("6")) {
    OTR_TRY_ASSIGN(info.platform_instance, octets(members, "6", 16));
  }
  OTR_TRY(read_configuration(members, info));
  return info;
}

}  // namespace otr::attest

#include "attest/test_nitro.h"

#include <algorithm>

#include "base/check.h"

namespace otr::attest::test {

Bytes cbor_head(unsigned major, std::uint64_t value) {
  const auto first = [&](unsigned low) { return static_cast<std::uint8_t>(major << 5 | low); };
  if (value < 24) return {first(static_cast<unsigned>(value))};
  const unsigned width = value < 0x100 ? 0 : value < 0x10000 ? 1 : value < 0x100000000 ? 2 : 3;
  Bytes head = {first(24 + width)};
  for (int shift = (8 << width) - 8; shift >= 0; shift -= 8) {
    head.push_back(static_cast<std::uint8_t>(value >> shift));
  }
  return head;
}

Bytes cbor_number(std::uint64_t value) { return cbor_head(0, value); }

Bytes cbor_bytes(ByteView bytes) {
  Bytes all = cbor_head(2, bytes.size());
  append(all, bytes);
  return all;
}

Bytes cbor_text(std::string_view text) {
  Bytes all = cbor_head(3, text.size());
  append(all, as_bytes(text));
  return all;
}

Bytes cbor_array(const std::vector<Bytes>& items) {
  Bytes all = cbor_head(4, items.size());
  for (const Bytes& item : items) append(all, item);
  return all;
}

Bytes cbor_map(const std::vector<std::pair<Bytes, Bytes>>& entries) {
  Bytes all = cbor_head(5, entries.size());
  for (const auto& [key, value] : entries) {
    append(all, key);
    append(all, value);
  }
  return all;
}

Bytes cbor_null() { return {0xf6}; }

NitroRoots NitroRoots::make() {
  Authority root = Authority::root("nitro root of a test", KeyKind::kP384);
  Authority region = root.issue({.subject = "region", .serial = {2}, .ca = true}, KeyKind::kP384);
  Authority leaf = region.issue({.subject = "i-0123-enc0456",
                                 .serial = {3},
                                 .not_before = kTestNow - 3600,
                                 .not_after = kTestNow + 7200},
                                KeyKind::kP384);
  return {std::move(root), std::move(region), std::move(leaf)};
}

const NitroRoots& NitroRoots::get() {
  static const NitroRoots roots = make();
  return roots;
}

Bytes nitro_pcr(unsigned index) {
  return Bytes(48, index < 3 || index == 8 ? static_cast<std::uint8_t>(index + 0x30) : 0);
}

Bytes nitro_pcrs(const std::vector<Bytes>& values) {
  std::vector<std::pair<Bytes, Bytes>> entries;
  for (const Bytes& value : values) {
    entries.emplace_back(cbor_number(entries.size()), cbor_bytes(value));
  }
  return cbor_map(entries);
}

NitroMembers nitro_members(const NitroRoots& roots) {
  std::vector<Bytes> pcrs;
  for (unsigned i = 0; i < 16; ++i) pcrs.push_back(nitro_pcr(i));
  return {{"module_id", cbor_text("i-0123-enc0456")},
          {"digest", cbor_text("SHA384")},
          {"timestamp", cbor_number(static_cast<std::uint64_t>(kTestNow) * 1000)},
          {"pcrs", nitro_pcrs(pcrs)},
          {"certificate", cbor_bytes(roots.leaf.certificate.der())},
          {"cabundle", cbor_array({cbor_bytes(roots.root.certificate.der()),
                                   cbor_bytes(roots.region.certificate.der())})},
          {"public_key", cbor_null()},
          {"user_data", cbor_bytes(Bytes(64, 0x11))},
          {"nonce", cbor_bytes(Bytes(32, 0x22))}};
}

Bytes& member(NitroMembers& members, std::string_view name) {
  const auto found = std::ranges::find(members, name, &NitroMembers::value_type::first);
  OTR_CHECK(found != members.end());
  return found->second;
}

Bytes nitro_payload(const NitroMembers& members) {
  Bytes payload = {0xbf};
  for (const auto& [name, value] : members) {
    append(payload, cbor_text(name));
    append(payload, value);
  }
  payload.push_back(0xff);
  return payload;
}

Bytes signed_nitro(const Bytes& payload, const SigningKey& key) {
  const Bytes header = {0xa1, 0x01, 0x38, 0x22};
  const Bytes message = cbor_array(
      {cbor_text("Signature1"), cbor_bytes(header), cbor_bytes({}), cbor_bytes(payload)});
  return cbor_array({cbor_bytes(header), cbor_map({}), cbor_bytes(payload),
                     cbor_bytes(key.sign(Digest::kSha384, message))});
}

Bytes make_nitro(const NitroMembers& members, const NitroRoots& roots) {
  return signed_nitro(nitro_payload(members), roots.leaf.key);
}

Policy nitro_test_policy() {
  Policy policy;
  policy.nitro.emplace();
  for (const unsigned index : {0U, 1U, 2U}) policy.nitro->pcrs[index].values = {nitro_pcr(index)};
  return policy;
}

Verdict judge_nitro(ByteView document, std::span<const Certificate> anchors, const Policy& policy,
                    Time at, const Expected& expected) {
  Verdict verdict;
  const auto parsed = parse_nitro(document);
  if (!parsed) {
    Checks(verdict, Stage::kParse)
        .require(std::unexpected(parsed.error()), Code::kMalformed, "document");
    return verdict;
  }
  if (verify_nitro(verdict, *parsed, anchors, at)) {
    appraise_nitro(verdict, *parsed, policy, expected);
  }
  return verdict;
}

}  // namespace otr::attest::test

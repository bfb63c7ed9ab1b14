#include "attest/nitro.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <functional>

#include "attest/anchors.h"
#include "attest/cbor.h"
#include "attest/test_nitro.h"

namespace otr::attest {
namespace {

using namespace test;  // NOLINT: the generator's words are those of the format

std::string outcome(const Verdict& verdict) {
  if (const Check* check = verdict.failure()) return std::string(name_of(*check->code));
  return verdict.accepted() ? "accepted" : "open";
}

std::string judge(ByteView document, const Policy& policy = nitro_test_policy(),
                  const Expected& expected = {}, Time at = kTestNow) {
  const Certificate root = NitroRoots::get().root.certificate;
  const Verdict verdict = judge_nitro(document, std::span(&root, 1), policy, at, expected);
  EXPECT_EQ(verdict.assurance.empty(), !verdict.accepted());
  return outcome(verdict);
}

std::string judge_changed(const std::function<void(NitroMembers&)>& change) {
  NitroMembers members = nitro_members(NitroRoots::get());
  change(members);
  return judge(make_nitro(members, NitroRoots::get()));
}

Bytes good() { return make_nitro(nitro_members(NitroRoots::get()), NitroRoots::get()); }

// A byte inside the signed payload, behind its map.
Bytes nitro_with_payload_tail() {
  Bytes payload = nitro_payload(nitro_members(NitroRoots::get()));
  payload.push_back(0);
  return signed_nitro(payload, NitroRoots::get().leaf.key);
}

TEST(Nitro, AGoodDocumentIsAccepted) {
  const Certificate root = NitroRoots::get().root.certificate;
  const Verdict verdict = judge_nitro(good(), std::span(&root, 1), nitro_test_policy(), kTestNow);
  EXPECT_EQ(outcome(verdict), "accepted");
  EXPECT_TRUE(verdict.hardware);
  EXPECT_EQ(verdict.kind, Kind::kNitro);
  EXPECT_EQ(verdict.facts["made"], "2026-01-01T00:00:00Z");
  EXPECT_EQ(verdict.facts["module_id"], "i-0123-enc0456");
  Bytes tagged = {0xd2};
  append(tagged, good());
  EXPECT_EQ(judge(tagged), "accepted");
  // Maps of definite length, and members that may be left out.
  NitroMembers members = nitro_members(NitroRoots::get());
  members.resize(6);
  std::vector<std::pair<Bytes, Bytes>> entries;
  for (const auto& [name, value] : members) entries.emplace_back(cbor_text(name), value);
  EXPECT_EQ(judge(signed_nitro(cbor_map(entries), NitroRoots::get().leaf.key)), "accepted");
}

TEST(Nitro, EachMemberHasItsCode) {
  struct Change {
    const char* name;
    std::function<void(NitroMembers&)> change;
    const char* code;
  };
  const auto set = [](const char* name, Bytes value) {
    return [=](NitroMembers& members) { member(members, name) = value; };
  };
  const auto pcrs = [](std::vector<Bytes> values) {
    return [=](NitroMembers& members) { member(members, "pcrs") = nitro_pcrs(values); };
  };
  const Bytes zero(48, 0);
  const std::vector<Change> all = {
      {"debug", pcrs({zero, zero, zero, Bytes(48, 9)}), "DEBUG"},
      {"another image", pcrs({Bytes(48, 1), nitro_pcr(1), nitro_pcr(2)}), "POLICY_REFUSED"},
      {"another application", pcrs({nitro_pcr(0), nitro_pcr(1), zero}), "POLICY_REFUSED"},
      {"PCR2 left out", pcrs({nitro_pcr(0), nitro_pcr(1)}), "POLICY_REFUSED"},
      {"PCRs of another size", pcrs({Bytes(32, 1)}), "MALFORMED"},
      {"no PCR", pcrs({}), "MALFORMED"},
      {"a PCR twice",
       set("pcrs",
           cbor_map({{cbor_number(0), cbor_bytes(zero)}, {cbor_number(0), cbor_bytes(zero)}})),
       "MALFORMED"},
      {"PCR 32", set("pcrs", cbor_map({{cbor_number(32), cbor_bytes(zero)}})), "MALFORMED"},
      {"digest", set("digest", cbor_text("SHA512")), "UNSUPPORTED"},
      {"text as bytes", set("module_id", cbor_bytes(as_bytes("i-0"))), "MALFORMED"},
      {"text that is none", set("module_id", cbor_text("i\n0")), "MALFORMED"},
      {"made before its leaf", set("timestamp", cbor_number((kTestNow - 3601) * 1000ULL)),
       "TIME_INVALID"},
      {"made after now", set("timestamp", cbor_number((kTestNow + 301) * 1000ULL)), "TIME_INVALID"},
      {"made at the end of time", set("timestamp", cbor_number(UINT64_MAX)), "TIME_INVALID"},
      {"no root", set("cabundle", cbor_array({})), "MALFORMED"},
      {"long user data", set("user_data", cbor_bytes(Bytes(513, 1))), "MALFORMED"},
      {"a certificate that is none", set("certificate", cbor_bytes(Bytes(20, 0x30))), "MALFORMED"},
      {"a null that may not be", set("certificate", cbor_null()), "MALFORMED"},
      {"a member twice", [](NitroMembers& m) { m.push_back(m.back()); }, "MALFORMED"},
      {"a member too many", [](NitroMembers& m) { m.emplace_back("x", cbor_null()); },
       "UNSUPPORTED"},
      {"a member too few", [](NitroMembers& m) { m.erase(m.begin() + 2); }, "MALFORMED"},
  };
  for (const Change& one : all) EXPECT_EQ(judge_changed(one.change), one.code) << one.name;
  EXPECT_EQ(judge_changed(set("timestamp", cbor_number((kTestNow + 300) * 1000ULL))), "accepted");
}

TEST(Nitro, ChainsAndTime) {
  const Policy policy = nitro_test_policy();
  EXPECT_EQ(judge(good(), policy, {}, kTestNow - 3601), "TIME_INVALID");
  EXPECT_EQ(judge(good(), policy, {}, kTestNow + 7200), "accepted");
  EXPECT_EQ(judge(good(), policy, {}, kTestNow + 7201), "TIME_INVALID");
  const NitroRoots stranger = NitroRoots::make();
  EXPECT_EQ(judge(make_nitro(nitro_members(stranger), stranger)), "ANCHOR_UNKNOWN");
  // A stranger's leaf under the genuine bundle, and a genuine leaf signed over by a stranger.
  NitroMembers members = nitro_members(NitroRoots::get());
  EXPECT_EQ(judge(make_nitro(members, stranger)), "SIGNATURE_INVALID");
  member(members, "certificate") = cbor_bytes(stranger.leaf.certificate.der());
  EXPECT_EQ(judge(make_nitro(members, stranger)), "CHAIN_INVALID");
  // The bundle upside down: the leaf is not issued by the root.
  EXPECT_EQ(judge_changed([](NitroMembers& m) {
              const NitroRoots& roots = NitroRoots::get();
              member(m, "cabundle") = cbor_array({cbor_bytes(roots.region.certificate.der()),
                                                  cbor_bytes(roots.root.certificate.der())});
            }),
            "CHAIN_INVALID");
}

TEST(Nitro, NoByteCanBeChangedOrLeftOut) {
  const Bytes document = good();
  for (std::size_t at = 0; at < document.size(); at += at < 64 ? 1 : 5) {
    Bytes changed = document;
    changed[at] ^= static_cast<std::uint8_t>(1U << (at % 8));
    EXPECT_NE(judge(changed), "accepted") << at;
  }
  for (std::size_t size = 0; size < document.size(); ++size) {
    const auto parsed = parse_nitro(ByteView(document).first(size));
    ASSERT_FALSE(parsed) << size;
    EXPECT_EQ(parsed.error().code, "MALFORMED") << size;
  }
  // What others put behind a document is not its own: it is counted, and said.
  Bytes longer = document;
  longer.push_back(7);
  EXPECT_EQ(judge(longer), "accepted");
  EXPECT_EQ(parse_nitro(longer)->trailing_bytes, 1U);
  EXPECT_EQ(parse_nitro(longer)->signed_part, parse_nitro(document)->signed_part);
  EXPECT_EQ(judge(nitro_with_payload_tail()), "MALFORMED");
}

TEST(Nitro, EnvelopesOfOtherShapes) {
  const Bytes payload = nitro_payload(nitro_members(NitroRoots::get()));
  const Bytes signature(96, 1), es384 = {0xa1, 0x01, 0x38, 0x22};
  const auto envelope = [&](const Bytes& header, const Bytes& unprotected, const Bytes& sign) {
    return judge(cbor_array({cbor_bytes(header), unprotected, cbor_bytes(payload), sign}));
  };
  const Bytes none = cbor_map({});
  EXPECT_EQ(envelope(es384, none, cbor_bytes(signature)), "SIGNATURE_INVALID");
  EXPECT_EQ(envelope({0xa1, 0x01, 0x26}, none, cbor_bytes(signature)), "UNSUPPORTED");  // ES256
  EXPECT_EQ(envelope(es384, cbor_map({{cbor_number(4), cbor_bytes({})}}), cbor_bytes(signature)),
            "MALFORMED");
  EXPECT_EQ(envelope(es384, none, cbor_bytes(Bytes(95, 1))), "MALFORMED");
  EXPECT_EQ(envelope(es384, none, cbor_bytes(Bytes(97, 1))), "MALFORMED");
  EXPECT_EQ(envelope(es384, none, cbor_null()), "MALFORMED");
  for (const std::uint8_t count : {std::uint8_t{0x83}, std::uint8_t{0x85}}) {
    Bytes other_count = good();
    other_count[0] = count;
    other_count.push_back(0xf6);
    EXPECT_EQ(judge(other_count), "MALFORMED");
  }
  Bytes endless = good();  // an array of indefinite length instead
  endless[0] = 0x9f;
  endless.push_back(0xff);
  EXPECT_EQ(judge(endless), "MALFORMED");
  Bytes other_tag = {0xd1};  // COSE_Mac0
  append(other_tag, good());
  EXPECT_EQ(judge(other_tag), "MALFORMED");
}

TEST(Nitro, PolicyAndExpectations) {
  EXPECT_EQ(judge(good(), {}), "POLICY_REFUSED");
  Policy policy = nitro_test_policy();
  policy.nitro->pcrs.erase(1);
  EXPECT_EQ(judge(good(), policy), "POLICY_REFUSED");
  policy.nitro->pcrs[1].any = true;
  EXPECT_EQ(judge(good(), policy), "accepted");
  policy.nitro->pcrs[8].values = {Bytes(48, 7)};
  EXPECT_EQ(judge(good(), policy), "POLICY_REFUSED");
  policy.nitro->pcrs[8].values = {nitro_pcr(8)};
  EXPECT_EQ(judge(good(), policy), "accepted");
  const Bytes nonce(32, 0x22), data(64, 0x11);
  EXPECT_EQ(judge(good(), policy, {.nonce = nonce, .report_data = data}), "accepted");
  EXPECT_EQ(judge(good(), policy, {.nonce = data}), "NONCE_MISMATCH");
  EXPECT_EQ(judge(good(), policy, {.report_data = nonce}), "BINDING_MISMATCH");
}

TEST(Cbor, OneSpellingOfEachValue) {
  const auto number = [](const Bytes& bytes) {
    CborReader reader(bytes, "test");
    auto value = reader.number("number");
    return value && reader.end() ? static_cast<std::int64_t>(*value) : -1;
  };
  EXPECT_EQ(number({0x17}), 23);
  EXPECT_EQ(number({0x18, 24}), 24);
  EXPECT_EQ(number({0x18, 23}), -1);
  EXPECT_EQ(number({0x19, 1, 0}), 256);
  EXPECT_EQ(number({0x19, 0, 255}), -1);
  EXPECT_EQ(number({0x1a, 0, 1, 0, 0}), 65536);
  EXPECT_EQ(number({0x1a, 0, 0, 255, 255}), -1);
  EXPECT_EQ(number({0x1b, 0, 0, 0, 1, 0, 0, 0, 0}), 4294967296);
  EXPECT_EQ(number({0x1b, 0, 0, 0, 0, 255, 255, 255, 255}), -1);
  EXPECT_EQ(number({0x1c}), -1);
  EXPECT_EQ(number({0x1f}), -1);
  EXPECT_EQ(number({0x20}), -1);
  EXPECT_EQ(number({0x19, 1}), -1);
  EXPECT_EQ(number({}), -1);
  // Strings of indefinite length, and lengths beyond the end or any bound.
  for (const Bytes& bytes :
       {Bytes{0x5f, 0x41, 1, 0xff}, Bytes{0x42, 1},
        Bytes{0x5b, 255, 255, 255, 255, 255, 255, 255, 255, 1}, Bytes{0x43, 1, 2, 3}}) {
    CborReader reader(bytes, "test");
    const auto read = reader.bytes("string", 2);
    ASSERT_FALSE(read);
    EXPECT_EQ(read.error().code, "MALFORMED");
  }
}

// Real documents, which others gave: ../shared/attestation-samples, not part of this repository.
Bytes sample(const std::string& name) {
  const std::filesystem::path path =
      std::filesystem::path(OTR_SOURCE_DIR) / "../shared/attestation-samples/nitro" / name;
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

TEST(NitroSamples, RealDocumentsGetTheRightAnswer) {
  const Bytes document = sample("attestation.cose"), debug = sample("debug-zero-pcrs.cose");
  if (document.empty() || debug.empty()) {
    GTEST_SKIP() << "NOT TESTED on real evidence: shared/attestation-samples/nitro is absent";
  }
  Policy policy;
  policy.nitro.emplace();
  for (const unsigned index : {0U, 1U, 2U}) policy.nitro->pcrs[index].any = true;
  const auto judge_at = [&](const Bytes& bytes, const char* time) {
    return outcome(
        judge_nitro(bytes, vendor_anchors().nitro, policy, parse_time(time).value_or(0)));
  };
  EXPECT_EQ(judge_at(document, "2025-12-25T16:04:16Z"), "accepted");
  EXPECT_EQ(judge_at(document, "2025-12-25T19:04:19Z"), "accepted");
  EXPECT_EQ(judge_at(document, "2025-12-25T16:04:15Z"), "TIME_INVALID");
  EXPECT_EQ(judge_at(document, "2025-12-25T19:04:20Z"), "TIME_INVALID");
  const auto parsed = parse_nitro(debug);
  ASSERT_TRUE(parsed) << parsed.error().message;
  const Time when = static_cast<Time>(parsed->timestamp_ms / 1000);
  const Verdict verdict = judge_nitro(debug, vendor_anchors().nitro, policy, when);
  EXPECT_EQ(outcome(verdict), "DEBUG");
  EXPECT_TRUE(verdict.hardware);  // its signature is good
}

}  // namespace
}  // namespace otr::attest

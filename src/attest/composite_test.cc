// What pieces of evidence say together, and what a whole appraisal says of it.
#include "attest/composite.h"

#include <gmock/gmock.h>

#include "attest/encoding.h"
#include "attest/event_log.h"
#include "attest/hash.h"
#include "attest/report.h"
#include "attest/test_gpus.h"
#include "attest/test_quotes.h"
#include "attest/test_snp.h"
#include "crypto/sha256.h"

namespace otr::attest {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

GpuPiece gpu(std::uint8_t serial, std::uint8_t nonce = 9, bool is_switch = false) {
  GpuPiece piece{.name = "gpu" + std::to_string(serial)};
  piece.report.nonce.fill(nonce);
  piece.report.is_switch = is_switch;
  piece.found = GpuFound{.ueid = {serial}, .rims_match = true};
  return piece;
}

// The first code of what a check writes; nothing where all passed.
template <class Check>
std::optional<Code> code_of(Check check) {
  Verdict verdict;
  Checks checks(verdict, Stage::kAppraise);
  check(checks);
  const auto* failure = verdict.failure();
  return failure ? failure->code : std::nullopt;
}

Policy counted(std::optional<std::uint32_t> gpus, std::optional<std::uint32_t> switches) {
  Policy policy;
  policy.gpu.emplace().count = gpus;
  policy.nvswitch.emplace().count = switches;
  return policy;
}

TEST(Devices, AreCountedAndNeverThereTwice) {
  const auto devices = [](const std::vector<GpuPiece>& gpus, const Policy& policy) {
    return code_of([&](Checks& checks) { check_devices(checks, gpus, policy); });
  };
  EXPECT_FALSE(devices({gpu(1)}, counted({}, {})));
  EXPECT_FALSE(devices({}, counted({}, {})));
  EXPECT_EQ(devices({gpu(1), gpu(2)}, counted({}, {})), Code::kDeviceRefused);  // unset: one
  EXPECT_FALSE(devices({gpu(1), gpu(2)}, counted(2, {})));
  EXPECT_FALSE(devices({gpu(1), gpu(2)}, counted(0, {})));
  EXPECT_EQ(devices({gpu(1)}, counted(2, {})), Code::kDeviceRefused);
  EXPECT_EQ(devices({}, counted(2, {})), Code::kDeviceRefused);
  EXPECT_EQ(devices({gpu(1), gpu(1)}, counted(2, {})), Code::kDeviceRefused);
  EXPECT_EQ(devices({gpu(1), gpu(1)}, counted(0, {})), Code::kDeviceRefused);
  EXPECT_FALSE(devices({gpu(1), gpu(2, 9, true)}, counted(1, 1)));
  EXPECT_EQ(devices({gpu(1), gpu(2, 9, true)}, counted(2, 1)), Code::kDeviceRefused);
  EXPECT_EQ(devices({gpu(1), gpu(2, 9, true)}, counted(1, 2)), Code::kDeviceRefused);
}

// A document in the form of Tinfoil's, and what its pieces must be.
struct Tinfoil {
  Tinfoil() {
    binding.format = kTinfoilV3;
    static const test::GpuMaker maker;
    const Bytes report = maker.report({.nonce = Bytes(32, 0x33)});
    piece.report = *parse_gpu_report(report);
    binding.gpu_evidence_text = R"({"evidences":[{"evidence":")" + to_base64(report) + R"("}]})";
    binding.report_data = {
        {"tls_key_fp", std::string(64, '1')},
        {"hpke_key", std::string(64, '2')},
        {"nonce", std::string(64, '3')},
        {"gpu_evidence_hash", to_plain_hex(crypto::sha256(as_bytes(binding.gpu_evidence_text)))}};
    sign();
  }
  void sign() {
    Bytes joined;
    for (const char* key :
         {"tls_key_fp", "hpke_key", "nonce", "gpu_evidence_hash", "nvswitch_evidence_hash"}) {
      if (!binding.report_data.contains(key)) continue;
      append(joined, *from_plain_hex(binding.report_data[key].get<std::string>()));
    }
    cpu.report_data.assign(64, 0);
    std::ranges::copy(crypto::sha256(joined), cpu.report_data.begin());
  }
  std::optional<Code> check(const Expected& expected = {}) const {
    return code_of([&](Checks& checks) {
      check_binding(checks, binding, {std::span(&cpu, 1), std::span(&piece, 1), {}}, expected);
    });
  }

  Binding binding;
  CpuPiece cpu{.name = "cpu"};
  GpuPiece piece = gpu(1, 0x33);
};

TEST(TinfoilBinding, CoversKeysNonceAndEvidence) {
  EXPECT_FALSE(Tinfoil().check());
  EXPECT_FALSE(Tinfoil().check({.nonce = Bytes(32, 0x33)}));
  EXPECT_EQ(Tinfoil().check({.nonce = Bytes(32, 0x34)}), Code::kNonceMismatch);
  for (const char* key : {"tls_key_fp", "hpke_key"}) {
    Tinfoil changed;
    changed.binding.report_data[key] = std::string(64, '4');
    EXPECT_EQ(changed.check(), Code::kBindingMismatch) << key;
    changed.binding.report_data[key] = "44";
    EXPECT_EQ(changed.check(), Code::kMalformed) << key;
    changed.binding.report_data.erase(key);
    EXPECT_EQ(changed.check(), Code::kMalformed) << key;
  }
  Tinfoil spaces;
  spaces.binding.gpu_evidence_text.insert(1, " ");
  EXPECT_EQ(spaces.check(), Code::kBindingMismatch);
  Tinfoil none;
  none.binding.report_data.erase("gpu_evidence_hash");
  none.sign();
  EXPECT_EQ(none.check(), Code::kBindingMismatch);
  Tinfoil tail;
  tail.cpu.report_data.back() = 1;
  EXPECT_EQ(tail.check(), Code::kBindingMismatch);
  Tinfoil nonce;
  nonce.piece.report.nonce.fill(0x34);
  EXPECT_EQ(nonce.check(), Code::kNonceMismatch);
  Tinfoil switches;
  switches.binding.switch_evidence_text = "[]";
  EXPECT_EQ(switches.check(), Code::kBindingMismatch);  // nobody vouches for them
  switches.binding.report_data["nvswitch_evidence_hash"] =
      to_plain_hex(crypto::sha256(as_bytes("[]")));
  EXPECT_EQ(switches.check(), Code::kBindingMismatch);
  switches.sign();
  EXPECT_FALSE(switches.check());
  // A report beside the document, or one in a document that states no hash: the nonce is no tie.
  Tinfoil beside;
  beside.binding.gpu_evidence_text = R"({"evidences":[]})";
  beside.binding.report_data["gpu_evidence_hash"] =
      to_plain_hex(crypto::sha256(as_bytes(beside.binding.gpu_evidence_text)));
  beside.sign();
  EXPECT_EQ(beside.check(), Code::kBindingMismatch);
  Tinfoil unhashed;
  unhashed.binding.gpu_evidence_text.clear();
  unhashed.binding.report_data.erase("gpu_evidence_hash");
  unhashed.sign();
  EXPECT_EQ(unhashed.check(), Code::kBindingMismatch);
  Tinfoil array;
  array.binding.report_data = Json::array({1});
  EXPECT_EQ(array.check(), Code::kMalformed);
}

TEST(PlainBinding, NeedsTheNonceInReportData) {
  const auto binding = [](const Bytes& report_data, const GpuPiece& piece,
                          const Expected& expected = {}) {
    const CpuPiece cpu{.name = "cpu", .report_data = report_data};
    return code_of([&](Checks& checks) {
      check_binding(checks, std::nullopt, {std::span(&cpu, 1), std::span(&piece, 1), {}}, expected);
    });
  };
  Bytes first(64, 0), second(64, 0);
  std::fill_n(first.begin(), 32, 9);
  std::fill_n(second.begin() + 32, 32, 9);
  EXPECT_FALSE(binding(first, gpu(1)));
  EXPECT_FALSE(binding(second, gpu(1)));
  EXPECT_EQ(binding(first, gpu(1, 8)), Code::kBindingMismatch);
  EXPECT_EQ(binding(Bytes(64, 0), gpu(1)), Code::kBindingMismatch);
  EXPECT_EQ(binding(Bytes(32, 9), gpu(1)), Code::kBindingMismatch);
  // What the relying party derived itself.
  EXPECT_FALSE(
      binding(Bytes(64, 0), gpu(1), {.report_data = Bytes(64, 0), .gpu_nonces = {Bytes(32, 9)}}));
  EXPECT_EQ(binding(Bytes(64, 0), gpu(1), {.report_data = Bytes(64, 0)}), Code::kBindingMismatch);
  EXPECT_EQ(
      binding(first, gpu(1), {.report_data = first, .gpu_nonces = {Bytes(32, 9), Bytes(32, 9)}}),
      Code::kDeviceRefused);
  GpuPiece stated = gpu(1);
  stated.stated_nonce = Bytes(32, 8);
  EXPECT_EQ(binding(first, stated), Code::kNonceMismatch);
  stated.stated_nonce = Bytes(32, 9);
  EXPECT_FALSE(binding(first, stated));
}

// An event in dstack's own form.
Json dstack_event(const std::string& name, const std::string& payload_hex) {
  Bytes message = {0x01, 0x00, 0x00, 0x08};
  append(message, as_bytes(":" + name + ":"));
  append(message, *from_plain_hex(payload_hex));
  return {{"imr", 3},
          {"event_type", 0x08000001},
          {"digest", to_plain_hex(sha384(message))},
          {"event", name},
          {"event_payload", payload_hex}};
}

TEST(EventLog, ReplaysOrIsRefused) {
  const Json firmware = {{"imr", 0},
                         {"event_type", 4},
                         {"digest", std::string(96, 'a')},
                         {"event", ""},
                         {"event_payload", "00"}};
  const Json log = {firmware, dstack_event("app-id", "ab12"), dstack_event("ready", "")};
  Quote quote;
  // By hand: SHA-384(zeros ‖ digest), twice for RTMR3.
  Bytes at(48, 0);
  for (const char* digest : {"1", "2"}) {
    append(at, *from_plain_hex(log[*digest - '0']["digest"].get<std::string>()));
    at = sha384(at);
  }
  std::ranges::copy(at, quote.td.rtmr[3].begin());
  Bytes first(48, 0);
  append(first, Bytes(48, 0xAA));
  std::ranges::copy(sha384(first), quote.td.rtmr[0].begin());
  const auto check = [&](const Json& json, bool with_quote = true) {
    const std::string text = json.dump();
    const Item item{"log", Bytes(text.begin(), text.end())};
    const CpuPiece cpu{.name = "quote", .quote = with_quote ? &quote : nullptr};
    Json facts = Json::object();
    return code_of([&](Checks& checks) {
      check_event_logs(checks, std::span(&item, 1), std::span(&cpu, 1), facts);
    });
  };
  EXPECT_FALSE(check(log));
  EXPECT_EQ(check(log, false), Code::kTampered);
  Json changed = log;
  changed[1]["event_payload"] = "ab13";  // a digest that is not the payload's
  EXPECT_EQ(check(changed), Code::kTampered);
  changed[1] = dstack_event("app-id", "ab13");  // a digest that the quote does not hold
  EXPECT_EQ(check(changed), Code::kTampered);
  changed = log;
  changed.push_back(dstack_event("more", ""));
  EXPECT_EQ(check(changed), Code::kTampered);
  changed = log;
  std::swap(changed[1], changed[2]);
  EXPECT_EQ(check(changed), Code::kTampered);
  for (const auto& [key, value] :
       std::vector<std::pair<std::string, Json>>{{"imr", 4},
                                                 {"imr", "0"},
                                                 {"digest", "aa"},
                                                 {"digest", 1},
                                                 {"event_payload", "xyz"},
                                                 {"event_type", -1},
                                                 {"event_type", std::uint64_t{1} << 33}}) {
    changed = log;
    changed[0][key] = value;
    EXPECT_EQ(check(changed), Code::kMalformed) << key << value;
  }
  EXPECT_EQ(check(Json::array({1})), Code::kMalformed);
  EXPECT_EQ(check(Json::object()), Code::kMalformed);
  EXPECT_EQ(check(Json(std::vector<Json>(4097, firmware))), Code::kMalformed);
}

// A whole: an SNP guest whose report data holds the nonce of a GPU, all of our own making.
struct Whole {
  Whole() {
    static const test::GpuMaker maker;
    test::SnpSpec spec;
    std::fill_n(spec.report_data.begin(), 32, 0xA5);
    const test::SnpEvidence evidence = test::make_snp(spec);
    bundle.snp_reports.push_back({"snp", evidence.report});
    bundle.certificates = evidence.collateral.certificates;
    bundle.gpus.push_back({.name = "gpu", .report = maker.report({}), .chain = maker.chain()});
    bundle.rims = {*parse_rim(maker.rim(maker.driver_rim())),
                   *parse_rim(maker.rim(maker.vbios_rim()))};
    anchors = maker.anchors();
    anchors.amd = test::snp_test_anchors().amd;
    anchors.amd_intermediates = test::snp_test_anchors().amd_intermediates;
    policy = test::snp_test_policy();
    policy.name = "test";
    policy.gpu = parse_policy(*built_in_policy("genuine"))->gpu;
    policy.gpu->require_rims = true;
  }
  Appraisal run(const Expected& expected = {}) const {
    return appraise(bundle, policy, expected, anchors, test::kTestNow);
  }
  std::optional<Code> code() const {
    const Appraisal appraisal = run();
    EXPECT_EQ(appraisal.accepted(), appraisal.failure() == nullptr)
        << to_text(appraisal, policy, test::kTestNow, true);
    return appraisal.failure() ? appraisal.failure()->code : std::nullopt;
  }

  Bundle bundle;
  Anchors anchors;
  Policy policy;
};

TEST(Appraisal, JudgesEveryPieceAndTheWhole) {
  const Whole good;
  const Appraisal appraisal = good.run({.nonce = Bytes(32, 0xA5)});
  const std::string text = to_text(appraisal, good.policy, test::kTestNow, true);
  EXPECT_TRUE(appraisal.accepted()) << text;
  EXPECT_TRUE(appraisal.hardware());
  EXPECT_THAT(text, AllOf(HasSubstr("ACCEPTED"), HasSubstr("TDISP"), Not(HasSubstr("SIMULATED"))));
  EXPECT_EQ(good.run({.nonce = Bytes(32, 0xA6)}).failure()->code, Code::kNonceMismatch);
  Whole no_table;
  no_table.policy.gpu.reset();
  EXPECT_EQ(no_table.code(), Code::kPolicyRefused);
  Whole no_snp;
  no_snp.policy.snp.reset();
  EXPECT_EQ(no_snp.code(), Code::kPolicyRefused);
  Whole loose;
  loose.bundle.snp_reports[0].bytes = test::make_snp({}).report;
  EXPECT_TRUE(loose.code());
  Whole twice;
  twice.policy.gpu->count = 2;
  twice.bundle.gpus.push_back(twice.bundle.gpus[0]);
  EXPECT_EQ(twice.code(), Code::kDeviceRefused);
  Whole cut;
  cut.bundle.gpus[0].report.pop_back();
  EXPECT_EQ(cut.code(), Code::kMalformed);
  Whole stranger;
  stranger.anchors.nvidia_device.clear();
  EXPECT_EQ(stranger.code(), Code::kAnchorUnknown);
}

// The same through a document: a quote whose report data is the hash that Tinfoil's form names.
TEST(Appraisal, OfADocumentThatTiesThem) {
  const test::Intel intel = test::Intel::make();
  const test::GpuMaker maker;
  const std::string gpu_text = R"({"evidences":[{"certificate":")" +
                               to_base64(as_bytes(test::to_pem(maker.chain()))) +
                               R"(","evidence":")" + to_base64(maker.report({})) + R"("}]})";
  const std::string hash = to_plain_hex(crypto::sha256(as_bytes(gpu_text)));
  const std::string key(64, '1'), nonce = to_plain_hex(Bytes(32, 0xA5));
  test::QuoteSpec spec = test::Intel::good(4, Kind::kTdx);
  spec.td.report_data.fill(0);
  std::ranges::copy(crypto::sha256(*from_plain_hex(key + key + nonce + hash)),
                    spec.td.report_data.begin());
  const std::string document =
      R"({"format":")" + std::string(kTinfoilV3) + R"(","report_data":{"tls_key_fp":")" + key +
      R"(","hpke_key":")" + key + R"(","nonce":")" + nonce + R"(","gpu_evidence_hash":")" + hash +
      R"("},"cpu":{"report":")" + to_base64(intel.quote(spec)) + R"("},"gpu":)" + gpu_text + "}";
  const Item item{"document", Bytes(document.begin(), document.end())};
  auto bundle = sort_items(std::span(&item, 1));
  ASSERT_TRUE(bundle) << bundle.error().message;
  bundle->dcap = intel.collateral(Kind::kTdx);
  Anchors anchors = intel.anchors();
  anchors.nvidia_device = maker.anchors().nvidia_device;
  Policy policy = test::good_policy();
  policy.gpu = parse_policy(*built_in_policy("genuine"))->gpu;
  const auto code = [&](const Expected& expected) {
    const Appraisal appraisal = appraise(*bundle, policy, expected, anchors, test::kTestNow);
    EXPECT_EQ(appraisal.accepted(), appraisal.failure() == nullptr)
        << to_text(appraisal, policy, test::kTestNow, true);
    return appraisal.failure() ? appraisal.failure()->code : std::nullopt;
  };
  const Bytes report_data(spec.td.report_data.begin(), spec.td.report_data.end());
  EXPECT_EQ(code({}), std::nullopt);
  EXPECT_EQ(code({.nonce = Bytes(32, 0xA5), .report_data = report_data}), std::nullopt);
  EXPECT_EQ(code({.nonce = Bytes(32, 0xA6)}), Code::kNonceMismatch);
  EXPECT_EQ(code({.report_data = Bytes(64, 1)}), Code::kBindingMismatch);
  bundle->quotes.clear();  // who leaves the quote away is not judged by the GPU alone
  EXPECT_EQ(code({}), Code::kBindingMismatch);
}

TEST(Appraisal, WantsTheEvidenceThatThePolicyRequires) {
  Whole both;
  both.policy.required = {"snp", "nvidia"};
  EXPECT_FALSE(both.code());
  Whole without_gpu = both;
  without_gpu.bundle.gpus.clear();
  EXPECT_EQ(without_gpu.code(), Code::kPolicyRefused);
  without_gpu.policy.required = {"snp"};
  EXPECT_FALSE(without_gpu.code());
  Whole empty;
  empty.bundle = {};
  const Appraisal nothing = empty.run();
  EXPECT_FALSE(nothing.accepted());
  EXPECT_FALSE(nothing.hardware());
  EXPECT_EQ(nothing.failure()->code, Code::kCollateralMissing);
}

TEST(Appraisal, NamesWhatWasOfNoUse) {
  Whole whole;
  whole.bundle.jwks = R"({"keys":[{"kty":"EC"}]})";
  whole.bundle.dcap.tcb_info = "{}";
  static const test::GpuMaker maker;
  test::RimSpec other = maker.driver_rim();
  other.version = "1.2.3";
  whole.bundle.rims.push_back(*parse_rim(maker.rim(other)));
  const std::string text = to_text(whole.run(), whole.policy, test::kTestNow, false);
  EXPECT_THAT(
      text, AllOf(HasSubstr("key set"), HasSubstr("Intel collateral"), HasSubstr("version 1.2.3")));
}

TEST(Report, EveryLineAboutSimulatedEvidenceSaysSo) {
  Appraisal appraisal;
  Verdict& verdict = appraisal.verdicts.emplace_back();
  appraisal.names.emplace_back("a\x1b[2Jname");
  verdict.kind = Kind::kSimulated;
  verdict.facts = {{"measurement", std::string(96, 'a')}, {"report_data", std::string(128, '0')}};
  Checks(verdict, Stage::kVerify).pass("signature", "good");
  Checks(verdict, Stage::kAppraise).fail(Code::kSimulated, "hardware is asked for", "why");
  const Policy policy{.name = "p"};
  const std::string text = to_text(appraisal, policy, 0, true);
  for (std::size_t at = 0; at < text.size(); at = text.find('\n', at) + 1) {
    EXPECT_THAT(text.substr(at, text.find('\n', at) - at), HasSubstr("SIMULATED"));
  }
  EXPECT_THAT(text, AllOf(HasSubstr("REFUSED SIMULATED (125)"), HasSubstr("what to do"),
                          HasSubstr("aaaa…"), HasSubstr("all zero"), Not(HasSubstr("\x1b"))));
  const Json json = to_json(appraisal, policy, 0);
  EXPECT_EQ(json["accepted"], false);
  EXPECT_EQ(json["hardware"], false);
  EXPECT_EQ(json["verdicts"][0]["reason"]["code"], "SIMULATED");
  EXPECT_EQ(json["verdicts"][0]["reason"]["code_number"], 125);
}

TEST(Report, HasAdviceForEveryCode) {
  for (int number = 101; number <= 129; ++number) {
    EXPECT_GT(advice(static_cast<Code>(number)).size(), 20u) << number;
  }
}

}  // namespace
}  // namespace otr::attest

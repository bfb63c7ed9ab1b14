// Several pieces of evidence in one call: what ties them, what is expected of them, and what a
// report says of what stays open.
#include <gmock/gmock.h>

#include "attest/composite.h"
#include "attest/encoding.h"
#include "attest/report.h"
#include "attest/test_gpus.h"
#include "attest/test_quotes.h"
#include "crypto/sha256.h"

namespace otr::attest {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

GpuPiece gpu(std::uint8_t serial, std::uint8_t nonce) {
  GpuPiece piece{.name = "gpu" + std::to_string(serial)};
  piece.report.nonce.fill(nonce);
  piece.found = GpuFound{.ueid = {serial}, .ueid_decimal = std::to_string(serial)};
  return piece;
}

TokenPiece token(const std::vector<std::string>& ueids, std::uint8_t nonce) {
  return {.name = "token", .nonce = Bytes(32, nonce), .ueids = ueids};
}

CpuPiece cpu(std::uint8_t nonce) {
  CpuPiece piece{.name = "cpu", .report_data = Bytes(64, 0)};
  std::fill_n(piece.report_data.begin(), 32, nonce);
  return piece;
}

struct Set {
  std::vector<CpuPiece> cpus;
  std::vector<GpuPiece> gpus;
  std::vector<TokenPiece> tokens;

  std::optional<Code> check(const Expected& expected = {},
                            const std::optional<Binding>& binding = std::nullopt) const {
    Verdict verdict;
    Checks checks(verdict, Stage::kAppraise);
    check_binding(checks, binding, {cpus, gpus, tokens}, expected);
    return verdict.failure() != nullptr ? verdict.failure()->code : std::nullopt;
  }
};

TEST(Pieces, OfSeveralCpusNeedOneExpectation) {
  EXPECT_FALSE(Set({.cpus = {cpu(1)}}).check());
  const Set two = {.cpus = {cpu(1), cpu(1)}};
  EXPECT_EQ(two.check(), Code::kBindingMismatch);
  EXPECT_FALSE(two.check({.nonce = Bytes(32, 1)}));
  EXPECT_FALSE(two.check({.report_data = Bytes(64, 1)}));
}

TEST(Pieces, OfGpusAloneAnswerOneNonce) {
  EXPECT_FALSE(Set({.gpus = {gpu(1, 9)}}).check());
  EXPECT_FALSE(Set({.gpus = {gpu(1, 9), gpu(2, 9)}}).check());
  const Set differ = {.gpus = {gpu(1, 9), gpu(2, 8)}};
  EXPECT_EQ(differ.check(), Code::kBindingMismatch);
  EXPECT_FALSE(differ.check({.gpu_nonces = {Bytes(32, 9), Bytes(32, 8)}}));
}

TEST(Pieces, TokensSpeakOfWhatIsHere) {
  EXPECT_FALSE(Set({.tokens = {token({"1", "2"}, 9)}}).check());
  EXPECT_EQ(Set({.tokens = {token({"1"}, 9), token({"2"}, 8)}}).check(), Code::kBindingMismatch);
  // Of the GPUs that are here: serial number and nonce.
  EXPECT_FALSE(Set({.gpus = {gpu(1, 9), gpu(2, 9)}, .tokens = {token({"2"}, 9)}}).check());
  EXPECT_EQ(Set({.gpus = {gpu(1, 9)}, .tokens = {token({"2"}, 9)}}).check(),
            Code::kBindingMismatch);
  EXPECT_EQ(Set({.gpus = {gpu(1, 9)}, .tokens = {token({"1", "2"}, 9)}}).check(),
            Code::kBindingMismatch);
  EXPECT_EQ(Set({.cpus = {cpu(9)}, .gpus = {gpu(1, 9)}, .tokens = {token({"1"}, 8)}}).check(),
            Code::kBindingMismatch);
  EXPECT_FALSE(Set({.cpus = {cpu(9)}, .gpus = {gpu(1, 9)}, .tokens = {token({"1"}, 9)}}).check());
  Set unverified = {.gpus = {gpu(1, 9)}, .tokens = {token({"1"}, 9)}};
  unverified.gpus[0].found.reset();
  EXPECT_EQ(unverified.check(), Code::kBindingMismatch);
  // For the CPU alone: its report data holds the nonce.
  EXPECT_FALSE(Set({.cpus = {cpu(9)}, .tokens = {token({"1"}, 9)}}).check());
  Set apart = {.cpus = {cpu(9)}, .tokens = {token({"1"}, 8)}};
  EXPECT_EQ(apart.check(), Code::kBindingMismatch);
  EXPECT_EQ(apart.check({.report_data = apart.cpus[0].report_data}), Code::kBindingMismatch);
  apart.tokens[0].nonce.clear();
  apart.cpus[0].report_data.clear();
  EXPECT_EQ(apart.check(), Code::kBindingMismatch);
}

// A document that hashes no GPU evidence says nothing of devices, though it holds the nonce.
TEST(Pieces, TokensBesideADocumentWithoutGpusAreRefused) {
  Binding binding{.format = std::string(kTinfoilV3),
                  .report_data = {{"tls_key_fp", std::string(64, '1')},
                                  {"hpke_key", std::string(64, '2')},
                                  {"nonce", std::string(64, '3')}},
                  .gpu_evidence_text = {},
                  .switch_evidence_text = {}};
  Set set = {.cpus = {cpu(0)}, .gpus = {}, .tokens = {}};
  const std::string joined = std::string(64, '1') + std::string(64, '2') + std::string(64, '3');
  std::ranges::copy(crypto::sha256(*from_plain_hex(joined)), set.cpus[0].report_data.begin());
  EXPECT_FALSE(set.check({}, binding));
  set.tokens = {token({"1"}, 0x33)};
  EXPECT_EQ(set.check({}, binding), Code::kBindingMismatch);
  EXPECT_EQ(set.check({.nonce = Bytes(32, 0x33), .report_data = set.cpus[0].report_data}, binding),
            Code::kBindingMismatch);
  set.tokens.clear();
  set.cpus.push_back(cpu(1));  // every CPU, not one of them
  EXPECT_EQ(set.check({}, binding), Code::kBindingMismatch);
}

TEST(Pieces, ExpectationsAreHeldAgainstSomething) {
  EXPECT_EQ(Set({.gpus = {gpu(1, 9)}}).check({.report_data = Bytes(64, 9)}),
            Code::kBindingMismatch);
  EXPECT_EQ(Set({.tokens = {token({"1"}, 9)}}).check({.report_data = Bytes(64, 9)}),
            Code::kBindingMismatch);
  EXPECT_FALSE(Set({.cpus = {cpu(9)}}).check({.report_data = Bytes(64, 9)}));
  const auto open = [](const Set& set, const Expected& expected) {
    std::string text;
    for (const std::string& one :
         left_open({}, std::nullopt, {set.cpus, set.gpus, set.tokens}, Policy(), expected)) {
      text += one + "\n";
    }
    return text;
  };
  constexpr const char* kCopy = "may be a copy";
  EXPECT_THAT(open({.gpus = {gpu(1, 9)}}, {}), HasSubstr(kCopy));
  EXPECT_THAT(open({.gpus = {gpu(1, 9)}}, {.report_data = Bytes(64)}), HasSubstr(kCopy));
  EXPECT_THAT(open({.tokens = {token({"1"}, 9)}}, {.report_data = Bytes(64)}), HasSubstr(kCopy));
  EXPECT_THAT(open({.gpus = {gpu(1, 9)}}, {.nonce = Bytes(32)}), Not(HasSubstr(kCopy)));
  EXPECT_THAT(open({.cpus = {cpu(9)}}, {.report_data = Bytes(64)}), Not(HasSubstr(kCopy)));
}

TEST(Pieces, RevocationThatNobodyAskedAboutIsNamed) {
  const auto open = [](std::size_t answered, const std::vector<std::string>& missing) {
    std::vector<GpuPiece> gpus = {gpu(1, 9)};
    gpus[0].found->ocsp_answered = answered;
    gpus[0].found->ocsp_missing = missing;
    std::string text;
    for (const std::string& one : left_open({}, std::nullopt, {{}, gpus, {}}, Policy(), {})) {
      text += one + "\n";
    }
    return text;
  };
  EXPECT_THAT(open(0, {"A", "B"}), HasSubstr("no OCSP answers were given"));
  EXPECT_THAT(open(3, {"A", "B"}), AllOf(HasSubstr("not revoked: A, B;"), HasSubstr("(3 about"),
                                         Not(HasSubstr("no OCSP answers"))));
  EXPECT_THAT(open(3, {}), Not(HasSubstr("revoked")));
}

std::optional<Code> code_of(const Appraisal& appraisal) {
  return appraisal.failure() != nullptr ? appraisal.failure()->code : std::nullopt;
}

// A service's token beside the quote of a machine that has nothing to do with it.
TEST(Pieces, QuoteAndTokenOfStrangersAreRefused) {
  const test::Intel intel = test::Intel::make();
  const test::NrasMaker nras;
  Bundle bundle;
  bundle.dcap = intel.collateral(Kind::kTdx);
  bundle.jwks = nras.jwks();
  const std::string answer = nras.answer({{"GPU-0", nras.jwt(test::NrasMaker::device_claims())}});
  bundle.nras_tokens.push_back({"token", Bytes(answer.begin(), answer.end())});
  Anchors anchors = intel.anchors();
  anchors.nvidia_nras = {nras.authority.certificate};
  Policy policy = test::good_policy();
  policy.nras = NrasPolicy{.models = {.any = true, .values = {}}, .roots = {}, .max_age_hours = 1};
  const auto judged = [&](std::uint8_t nonce) {
    test::QuoteSpec spec = test::Intel::good(4, Kind::kTdx);
    spec.td.report_data.fill(0);
    std::fill_n(spec.td.report_data.begin(), 32, nonce);
    bundle.quotes = {{"quote", intel.quote(spec)}};
    return appraise(bundle, policy, {}, anchors, test::kTestNow);
  };
  const Appraisal tied = judged(0xAA);
  EXPECT_TRUE(tied.accepted()) << to_text(tied, policy, test::kTestNow, true);
  EXPECT_FALSE(tied.hardware());
  EXPECT_THAT(to_text(tied, policy, test::kTestNow, false),
              HasSubstr("NOT hardware: it is the word of NVIDIA's service"));
  EXPECT_EQ(code_of(judged(0xAB)), Code::kBindingMismatch);
  EXPECT_FALSE(judged(0xAB).accepted());
  bundle.quotes.clear();
  const Appraisal alone = appraise(bundle, policy, {}, anchors, test::kTestNow);
  EXPECT_TRUE(alone.accepted()) << to_text(alone, policy, test::kTestNow, true);
  const Appraisal unbound =
      appraise(bundle, policy, {.report_data = Bytes(64)}, anchors, test::kTestNow);
  EXPECT_EQ(code_of(unbound), Code::kBindingMismatch);
}

// Reference values alone are never evidence, but a bad one is called by its name.
TEST(Pieces, LooseReferenceValuesAreVerified) {
  const test::GpuMaker maker;
  Bundle bundle;
  bundle.rims.push_back(*parse_rim(maker.rim(maker.driver_rim())));
  const auto judged = [&](const Anchors& anchors) {
    return appraise(bundle, Policy(), {}, anchors, test::kTestNow);
  };
  const Appraisal good = judged(maker.anchors());
  EXPECT_FALSE(good.accepted());
  EXPECT_EQ(code_of(good), Code::kCollateralMissing);
  EXPECT_THAT(to_text(good, Policy(), test::kTestNow, true),
              HasSubstr("PASS  appraise  RIM of version 550.90.07 of GH100 signature"));
  EXPECT_EQ(code_of(judged(vendor_anchors())), Code::kAnchorUnknown);
  bundle.rims[0].signature[0] ^= 1;
  EXPECT_EQ(code_of(judged(maker.anchors())), Code::kReferenceInvalid);
}

TEST(Pieces, WordsOfStrangersStayOnTheirLine) {
  const std::string evil = "x): REFUSED\nACCEPTED (1 piece\x1b[2J\xE2\x80\xAE";
  const test::GpuMaker maker;
  const Json document = {{evil, {{"evidence", to_base64(maker.report({}))}}}};
  const std::string text = document.dump();
  const Item item{.name = "a\nACCEPTED", .bytes = Bytes(text.begin(), text.end())};
  const auto bundle = sort_items(std::span(&item, 1));
  ASSERT_TRUE(bundle) << bundle.error().message;
  Appraisal appraisal = appraise(*bundle, Policy(), {}, maker.anchors(), test::kTestNow);
  appraisal.facts = {{evil, evil}, {"list", {{{evil, 1}}}}};
  appraisal.verdicts[0].facts["product"] = evil;
  for (const std::string& report :
       {to_text(appraisal, Policy(), test::kTestNow, true), facts_text(appraisal.facts, "")}) {
    EXPECT_THAT(report, AllOf(HasSubstr("REFUSED?ACCEPTED"), Not(HasSubstr("\nACCEPTED")),
                              Not(HasSubstr("\x1b")), Not(HasSubstr("\xE2\x80\xAE"))));
  }
  const Item unknown{.name = "b\nACCEPTED", .bytes = Bytes(3, 0)};
  EXPECT_THAT(sort_items(std::span(&unknown, 1)).error().message, Not(HasSubstr("\n")));
}

}  // namespace
}  // namespace otr::attest

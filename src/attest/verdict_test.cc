#include "attest/verdict.h"

#include <gtest/gtest.h>

namespace otr::attest {
namespace {

TEST(TimeText, ReadsWhatItWrites) {
  for (const Time time : {Time{0}, Time{951782400}, Time{1773964800}, Time{253402300799}}) {
    EXPECT_EQ(parse_time(to_text(time)), time) << to_text(time);
  }
  EXPECT_EQ(to_text(1773964800), "2026-03-20T00:00:00Z");
  EXPECT_EQ(parse_time("2026-03-20"), 1773964800);
  EXPECT_EQ(parse_time("1773964800"), 1773964800);
  for (const char* bad : {"", "2026-02-30", "2026-13-01", "2026-3-20", "2026-03-20T24:00:00Z",
                          "2026-03-20T00:00:00", "yesterday", "-1", "12345678901234"}) {
    EXPECT_FALSE(parse_time(bad)) << bad;
  }
}

TEST(Verdict, IsAcceptedOnlyIfAppraisedAndNothingWasLeftOut) {
  Verdict verdict;
  EXPECT_FALSE(verdict.accepted());  // nothing was checked
  Checks(verdict, Stage::kVerify).pass("signature");
  EXPECT_FALSE(verdict.accepted());  // verified, but not appraised
  Checks(verdict, Stage::kAppraise).pass("measurement");
  EXPECT_TRUE(verdict.accepted());
  Checks(verdict, Stage::kAppraise).not_applicable("a list", "the policy asks for none");
  EXPECT_TRUE(verdict.accepted());
  Verdict left_out = verdict;
  Checks(left_out, Stage::kVerify).not_checked("revocation", "no answer");
  EXPECT_FALSE(left_out.accepted());
  EXPECT_FALSE(Checks(verdict, Stage::kVerify).fail(Code::kDebug, "debug", "bit 0 is set"));
  EXPECT_FALSE(verdict.accepted());
  EXPECT_EQ(verdict.failure()->code, Code::kDebug);
}

TEST(Verdict, LeadsWithDebugBeforeWhatIsMissing) {
  const auto leading = [](std::initializer_list<Code> codes) {
    Verdict verdict;
    for (const Code code : codes) Checks(verdict, Stage::kVerify).fail(code, "check", "");
    return verdict.failure()->code;
  };
  EXPECT_EQ(leading({Code::kCollateralMissing, Code::kDebug}), Code::kDebug);
  EXPECT_EQ(leading({Code::kTimeInvalid, Code::kRevocationUnknown, Code::kDebug}), Code::kDebug);
  EXPECT_EQ(leading({Code::kCollateralMissing, Code::kPolicyRefused}), Code::kCollateralMissing);
  EXPECT_EQ(leading({Code::kAnchorUnknown, Code::kDebug}), Code::kAnchorUnknown);
}

TEST(Verdict, KeepsEveryCheckOnOneLine) {
  Verdict verdict;
  Checks checks(verdict, Stage::kVerify);
  checks.pass("a\nb", "c\r");
  checks.fail(Code::kDebug, "a\nb", "c\x1b");
  checks.not_checked("a\nb", "c\x7f");
  checks.not_applicable("a\nb", "c\t");
  for (const Check& check : verdict.checks) {
    EXPECT_EQ(check.name, "a?b");
    EXPECT_EQ(check.value, "c?");
  }
}

TEST(Code, NamesAreThoseOfTheSpec) {
  EXPECT_EQ(name_of(Code::kMalformed), "MALFORMED");
  EXPECT_EQ(name_of(Code::kTampered), "TAMPERED");
  EXPECT_EQ(name_of(Code::kTokenKeyUnknown), "TOKEN_KEY_UNKNOWN");
  EXPECT_EQ(code_named("DEBUG"), Code::kDebug);
  EXPECT_FALSE(code_named("WELL"));
}

}  // namespace
}  // namespace otr::attest

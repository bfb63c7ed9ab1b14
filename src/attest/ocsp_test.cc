// OCSP answers of a test responder: who may sign them, whom they are about, when they hold.
#include "attest/ocsp.h"

#include <gtest/gtest.h>

#include "attest/test_gpus.h"

namespace otr::attest {
namespace {

using test::Authority;
using test::GpuMaker;
using test::KeyKind;
using test::kTestNow;
using test::OcspSpec;

struct World {
  Authority root = Authority::root("Root", KeyKind::kP384);
  Authority issuer = root.issue({.subject = "Issuer", .serial = {2}, .ca = true}, KeyKind::kP384);
  Authority subject = issuer.issue({.subject = "Subject", .serial = {0x80, 3}}, KeyKind::kP384);
  Authority other = issuer.issue({.subject = "Other", .serial = {4}}, KeyKind::kP384);
  Authority responder = GpuMaker::responder(issuer);

  [[nodiscard]] Bytes der(const OcspSpec& spec) const {
    return GpuMaker::ocsp(spec, subject.certificate, issuer, responder);
  }
};
const World& world() {
  static const World one;
  return one;
}

std::string judge(const std::vector<Bytes>& answers, Time at = kTestNow, OcspRules rules = {}) {
  std::vector<OcspResponse> responses;
  for (const Bytes& der : answers) {
    auto response = OcspResponse::from_der(der);
    if (!response) {
      // A certificate inside may be of a kind that is not read.
      EXPECT_TRUE(response.error().code == "MALFORMED" || response.error().code == "UNSUPPORTED")
          << response.error().message;
      return "unreadable";
    }
    responses.push_back(*response);
  }
  Verdict verdict;
  Checks checks(verdict, Stage::kVerify);
  const bool good = check_ocsp(checks, "certificate", world().subject.certificate,
                               world().issuer.certificate, responses, rules, at);
  EXPECT_EQ(verdict.checks.size(), 1u);
  EXPECT_EQ(good, verdict.failure() == nullptr);
  return good ? "good" : std::string(name_of(*verdict.failure()->code));
}

TEST(OcspTest, GoodAnswers) {
  EXPECT_EQ(judge({world().der({})}), "good");
  EXPECT_EQ(judge({world().der({.by_name = true})}), "good");
  for (const std::string_view hash : {"1.3.14.3.2.26", "2.16.840.1.101.3.4.2.1",
                                      "2.16.840.1.101.3.4.2.2", "2.16.840.1.101.3.4.2.3"}) {
    EXPECT_EQ(judge({world().der({.hash = hash})}), "good") << hash;
  }
  EXPECT_EQ(
      judge({GpuMaker::ocsp({}, world().subject.certificate, world().issuer, world().issuer)}),
      "good");
  EXPECT_EQ(judge({world().der({.hash = "2.16.840.1.101.3.4.2.4"})}), "REVOCATION_UNKNOWN");
}

TEST(OcspTest, StatesOfACertificate) {
  using Status = OcspSpec::Status;
  EXPECT_EQ(judge({world().der({.status = Status::kRevoked})}), "REVOKED");
  EXPECT_EQ(judge({world().der({.status = Status::kRevoked, .reason = 1})}), "REVOKED");
  EXPECT_EQ(judge({world().der({.status = Status::kRevoked, .reason = 6})}), "REVOKED");
  EXPECT_EQ(judge({world().der({.status = Status::kUnknown})}), "REVOCATION_UNKNOWN");
  EXPECT_EQ(judge({}), "REVOCATION_UNKNOWN");
}

TEST(OcspTest, Windows) {
  const Bytes der = world().der({});
  EXPECT_EQ(judge({der}, kTestNow - 3600), "good");
  EXPECT_EQ(judge({der}, kTestNow - 3601), "REVOCATION_UNKNOWN");
  EXPECT_EQ(judge({der}, kTestNow + 82800), "good");
  EXPECT_EQ(judge({der}, kTestNow + 82801), "REVOCATION_UNKNOWN");
  EXPECT_EQ(judge({der}, kTestNow, {.max_age_hours = 1}), "good");
  EXPECT_EQ(judge({der}, kTestNow + 1, {.max_age_hours = 1}), "REVOCATION_UNKNOWN");
  EXPECT_EQ(judge({der}, kTestNow, {.max_age_hours = 0}), "REVOCATION_UNKNOWN");
  EXPECT_EQ(judge({der}, kTestNow, {.max_age_hours = -1}), "REVOCATION_UNKNOWN");
  const Time later = kTestNow + Time{86400} * 30;
  EXPECT_EQ(judge({der}, later, {.max_age_hours = 24 * 90}), "REVOCATION_UNKNOWN");
  EXPECT_EQ(judge({der}, later, {.max_age_hours = 24 * 90, .past_next_update = true}), "good");
  EXPECT_EQ(judge({der}, later, {.max_age_hours = 24, .past_next_update = true}),
            "REVOCATION_UNKNOWN");
}

TEST(OcspTest, TheNewestAnswerDecides) {
  using Status = OcspSpec::Status;
  const Bytes good = world().der({});
  const Bytes held =
      world().der({.status = Status::kRevoked, .reason = 6, .this_update = kTestNow - 7200});
  const Bytes held_now =
      world().der({.status = Status::kRevoked, .reason = 6, .this_update = kTestNow - 60});
  const Bytes revoked_before =
      world().der({.status = Status::kRevoked, .reason = 1, .this_update = kTestNow - 864000});
  const Bytes revoked_later = world().der({.status = Status::kRevoked,
                                           .reason = 1,
                                           .revoked_at = kTestNow + 60,
                                           .this_update = kTestNow + 90});
  EXPECT_EQ(judge({held, good}), "good");  // a hold was lifted
  EXPECT_EQ(judge({good, held_now}), "REVOKED");
  EXPECT_EQ(judge({revoked_before, good}), "REVOKED");  // for good
  EXPECT_EQ(judge({revoked_later, good}), "good");      // at that time it was not
  EXPECT_EQ(judge({revoked_later}), "REVOCATION_UNKNOWN");
}

TEST(OcspTest, AnswersAboutOthers) {
  const Bytes other =
      GpuMaker::ocsp({}, world().other.certificate, world().issuer, world().responder);
  EXPECT_EQ(judge({other}), "REVOCATION_UNKNOWN");
  // The same serial number of another issuer.
  const Authority stranger = Authority::root("Issuer", KeyKind::kP384);
  EXPECT_EQ(judge({GpuMaker::ocsp({}, world().subject.certificate, stranger, stranger)}),
            "REVOCATION_UNKNOWN");
  EXPECT_EQ(judge({other, world().der({})}), "good");
}

TEST(OcspTest, WhoMaySign) {
  const auto by = [](const Authority& responder) {
    return judge({GpuMaker::ocsp({}, world().subject.certificate, world().issuer, responder)});
  };
  const Authority stranger = Authority::root("Root", KeyKind::kP384);
  EXPECT_EQ(by(GpuMaker::responder(stranger)), "COLLATERAL_INVALID");
  EXPECT_EQ(by(stranger), "COLLATERAL_INVALID");
  EXPECT_EQ(by(world().root), "COLLATERAL_INVALID");   // not even the issuer's issuer
  EXPECT_EQ(by(world().other), "COLLATERAL_INVALID");  // issued, but not to answer
  EXPECT_EQ(by(GpuMaker::responder(world().issuer, false)), "COLLATERAL_INVALID");
  EXPECT_EQ(by(GpuMaker::responder(world().root)), "COLLATERAL_INVALID");
  EXPECT_EQ(by(GpuMaker::responder(world().issuer, true, kTestNow - 60)), "COLLATERAL_INVALID");
  // Somebody else's key under the responder's certificate.
  const Authority false_key{.key = stranger.key, .certificate = world().responder.certificate};
  EXPECT_EQ(by(false_key), "COLLATERAL_INVALID");
  // One bad answer among good ones fails: whoever sends it is up to something.
  EXPECT_EQ(judge({world().der({}),
                   GpuMaker::ocsp({}, world().subject.certificate, world().issuer, stranger)}),
            "COLLATERAL_INVALID");
}

TEST(OcspTest, EveryByteCounts) {
  const Bytes good = world().der({});
  for (std::size_t at = 0; at < good.size(); at += 3) {
    Bytes bad = good;
    bad[at] ^= 0x04;
    EXPECT_NE(judge({bad}), "good") << at;
  }
  for (std::size_t size = 0; size < good.size(); size += 7) {
    EXPECT_FALSE(OcspResponse::from_der(ByteView(good).first(size))) << size;
  }
  Bytes longer = good;
  longer.push_back(0);
  EXPECT_EQ(judge({longer}), "unreadable");
  EXPECT_EQ(judge({test::sequence({test::tlv(0x0A, Bytes{3})})}), "unreadable");  // try later
}

}  // namespace
}  // namespace otr::attest

// SESS-8 over simulated evidence, which this test signs itself; hardware evidence goes the same
// way.
#include "protocol/attested_session.h"

#include <gtest/gtest.h>

#include <array>

#include "attest/simulated.h"
#include "attest/test_certificates.h"
#include "machine/tables.h"
#include "protocol/toy_receipt.h"

namespace otr::protocol {
namespace {

constexpr attest::Time kNow = 1790000100;

// A simulated TEE: root and leaf, and reports signed by it.
class ToyTee {
 public:
  ToyTee()
      : root_(attest::test::Authority::root(std::string(attest::kSimulatedName) + " root",
                                            attest::test::KeyKind::kP384)),
        leaf_(root_.issue({.subject = std::string(attest::kSimulatedName) + " leaf"},
                          attest::test::KeyKind::kP384)) {}

  Bytes report(const std::array<std::uint8_t, 64>& report_data) const {
    Bytes bytes;
    append(bytes, as_bytes(attest::kSimulatedMagic));
    append(bytes, measurement);
    append(bytes, report_data);
    append(bytes, leaf_.key.sign(attest::Digest::kSha384, bytes));
    for (const attest::Certificate& certificate : {leaf_.certificate, root_.certificate}) {
      append_le(bytes, static_cast<std::uint32_t>(certificate.der().size()));
      append(bytes, certificate.der());
    }
    return bytes;
  }
  attest::Policy policy() const {
    attest::Policy policy{.name = "test"};
    policy.simulated.emplace();
    policy.simulated->roots = {root_.certificate.fingerprint()};
    policy.simulated->measurement.any = true;
    return policy;
  }

  std::array<std::uint8_t, 48> measurement = {5};

 private:
  attest::test::Authority root_, leaf_;
};

Session toy_session(const ToyTee& tee) {
  const std::array<ByteView, 1> registers = {tee.measurement};
  return {.key = toy_key(2).address(),
          .seal_key = {1},
          .receipt_key = {2},
          .operator_address = toy_key(3).address(),
          .model_root = kToyModelRoot,
          .spec_hash = machine::kSpecHash,
          .runtime = runtime_hash("simulated", registers),
          .beacon = {3},
          .epoch = 1,
          .not_before = 1790000000,
          .expiry = 1790003600};
}

SessionDocument document_of(const ToyTee& tee, const Session& session, const Hash& nonce = {}) {
  SessionDocument document{.session = session, .nonce = nonce};
  document.evidence.push_back(
      {.name = "report", .data = tee.report(report_data(session_id(session, Hash{}), nonce))});
  document.signature = toy_key(2).sign(registration_digest(document));
  EXPECT_TRUE(check_session(document, machine::kSpecHash));
  return document;
}

SessionVerdict verdict_of(const SessionDocument& document, const attest::Policy& policy) {
  return appraise_session(document, policy, attest::vendor_anchors(), kNow);
}

void expect_refused(const SessionDocument& document, const attest::Policy& policy,
                    std::string_view word) {
  const SessionVerdict verdict = verdict_of(document, policy);
  ASSERT_TRUE(verdict.error) << word;
  EXPECT_EQ(verdict.error->code, "EVIDENCE_REFUSED");
  EXPECT_NE(verdict.error->message.find(word), std::string::npos) << verdict.error->message;
  EXPECT_FALSE(verdict.hardware);
}

TEST(AttestedSession, SimulatedEvidenceIsAcceptedOnlyByNameAndNeverAsHardware) {
  const ToyTee tee;
  for (const Hash& nonce : {Hash{}, Hash{7}}) {
    const SessionDocument document = document_of(tee, toy_session(tee), nonce);
    const SessionVerdict verdict = verdict_of(document, tee.policy());
    EXPECT_FALSE(verdict.error) << verdict.error->message;
    EXPECT_FALSE(verdict.hardware);
    EXPECT_NE(verdict.description.find("SIMULATED"), std::string::npos);
    expect_refused(document, attest::Policy{}, "SIMULATED");
  }
}

TEST(AttestedSession, EvidenceBindsEveryWordOfTheStatement) {
  const ToyTee tee;
  const Session session = toy_session(tee);
  const SessionDocument good = document_of(tee, session);
  // The same evidence under another statement, signed again: a relayed quote.
  std::vector<Session> others(5, session);
  others[0].model_root = {1};
  others[1].operator_address = toy_key(4).address();
  others[2].expiry += 1;
  others[3].seal_key = {9};
  others[4].epoch = 2;
  for (const Session& other : others) {
    SessionDocument document = good;
    document.session = other;
    document.signature = toy_key(2).sign(registration_digest(document));
    expect_refused(document, tee.policy(), "BINDING_MISMATCH");
  }
  SessionDocument replayed = good;  // to somebody who asked with a nonce
  replayed.nonce = {1};
  replayed.signature = toy_key(2).sign(registration_digest(replayed));
  expect_refused(replayed, tee.policy(), "BINDING_MISMATCH");
}

TEST(AttestedSession, RuntimeAndGpusAreThoseOfTheEvidence) {
  const ToyTee tee;
  Session session = toy_session(tee);
  session.runtime = {1};
  expect_refused(document_of(tee, session), tee.policy(), "runtime");
  session = toy_session(tee);
  session.gpu_evidence = {1};
  expect_refused(document_of(tee, session), tee.policy(), "GPU");
}

TEST(AttestedSession, HasTheEvidenceOfOneCpu) {
  const ToyTee tee;
  SessionDocument document = document_of(tee, toy_session(tee));
  document.evidence.push_back({.name = "another", .data = tee.report({1})});
  expect_refused(document, tee.policy(), "exactly one CPU");
  document.evidence = {{.name = "x", .data = {1, 2, 3}}};
  EXPECT_TRUE(verdict_of(document, tee.policy()).error);
}

TEST(AttestedSession, LivesBetweenItsTimes) {
  const ToyTee tee;
  const Session session = toy_session(tee);
  EXPECT_TRUE(check_live(session, 1790000000));
  EXPECT_TRUE(check_live(session, 1790003600));
  for (const std::int64_t time :
       {std::int64_t{-1}, std::int64_t{1789999999}, std::int64_t{1790003601}}) {
    EXPECT_EQ(check_live(session, time).error().code, "SESSION_EXPIRED");
  }
}

}  // namespace
}  // namespace otr::protocol

// Tier 1: sessions whose evidence is not what it should be. All evidence here is SIMULATED.
#include <array>

#include "protocol/session.h"
#include "sim/desk.h"

namespace otr::sim {
namespace {

constexpr std::uint8_t kGoodMeasurement = 7;

struct Stage {
  explicit Stage(std::uint64_t seed)
      : desk(seed),
        root(desk.model.weights().artifact.root()),
        session(desk.enclave(root, kGoodMeasurement)),
        honest(desk.answer(desk.model.weights(), desk.request(), *session)) {}
  Desk desk;
  Hash root;
  std::unique_ptr<node::Enclave> session;
  protocol::Receipt honest;
};

// What an audit says now of a receipt that was accepted before.
Outcome no_longer(const Stage& stage, const std::string& before) {
  Outcome outcome{.tier = Tier::kAttested, .how = stage.desk.judge(stage.honest)};
  outcome.is_caught = !outcome.how.empty();
  if (!before.empty()) outcome.wrong = "an honest receipt is refused with " + before;
  return outcome;
}

Outcome stale_session(std::uint64_t seed) {
  Stage stage(seed);
  const std::string before = stage.desk.judge(stage.honest);
  stage.desk.at += 3601;
  return no_longer(stage, before);
}

Outcome revoked_platform(std::uint64_t seed) {
  Stage stage(seed);
  const std::string before = stage.desk.judge(stage.honest);
  stage.desk.policy.simulated->roots = {Hash{1}};
  return no_longer(stage, before);
}

Outcome simulated_unasked(std::uint64_t seed) {
  Stage stage(seed);
  const std::string before = stage.desk.judge(stage.honest);
  stage.desk.policy.simulated.reset();
  return no_longer(stage, before);
}

Outcome wrong_runtime(std::uint64_t seed) {
  Stage stage(seed);
  Bytes good(48);
  good[0] = kGoodMeasurement;
  stage.desk.policy.simulated->measurement = {.any = false, .values = {good}};
  const auto other = stage.desk.enclave(stage.root, kGoodMeasurement + 1);
  return stage.desk.compare(
      stage.honest, stage.desk.answer(stage.desk.model.weights(), stage.desk.request(), *other));
}

// Evidence of a good machine beside the statement of another one, signed by its own key.
Outcome relayed_session(std::uint64_t seed) {
  Stage stage(seed);
  const auto other = stage.desk.enclave(stage.root, kGoodMeasurement);
  protocol::Receipt forged =
      stage.desk.answer(stage.desk.model.weights(), stage.desk.request(), *other);
  forged.session->evidence = stage.session->document().evidence;
  forged.session->signature =
      other->signer()->key.sign(protocol::registration_digest(*forged.session));
  return stage.desk.compare(stage.honest, forged);
}

Outcome prolonged_session(std::uint64_t seed) {
  Stage stage(seed);
  protocol::Receipt forged = stage.honest;
  forged.session->session.expiry += 3600;
  return stage.desk.compare(stage.honest, forged);
}

// A claim that names another session than the one beside it.
Outcome another_session(std::uint64_t seed) {
  Stage stage(seed);
  const auto other = stage.desk.enclave(stage.root, kGoodMeasurement);
  protocol::Receipt forged = stage.honest;
  forged.session = other->document();
  return stage.desk.compare(stage.honest, forged);
}

constexpr Demanded demanded(std::string_view how, std::string_view rule) {
  return {Tier::kAttested, how, "", rule};
}

constexpr std::array kAttacks = {
    Attack{"stale-session", "a session (SIMULATED) that has ended",
           demanded("SESSION_EXPIRED", "SESS-7"), stale_session},
    Attack{"revoked-platform", "a platform (SIMULATED) that is not trusted any more",
           demanded("EVIDENCE_REFUSED", "SESS-8"), revoked_platform},
    Attack{"simulated-unasked", "SIMULATED evidence for whoever has not asked for it",
           demanded("EVIDENCE_REFUSED", "ATT-12"), simulated_unasked},
    Attack{"wrong-runtime", "a machine (SIMULATED) that runs another program",
           demanded("EVIDENCE_REFUSED", "SESS-8"), wrong_runtime},
    Attack{"relayed-session", "evidence (SIMULATED) of somebody else's good machine",
           demanded("EVIDENCE_REFUSED", "SESS-8"), relayed_session},
    Attack{"prolonged-session", "a session's time, changed after signing",
           demanded("SESSION_SIGNATURE", "SESS-6"), prolonged_session},
    Attack{"another-session", "a claim beside a session that did not sign it",
           demanded("SESSION_MISMATCH", "RCPT-6"), another_session},
};

}  // namespace

std::span<const Attack> attacks_on_sessions() { return kAttacks; }

}  // namespace otr::sim

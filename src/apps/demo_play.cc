#include "apps/demo_play.h"

#include <algorithm>

#include "apps/command.h"
#include "env/clock.h"
#include "env/file.h"
#include "env/random.h"
#include "node/audit.h"
#include "rollup/canary_keeper.h"
#include "text/utf8.h"

namespace otr::apps {
namespace {

constexpr std::uint64_t kCanaryReward = 50'000;

// Whoever wants to know whether anybody looks (SPEC SET-36).
struct CanaryTest {
  explicit CanaryTest(rollup::Mirror its_mirror) : mirror(std::move(its_mirror)) {}
  rollup::Mirror mirror;
  std::unique_ptr<rollup::Journal> journal;
  std::unique_ptr<rollup::CanaryKeeper> keeper;
  StageOperator* by = nullptr;
};

}  // namespace

std::string with_commas(std::uint64_t number) {
  std::string text = std::to_string(number);
  for (auto at = static_cast<std::ptrdiff_t>(text.size()) - 3; at > 0; at -= 3) {
    text.insert(static_cast<std::size_t>(at), ",");
  }
  return text;
}

std::string seconds(std::uint64_t ms) {
  return std::to_string(ms / 1000) + "." + std::to_string(ms % 1000 / 100) + " s";
}

Status line(const std::string& label, const std::string& text) {
  return print("  " + label + std::string(label.size() < 22 ? 22 - label.size() : 1, ' ') + text +
               "\n");
}

std::string short_text(const std::string& text) {
  std::string one_line = text.substr(0, 60);
  std::ranges::replace(one_line, '\n', ' ');
  return '"' + text::utf8_lossy(one_line) + (text.size() > 60 ? "…\"" : "\"");
}

protocol::SignedRequest Play::request() {
  return sim::make_request(big.weights, stage.client(), next_counter++, prompt_ids, max_tokens,
                           stage.state().id);
}

Status Play::keep(const protocol::Receipt& receipt, const std::string& name) const {
  OTR_TRY_ASSIGN(const std::string text, protocol::encode_receipt(receipt));
  return env::write_file_atomically(stage.folder() / name, as_bytes(text), 0644);
}

protocol::Receipt Play::attested(protocol::Receipt receipt, const StageOperator& by) {
  receipt.evidence_kind = protocol::kSession;
  receipt.session = by.enclave->document();
  return receipt;
}

Result<std::string> Play::tier_one(const protocol::Receipt& receipt, bool is_refused) const {
  OTR_TRY_ASSIGN(const std::string text, protocol::encode_receipt(receipt));
  const std::int64_t begin = env::monotonic_ns();
  const node::Audit audit =
      node::audit(text, big.artifact, {.policy = &stage.policy(), .at = env::unix_seconds()});
  const std::int64_t microseconds = (env::monotonic_ns() - begin) / 1000;
  const protocol::Check* const failed = audit.report.failure();
  if (is_refused != (failed != nullptr)) {
    return fail(ErrorKind::kReject, failed != nullptr ? "Tier 1 refused it: " + failed->detail
                                                      : "Tier 1 did not refuse it.");
  }
  if (failed != nullptr) return "REFUSED: " + failed->detail;
  return "attested (SIMULATED), signed, countersigned, bound to the text: checked in " +
         std::to_string(microseconds / 1000) + "." + std::to_string(microseconds / 100 % 10) +
         " ms";
}

std::optional<rollup::Posted> Play::posted(const StageOperator& by,
                                           const protocol::Receipt& receipt) {
  return by.role->posted(protocol::digest_of(receipt.claim, receipt.ledger));
}

Result<rollup::Posted> Play::wait_for_post(const StageOperator& by,
                                           const protocol::Receipt& receipt,
                                           const std::string& name) const {
  OTR_TRY(stage.run_until([&] { return posted(by, receipt).has_value(); }, kPatienceMs));
  rollup::Posted place = *posted(by, receipt);
  OTR_TRY(env::write_file_atomically(stage.folder() / name, as_bytes(rollup::encode_posted(place)),
                                     0644));
  return place;
}

Status Play::hand_over(StageOperator& to, const protocol::Receipt& receipt) const {
  OTR_TRY_ASSIGN(const std::string text, protocol::encode_receipt(receipt));
  return to.role->add(text, env::unix_ms());
}

Status canary_scene(Play& play, sim::LiarsDefence& defence, std::uint32_t at, std::uint32_t lie) {
  OTR_TRY(print("\n6. The client wants to know whether anybody looks\n"));
  OTR_TRY_ASSIGN(rollup::Mirror mirror, play.stage.mirror());
  CanaryTest test(std::move(mirror));
  OTR_TRY_ASSIGN(test.journal, rollup::open_journal(play.stage.folder() / "canaries.journal"));
  OTR_TRY_ASSIGN(test.keeper, rollup::CanaryKeeper::open(test.mirror, *test.journal,
                                                         {.key = play.stage.client(),
                                                          .client = play.stage.client(),
                                                          .reward = kCanaryReward,
                                                          .operator_consents = [&](const Hash& d) {
                                                            return test.by->key->sign(d);
                                                          }}));
  OTR_TRY_ASSIGN(
      test.by,
      play.stage.add_operator(
          "canary", play.big, [&](const auto& receipt, const auto& game, const auto& facts) {
            const Hash claim = protocol::digest_of(receipt.claim, receipt.ledger);
            if (game.leaf && test.keeper->keeps(claim, *game.leaf)) {
              return dispute::Action(dispute::Close{});
            }
            return defence(receipt, game, facts);
          }));
  const protocol::Receipt canary =
      Play::attested(sim::forge_token(play.big.weights, play.request(), play.prompt_ids, at, lie,
                                      test.by->signing()),
                     *test.by);
  OTR_TRY(play.keep(canary, "canary.json"));
  OTR_TRY_ASSIGN(const std::string text, protocol::encode_receipt(canary));
  OTR_TRY_ASSIGN(const Hash salt, env::random_32_bytes());
  const referee::Leaf leaf{.t = play.prompt_ids.size() + at, .stream = {}, .tile = 0};
  OTR_TRY(test.keeper->add(text, leaf, salt));
  Status kept;
  const auto steps = [&](const std::function<bool()>& done) {
    return play.stage.run_until(
        [&] {
          kept = test.keeper->step(env::unix_ms());
          return !kept || done();
        },
        kPatienceMs);
  };
  const Hash claim = protocol::digest_of(canary.claim, canary.ledger);
  OTR_TRY(steps([&] { return test.keeper->is_committed(claim); }));
  OTR_TRY(line("committed", "to a claim that will be false on purpose; nobody else knows which"));
  const std::uint64_t fishermans = play.balance(play.stage.fisherman_address());
  const std::uint64_t begin = env::unix_ms();
  OTR_TRY(play.hand_over(*test.by, canary));
  OTR_TRY(steps([&] { return test.keeper->gauges().found == 1; }));
  OTR_TRY(play.wait_for_post(*test.by, canary, "canary.posted.json"));
  OTR_TRY(steps([&] { return play.stage.fisherman().gauges().canaries_found == 1; }));
  OTR_TRY(kept);
  OTR_TRY(line("found", "by the fisherman, which named the false leaf " +
                            seconds(env::unix_ms() - begin) + " after it was handed in, and has " +
                            with_commas(play.balance(play.stage.fisherman_address()) - fishermans) +
                            " more"));
  if (play.stake(*test.by) == 0) return fail(ErrorKind::kReject, "A canary was slashed.");
  return line("taken back", "by its client before it was final: nobody is slashed for it");
}

}  // namespace otr::apps

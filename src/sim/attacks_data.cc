// What operators and their data servers withhold or bend (SIMULATED).
#include <array>

#include "sim/trial.h"

namespace otr::sim {
namespace {

using ledger::EventKind;
using machine::Tensor;

// The fisherman does not reach the operator's server; the ledger still does.
void withhold(OperatorNode& cheat) { cheat.data->lead_to(nullptr); }

// Nobody shows the claim, not even when it is demanded on the ledger.
Outcome claim_withheld(std::uint64_t seed) {
  Trial trial(seed);
  OperatorNode& cheat = trial.cheat();
  (void)trial.fisherman();
  withhold(cheat);
  const auto receipt = answer_honestly(trial.world.weights(), trial.world.request(),
                                       trial.world.prompt(), cheat.signers);
  trial.strike();
  (void)trial.post(cheat, receipt, false);
  cheat.node->link.is_cut = true;
  (void)trial.until(EventKind::kRefuted);
  return trial.finish();
}

// A lie that the operator defends on the ledger, move by move, as far as `is_shown` allows.
Outcome shown_only_on_the_ledger(std::uint64_t seed,
                                 const std::function<bool(const dispute::Game&)>& is_shown) {
  Trial trial(seed);
  const Alter lie = element_changed({1, 0}, Tensor::kXOut, seed % 10, false);
  LiarsDefence defence(trial.world.weights(), lie, true);
  OperatorNode& cheat = trial.cheat([&](const auto& receipt, const auto& game, const auto& facts) {
    return is_shown(game) ? defence(receipt, game, facts) : dispute::Action(dispute::Close{});
  });
  (void)trial.fisherman();
  withhold(cheat);
  const auto forged = forge_execution(trial.world.weights(), trial.world.request(),
                                      trial.world.prompt(), lie, cheat.signers);
  trial.strike();
  (void)trial.post(cheat, forged, false);
  (void)trial.until(EventKind::kRefuted);
  trial.expect(trial.count(EventKind::kClaimRevealed) == 1, "the claim was not demanded");
  return trial.finish();
}

Outcome served_to_nobody(std::uint64_t seed) {
  return shown_only_on_the_ledger(seed, [](const auto&) { return true; });
}

Outcome prompt_withheld(std::uint64_t seed) {
  return shown_only_on_the_ledger(seed, [](const dispute::Game& game) {
    return !game.demand || game.demand->tree.place != referee::Place::kPrompt;
  });
}

Outcome node_withheld(std::uint64_t seed) {
  return shown_only_on_the_ledger(seed, [](const dispute::Game& game) {
    return !game.demand || game.demand->tree.place == referee::Place::kPrompt ||
           game.demand->tree.place == referee::Place::kTokens;
  });
}

Outcome answer_withheld(std::uint64_t seed) {
  return shown_only_on_the_ledger(
      seed, [](const dispute::Game& game) { return game.phase != dispute::Phase::kAnswering; });
}

// Serves what is not under the roots.
class LyingData : public rollup::DataPort {
 public:
  explicit LyingData(rollup::DataPort& there) : there_(there) {}
  Result<std::vector<std::string>> receipts(const Hash& batch_root) override {
    OTR_TRY_ASSIGN(std::vector<std::string> texts, there_.receipts(batch_root));
    for (std::string& text : texts) {
      OTR_TRY_ASSIGN(protocol::Receipt receipt, protocol::decode_receipt(text));
      receipt.output_ids[0] = (receipt.output_ids[0] + 1) % 15;
      receipt.prompt_ids[0] ^= 1;
      OTR_TRY_ASSIGN(text, protocol::encode_receipt(receipt));
    }
    ++answers;
    return texts;
  }
  Result<Bytes> proof(const Hash& digest) override { return there_.proof(digest); }
  std::uint64_t answers = 0;

 private:
  rollup::DataPort& there_;
};

// A lie whose server shows an innocent answer. Hints bind nobody: the game opens what is claimed.
Outcome lying_server(std::uint64_t seed) {
  Trial trial(seed);
  const std::uint32_t at = 1;
  std::optional<LiarsDefence> defence;
  OperatorNode& cheat = trial.cheat([&](const auto& receipt, const auto& game, const auto& facts) {
    return (*defence)(receipt, game, facts);
  });
  (void)trial.fisherman();
  World& world = trial.world;
  const auto request = world.request();
  const auto honest = *rollup::answer(world.weights(), request.request, world.prompt());
  const std::uint32_t token = (honest[at] + 1 + static_cast<std::uint32_t>(seed % 5)) % 15;
  const auto t = static_cast<std::uint32_t>(world.prompt().size()) - 1 + at;
  defence.emplace(world.weights(), token_at(t, token), false);
  const auto forged =
      forge_token(world.weights(), request, world.prompt(), at, token, cheat.signers);
  LyingData lies(*cheat.role);
  cheat.data->lead_to(&lies);
  trial.strike();
  (void)trial.post(cheat, forged, false);
  (void)trial.until(EventKind::kRefuted);
  trial.expect(lies.answers > 0, "the lying server was not asked");
  return trial.finish();
}

constexpr Demanded demanded(std::string_view how, std::string_view rule) {
  return {Tier::kOptimistic, how, "cheat", rule};
}

constexpr std::array kAttacks = {
    Attack{"claim-withheld", "a batch whose claims nobody shows", demanded("NOT_SHOWN", "SET-32"),
           claim_withheld},
    Attack{"served-to-nobody", "a lie whose data is shown only when the ledger demands it",
           demanded("STEP_MISMATCH", "REF-3"), served_to_nobody},
    Attack{"prompt-withheld", "the prompt is kept back", demanded("TIME", "GAME-7"),
           prompt_withheld},
    Attack{"node-withheld", "the rows of the trace are kept back", demanded("TIME", "GAME-7"),
           node_withheld},
    Attack{"answer-withheld", "the micro-trace is kept back", demanded("TIME", "GAME-7"),
           answer_withheld},
    Attack{"lying-server", "a server that shows other ids than were claimed",
           demanded("STEP_MISMATCH", "REF-3"), lying_server},
};

}  // namespace

std::span<const Attack> attacks_on_data() { return kAttacks; }

}  // namespace otr::sim

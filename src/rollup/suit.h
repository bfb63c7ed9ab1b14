// A claim as a challenger sees it: computed again, what is wrong with it, and what to play next.
//
// It keeps no place in a game: everything follows from the ledger's moves, so that it can be made
// anew at any time.
#ifndef OTR_ROLLUP_SUIT_H_
#define OTR_ROLLUP_SUIT_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "dispute/challenger.h"
#include "dispute/game.h"
#include "ledger/state.h"
#include "rollup/mirror.h"
#include "rollup/pass.h"

namespace otr::rollup {

class Suit {
 public:
  // The model registered for the claim, and its weights; both must outlive the suit. Without
  // prompt ids it demands them in the game. `output_ids` are a hint.
  Suit(const Weights& weights, std::shared_ptr<const referee::ModelFacts> facts,
       protocol::Request request, protocol::Claim claim, std::vector<std::uint32_t> prompt_ids,
       std::vector<std::uint32_t> output_ids);

  // Whether there is anything to challenge as far as can be seen without a game. Computed once.
  [[nodiscard]] bool has_case();

  // Of the trace in memory; 0 where there is none. forget() lets go of it: what comes next computes
  // it again.
  [[nodiscard]] std::uint64_t row_bytes() const { return mine_ ? mine_->row_bytes() : 0; }
  void forget();

  // The micro-trace of the last position that the execution has a head at: what only who computed
  // it knows (SPEC SET-39). Requires that has_case() has just said no.
  [[nodiscard]] Hash attention_root();

  // What to play in a game on the claim in which the challenger moves, given all moves on the claim
  // and the state they led to; nothing where the claim is right after all.
  [[nodiscard]] std::optional<dispute::Action> next(const dispute::Game& game,
                                                    std::span<const GameMove> moves,
                                                    const ledger::State& state);

 private:
  [[nodiscard]] bool find_case();
  void compute(std::vector<std::uint32_t> tokens);
  [[nodiscard]] std::vector<std::uint32_t> own_answer() const;
  // The prompt from the moves, or what must be demanded for it.
  [[nodiscard]] std::optional<referee::Demand> learn_prompt(std::span<const GameMove> moves);
  void teach(std::span<const GameMove> moves, const ledger::State& state);

  const Weights& weights_;
  const std::shared_ptr<const referee::ModelFacts> facts_;
  const protocol::Request request_;
  const protocol::Claim claim_;
  const referee::Terms terms_;
  const referee::Statement statement_;
  std::vector<std::uint32_t> prompt_ids_;
  std::vector<std::uint32_t> output_ids_;
  std::optional<bool> has_case_;
  std::unique_ptr<Case> mine_;  // once computed, until forgotten
  std::unique_ptr<dispute::Challenger> challenger_;
};

}  // namespace otr::rollup

#endif  // OTR_ROLLUP_SUIT_H_

#include "rollup/suit.h"

#include <algorithm>
#include <utility>

#include "dispute/position.h"
#include "dispute/terms.h"
#include "merkle/tree.h"
#include "referee/opening.h"
#include "trace/header.h"

namespace otr::rollup {
namespace {

using dispute::Action;
using referee::Demand;
using referee::Opening;

// The claim's own tokens are shown at most once in full; then nothing is left to recompute.
constexpr int kMaxRecomputes = 3;
constexpr std::uint64_t kPromptIdsAtOnce = 4096;
constexpr referee::TreeId kPromptTree{referee::Place::kPrompt, 0, 0};

// Calls visit(game, demand, opening) for every reveal among the moves.
template <class Visit>
void each_reveal(std::span<const GameMove> moves, const Visit& visit) {
  std::map<std::uint64_t, Demand> open;  // by game
  for (const GameMove& made : moves) {
    if (const auto* demand = std::get_if<Demand>(&made.move.action)) {
      open.insert_or_assign(made.game, *demand);
    } else if (const auto* opening = std::get_if<Opening>(&made.move.action)) {
      visit(made.game, open.at(made.game), *opening);
    }
  }
}

}  // namespace

Suit::Suit(const Weights& weights, std::shared_ptr<const referee::ModelFacts> facts,
           protocol::Request request, protocol::Claim claim, std::vector<std::uint32_t> prompt_ids,
           std::vector<std::uint32_t> output_ids)
    : weights_(weights),
      facts_(std::move(facts)),
      request_(std::move(request)),
      claim_(std::move(claim)),
      terms_(dispute::terms_of(request_, claim_, facts_->program.shape)),
      statement_{*facts_, terms_},
      prompt_ids_(std::move(prompt_ids)),
      output_ids_(std::move(output_ids)) {}

void Suit::compute(std::vector<std::uint32_t> tokens) {
  mine_ = std::make_unique<Case>(
      weights_, request_, claim_, prompt_ids_,
      compute_pass(weights_, request_.sampling, request_.prompt_count, tokens));
  challenger_ = std::make_unique<dispute::Challenger>(mine_->archive(), mine_->pass().choices,
                                                      mine_->pass().broken);
}

// As many tokens as the claim has, hinted or else the model's own.
std::vector<std::uint32_t> Suit::own_answer() const {
  std::vector<std::uint32_t> tokens = prompt_ids_;
  // An id of no token is no hint: it would cost a pass of single steps.
  const auto is_token = [&](std::uint32_t id) { return id < statement_.shape().vocabulary; };
  if (output_ids_.size() == claim_.out_count && std::ranges::all_of(output_ids_, is_token)) {
    tokens.insert(tokens.end(), output_ids_.begin(), output_ids_.end());
    return tokens;
  }
  const auto own = answer(weights_, request_, prompt_ids_);
  if (own) tokens.insert(tokens.end(), own->begin(), own->end());
  tokens.resize(statement_.token_count());
  return tokens;
}

bool Suit::has_case() {
  if (!has_case_) has_case_ = find_case();
  return *has_case_;
}

void Suit::forget() {
  challenger_.reset();  // refers to the case
  mine_.reset();
}

bool Suit::find_case() {
  if (!referee::check_statement(statement_) || prompt_ids_.empty()) return true;
  if (!mine_) compute(own_answer());
  const auto differs = [&] {
    return !std::holds_alternative<dispute::Nothing>(challenger_->next({}));
  };
  if (!differs()) return false;
  // The hint may be the lie: a game over a right claim would cost a bond. The model's own answer
  // needs none.
  std::vector<std::uint32_t> hint = std::exchange(output_ids_, {});
  std::unique_ptr<Case> mine = std::move(mine_);
  std::unique_ptr<dispute::Challenger> challenger = std::move(challenger_);
  compute(own_answer());
  if (!differs()) return false;
  output_ids_ = std::move(hint);
  mine_ = std::move(mine);
  challenger_ = std::move(challenger);
  return true;
}

Hash Suit::attention_root() {
  dispute::Archive& archive = mine_->archive();
  const std::uint32_t t = claim_.prompt_count + claim_.out_count - 2;
  const referee::Position last{t, machine::kHeadLayer};
  archive.take(last, dispute::compute_position(archive.execution(), last).tensors);
  return merkle::list_root(merkle::Kind::kMicroTrace, archive.tensor_roots());
}

std::optional<Demand> Suit::learn_prompt(std::span<const GameMove> moves) {
  std::vector<std::uint32_t> ids;
  const std::uint64_t count = request_.prompt_count;
  while (ids.size() < count) {
    const Demand wanted{kPromptTree, 0, ids.size(), std::min(count, ids.size() + kPromptIdsAtOnce)};
    const std::size_t before = ids.size();
    each_reveal(moves, [&](std::uint64_t, const Demand& demand, const Opening& opening) {
      if (demand != wanted || ids.size() != before) return;
      for (std::size_t i = 0; i < opening.tiles.size(); i += 4) {
        ids.push_back(load_le<std::uint32_t>(opening.tiles.data() + i));
      }
    });
    if (ids.size() == before) return wanted;
  }
  prompt_ids_ = std::move(ids);
  return std::nullopt;
}

// All that was revealed in any game on the claim, and the roots of all answers. The games took it,
// so it holds.
void Suit::teach(std::span<const GameMove> moves, const ledger::State& state) {
  each_reveal(moves, [&](std::uint64_t number, const Demand& demand, const Opening& opening) {
    const dispute::Game& game = state.games.at(number).game;
    std::optional<referee::MicroTrace> micro;
    if (game.leaf && game.micro_root) {
      micro = {*referee::position_of(statement_, *game.leaf), *game.micro_root};
    }
    (void)challenger_->learn(micro ? &*micro : nullptr, demand, opening);
  });
  for (const GameMove& made : moves) {
    const auto* given = std::get_if<referee::Answer>(&made.move.action);
    if (given != nullptr && !given->tensor_roots.empty()) challenger_->learn(*given);
  }
}

std::optional<Action> Suit::next(const dispute::Game& game, std::span<const GameMove> moves,
                                 const ledger::State& state) {
  if (!referee::check_statement(statement_)) {
    return referee::Proof{.kind = referee::ProofKind::kRequest};
  }
  if (prompt_ids_.empty()) {
    if (const auto demand = learn_prompt(moves)) return *demand;
  }
  if (!mine_) compute(own_answer());
  for (int i = 0; i < kMaxRecomputes; ++i) {
    teach(moves, state);
    dispute::Next next = challenger_->next(game);
    if (auto* action = std::get_if<Action>(&next)) return std::move(*action);
    auto* recompute = std::get_if<dispute::Recompute>(&next);
    if (recompute == nullptr) return std::nullopt;
    compute(std::move(recompute->tokens));
  }
  return std::nullopt;
}

}  // namespace otr::rollup

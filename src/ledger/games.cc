// Challenges: the ledger's side of a dispute game (SPEC SET-32; the game is dispute/game.h).
#include <string>
#include <utility>

#include "base/check.h"
#include "base/hex.h"
#include "dispute/terms.h"
#include "ledger/rules.h"

namespace otr::ledger {
namespace {

Result<GameEntry*> find_game(State& state, std::uint64_t number) {
  const auto found = state.games.find(number);
  if (found == state.games.end()) {
    return refuse(Refusal::kUnknown, "There is no game " + std::to_string(number) + ".");
  }
  if (found->second.stage != Stage::kEnded) return &found->second;
  return refuse(Refusal::kBadState, "The game is over.");
}

// That a game may begin, and its bond (SPEC SET-23, SET-32).
Result<std::uint64_t> check_begin(const Call& call, const ClaimKey& key, const Batch& batch) {
  if (batch.status != BatchStatus::kOpen || is_void(call.state, batch)) {
    return refuse(Refusal::kBadState, "The batch is over.");
  }
  const auto entry = call.state.claims.find(key);
  if (entry != call.state.claims.end() && entry->second.canary) {
    return refuse(Refusal::kBadState, "The claim was a canary and is void.");
  }
  if (call.now >= window_end(call.state, batch)) {
    return refuse(Refusal::kTooLate, "The claims of this batch can no more be challenged.");
  }
  const std::uint64_t bond = challenge_bond(
      parameters_of(call.state, batch), call.state.operators.at(batch.operator_address).open_games);
  OTR_TRY(check_spend(call, bond));
  return bond;
}

GameEntry& begin(const Call& call, const ClaimKey& key, Batch& batch, std::uint64_t bond) {
  call.account().balance -= bond;
  ClaimEntry& entry = call.state.claims[key];
  if (entry.open_games == 0) batch.held += 1;
  entry.open_games += 1;
  entry.disputed = true;
  call.state.operators.at(batch.operator_address).open_games += 1;
  GameEntry& game = call.state.games[call.state.games.size() + 1];
  game.claim_key = key;
  game.challenger = call.signer;
  game.bond = bond;
  game.opened_at = call.now;
  return game;
}

bool has_fallen(const State& state, const GameEntry& entry, const Batch& batch) {
  return state.operators.at(batch.operator_address).epoch != batch.epoch ||
         state.claims.at(entry.claim_key).refuted;
}

void play(GameEntry& entry, dispute::Game game) {
  entry.stage = Stage::kPlaying;
  entry.game = std::move(game);
  entry.game_digest = dispute::digest_of(entry.game);
}

// The claim no longer waits for this game.
void release(const Call& call, GameEntry& entry, Batch& batch, bool is_upheld) {
  entry.stage = Stage::kEnded;
  entry.bond = 0;
  Operator& self = call.state.operators.at(batch.operator_address);
  self.open_games -= 1;
  ClaimEntry& claim = call.state.claims.at(entry.claim_key);
  claim.open_games -= 1;
  // Of a final batch whose operator has fallen since, nobody has found out what this claim is.
  if (!is_upheld && batch.status == BatchStatus::kFinal) claim.refuted = true;
  if (claim.open_games != 0) return;
  batch.held -= 1;
  if (claim.canary) batch.canaries += 1;
  const bool was_reserved = batch.status == BatchStatus::kFinal && self.epoch == batch.epoch;
  if (was_reserved) self.reserved -= batch.reserve;
}

void end_moot(const Call& call, std::uint64_t number, GameEntry& entry, Batch& batch) {
  credit(call.state, entry.challenger, entry.bond);
  call.emit(EventKind::kMoot, entry.challenger, {}, number);
  release(call, entry, batch, false);
}

void end_refuted(const Call& call, std::uint64_t number, GameEntry& entry, Batch& batch,
                 std::uint8_t verdict) {
  const bool is_known = entry.stage == Stage::kPlaying;
  credit(call.state, entry.challenger, entry.bond);
  call.state.claims.at(entry.claim_key).refuted = true;
  call.emit(EventKind::kRefuted, entry.challenger, batch.root, number, verdict);
  slash(call, batch.operator_address, parameters_of(call.state, batch), entry.challenger,
        is_known ? std::optional(entry.request.client) : std::nullopt);
  release(call, entry, batch, false);
}

void end_upheld(const Call& call, std::uint64_t number, GameEntry& entry, Batch& batch) {
  const bool is_withdrawn = entry.game.ending == dispute::Ending::kWithdrawn;
  // Nobody earns by withholding what is true: the price of a withdrawal is burned.
  const std::uint64_t burned =
      is_withdrawn ? std::min(parameters_of(call.state, batch).force_bond, entry.bond)
                   : entry.bond - entry.bond / 2;
  burn(call, burned);
  credit(call.state, is_withdrawn ? entry.challenger : batch.operator_address, entry.bond - burned);
  call.emit(EventKind::kUpheld, batch.operator_address, batch.root, number, burned);
  release(call, entry, batch, true);
}

void end_if_over(const Call& call, std::uint64_t number, GameEntry& entry, Batch& batch) {
  switch (entry.game.phase) {
    case dispute::Phase::kRefuted:
      return end_refuted(call, number, entry, batch, entry.game.verdict);
    case dispute::Phase::kUpheld:
      return end_upheld(call, number, entry, batch);
    case dispute::Phase::kMoot:
      return end_moot(call, number, entry, batch);
    default:
      return;
  }
}

// Judges a move and takes its consequences.
Status move_game(const Call& call, std::uint64_t number, GameEntry& entry, Batch& batch,
                 const dispute::Move& move) {
  State& state = call.state;
  const auto& session = state.sessions.at(batch.session).session;
  const referee::ModelFacts& model = *state.models.at(session.model_root).facts;
  const referee::Terms terms = dispute::terms_of(entry.request, entry.claim, model.program.shape);
  const referee::Statement statement{model, terms};
  const auto* challenge = std::get_if<dispute::Challenge>(&move.action);
  const std::optional<referee::Leaf> leaf = challenge ? challenge->leaf : entry.game.leaf;
  dispute::Facts facts{
      .statement = statement, .bound = std::nullopt, .refuted = has_fallen(state, entry, batch)};
  if (leaf) facts.bound = bound_answer(state, entry.claim_key, *leaf);
  if (facts.refuted && !std::holds_alternative<dispute::Close>(move.action)) {
    return refuse(Refusal::kBadState, "The claim has fallen already: close the game.");
  }
  OTR_TRY_ASSIGN(dispute::Game next, dispute::apply(entry.game, move, call.now, facts));
  if (challenge) {
    state.first_challenges.try_emplace({entry.claim_key, leaf_hash(challenge->leaf)}, number);
  }
  if (leaf && next.micro_root && !facts.bound) {
    state.bound_leaves.emplace(LeafKey::of(entry.claim_key, *leaf), *next.micro_root);
  }
  play(entry, std::move(next));
  call.emit(EventKind::kMoved, call.signer, entry.game_digest, number,
            static_cast<std::uint64_t>(entry.game.phase));
  end_if_over(call, number, entry, batch);
  return {};
}

}  // namespace

Status check_shown(const State& state, const Batch& batch, std::uint32_t index,
                   const protocol::Claim& claim, const std::vector<Hash>& path,
                   const protocol::Request& request) {
  const Hash ledger = claims_ledger(state);
  OTR_TRY(check_leaf(batch, index, protocol::digest_of(claim, ledger), path));
  if (protocol::digest_of(request, ledger) != claim.request_hash) {
    return fail(ErrorKind::kReject, "The claim answers another request.", "REQUEST_HASH_MISMATCH");
  }
  const protocol::Session& session = state.sessions.at(batch.session).session;
  if (claim.session == batch.session && request.model_root == session.model_root) return {};
  return fail(ErrorKind::kReject, "Claim, session and model of the request do not belong together.",
              "SESSION_MISMATCH");
}

Status rule(const Call& call, const Challenge& body) {
  const ClaimKey key{body.batch, body.index};
  OTR_TRY_ASSIGN(Batch* const batch, find_claim(call.state, key));
  OTR_TRY_ASSIGN(const std::uint64_t bond, check_begin(call, key, *batch));
  OTR_TRY(check_shown(call.state, *batch, body.index, body.claim, body.path, body.request));
  if (body.request.mode != 0 && call.signer != body.request.client) {
    return refuse(Refusal::kNotAllowed,
                  "Only its client challenges the answer to a sealed request.");
  }
  OTR_TRY_ASSIGN(dispute::Game game,
                 dispute::open(game_parameters(parameters_of(call.state, *batch)), call.now));
  GameEntry& entry = begin(call, key, *batch, bond);
  entry.claim = body.claim;
  entry.request = body.request;
  play(entry, std::move(game));
  call.emit(EventKind::kChallenged, call.signer, batch->root, call.state.games.size(), bond);
  return {};
}

Status rule(const Call& call, const DemandClaim& body) {
  const ClaimKey key{body.batch, body.index};
  OTR_TRY_ASSIGN(Batch* const batch, find_claim(call.state, key));
  OTR_TRY_ASSIGN(const std::uint64_t bond, check_begin(call, key, *batch));
  begin(call, key, *batch, bond);
  call.emit(EventKind::kDemanded, call.signer, batch->root, call.state.games.size(), bond);
  return {};
}

Status rule(const Call& call, const RevealClaim& body) {
  OTR_TRY_ASSIGN(GameEntry* const entry, find_game(call.state, body.game));
  if (entry->stage != Stage::kDemanded) {
    return refuse(Refusal::kBadState, "The claim of this game is known.");
  }
  OTR_TRY_ASSIGN(Batch* const batch, find_claim(call.state, entry->claim_key));
  if (has_fallen(call.state, *entry, *batch)) {
    return refuse(Refusal::kBadState, "The claim has fallen already: close the game.");
  }
  const Parameters& parameters = parameters_of(call.state, *batch);
  if (call.now > entry->opened_at + parameters.worker_clock) {
    return refuse(Refusal::kTooLate, "The claim had to be shown earlier.");
  }
  OTR_TRY(
      check_shown(call.state, *batch, entry->claim_key.index, body.claim, body.path, body.request));
  OTR_TRY_ASSIGN(dispute::Game game, dispute::open(game_parameters(parameters), call.now));
  entry->claim = body.claim;
  entry->request = body.request;
  play(*entry, std::move(game));
  call.emit(EventKind::kClaimRevealed, call.signer, batch->root, body.game);
  // A stranger may ask what a sealed batch holds, not what a sealed prompt says.
  if (body.request.mode != 0 && entry->challenger != body.request.client) {
    entry->game.ending = dispute::Ending::kWithdrawn;
    end_upheld(call, body.game, *entry, *batch);
  }
  return {};
}

Status rule(const Call& call, const Move& body) {
  OTR_TRY_ASSIGN(GameEntry* const entry, find_game(call.state, body.game));
  if (entry->stage != Stage::kPlaying) {
    return refuse(Refusal::kBadState, "The claim of this game must be shown first.");
  }
  OTR_TRY_ASSIGN(Batch* const batch, find_claim(call.state, entry->claim_key));
  OTR_TRY_ASSIGN(const dispute::Move move, dispute::decode_move(body.move));
  if (!std::holds_alternative<dispute::Close>(move.action)) {
    const bool is_challenger = move.side == dispute::Side::kChallenger;
    OTR_TRY(check_role(call, is_challenger ? entry->challenger : batch->operator_address,
                       is_challenger ? "game's challenger" : "claim's operator"));
  }
  return move_game(call, body.game, *entry, *batch, move);
}

Status rule(const Call& call, const CloseGame& body) {
  OTR_TRY_ASSIGN(GameEntry* const entry, find_game(call.state, body.game));
  OTR_TRY_ASSIGN(Batch* const batch, find_claim(call.state, entry->claim_key));
  if (entry->stage == Stage::kPlaying) {
    return move_game(call, body.game, *entry, *batch,
                     {.state = entry->game_digest, .action = dispute::Close{}});
  }
  if (has_fallen(call.state, *entry, *batch)) {
    end_moot(call, body.game, *entry, *batch);
    return {};
  }
  const std::uint64_t deadline = entry->opened_at + parameters_of(call.state, *batch).worker_clock;
  if (call.now <= deadline) {
    return refuse(Refusal::kTooEarly, "The operator has until " + std::to_string(deadline) + ".");
  }
  end_refuted(call, body.game, *entry, *batch, 0);
  return {};
}

}  // namespace otr::ledger

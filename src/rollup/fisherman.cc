// The audit flow, top to bottom: step() says what a fisherman does, in this order.
#include "rollup/fisherman.h"

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <utility>

#include "crypto/ecvrf.h"
#include "rollup/batch_data.h"
#include "rollup/clocks.h"
#include "rollup/suit.h"

namespace otr::rollup {
namespace {

using dispute::Side;
using ledger::ClaimKey;

enum class Finding : std::uint8_t { kAgrees, kFalse, kSealed, kNoPrompt, kUnbound };
// After data that could not be had, its server is left alone for so long: who dribbles must not
// keep a fisherman from its games.
constexpr std::uint64_t kPatienceMs = 20'000;

// Positions recomputed in one step before games are looked at again; at least one claim is.
constexpr std::uint64_t kPositionsAtOnce = 2048;

// What it needs to see who else has computed a claim.
struct Computed {
  Hash claim_hash{}, micro_root{};
  referee::Leaf last;                   // of the position of `micro_root`
  std::set<crypto::Address> seen = {};  // whose attention was looked at
};

}  // namespace

struct Fisherman::Body {
  Mirror& mirror;
  FishermanOptions options;
  crypto::VrfKey sampling;
  FishermanGauges gauges = {};
  std::map<std::uint64_t, std::vector<ClaimData>> fetched = {};    // by open batch
  std::map<std::uint64_t, std::set<std::uint32_t>> wanted = {};    // by open batch; not yet judged
  std::map<std::uint64_t, std::vector<std::uint32_t>> drawn = {};  // of batches past their draw
  std::map<ClaimKey, Suit> suits = {};
  std::map<ClaimKey, Computed> computed = {};               // claims of open batches that are true
  std::map<crypto::Address, std::uint64_t> ask_again = {};  // when an operator's server is
  std::set<std::uint64_t> games = {};                       // mine that have not ended
  std::uint64_t positions_left = 0;                         // that this step may still compute

  [[nodiscard]] const ledger::State& state() const { return mirror.state(); }
  [[nodiscard]] bool is_mine(const ledger::GameEntry& game) const {
    return game.challenger == options.key.address();
  }
  [[nodiscard]] bool has_game(const ClaimKey& key) const;
  [[nodiscard]] bool has_named_leaf(std::uint64_t game, const ClaimKey& key) const;
  [[nodiscard]] const Weights* weights_of(const ClaimKey& key) const;
  [[nodiscard]] bool is_sampled(const ledger::Batch& batch, std::uint32_t index) const;

  void take_stock();
  Status play(std::uint64_t number, std::uint64_t now);
  Status look_at(std::uint64_t number, std::uint64_t now);
  void draw_sample(std::uint64_t number);
  void fetch(std::uint64_t number, std::uint64_t now);
  Status demand_claims(std::uint64_t number);
  Status demand_claim(const ClaimKey& key);
  Finding judge(const ClaimKey& key, const ClaimData& data);
  Status challenge(const ClaimKey& key);
  Status attend(const ClaimKey& key);
  void look_at_attention(const ClaimKey& key, Computed& claim);
  Status report_missed_draw(std::uint64_t number, std::uint64_t now);
  Suit& suit_of(const ledger::GameEntry& game);
  Status sent(Status status);
};

Fisherman::Fisherman(Mirror& mirror, FishermanOptions options) {
  crypto::VrfKey sampling = crypto::VrfKey::from_seed(options.sampling_key);
  body_ = std::make_unique<Body>(Body{mirror, std::move(options), std::move(sampling)});
}
Fisherman::~Fisherman() = default;

Status Fisherman::step(std::uint64_t now) {
  Body& body = *body_;
  // 1. What has happened, by its own replay.
  OTR_TRY(body.mirror.catch_up());
  body.take_stock();
  // 2. Games first: their clocks run.
  for (const std::uint64_t number : std::set(body.games)) OTR_TRY(body.play(number, now));
  // 3. Every batch that can still be challenged: fetch, sample, recompute, challenge what is false.
  // A bounded part of it, so that nobody can keep it from its games with work.
  body.positions_left = kPositionsAtOnce;
  for (const std::uint64_t number : std::set(body.mirror.open_batches())) {
    OTR_TRY(body.look_at(number, now));
  }
  // 4. Draws that nobody answered in time.
  for (const std::uint64_t number : std::set(body.mirror.open_batches())) {
    OTR_TRY(body.report_missed_draw(number, now));
  }
  body.take_stock();
  return {};
}

FishermanGauges Fisherman::gauges() const { return body_->gauges; }

// --- 1. What has happened

void Fisherman::Body::take_stock() {
  for (const std::uint64_t number : std::set(games)) {
    const ledger::GameEntry& game = state().games.at(number);
    if (game.stage != ledger::Stage::kEnded) continue;
    games.erase(number);
    const ledger::ClaimEntry& claim = state().claims.at(game.claim_key);
    if (claim.canary) {
      gauges.canaries_found += has_named_leaf(number, game.claim_key);
    } else if (claim.refuted) {
      ++gauges.games_won;
    }
    if (game.game.phase == dispute::Phase::kUpheld) ++gauges.games_lost;
  }
  gauges.bonds_at_risk = gauges.next_clock_ms = 0;
  for (const std::uint64_t number : mirror.open_games()) {
    const ledger::GameEntry& game = state().games.at(number);
    if (!is_mine(game)) continue;
    games.insert(number);
    gauges.bonds_at_risk += game.bond;
    const std::uint64_t end = clock_end(state(), game, Side::kChallenger);
    if (end != 0 && (gauges.next_clock_ms == 0 || end < gauges.next_clock_ms)) {
      gauges.next_clock_ms = end;
    }
  }
  gauges.games_open = games.size();
  const auto is_over = [&](const ClaimKey& key) {
    return !mirror.open_batches().contains(key.batch) && !has_game(key);
  };
  std::erase_if(fetched,
                [&](const auto& entry) { return !mirror.open_batches().contains(entry.first); });
  std::erase_if(drawn,
                [&](const auto& entry) { return !mirror.open_batches().contains(entry.first); });
  std::erase_if(wanted,
                [&](const auto& entry) { return !mirror.open_batches().contains(entry.first); });
  std::erase_if(computed, [&](const auto& entry) {
    return !mirror.open_batches().contains(entry.first.batch);
  });
  for (auto& [key, claim] : computed) look_at_attention(key, claim);
  std::erase_if(suits, [&](const auto& entry) { return is_over(entry.first); });
}

bool Fisherman::Body::has_game(const ClaimKey& key) const {
  return std::ranges::any_of(
      games, [&](std::uint64_t number) { return state().games.at(number).claim_key == key; });
}

// Whether this game was the first to challenge a leaf of the claim.
bool Fisherman::Body::has_named_leaf(std::uint64_t game, const ClaimKey& key) const {
  const auto& all = state().first_challenges;
  for (auto it = all.lower_bound({key, {}}); it != all.end() && it->first.first == key; ++it) {
    if (it->second == game) return true;
  }
  return false;
}

// The ledger's refusal is no reason to stop: the next step looks at the state again.
Status Fisherman::Body::sent(Status status) {
  if (status || status.error().kind != ErrorKind::kReject) return status;
  ++gauges.refused;
  gauges.last_refusal = status.error().message;
  return {};
}

// --- 2. Play

Status Fisherman::Body::play(std::uint64_t number, std::uint64_t now) {
  const ledger::GameEntry& game = state().games.at(number);
  if (game.stage == ledger::Stage::kEnded) return {};
  if (is_due_to_close(state(), game, Side::kChallenger, now)) {
    return sent(mirror.send(options.key, ledger::CloseGame{number}));
  }
  if (!is_turn_of(game, Side::kChallenger)) return {};
  // Without the model there is nothing to say: giving up at once costs least.
  std::optional<dispute::Action> action;
  if (weights_of(game.claim_key) != nullptr) {
    action = suit_of(game).next(game.game, mirror.moves(game.claim_key), state());
  }
  const dispute::Move move{.side = Side::kChallenger,
                           .state = game.game_digest,
                           .action = action.value_or(dispute::Concede{})};
  return sent(mirror.send(options.key, ledger::Move{number, dispute::encode_move(move)}));
}

const Weights* Fisherman::Body::weights_of(const ClaimKey& key) const {
  const Hash& session = state().batches.at(key.batch).session;
  return options.weights(state().sessions.at(session).session.model_root);
}

// After a restart, or on a claim that nobody showed before the game, it is made from the game.
Suit& Fisherman::Body::suit_of(const ledger::GameEntry& game) {
  const auto found = suits.find(game.claim_key);
  if (found != suits.end()) return found->second;
  const auto batch = fetched.find(game.claim_key.batch);
  ClaimData data;
  if (batch != fetched.end()) data = batch->second[game.claim_key.index];
  const auto& facts = state().models.at(game.request.model_root).facts;
  return suits
      .try_emplace(game.claim_key, *weights_of(game.claim_key), facts, game.request, game.claim,
                   std::move(data.prompt_ids), std::move(data.output_ids))
      .first->second;
}

// --- 3. Fetch, sample, recompute, challenge

// Whoever does not know the key cannot tell which claims it looks at; after a restart they are the
// same.
bool Fisherman::Body::is_sampled(const ledger::Batch& batch, std::uint32_t index) const {
  Bytes alpha(batch.root.begin(), batch.root.end());
  append_le(alpha, index);
  const auto hash = sampling.hash(sampling.prove(alpha));
  return load_le<std::uint64_t>(hash.data()) % ledger::kMillion < options.check_ppm;
}

Status Fisherman::Body::look_at(std::uint64_t number, std::uint64_t now) {
  const ledger::Batch& batch = state().batches.at(number);
  const auto [mine, is_new] = wanted.try_emplace(number);
  if (is_new) draw_sample(number);
  std::erase_if(mine->second, [&](std::uint32_t index) { return has_game({number, index}); });
  if (now >= ledger::window_end(state(), batch)) {
    gauges.missed += mine->second.size();
    mine->second.clear();
  }
  if (mine->second.empty() || positions_left == 0) return {};
  const bool is_late =
      now >= batch.posted_at + (ledger::window_end(state(), batch) - batch.posted_at) / 2;
  fetch(number, now);
  if (!fetched.contains(number)) return is_late ? demand_claims(number) : Status();
  for (const std::uint32_t index : std::set(mine->second)) {
    if (positions_left == 0) return {};
    const ClaimKey key{number, index};
    if (is_canary(state(), key)) {
      mine->second.erase(index);
      continue;
    }
    const Finding finding = judge(key, fetched.at(number)[index]);
    if (finding == Finding::kAgrees || finding == Finding::kSealed) {
      mine->second.erase(index);
      if (finding == Finding::kAgrees && options.attends) OTR_TRY(attend(key));
      continue;
    }
    // What is withheld is asked for until half of the window is over.
    if (finding == Finding::kNoPrompt && !is_late) {
      fetched.erase(number);
      return {};
    }
    OTR_TRY(finding == Finding::kUnbound ? demand_claim(key) : challenge(key));
    take_stock();
    if (!wanted.contains(number)) return {};  // the batch fell meanwhile
  }
  return {};
}

void Fisherman::Body::draw_sample(std::uint64_t number) {
  const ledger::Batch& batch = state().batches.at(number);
  gauges.claims_seen += batch.count;
  if (weights_of({number, 0}) == nullptr) {
    gauges.unknown_model += batch.count;
    return;
  }
  for (std::uint32_t i = 0; i < batch.count; ++i) {
    if (is_sampled(batch, i)) wanted.at(number).insert(i);
  }
}

// Once for each batch, and then again when its server has been left alone for a while.
void Fisherman::Body::fetch(std::uint64_t number, std::uint64_t now) {
  const ledger::Batch& batch = state().batches.at(number);
  if (fetched.contains(number)) return;
  DataPort* const data = options.data ? options.data(batch.operator_address) : nullptr;
  if (data == nullptr || now < ask_again[batch.operator_address]) return;
  auto got = fetch_batch(*data, batch, ledger::claims_ledger(state()));
  if (got) {
    fetched[number] = *std::move(got);
    return;
  }
  const std::uint64_t window = ledger::window_end(state(), batch) - batch.posted_at;
  ask_again[batch.operator_address] = now + std::min(kPatienceMs, window / 8);
}

Status Fisherman::Body::demand_claims(std::uint64_t number) {
  for (const std::uint32_t index : std::set(wanted.at(number))) {
    const std::uint64_t refused = gauges.refused;
    OTR_TRY(demand_claim({number, index}));
    take_stock();
    // Its money is at an end, or the batch.
    if (gauges.refused != refused || !wanted.contains(number)) return {};
  }
  return {};
}

Status Fisherman::Body::demand_claim(const ClaimKey& key) {
  if (has_game(key)) return {};
  const std::uint64_t refused = gauges.refused;
  OTR_TRY(sent(mirror.send(options.key, ledger::DemandClaim{key.batch, key.index})));
  gauges.withheld += gauges.refused == refused;
  return {};
}

Finding Fisherman::Body::judge(const ClaimKey& key, const ClaimData& data) {
  const ledger::Batch& batch = state().batches.at(key.batch);
  const protocol::Session& session = state().sessions.at(batch.session).session;
  // Nobody can challenge such a claim, but its operator cannot show it either (SPEC SET-32).
  if (data.claim.session != batch.session || data.request.model_root != session.model_root) {
    return Finding::kUnbound;
  }
  if (data.request.mode != 0 && data.request.client != options.key.address()) {
    ++gauges.sealed;
    return Finding::kSealed;
  }
  if (data.prompt_ids.empty() && data.request.prompt_count != 0) return Finding::kNoPrompt;
  const Weights* const weights = options.weights(session.model_root);
  const auto [suit, is_new] =
      suits.try_emplace(key, *weights, state().models.at(session.model_root).facts, data.request,
                        data.claim, data.prompt_ids, data.output_ids);
  gauges.sampled += is_new;
  const std::uint64_t positions = std::uint64_t{data.claim.prompt_count} + data.claim.out_count;
  positions_left -= std::min(positions_left, is_new ? positions : 0);
  if (suit->second.has_case()) {
    gauges.false_claims += is_new;
    return Finding::kFalse;
  }
  if (options.attends) {
    computed[key] = {.claim_hash = protocol::digest_of(data.claim, ledger::claims_ledger(state())),
                     .micro_root = suit->second.attention_root(),
                     .last = {.t = positions - 1, .stream = {}, .tile = 0}};
  }
  suits.erase(suit);
  ++gauges.agreed;
  return Finding::kAgrees;
}

Status Fisherman::Body::challenge(const ClaimKey& key) {
  const auto entry = state().claims.find(key);
  const bool has_fallen = entry != state().claims.end() && entry->second.refuted;
  if (has_fallen || has_game(key)) return {};
  const std::vector<ClaimData>& batch = fetched.at(key.batch);
  std::vector<Hash> hashes;
  for (const ClaimData& data : batch) {
    hashes.push_back(protocol::digest_of(data.claim, ledger::claims_ledger(state())));
  }
  return sent(mirror.send(options.key, ledger::Challenge{.batch = key.batch,
                                                         .index = key.index,
                                                         .claim = batch[key.index].claim,
                                                         .path = batch_path(hashes, key.index),
                                                         .request = batch[key.index].request}));
}

// Once for a claim; after a restart the ledger knows.
Status Fisherman::Body::attend(const ClaimKey& key) {
  const Computed& claim = computed.at(key);
  const crypto::Address self = options.key.address();
  if (state().attentions.contains({key, self})) return {};
  const std::uint64_t refused = gauges.refused;
  OTR_TRY(sent(
      mirror.send(options.key, ledger::Attend{.batch = key.batch,
                                              .index = key.index,
                                              .digest = ledger::attention_digest(
                                                  self, claim.claim_hash, claim.micro_root)})));
  gauges.attended += gauges.refused == refused;
  return {};
}

// Of a leaf that was answered for, everybody knows the micro-trace.
void Fisherman::Body::look_at_attention(const ClaimKey& key, Computed& claim) {
  const auto& all = state().attentions;
  for (auto it = all.lower_bound({key, {}}); it != all.end() && it->first.first == key; ++it) {
    const crypto::Address& who = it->first.second;
    if (who == options.key.address() || !claim.seen.insert(who).second) continue;
    const bool is_known = ledger::bound_answer(state(), key, claim.last).has_value();
    const Hash right = ledger::attention_digest(who, claim.claim_hash, claim.micro_root);
    gauges.attention_true += !is_known && it->second == right;
    gauges.attention_false += it->second != right;
  }
}

// --- 4. Draws (SPEC SET-31): what is over after one slash needs no second report.

Status Fisherman::Body::report_missed_draw(std::uint64_t number, std::uint64_t now) {
  const ledger::Batch& batch = state().batches.at(number);
  const auto value = state().beacon.find(batch.round);
  if (value == state().beacon.end() || ledger::is_void(state(), batch) ||
      now <= value->second.revealed_at + ledger::parameters_of(state(), batch).draw) {
    return {};
  }
  const auto [indices, is_new] = drawn.try_emplace(number);
  for (std::uint32_t index = 0; is_new && index < batch.count; ++index) {
    if (ledger::is_drawn(state(), batch, index).value_or(false)) indices->second.push_back(index);
  }
  for (const std::uint32_t index : indices->second) {
    const auto entry = state().claims.find({number, index});
    if (entry != state().claims.end() && (entry->second.lane != 0 || entry->second.canary)) {
      continue;
    }
    return sent(mirror.send(options.key, ledger::MissDraw{number, index}));
  }
  return {};
}

}  // namespace otr::rollup

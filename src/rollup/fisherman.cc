// The audit flow, top to bottom: step() says what a fisherman does, in this order.
#include "rollup/fisherman.h"

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <tuple>
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
// Positions recomputed in one step before games are looked at again; at least one claim is.
constexpr std::uint64_t kPositionsAtOnce = 2048;

// Claims of a batch, by what the secret sampling key makes of their indices: nobody else can place
// a lie where money or time ends.
using Sample = std::set<std::pair<std::uint64_t, std::uint32_t>>;

// What it needs to see who else has computed a claim.
struct Computed {
  Hash claim_hash{}, micro_root{};
  referee::Leaf last;                   // of the position of `micro_root`
  std::set<crypto::Address> seen = {};  // whose attention was looked at
};

// Half of its window is over.
bool is_late(const ledger::State& state, const ledger::Batch& batch, std::uint64_t now) {
  return now >= batch.posted_at + (ledger::window_end(state, batch) - batch.posted_at) / 2;
}

}  // namespace

struct Fisherman::Body {
  Mirror& mirror;
  FishermanOptions options;
  crypto::VrfKey sampling;
  FishermanGauges gauges = {};
  std::map<std::uint64_t, std::vector<ClaimData>> fetched = {};  // by open batch
  std::map<std::uint64_t, std::uint64_t> ask_again = {};  // fetched without a prompt: when again
  std::map<std::uint64_t, Sample> wanted = {};            // by open batch; not yet judged
  std::map<std::uint64_t, std::vector<std::uint32_t>> drawn = {};  // of batches past their draw
  std::map<ClaimKey, Suit> suits = {};
  std::vector<ClaimKey> used = {};             // suits that hold a trace, the last used last
  std::map<ClaimKey, Computed> computed = {};  // claims of open batches that are true
  Patience patience{options.stopwatch_ms};
  std::set<std::uint64_t> games = {};  // mine that have not ended
  std::uint64_t positions_left = 0;    // that this step may still compute

  [[nodiscard]] const ledger::State& state() const { return mirror.state(); }
  [[nodiscard]] bool is_mine(const ledger::GameEntry& game) const {
    return game.challenger == options.key.address();
  }
  [[nodiscard]] bool has_game(const ClaimKey& key) const;
  [[nodiscard]] bool has_named_leaf(std::uint64_t game, const ClaimKey& key) const;
  [[nodiscard]] const Weights* weights_of(const ClaimKey& key) const;
  [[nodiscard]] DataPort* server_of(const ledger::Batch& batch) const;
  [[nodiscard]] bool is_to_be_fetched(std::uint64_t number, std::uint64_t now) const;
  [[nodiscard]] bool is_to_be_demanded(const ledger::Batch& batch, std::uint64_t now) const;

  void take_stock();
  Status play(std::uint64_t number, std::uint64_t now);
  void choose(std::uint64_t number, std::uint64_t now);
  void draw_sample(std::uint64_t number);
  void fetch_next(std::uint64_t now);
  void fetch(std::uint64_t number, DataPort& data, std::uint64_t now);
  Status look_at(std::uint64_t number, std::uint64_t now);
  Status demand_claims(std::uint64_t number);
  Status demand_claim(const ClaimKey& key);
  Finding judge(const ClaimKey& key, const ClaimData& data);
  Status challenge(const ClaimKey& key);
  Status attend(const ClaimKey& key);
  void look_at_attention(const ClaimKey& key, Computed& claim);
  Status report_missed_draw(std::uint64_t number, std::uint64_t now);
  Suit& suit_of(const ledger::GameEntry& game);
  void make_room(const ClaimKey& used_now);
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
  // 3. Every batch that can still be challenged: sample, fetch, recompute, challenge what is false.
  // A bounded part of it, so that nobody can keep it from its games with work or waiting.
  for (const std::uint64_t number : body.mirror.open_batches()) body.choose(number, now);
  body.fetch_next(now);
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
  std::erase_if(ask_again,
                [&](const auto& entry) { return !mirror.open_batches().contains(entry.first); });
  std::erase_if(wanted,
                [&](const auto& entry) { return !mirror.open_batches().contains(entry.first); });
  std::erase_if(computed, [&](const auto& entry) {
    return !mirror.open_batches().contains(entry.first.batch);
  });
  for (auto& [key, claim] : computed) look_at_attention(key, claim);
  std::erase_if(suits, [&](const auto& entry) { return is_over(entry.first); });
  std::erase_if(used, is_over);
  gauges.traces_kept = used.size();
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
    make_room(game.claim_key);
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

// Lets go of the traces that were used longest ago, down to what may be in memory: they are
// computed again when they are needed. That of this claim stays.
void Fisherman::Body::make_room(const ClaimKey& used_now) {
  std::erase(used, used_now);
  if (suits.at(used_now).row_bytes() != 0) used.push_back(used_now);
  std::uint64_t bytes = 0;
  for (const ClaimKey& key : used) bytes += suits.at(key).row_bytes();
  while (bytes > options.trace_bytes && used.size() > 1) {
    bytes -= suits.at(used.front()).row_bytes();
    suits.at(used.front()).forget();
    used.erase(used.begin());
  }
  gauges.traces_kept = used.size();
}

// --- 3. Sample, fetch, recompute, challenge

// What is still to be judged of a batch.
void Fisherman::Body::choose(std::uint64_t number, std::uint64_t now) {
  const auto [mine, is_new] = wanted.try_emplace(number);
  if (is_new) draw_sample(number);
  std::erase_if(mine->second, [&](const auto& claim) { return has_game({number, claim.second}); });
  if (now >= ledger::window_end(state(), state().batches.at(number))) {
    gauges.missed += mine->second.size();
    mine->second.clear();
  }
}

Status Fisherman::Body::look_at(std::uint64_t number, std::uint64_t now) {
  const ledger::Batch& batch = state().batches.at(number);
  const auto mine = wanted.find(number);
  if (mine == wanted.end() || mine->second.empty() || positions_left == 0) return {};
  if (!fetched.contains(number)) {
    return is_to_be_demanded(batch, now) ? demand_claims(number) : Status();
  }
  for (const auto& claim : Sample(mine->second)) {
    if (positions_left == 0) return {};
    const ClaimKey key{number, claim.second};
    if (is_canary(state(), key)) {
      mine->second.erase(claim);
      continue;
    }
    const Finding finding = judge(key, fetched.at(number)[key.index]);
    if (finding == Finding::kAgrees || finding == Finding::kSealed) {
      mine->second.erase(claim);
      if (finding == Finding::kAgrees && options.attends) OTR_TRY(attend(key));
      continue;
    }
    // What is withheld is asked for until half of the window is over.
    if (finding == Finding::kNoPrompt && !is_late(state(), batch, now)) {
      ask_again.try_emplace(number, now + Patience::pause_ms(state(), batch));
      continue;
    }
    OTR_TRY(finding == Finding::kUnbound ? demand_claim(key) : challenge(key));
    take_stock();
    if (!wanted.contains(number)) return {};  // the batch fell meanwhile
  }
  return {};
}

// Whoever does not know the key cannot tell which claims it looks at, nor in which order; after a
// restart they are the same.
void Fisherman::Body::draw_sample(std::uint64_t number) {
  const ledger::Batch& batch = state().batches.at(number);
  gauges.claims_seen += batch.count;
  if (weights_of({number, 0}) == nullptr) {
    gauges.unknown_model += batch.count;
    return;
  }
  for (std::uint32_t i = 0; i < batch.count; ++i) {
    Bytes alpha(batch.root.begin(), batch.root.end());
    append_le(alpha, i);
    const auto hash = sampling.hash(sampling.prove(alpha));
    const auto place = load_le<std::uint64_t>(hash.data());
    if (place % ledger::kMillion < options.check_ppm) wanted.at(number).emplace(place, i);
  }
}

DataPort* Fisherman::Body::server_of(const ledger::Batch& batch) const {
  return options.data ? options.data(batch.operator_address) : nullptr;
}

// Once for each batch, then again when its server has been left alone for a while, or when a prompt
// was missing for as long.
bool Fisherman::Body::is_to_be_fetched(std::uint64_t number, std::uint64_t now) const {
  const ledger::Batch& batch = state().batches.at(number);
  if (server_of(batch) == nullptr || !patience.may_ask(batch, now)) return false;
  const auto again = ask_again.find(number);
  return !fetched.contains(number) || (again != ask_again.end() && now >= again->second);
}

// One batch a step, so that games are looked at between any two: of the operator that was asked
// longest ago, the one whose window ends first; what is fetched in part comes after what is not.
void Fisherman::Body::fetch_next(std::uint64_t now) {
  using Place = std::tuple<std::uint64_t, bool, std::uint64_t, std::uint64_t>;
  std::optional<Place> next;
  gauges.to_fetch = 0;
  for (const auto& [number, sample] : wanted) {
    if (sample.empty() || !is_to_be_fetched(number, now)) continue;
    ++gauges.to_fetch;
    const ledger::Batch& batch = state().batches.at(number);
    const Place place{patience.turn_of(batch), fetched.contains(number),
                      ledger::window_end(state(), batch), number};
    if (!next || place < *next) next = place;
  }
  if (!next) return;
  --gauges.to_fetch;
  const std::uint64_t number = std::get<3>(*next);
  fetch(number, *server_of(state().batches.at(number)), now);
}

void Fisherman::Body::fetch(std::uint64_t number, DataPort& data, std::uint64_t now) {
  const ledger::Batch& batch = state().batches.at(number);
  auto got = patience.ask(state(), batch, now,
                          [&] { return fetch_batch(data, batch, ledger::claims_ledger(state())); });
  if (!got) return;
  ask_again.erase(number);
  const auto [had, is_new] = fetched.try_emplace(number, *std::move(got));
  if (is_new) return;
  // What it has, no later answer takes away.
  for (std::size_t i = 0; i < had->second.size(); ++i) {
    if (had->second[i].prompt_ids.empty()) had->second[i] = std::move((*got)[i]);
  }
}

// Late and in vain: there is nobody to ask, or who is there is left alone. And what it has not come
// to ask for, while there is still time for it.
bool Fisherman::Body::is_to_be_demanded(const ledger::Batch& batch, std::uint64_t now) const {
  if (!is_late(state(), batch, now)) return false;
  const std::uint64_t end = ledger::window_end(state(), batch);
  return server_of(batch) == nullptr || !patience.may_ask(batch, now) ||
         now >= end - (end - batch.posted_at) / 4;
}

Status Fisherman::Body::demand_claims(std::uint64_t number) {
  for (const auto& claim : Sample(wanted.at(number))) {
    const std::uint64_t refused = gauges.refused;
    OTR_TRY(demand_claim({number, claim.second}));
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
    if (is_new) make_room(key);
    return Finding::kFalse;
  }
  if (options.attends) {
    computed[key] = {.claim_hash = protocol::digest_of(data.claim, ledger::claims_ledger(state())),
                     .micro_root = suit->second.attention_root(),
                     .last = {.t = positions - 1, .stream = {}, .tile = 0}};
  }
  suits.erase(suit);
  std::erase(used, key);
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
  const std::uint64_t refused = gauges.refused;
  OTR_TRY(sent(mirror.send(options.key, ledger::Challenge{.batch = key.batch,
                                                          .index = key.index,
                                                          .claim = batch[key.index].claim,
                                                          .path = batch_path(hashes, key.index),
                                                          .request = batch[key.index].request})));
  // Without a game no trace is needed; that the claim is false is not forgotten.
  const auto suit = suits.find(key);
  if (gauges.refused != refused && suit != suits.end()) {
    suit->second.forget();
    std::erase(used, key);
  }
  return {};
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

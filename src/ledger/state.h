// Everything the ledger knows (SPEC SET-4 to SET-6): always the replay of its transactions.
//
// Members are listed once, in the order in which the state's digest hashes them. Keys of maps are
// ordered, so two replays have one digest.
#ifndef OTR_LEDGER_STATE_H_
#define OTR_LEDGER_STATE_H_

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "dispute/game.h"
#include "ledger/fields.h"
#include "ledger/parameters.h"
#include "referee/statement.h"

namespace otr::ledger {

inline constexpr std::uint64_t kKeptCheckpoints = 1024;
inline constexpr std::size_t kMaxCheckers = 16;

// SPEC SET-4.
struct Genesis {
  Address sequencer{}, issuer{}, auditor{}, governor{};
  std::vector<Address> checkers;
  std::uint8_t quorum = 0;  // of the checkers
  Hash beacon_anchor{};
  std::uint8_t trial = 0;        // short windows are allowed, and said
  std::uint8_t zero_domain = 0;  // claims name no ledger (SET-5)
  std::uint64_t time = 0;
  Parameters parameters;

  template <class V>
  void each(V& visit) {
    visit("sequencer", sequencer);
    visit("issuer", issuer);
    visit("auditor", auditor);
    visit("governor", governor);
    visit("checkers", checkers);
    visit("quorum", quorum);
    visit("beaconAnchor", beacon_anchor);
    visit("trial", trial);
    visit("zeroDomain", zero_domain);
    visit("time", time);
    visit("parameters", parameters);
  }
};
[[nodiscard]] Bytes encode(const Genesis& genesis);
// MALFORMED, or BAD_PARAMETERS beyond the bounds.
[[nodiscard]] Result<Genesis> decode_genesis(ByteView bytes);
[[nodiscard]] Hash ledger_id(ByteView genesis);

struct Account {
  std::uint64_t balance = 0;
  std::uint64_t nonce = 0;
  template <class V>
  void each(V& visit) {
    visit("balance", balance);
    visit("nonce", nonce);
  }
};

struct Operator {
  std::uint64_t stake = 0;
  std::uint64_t reserved = 0;  // of the stake, by claims that are not final
  std::uint64_t unbonding = 0;
  std::uint64_t release_at = 0;
  std::uint64_t epoch = 0;  // raised by every slash
  std::uint64_t next_sequence = 0;
  std::uint64_t finalised = 0;  // batches, in sequence
  std::uint64_t open_games = 0;
  // The greatest under which a batch was posted since nothing was last at stake (SPEC SET-33).
  std::uint64_t burn_ppm = 0;
  [[nodiscard]] std::uint64_t free_stake() const { return stake - reserved; }
  template <class V>
  void each(V& visit) {
    visit("stake", stake);
    visit("reserved", reserved);
    visit("unbonding", unbonding);
    visit("releaseAt", release_at);
    visit("epoch", epoch);
    visit("nextSequence", next_sequence);
    visit("finalised", finalised);
    visit("openGames", open_games);
    visit("burnPpm", burn_ppm);
  }
};

struct Channel {
  std::uint64_t deposit = 0;
  std::uint64_t paid = 0;  // ever; a voucher's amount is compared with it
  std::uint64_t epoch = 0;
  std::uint64_t covered = 0;  // batches of the operator that vouchers have paid, in sequence
  std::uint64_t closes_at = 0;
  template <class V>
  void each(V& visit) {
    visit("deposit", deposit);
    visit("paid", paid);
    visit("epoch", epoch);
    visit("covered", covered);
    visit("closesAt", closes_at);
  }
};

struct Model {
  Address registrant{};
  std::uint64_t bond = 0;
  Bytes config;  // otr.config of the artifact; the program follows from it
  std::uint64_t token_bytes = 0;
  std::uint64_t max_prompt_tariff = 0;
  std::uint64_t max_output_tariff = 0;
  std::uint8_t weights_published = 0;
  std::uint64_t voided_at = 0;                       // 0: never
  std::shared_ptr<const referee::ModelFacts> facts;  // of root, config and token_bytes
  template <class V>
  void each(V& visit) {
    visit("registrant", registrant);
    visit("bond", bond);
    visit("config", config);
    visit("tokenBytes", token_bytes);
    visit("maxPromptTariff", max_prompt_tariff);
    visit("maxOutputTariff", max_output_tariff);
    visit("weightsPublished", weights_published);
    visit("voidedAt", voided_at);
  }
};

struct SessionEntry {
  protocol::Session session;
  Hash evidence{};
  std::uint64_t epoch = 0;  // of the operator
  std::uint64_t prompt_tariff = 0;
  std::uint64_t output_tariff = 0;
  std::uint64_t ended_at = 0;    // by its operator; 0: never
  std::uint64_t revoked_at = 0;  // by the auditor; 0: never
  template <class V>
  void each(V& visit) {
    visit("session", session);
    visit("evidence", evidence);
    visit("epoch", epoch);
    visit("promptTariff", prompt_tariff);
    visit("outputTariff", output_tariff);
    visit("endedAt", ended_at);
    visit("revokedAt", revoked_at);
  }
};

enum class BatchStatus : std::uint8_t { kOpen = 1, kFinal = 2, kVoid = 3 };

struct Batch {
  Address operator_address{};
  Hash session{};
  Hash root{};
  std::uint64_t sequence = 0;
  std::uint32_t count = 0;
  std::uint64_t value = 0;    // of a claim, at most
  std::uint64_t reserve = 0;  // of the stake, for each claim
  std::uint64_t posted_at = 0;
  std::uint64_t final_at = 0;  // 0 until then
  std::uint64_t epoch = 0;     // of the operator
  std::uint64_t round = 0;     // of the beacon; 0: final without
  std::uint32_t snapshot = 0;  // number of the parameters
  std::uint32_t held = 0;      // claims with open games
  std::uint32_t canaries = 0;  // revealed, and no game on them is open
  BatchStatus status = BatchStatus::kOpen;
  template <class V>
  void each(V& visit) {
    visit("operator", operator_address);
    visit("session", session);
    visit("root", root);
    visit("sequence", sequence);
    visit("count", count);
    visit("value", value);
    visit("reserve", reserve);
    visit("postedAt", posted_at);
    visit("finalAt", final_at);
    visit("epoch", epoch);
    visit("round", round);
    visit("snapshot", snapshot);
    visit("held", held);
    visit("canaries", canaries);
    visit("status", status);
  }
};

// A claim of a batch about which something happened; of the others the batch says everything.
struct ClaimKey {
  std::uint64_t batch = 0;
  std::uint32_t index = 0;
  friend auto operator<=>(const ClaimKey&, const ClaimKey&) = default;
  template <class V>
  void each(V& visit) {
    visit("batch", batch);
    visit("index", index);
  }
};
struct ClaimEntry {
  std::uint32_t open_games = 0;
  bool disputed = false;       // somebody has opened a game
  bool refuted = false;        // never final
  bool canary = false;         // and why: its own client had said so beforehand
  bool checked = false;        // by a quorum
  std::uint16_t checkers = 0;  // who have signed, a bit for each of the genesis
  std::uint8_t lane = 0;       // of the answer to a draw; 0: none
  Hash digest{};               // named by that answer
  template <class V>
  void each(V& visit) {
    visit("openGames", open_games);
    visit("disputed", disputed);
    visit("refuted", refuted);
    visit("canary", canary);
    visit("checked", checked);
    visit("checkers", checkers);
    visit("lane", lane);
    visit("digest", digest);
  }
};

// A leaf of a claim's trace that somebody has answered for (SPEC GAME-5).
struct LeafKey {
  ClaimKey claim;
  std::uint64_t t = 0, tile = 0;
  std::uint32_t stream = 0, layer = 0, head = 0;
  [[nodiscard]] static LeafKey of(const ClaimKey& claim, const referee::Leaf& leaf);
  friend auto operator<=>(const LeafKey&, const LeafKey&) = default;
  template <class V>
  void each(V& visit) {
    visit("claim", claim);
    visit("t", t);
    visit("tile", tile);
    visit("stream", stream);
    visit("layer", layer);
    visit("head", head);
  }
};

enum class Stage : std::uint8_t { kDemanded = 1, kPlaying = 2, kEnded = 3 };

struct GameEntry {
  ClaimKey claim_key;
  Address challenger{};
  std::uint64_t bond = 0;
  std::uint64_t opened_at = 0;
  Stage stage = Stage::kDemanded;
  protocol::Claim claim;      // once it was shown
  protocol::Request request;  // likewise
  dispute::Game game;         // likewise
  Hash game_digest{};         // of `game`
  template <class V>
  void each(V& visit) {
    visit("claimKey", claim_key);
    visit("challenger", challenger);
    visit("bond", bond);
    visit("openedAt", opened_at);
    visit("stage", stage);
    visit("claim", claim);
    visit("request", request);
    visit("gameDigest", game_digest);
  }
};

enum class ForceStatus : std::uint8_t { kOpen = 1, kAnswered = 2, kMissed = 3, kRefunded = 4 };

struct ForceEntry {
  Address operator_address{}, forcer{}, client{};
  Hash session{};
  std::uint64_t bond = 0;
  std::uint64_t forced_at = 0;
  std::uint64_t deadline = 0;
  std::uint64_t epoch = 0;
  ForceStatus status = ForceStatus::kOpen;
  template <class V>
  void each(V& visit) {
    visit("operator", operator_address);
    visit("forcer", forcer);
    visit("client", client);
    visit("session", session);
    visit("bond", bond);
    visit("forcedAt", forced_at);
    visit("deadline", deadline);
    visit("epoch", epoch);
    visit("status", status);
  }
};

enum class CanaryStatus : std::uint8_t { kOpen = 1, kRevealed = 2, kMissed = 3 };

// SPEC SET-36.
struct CanaryEntry {
  std::uint64_t reward = 0;
  std::uint64_t bond = 0;
  std::uint64_t batches = 0;   // on the ledger when it was committed
  std::uint64_t deadline = 0;  // of the reveal
  CanaryStatus status = CanaryStatus::kOpen;
  template <class V>
  void each(V& visit) {
    visit("reward", reward);
    visit("bond", bond);
    visit("batches", batches);
    visit("deadline", deadline);
    visit("status", status);
  }
};

struct BeaconValue {
  Hash value{};
  std::uint64_t revealed_at = 0;
  template <class V>
  void each(V& visit) {
    visit("value", value);
    visit("revealedAt", revealed_at);
  }
};

struct CheckpointEntry {
  std::uint64_t height = 0;
  std::uint64_t time = 0;
  Hash tip{};
  template <class V>
  void each(V& visit) {
    visit("height", height);
    visit("time", time);
    visit("tip", tip);
  }
};

struct PendingParameters {
  Parameters parameters;
  std::uint64_t effective_at = 0;
  template <class V>
  void each(V& visit) {
    visit("parameters", parameters);
    visit("effectiveAt", effective_at);
  }
};

// SPEC SET-35.
struct AttributionKey {
  Address operator_address{};
  Hash model{};
  std::uint64_t day = 0;
  friend auto operator<=>(const AttributionKey&, const AttributionKey&) = default;
  template <class V>
  void each(V& visit) {
    visit("operator", operator_address);
    visit("model", model);
    visit("day", day);
  }
};
struct Attribution {
  std::uint64_t batches = 0, final_claims = 0;
  std::uint64_t settled_claims = 0, prompt_tokens = 0, output_tokens = 0, amount = 0;
  template <class V>
  void each(V& visit) {
    visit("batches", batches);
    visit("finalClaims", final_claims);
    visit("settledClaims", settled_claims);
    visit("promptTokens", prompt_tokens);
    visit("outputTokens", output_tokens);
    visit("amount", amount);
  }
};

struct State {
  Hash id{};  // of the ledger
  Genesis genesis;
  Hash tip{};
  std::uint64_t height = 0;
  std::uint64_t time = 0;
  std::uint64_t minted = 0, withdrawn = 0, burned = 0;
  std::map<std::uint32_t, Parameters> parameters;  // by number
  std::uint32_t current_parameters = 0;
  std::optional<PendingParameters> pending;
  std::map<Address, Account> accounts;
  std::map<Address, Operator> operators;
  std::map<std::pair<Address, Address>, Channel> channels;  // client, operator
  std::map<Hash, Model> models;
  std::map<Hash, SessionEntry> sessions;
  std::set<Address> session_keys;
  std::map<Hash, std::uint64_t> revoked_runtimes;
  std::map<std::uint64_t, Batch> batches;  // from 1 on
  std::map<ClaimKey, ClaimEntry> claims;
  std::map<LeafKey, Hash> bound_leaves;
  // The game that was first to challenge a leaf, by the leaf's hash.
  std::map<std::pair<ClaimKey, Hash>, std::uint64_t> first_challenges;
  std::map<std::uint64_t, GameEntry> games;             // from 1 on
  std::map<Hash, ForceEntry> forces;                    // by claim hash
  std::set<std::pair<Hash, Address>> settled_requests;  // by operator
  std::set<std::pair<Hash, Address>> equivocations;
  std::map<std::pair<Address, Hash>, CanaryEntry> canaries;  // by funder and commitment
  std::map<std::pair<ClaimKey, Address>, Hash> attentions;   // SPEC SET-39
  Hash beacon_anchor{};
  std::uint64_t revealed_round = 0;
  std::uint64_t last_reveal_height = 0;
  std::uint64_t last_reveal_at = 0;
  std::map<std::uint64_t, BeaconValue> beacon;
  std::uint64_t checkpoint_count = 0;
  std::map<std::uint64_t, CheckpointEntry> checkpoints;
  std::map<AttributionKey, Attribution> attributions;

  Hash domain{};  // EIP-712 separator of `id`; not hashed, as it follows from it
  template <class V>
  void each(V& visit);
};

// The state before the first transaction. BAD_PARAMETERS, MALFORMED.
[[nodiscard]] Result<State> genesis_state(ByteView genesis);

// SPEC SET-6. Costs time in proportion to the state.
[[nodiscard]] Hash digest_of(const State& state);

// Salt of claims, requests, sessions and countersignatures (SPEC SET-5).
[[nodiscard]] Hash claims_ledger(const State& state);

// The number of the parameters that rule a batch posted at `now`, and those of a batch.
[[nodiscard]] const Parameters& parameters_at(const State& state, std::uint64_t now);
[[nodiscard]] const Parameters& parameters_of(const State& state, const Batch& batch);

// Derived facts about batches and claims; each is O(1) in everything but a map's depth.
// When the session of the batch, or its runtime, was revoked; 0 if never.
[[nodiscard]] std::uint64_t revoked_at(const State& state, const SessionEntry& session);
// The last millisecond of the session (SPEC SET-20).
[[nodiscard]] std::uint64_t end_of(const State& state, const SessionEntry& session);
// Whether Settle pays claims of the batch only if they were checked (SPEC SET-15, SET-19).
[[nodiscard]] bool needs_checks(const State& state, const Batch& batch);
[[nodiscard]] bool is_void(const State& state, const Batch& batch);  // SPEC SET-25
// What Settle pays for a claim of the batch (SPEC SET-15).
[[nodiscard]] std::uint64_t pay_of(const State& state, const Batch& batch,
                                   const protocol::Claim& claim, const protocol::Request& request);
// Whether its model was voided: it is, or will be, void (SPEC SET-17).
[[nodiscard]] bool is_of_void_model(const State& state, const Batch& batch);
// The first millisecond after the window (SPEC SET-23).
[[nodiscard]] std::uint64_t window_end(const State& state, const Batch& batch);
// SPEC SET-24: the time from which on the batch may become final. 0: its beacon is awaited.
[[nodiscard]] std::uint64_t final_at(const State& state, const Batch& batch, std::uint64_t now);
// SPEC SET-29: x of the leaf is below draw_ppm * 2^256 / 10^6.
[[nodiscard]] bool is_drawn(const Hash& value, const Hash& batch_root, std::uint32_t index,
                            std::uint32_t draw_ppm);
// Nothing where the beacon of the batch is not revealed.
[[nodiscard]] std::optional<bool> is_drawn(const State& state, const Batch& batch,
                                           std::uint32_t index);
[[nodiscard]] bool is_final(const State& state, const ClaimKey& claim);  // SPEC SET-26
// The micro-trace root of the first answer to a leaf of a claim (SPEC GAME-5).
[[nodiscard]] std::optional<Hash> bound_answer(const State& state, const ClaimKey& claim,
                                               const referee::Leaf& leaf);
// The batch root over claim hashes (SPEC SET-20). Requires 1 to kMaxBatch of them.
[[nodiscard]] Hash batch_root(const std::vector<Hash>& claim_hashes);
// That the claim hash is leaf `index` of a batch (PATH_INVALID).
[[nodiscard]] Status check_leaf(const Batch& batch, std::uint32_t index, const Hash& claim_hash,
                                const std::vector<Hash>& path);

}  // namespace otr::ledger

#endif  // OTR_LEDGER_STATE_H_

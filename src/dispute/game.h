// The dispute game: one challenger against one claim, as a pure state machine (SPEC GAME-1).
//
//   Result<Game> apply(game, move, now_ms, facts)
//
// gives the next state, or a rejection that changes nothing. Who a sender is, bonds, fees, and
// which games stand against a claim are the ledger's; it keeps for each claim the first answer to
// each leaf (Facts::bound, SPEC GAME-5) and whether the claim was refuted (Facts::refuted). Every
// call is O(1) in the number of games.
#ifndef OTR_DISPUTE_GAME_H_
#define OTR_DISPUTE_GAME_H_

#include <cstdint>
#include <optional>
#include <variant>

#include "base/bytes.h"
#include "base/result.h"
#include "referee/adjudicate.h"
#include "referee/opening.h"
#include "referee/statement.h"

namespace otr::dispute {

// SPEC GAME-2: fixed when the claim's batch was posted.
struct Parameters {
  std::uint64_t worker_clock_ms = 0;
  std::uint64_t challenger_clock_ms = 0;
  std::uint32_t max_demands = 0;

  friend bool operator==(const Parameters&, const Parameters&) = default;
};
inline constexpr std::uint64_t kMinClockMs = 60'000;
inline constexpr std::uint64_t kMaxClockMs = 604'800'000;
inline constexpr std::uint32_t kMinDemands = 64;
inline constexpr std::uint32_t kMaxDemands = 4096;
[[nodiscard]] Status check(const Parameters& parameters);  // PARAMETERS_INVALID

// SPEC GAME-3.
enum class Phase : std::uint8_t {
  kSearching = 1,  // the challenger moves; no leaf is challenged yet
  kRevealing = 2,  // the worker moves
  kAnswering = 3,  // the worker moves
  kProving = 4,    // the challenger moves
  kRefuted = 5,    // the claim is false
  kUpheld = 6,     // the challenger has lost
  kMoot = 7,       // the claim fell elsewhere
};
constexpr bool is_over(Phase phase) { return phase >= Phase::kRefuted; }

enum class Side : std::uint8_t { kChallenger = 1, kWorker = 2 };

// SPEC GAME-9.
enum class Ending : std::uint8_t {
  kNone = 0,
  kProven = 1,
  kTime = 2,
  kConceded = 3,
  kWithdrawn = 4,
  kMoot = 5,
};

struct Game {
  Parameters parameters;
  Phase phase = Phase::kSearching;
  Ending ending = Ending::kNone;
  std::uint8_t verdict = 0;  // otr::Reject of a proof, 0 where there is none
  std::uint32_t demand_count = 0;
  std::uint32_t move_count = 0;
  std::uint64_t moved_at_ms = 0;
  std::uint64_t challenger_left_ms = 0;
  std::uint64_t worker_left_ms = 0;
  std::optional<referee::Leaf> leaf;      // challenged
  std::optional<Hash> micro_root;         // answered
  std::optional<referee::Demand> demand;  // open

  friend bool operator==(const Game&, const Game&) = default;
};

// A new game. The challenger is to move. PARAMETERS_INVALID.
[[nodiscard]] Result<Game> open(const Parameters& parameters, std::uint64_t now_ms);

// Who is to move; nothing when the game is over.
[[nodiscard]] std::optional<Side> to_move(const Game& game);
// SPEC GAME-6, the one place that reads the clocks. False when the game is over.
[[nodiscard]] bool has_expired(const Game& game, std::uint64_t now_ms);
// When the side to move expires: the first millisecond at which close() is taken. Requires a game
// that is not over.
[[nodiscard]] std::uint64_t expires_at_ms(const Game& game);
// SPEC GAME-10: the latest time at which a game opened at `now_ms` expires if nobody delays close.
[[nodiscard]] constexpr std::uint64_t longest_ms(const Parameters& parameters) {
  return parameters.worker_clock_ms + parameters.challenger_clock_ms + 1;
}

// The moves (SPEC GAME-4, GAME-7).
struct Challenge {
  referee::Leaf leaf;
  friend bool operator==(const Challenge&, const Challenge&) = default;
};
struct Concede {
  friend bool operator==(const Concede&, const Concede&) = default;
};
struct Close {
  friend bool operator==(const Close&, const Close&) = default;
};
using Action = std::variant<Challenge, referee::Demand, referee::Proof, referee::Answer,
                            referee::Opening, Concede, Close>;
struct Move {
  Side side = Side::kChallenger;  // of the sender; any for Close
  Hash state{};                   // digest_of the game that it answers
  Action action;

  friend bool operator==(const Move&, const Move&) = default;
};

// What the ledger knows beside the game.
struct Facts {
  const referee::Statement& statement;
  // The micro-trace root of the first answer to the game's leaf (or to the one being challenged) in
  // any game on the claim.
  std::optional<Hash> bound;
  bool refuted = false;  // the claim has fallen in another game or otherwise
};

// The next state. Codes: those of SPEC chapters 24 to 26.
[[nodiscard]] Result<Game> apply(const Game& game, const Move& move, std::uint64_t now_ms,
                                 const Facts& facts);

// SPEC GAME-8. The encoding of a game is of fixed form, so that equal games have equal digests.
[[nodiscard]] Hash digest_of(const Game& game);

// Moves as bytes: what the ledger stores. Strict: one encoding for each move, MALFORMED,
// NOT_CANONICAL or LIMIT_EXCEEDED otherwise. At most kMaxMoveBytes.
inline constexpr std::size_t kMaxMoveBytes = referee::kMaxWitnessBytes + 8192;
[[nodiscard]] Bytes encode_move(const Move& move);
[[nodiscard]] Result<Move> decode_move(ByteView bytes);

}  // namespace otr::dispute

#endif  // OTR_DISPUTE_GAME_H_

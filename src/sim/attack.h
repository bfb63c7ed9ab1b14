// One cheat of the catalogue: what it does, who must stop it, and what the SPEC demands. A run is
// played against the real roles, rules and verifiers under virtual time (SIMULATED network and
// TEE), and everything that it reports is measured: from refusals, games, events and accounts.
#ifndef OTR_SIM_ATTACK_H_
#define OTR_SIM_ATTACK_H_

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace otr::sim {

enum class Tier : std::uint8_t {
  kAttested,    // whoever holds the receipt refuses it
  kOptimistic,  // a game on the ledger
  kDraw,        // the beacon's draw
  kRule,        // a rule of the ledger, or of a replay of it
};
[[nodiscard]] std::string_view name_of(Tier tier);

// What somebody had less of afterwards; fees and payments for true answers are no loss.
struct Loss {
  std::string who;
  std::uint64_t amount = 0;
};

struct Outcome {
  bool is_caught = false;
  Tier tier = Tier::kRule;
  std::string how;              // a code of the SPEC, or how a game ended
  std::uint64_t caught_ms = 0;  // virtual, from the cheat on
  std::vector<Loss> losses;
  // What went otherwise than it may, whatever the attack: a false claim that became final or was
  // paid, a true one that did not, an invariant, a cheat that earned. Empty: nothing.
  std::string wrong;
};

struct Demanded {
  Tier tier = Tier::kRule;
  std::string_view how;
  std::string_view losers;  // names in alphabetical order, separated by commas; nobody where empty
  std::string_view rule;    // of the SPEC
};

struct Attack {
  std::string_view id;
  std::string_view what;
  Demanded demanded;
  Outcome (*run)(std::uint64_t seed);
};

// How the outcome differs from what is demanded; empty where it does not.
[[nodiscard]] std::string shortcoming(const Attack& attack, const Outcome& outcome);
[[nodiscard]] std::string names_of(std::span<const Loss> losses);

// The groups.
[[nodiscard]] std::span<const Attack> attacks_on_receipts();
[[nodiscard]] std::span<const Attack> attacks_on_sessions();
[[nodiscard]] std::span<const Attack> attacks_on_traces();
[[nodiscard]] std::span<const Attack> attacks_on_data();
[[nodiscard]] std::span<const Attack> attacks_on_batches();
[[nodiscard]] std::span<const Attack> attacks_on_draws();
[[nodiscard]] std::span<const Attack> attacks_on_games();
[[nodiscard]] std::span<const Attack> attacks_on_attention();
[[nodiscard]] std::span<const Attack> attacks_on_money();
[[nodiscard]] std::span<const Attack> attacks_on_ledger();

}  // namespace otr::sim

#endif  // OTR_SIM_ATTACK_H_

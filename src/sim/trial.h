// A stage for one attack: a world, who takes part in it, and the measuring of what came of it.
#ifndef OTR_SIM_TRIAL_H_
#define OTR_SIM_TRIAL_H_

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "ledger/apply.h"
#include "sim/attack.h"
#include "sim/world.h"

namespace otr::sim {

inline constexpr std::uint64_t kStake = 10'000'000;

class Trial {
 public:
  // The client is honest and takes part.
  explicit Trial(std::uint64_t seed, WorldOptions options = {});

  World world;

  // What they have counts from now on.
  void join(const std::string& name, const crypto::Address& address, bool is_honest);
  OperatorNode& honest_operator();
  // "cheat"; `respond` plays its games, honestly where null.
  OperatorNode& cheat(const decltype(rollup::OperatorOptions::respond)& respond = {});
  FishermanNode& fisherman();
  // An account of a cheat.
  crypto::PrivateKey cheating_key(const std::string& name, std::uint64_t amount = 1'000'000);

  // Hands a receipt to an operator that posts it, and waits for that. A false one must never become
  // final or be paid, a true one must.
  ledger::ClaimKey post(OperatorNode& of, const protocol::Receipt& receipt, bool is_true);
  protocol::Receipt post_true(OperatorNode& of);

  // From now on the cheat is there to be found.
  void strike();
  // It was refused by a rule of the ledger, or not.
  void refused(const Status& status);
  // By whom and how; what comes later does not count.
  void caught(Tier tier, std::string_view how);
  // Waits until such an event comes, from the strike on, and takes from it by what it was caught.
  bool until(ledger::EventKind kind, std::uint64_t at_most_ms = 200'000);
  // Of events from the strike on.
  [[nodiscard]] std::uint64_t count(ledger::EventKind kind);
  // Something that must hold beside; the first that does not is the outcome's.
  void expect(bool holds, std::string_view what);

  // Lets time pass until what was true is final, and measures.
  Outcome finish();

 private:
  struct Party {
    std::string name;
    crypto::Address address;
    bool is_honest;
    std::int64_t before;
  };
  struct Posted {
    OperatorNode* of;
    protocol::Receipt receipt;
    bool is_true;
  };
  [[nodiscard]] std::int64_t worth(const crypto::Address& address) const;
  [[nodiscard]] bool is_final(const Posted& posted);
  void judge_claims();

  std::vector<Party> parties_;
  std::vector<Posted> posted_;
  std::uint64_t struck_at_ = 0;
  std::size_t first_event_ = 0;
  Outcome outcome_;
};

// Plays the challenger's side of a game by hand.
[[nodiscard]] Status play(World& world, const crypto::PrivateKey& key, std::uint64_t game,
                          dispute::Action action);
// Opens one against a claim that stands alone in its batch.
[[nodiscard]] Status open_game(World& world, const crypto::PrivateKey& key,
                               const ledger::ClaimKey& claim, const protocol::Receipt& receipt);

}  // namespace otr::sim

#endif  // OTR_SIM_TRIAL_H_

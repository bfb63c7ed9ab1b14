// The world of a seed while it runs: who is on stage, what they do to each other, and what must
// hold afterwards (seed_run.h). For seed_run.cc alone.
#ifndef OTR_SIM_SEED_PLAY_H_
#define OTR_SIM_SEED_PLAY_H_

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "sim/canary_node.h"
#include "sim/cast.h"
#include "sim/seed_run.h"
#include "sim/world.h"

namespace otr::sim {

inline constexpr std::uint64_t kStake = 10'000'000;
inline constexpr std::uint64_t kFloat = 1'000'000;

enum class Kind : std::uint8_t { kHonest, kLiar, kFallsSilent, kNeverPosts, kEquivocates, kCanary };

struct Player {
  Kind kind = Kind::kHonest;
  OperatorNode* at = nullptr;
  std::unique_ptr<Liar> liar;
  std::unique_ptr<CanaryNode> canaries;
  bool is_canary_due = false;      // made, and not yet handed over
  std::unique_ptr<BentData> data;  // as others reach it
  bool is_silent = false;          // from now on
};

struct Told {
  Player* player = nullptr;
  protocol::Receipt receipt;
  std::string text;
  Hash hash{};
  bool is_true = true;
  bool is_for_posting = true;
  bool is_given = false;    // the operator has acknowledged it
  bool is_revoked = false;  // its session, before everything of it was posted
};

struct Hunter {
  FishermanNode* at = nullptr;
  bool is_honest = true;
};

// Whoever told the client this must be slashed for it, posted or not.
[[nodiscard]] bool must_fall(const Told& told);

class SeedPlay {
 public:
  explicit SeedPlay(std::uint64_t seed);

  void set_stage();
  void play();
  void check();
  [[nodiscard]] SeedReport report();

 private:
  void add_player(Kind kind);
  void add_hunter(std::uint64_t number);
  void add_accuser();
  void add_client();

  void ask();
  void tell(Player& player, protocol::Receipt receipt, bool is_for_posting);
  void give();
  void break_something();
  void revoke(Player& player);
  [[nodiscard]] bool is_settled();

  void check_operators();
  void check_claims();
  void check_hunters();
  void check_replay();
  void fail(std::string what) { failures_.push_back(std::move(what)); }

  [[nodiscard]] std::vector<ledger::ClaimKey> places_of(const Told& told);
  [[nodiscard]] std::uint64_t now() { return world_.weather().now; }
  [[nodiscard]] bool is_honest(const crypto::Address& operator_address) const;
  [[nodiscard]] rollup::DataPort* data_of(const crypto::Address& operator_address) const;

  const std::uint64_t seed_;
  Random random_;
  World world_;
  const std::uint64_t begin_;
  std::deque<Player> players_;
  std::deque<Told> told_;
  std::vector<Hunter> hunters_;
  std::deque<crypto::PrivateKey> accusers_, funders_;
  std::deque<std::uint32_t> accusations_;  // left to each
  std::vector<std::unique_ptr<Accuser>> accuser_roles_;
  std::vector<std::unique_ptr<rollup::Watcher>> watchers_;  // of the client, by player
  std::vector<Told*> watched_;                              // what it has on its disk
  std::map<std::string, std::uint64_t> cut_until_;          // by node
  std::vector<std::string> failures_;
  std::uint32_t cuts_ = 0;
};

}  // namespace otr::sim

#endif  // OTR_SIM_SEED_PLAY_H_

// A whole rollup in one thread under virtual time: the real roles, rules, referee and engine, a
// network and disks that one seed decides (SIMULATED: no machine is attested here, sessions carry
// evidence that only names itself so).
//
// The same seed and script give the same transactions, byte for byte.
#ifndef OTR_SIM_WORLD_H_
#define OTR_SIM_WORLD_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "ledger/parameters.h"
#include "rollup/auditor.h"
#include "rollup/fisherman.h"
#include "rollup/operator.h"
#include "rollup/watcher.h"
#include "sim/chain.h"
#include "sim/liar.h"
#include "sim/network.h"

namespace otr::sim {

// One process: what it keeps when it is killed, and how it starts.
struct Node {
  Node(std::string its_name, Weather& weather, Chain& chain)
      : name(std::move(its_name)), link(weather, chain), disk(weather, link.has_crashed) {}

  const std::string name;
  Link link;
  Disk disk;
  std::optional<rollup::Mirror> mirror;
  std::function<Status(Node&)> boot;          // makes the role, from disk and mirror
  std::function<Status(std::uint64_t)> step;  // one look at the ledger
  std::function<void()> kill;                 // drops the role
  std::uint64_t next_step = 0;
  std::uint64_t period_ms = 200;
  std::uint64_t down_until = 0;
  std::uint64_t kills = 0;
  bool is_up = false;
  std::string last_error;  // of a step that failed
};

struct OperatorNode {
  Node* node = nullptr;
  std::unique_ptr<rollup::Operator> role;
  std::unique_ptr<DataLink> data;  // as others reach it
  Signers signers;
  protocol::SessionDocument session = {};  // of the signers
};
struct FishermanNode {
  Node* node = nullptr;
  std::unique_ptr<rollup::Fisherman> role;
  crypto::PrivateKey key;
};

struct WorldOptions {
  std::uint64_t seed = 1;
  Faults faults;
  std::optional<ledger::Parameters> parameters;  // those for trials, with short clocks, if nothing
  std::uint8_t checkers = 0;                     // in the genesis; all of them are the quorum
};

class World {
 public:
  explicit World(const WorldOptions& options);
  ~World();

  // An operator with a stake and a registered session. `change` may turn it into a cheat.
  OperatorNode& add_operator(const std::string& name, std::uint64_t stake = 10'000'000,
                             const std::function<void(rollup::OperatorOptions&)>& change = {});
  // With money for bonds.
  FishermanNode& add_fisherman(const std::string& name, std::uint64_t balance = 1'000'000,
                               const std::function<void(rollup::FishermanOptions&)>& change = {});
  // Registers one more session of an operator; its signers from now on. Of the world's model, or of
  // another that was registered.
  void new_session(OperatorNode& of, const std::optional<Hash>& model_root = {});

  // Has the operator answer honestly, and hands it the receipt.
  protocol::Receipt ask(OperatorNode& of, std::uint32_t max_tokens = 6);
  // A request of the client for the model.
  [[nodiscard]] protocol::SignedRequest request(std::uint32_t max_tokens = 6);
  [[nodiscard]] const std::vector<std::uint32_t>& prompt() const { return prompt_; }
  // Hands a receipt to the operator, again until it is on its disk.
  void give(OperatorNode& to, const protocol::Receipt& receipt);

  // Lets virtual time pass.
  void run_ms(std::uint64_t duration_ms);
  // Until `done` or the time is over; whether it was done.
  bool run_until(const std::function<bool()>& done, std::uint64_t at_most_ms);

  // Signs as anybody and submits, without faults.
  Status send(const crypto::PrivateKey& key, ledger::Body body);
  [[nodiscard]] crypto::PrivateKey new_key();
  [[nodiscard]] crypto::PrivateKey funded_key(std::uint64_t amount);

  [[nodiscard]] const ledger::State& state() const { return chain_.state(); }
  [[nodiscard]] Chain& chain() { return chain_; }
  [[nodiscard]] Weather& weather() { return weather_; }
  [[nodiscard]] const rollup::Weights& weights() const;
  [[nodiscard]] const crypto::PrivateKey& client() const { return *client_; }
  // Roles of the genesis, for cheats that hold one.
  [[nodiscard]] const crypto::PrivateKey& sequencer() const { return sequencer_; }
  [[nodiscard]] const crypto::PrivateKey& auditor() const { return auditor_; }
  [[nodiscard]] const crypto::PrivateKey& governor() const { return governor_; }
  [[nodiscard]] crypto::PrivateKey checker(std::uint8_t number) const;  // from 0 on
  [[nodiscard]] static Hash beacon_value(std::uint64_t round);
  [[nodiscard]] std::uint64_t balance(const crypto::Address& of) const;
  [[nodiscard]] std::uint64_t stake(const OperatorNode& of) const;
  // The (first) batch that holds a claim, as its operator says; nothing where it is in none.
  [[nodiscard]] std::optional<ledger::ClaimKey> claim_of(OperatorNode& of,
                                                         const protocol::Receipt& receipt);
  // A place in line for a process that the caller steps: for roles that tests write.
  Node& add_node(const std::string& name);
  [[nodiscard]] const std::vector<std::unique_ptr<Node>>& nodes() const { return nodes_; }

 private:
  struct Model;
  void tick();
  void start(Node& node);
  void must(const crypto::PrivateKey& key, ledger::Body body);

  const std::uint64_t seed_;
  Weather weather_;
  std::shared_ptr<const Model> model_;
  crypto::PrivateKey sequencer_, issuer_, auditor_, governor_;
  std::optional<crypto::PrivateKey> client_;
  Chain chain_;
  std::vector<std::unique_ptr<Node>> nodes_;
  std::vector<std::unique_ptr<OperatorNode>> operators_;
  std::vector<std::unique_ptr<FishermanNode>> fishermen_;
  std::unique_ptr<rollup::Auditor> beacon_;
  std::vector<std::uint32_t> prompt_{3, 1, 4};
  std::uint64_t next_counter_ = 1;
  std::uint64_t next_checkpoint_ = 0;
  std::uint32_t keys_made_ = 0;
};

}  // namespace otr::sim

#endif  // OTR_SIM_WORLD_H_

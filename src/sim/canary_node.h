// A funder of canaries and its operator: claims that are false on purpose (SPEC SET-36), each a
// wrong first token, made by a SIMULATED worker that a real enclave would not be.
#ifndef OTR_SIM_CANARY_NODE_H_
#define OTR_SIM_CANARY_NODE_H_

#include <cstdint>
#include <memory>

#include "rollup/canary_keeper.h"
#include "sim/world.h"

namespace otr::sim {

class CanaryNode {
 public:
  // World and funder must outlive it. The funder pays `reward` for each.
  CanaryNode(World& world, const crypto::PrivateKey& funder, std::uint64_t reward = 50'000);

  // What its operator plays: honestly what the lie made, and nothing on the false leaf.
  dispute::Action respond(const protocol::Receipt& receipt, const dispute::Game& game,
                          const dispute::Facts& facts);
  // Makes a canary for `of` to post.
  void make(OperatorNode& of);
  // Once the ledger holds the commitment to the last one, hands it over; whether the operator has
  // acknowledged it.
  bool hand_over();
  // Both, and waits until it is posted; whether that was in a minute.
  bool post(OperatorNode& of);

  // Reveals the last one as if it stood in this batch.
  Status reveal_at(std::uint64_t batch);

  [[nodiscard]] const protocol::Receipt& last() const { return last_; }
  [[nodiscard]] Hash last_hash() const;
  [[nodiscard]] Hash salt() const;
  [[nodiscard]] const rollup::CanaryGauges& gauges() const { return role_->gauges(); }
  [[nodiscard]] Node& node() { return *node_; }
  [[nodiscard]] const crypto::PrivateKey& client() const { return client_; }
  // The leaf of the first token of an answer to the world's prompt.
  [[nodiscard]] referee::Leaf leaf() const;

 private:
  World& world_;
  const crypto::PrivateKey& funder_;
  const crypto::PrivateKey client_;
  const std::uint64_t reward_;
  LiarsDefence defence_, honestly_;
  OperatorNode* of_ = nullptr;
  Node* node_;
  std::unique_ptr<rollup::CanaryKeeper> role_;
  protocol::Receipt last_;
  std::uint64_t made_ = 0;
};

}  // namespace otr::sim

#endif  // OTR_SIM_CANARY_NODE_H_
